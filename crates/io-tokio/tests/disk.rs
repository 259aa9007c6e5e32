//! The real folder: names, modes, positioned writes, the lock.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use posthaste_io::{Disk, DiskFile, OpenMode};
use posthaste_io_tokio::{DiskOpenError, RealDisk};
use std::io::{ErrorKind, IoSlice};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// A child that is being started holds our locks for a moment, until it runs its program.
static ALONE: Mutex<()> = Mutex::new(());

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_are_written_read_renamed_and_removed() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("spool");
    let disk = RealDisk::open(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    let missing = disk.open("a", OpenMode::Write).err().unwrap();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let file = disk.open("a", OpenMode::Create).unwrap();
    assert_eq!(mode(&path.join("a")), 0o600);
    let again = disk.open("a", OpenMode::Create).err().unwrap();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    let slices = [&b"one"[..], b"", b"two"];
    file.write_at(4, &slices.map(IoSlice::new)).unwrap();
    file.write_at(0, &[IoSlice::new(b"zero")]).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir().unwrap();
    let mut buf = [0; 20];
    assert_eq!(file.read_at(0, &mut buf).unwrap(), 10);
    assert_eq!(&buf[..10], b"zeroonetwo");
    assert_eq!((file.read_at(7, &mut buf[..2]).unwrap(), file.len().unwrap()), (2, 10));
    assert!(disk.open("a", OpenMode::Read).unwrap().write_at(0, &[IoSlice::new(b"x")]).is_err());
    disk.open("c", OpenMode::Create).unwrap();
    disk.rename("a", "b").unwrap();
    std::fs::create_dir(path.join("folder")).unwrap();
    let listed = disk.list().unwrap();
    assert_eq!(listed, [("b".to_owned(), 10), ("c".to_owned(), 0)]);
    disk.remove("c").unwrap();
    assert_eq!(disk.list().unwrap().len(), 1);
    assert!(disk.free_space().unwrap() > 0);
}

#[test]
fn more_slices_than_one_call_takes_are_all_written() {
    let parent = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(parent.path()).unwrap();
    let file = disk.open("a", OpenMode::Create).unwrap();
    let octets: Vec<u8> = (0..5000u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
    let slices: Vec<_> = octets.chunks(2).map(IoSlice::new).collect();
    file.write_at(3, &slices).unwrap();
    let mut back = vec![0; 5003];
    assert_eq!(file.read_at(0, &mut back).unwrap(), 5003);
    assert!(back[3..] == octets);
}

#[test]
fn names_stay_in_the_folder() {
    let parent = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(parent.path()).unwrap();
    for name in ["", ".", "..", "a/b", "/etc/passwd", ".hidden", "lock"] {
        let error = disk.open(name, OpenMode::Create).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
        assert!(disk.remove(name).is_err() && disk.rename(name, "b").is_err());
    }
}

#[test]
fn a_second_owner_is_told_who_the_first_is() {
    let parent = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(parent.path()).unwrap();
    let error = RealDisk::open(parent.path()).err().unwrap();
    let said = error.to_string();
    assert!(
        matches!(error, DiskOpenError::Locked { pid: Some(pid), .. } if pid == std::process::id())
    );
    assert!(said.ends_with(&format!("is in use by process {}", std::process::id())), "{said}");
    let clone = disk.clone();
    drop(disk);
    assert!(RealDisk::open(parent.path()).is_err(), "a clone still owns it");
    drop(clone);
    RealDisk::open(parent.path()).unwrap();
}

const CHILD: &str = "POSTHASTE_TEST_LOCK";

#[test]
fn the_lock_goes_with_a_killed_process() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let _disk = RealDisk::open(Path::new(&folder)).unwrap();
        std::process::abort();
    }
    let parent = tempfile::tempdir().unwrap();
    let _alone = ALONE.lock().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_lock_goes_with_a_killed_process"])
        .env(CHILD, parent.path())
        .output()
        .unwrap()
        .status;
    assert!(status.code().is_none(), "ended by a signal");
    assert!(
        std::fs::read_to_string(parent.path().join("lock")).unwrap().trim().parse::<u32>().is_ok()
    );
    RealDisk::open(parent.path()).unwrap();
}

#[test]
fn a_missing_parent_is_the_administrators_to_make() {
    let parent = tempfile::tempdir().unwrap();
    let error = RealDisk::open(&parent.path().join("no/spool")).err().unwrap();
    assert!(error.to_string().starts_with("cannot create the folder "), "{error}");
}

#[test]
fn who_looks_changes_nothing_and_keeps_owners_out() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path();
    let _alone = ALONE.lock().unwrap();
    assert!(RealDisk::look(&path.join("no")).is_err());
    let owner = RealDisk::open(path).unwrap();
    drop(owner.open("x", OpenMode::Create).unwrap());
    let lock = std::fs::read(path.join("lock")).unwrap();
    let error = RealDisk::look(path).err().unwrap().to_string();
    assert!(error.ends_with(&format!("is in use by process {}", std::process::id())), "{error}");
    drop(owner);

    // As one that has ended has left it.
    std::fs::write(path.join("lock"), "4194305\n").unwrap();
    let (one, other) = (RealDisk::look(path).unwrap(), RealDisk::look(path).unwrap());
    let error = RealDisk::open(path).err().unwrap().to_string();
    assert!(error.ends_with("is in use by another process"), "{error}");
    let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
    let refused = std::io::ErrorKind::ReadOnlyFilesystem;
    assert_eq!(kind(one.open("x", OpenMode::Write).map(drop)), refused);
    assert_eq!(kind(one.open("y", OpenMode::Create).map(drop)), refused);
    assert_eq!(kind(one.open("y", OpenMode::Write).map(drop)), std::io::ErrorKind::NotFound);
    assert_eq!(kind(one.remove("x")), refused);
    assert_eq!(kind(one.rename("x", "y")), refused);
    assert_eq!(other.list().unwrap(), [("x".to_owned(), 0)]);
    assert_ne!(std::fs::read(path.join("lock")).unwrap(), lock, "it is as it was left");
    drop((one, other));
    RealDisk::open(path).unwrap();
}

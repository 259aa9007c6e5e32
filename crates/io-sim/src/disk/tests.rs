//! The simulated disk: what is pending, what is synced, and what a power cut may leave of it.

use super::*;
use std::collections::BTreeSet;

fn write(file: &SimFile, offset: u64, octets: &[u8]) {
    file.write_at(offset, &[IoSlice::new(octets)]).unwrap();
}

fn read(disk: &SimDisk, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(name, OpenMode::Read)?;
    let mut octets = vec![0; usize::try_from(file.len()?).unwrap()];
    assert_eq!(file.read_at(0, &mut octets)?, octets.len());
    Ok(octets)
}

/// A disk with a durable file `a` that holds `octets`.
fn with_durable(octets: &[u8]) -> (SimDisk, SimFile) {
    let disk = SimDisk::new();
    let file = disk.open("a", OpenMode::Create).unwrap();
    write(&file, 0, octets);
    file.sync_data().unwrap();
    disk.sync_dir().unwrap();
    (disk, file)
}

#[test]
fn behaves_as_a_folder() {
    let disk = SimDisk::new();
    assert_eq!(disk.open("a", OpenMode::Write).err().unwrap().kind(), io::ErrorKind::NotFound);
    let a = disk.open("a", OpenMode::Create).unwrap();
    assert_eq!(
        disk.open("a", OpenMode::Create).err().unwrap().kind(),
        io::ErrorKind::AlreadyExists
    );
    a.write_at(3, &[IoSlice::new(b"de"), IoSlice::new(b"f")]).unwrap();
    assert_eq!(read(&disk, "a").unwrap(), b"\0\0\0def");
    let mut two = [0; 9];
    assert_eq!(a.read_at(4, &mut two).unwrap(), 2);
    assert_eq!(a.read_at(99, &mut two).unwrap(), 0);
    disk.open("b", OpenMode::Create).unwrap();
    disk.rename("a", "b").unwrap();
    assert_eq!(disk.list().unwrap(), [("b".to_owned(), 6)]);
    disk.remove("b").unwrap();
    assert!(disk.list().unwrap().is_empty());
    disk.sync_dir().unwrap();
    write(&a, 6, b"g");
    assert_eq!(a.len().unwrap(), 7, "an open file outlives its name");
    assert!(disk.remove("b").is_err() && disk.rename("b", "c").is_err());
    let reader = with_durable(b"x").0.open("a", OpenMode::Read).unwrap();
    assert!(reader.write_at(0, &[IoSlice::new(b"y")]).is_err());
}

#[test]
fn writes_cross_chunks() {
    let (disk, file) = with_durable(&[1; 40_000]);
    write(&file, 16_000, &[2; 20_000]);
    let octets = read(&disk, "a").unwrap();
    assert!(octets[..16_000].iter().all(|&b| b == 1));
    assert!(octets[16_000..36_000].iter().all(|&b| b == 2));
    assert!(octets[36_000..].iter().all(|&b| b == 1) && octets.len() == 40_000);
}

#[test]
fn what_is_synced_stays_and_the_rest_may_go() {
    for (how, expected) in [(Cut::Lost, &b"old"[..]), (Cut::Landed, b"new and longer")] {
        let (disk, file) = with_durable(b"old");
        write(&file, 0, b"new and longer");
        let after = disk.power_cut(how);
        assert_eq!(read(&after, "a").unwrap(), expected, "{how:?}");
    }
    for seed in 0..200 {
        let (disk, file) = with_durable(b"old");
        write(&file, 0, b"new");
        file.sync_data().unwrap();
        assert_eq!(read(&disk.power_cut(Cut::Seeded(seed)), "a").unwrap(), b"new");
    }
}

#[test]
fn a_name_needs_the_folders_sync() {
    let disk = SimDisk::new();
    let file = disk.open("a", OpenMode::Create).unwrap();
    write(&file, 0, b"x");
    file.sync_data().unwrap();
    assert!(disk.power_cut(Cut::Lost).list().unwrap().is_empty());

    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let (disk, _) = with_durable(b"x");
        disk.rename("a", "b").unwrap();
        disk.open("c", OpenMode::Create).unwrap();
        let names: Vec<_> = disk.power_cut(Cut::Seeded(seed)).list().unwrap();
        outcomes.insert(names.into_iter().map(|(name, _)| name).collect::<String>());
    }
    let all: BTreeSet<_> = ["a", "b", "ac", "bc"].map(str::to_owned).into();
    assert_eq!(outcomes, all, "renames are atomic; each change lands or not");
}

#[test]
fn old_handles_are_dead_after_a_cut() {
    let (disk, file) = with_durable(b"x");
    let after = disk.power_cut(Cut::Lost);
    for error in [
        file.write_at(0, &[IoSlice::new(b"y")]).unwrap_err(),
        file.sync_data().unwrap_err(),
        file.len().unwrap_err(),
        disk.remove("a").unwrap_err(),
        disk.list().unwrap_err(),
    ] {
        assert!(error.get_ref().is_some_and(|e| e.is::<PowerLost>()), "{error}");
    }
    drop(file);
    assert_eq!(read(&after, "a").unwrap(), b"x");
}

#[test]
fn the_end_of_a_process_loses_nothing_yet() {
    let (disk, file) = with_durable(b"old");
    write(&file, 0, b"new");
    let next = disk.process_end();
    assert!(file.sync_data().is_err());
    assert_eq!(read(&next, "a").unwrap(), b"new");
    assert_eq!(read(&next.power_cut(Cut::Lost), "a").unwrap(), b"old");
}

#[test]
fn sectors_are_whole_and_free_of_each_other() {
    let mut images = BTreeSet::new();
    for seed in 0..400 {
        let (disk, file) = with_durable(&[b'0'; 1536]);
        write(&file, 0, &[b'1'; 1536]);
        write(&file, 512, &[b'2'; 512]);
        let octets = read(&disk.power_cut(Cut::Seeded(seed)), "a").unwrap();
        let image: String = octets
            .chunks(512)
            .map(|sector| {
                assert!(sector.iter().all(|b| b == &sector[0]), "torn within a sector");
                char::from(sector[0])
            })
            .collect();
        images.insert(image);
    }
    // Three sectors: the first and last old or new, the middle any of its three states.
    assert_eq!(images.len(), 12, "{images:?}");
}

#[test]
fn within_a_sector_an_older_write_never_misses_below_a_newer_one() {
    for seed in 0..300 {
        let (disk, file) = with_durable(&[b'0'; 512]);
        write(&file, 0, b"AA");
        write(&file, 4, b"BB");
        let octets = read(&disk.power_cut(Cut::Seeded(seed)), "a").unwrap();
        assert!([&b"000000"[..], b"AA0000", b"AA00BB"].contains(&&octets[..6]), "{seed}");
    }
}

#[test]
fn large_sectors_are_atomic_too() {
    for seed in 0..100 {
        let disk = SimDisk::with(Limits { sector: Sector::Octets4096, ..Limits::default() });
        let file = disk.open("a", OpenMode::Create).unwrap();
        write(&file, 0, &[b'0'; 8192]);
        file.sync_data().unwrap();
        disk.sync_dir().unwrap();
        write(&file, 0, &[b'1'; 8192]);
        let octets = read(&disk.power_cut(Cut::Seeded(seed)), "a").unwrap();
        assert!(octets.chunks(4096).all(|s| s.iter().all(|b| b == &s[0])));
    }
}

#[test]
fn a_longer_file_may_come_back_short_full_or_zeroed() {
    let mut images = BTreeSet::new();
    for seed in 0..300 {
        let (disk, file) = with_durable(&[b'0'; 512]);
        write(&file, 512, &[b'1'; 512]);
        let octets = read(&disk.power_cut(Cut::Seeded(seed)), "a").unwrap();
        images.insert((octets.len(), octets.last().copied()));
    }
    let all = [(512, Some(b'0')), (1024, Some(b'1')), (1024, Some(0))];
    assert_eq!(images, BTreeSet::from(all));
}

#[test]
fn a_failed_sync_loses_for_good_what_a_read_still_shows() {
    let mut lost = 0;
    for size in 1..=20 {
        let (disk, file) = with_durable(&vec![b'0'; size * 512]);
        write(&file, 0, &vec![b'1'; size * 512]);
        disk.inject(DiskFault::SyncFails { name: Some("a".into()), after: 0 });
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        assert!(read(&disk, "a").unwrap().iter().all(|&b| b == b'1'));
        file.sync_data().unwrap();
        let after = read(&disk.power_cut(Cut::Landed), "a").unwrap();
        lost += after.chunks(512).filter(|s| s[0] == b'0').count();
    }
    assert!((50..160).contains(&lost), "about half of 210 sectors: {lost}");
}

#[test]
fn faults_act_once_and_in_their_turn() {
    let (disk, file) = with_durable(&[7; 16]);
    disk.inject(DiskFault::SyncFails { name: None, after: 1 });
    disk.inject(DiskFault::SyncDirFails { after: 0 });
    disk.inject(DiskFault::WriteFails { name: None, after: 1 });
    disk.inject(DiskFault::ReadCorrupt { name: "a".into(), offset: 3, mask: 1 });
    disk.inject(DiskFault::ReadFails { name: "a".into(), offset: 9 });
    assert_eq!(
        [file.sync_data().is_ok(), file.sync_data().is_ok(), file.sync_data().is_ok()],
        [true, false, true]
    );
    assert!(disk.sync_dir().is_err() && disk.sync_dir().is_ok());
    write(&file, 0, &[7]);
    assert!(file.write_at(16, &[IoSlice::new(&[8; 8])]).is_err());
    assert_eq!(file.len().unwrap(), 20, "half of it was written");
    let mut four = [0; 4];
    assert_eq!((file.read_at(0, &mut four).unwrap(), four), (4, [7, 7, 7, 6]));
    assert_eq!((file.read_at(0, &mut four).unwrap(), four), (4, [7; 4]));
    assert!(file.read_at(8, &mut four).is_err() && file.read_at(8, &mut four).is_ok());
    disk.rot("a", 0, 0x80);
    assert_eq!(read(&disk.power_cut(Cut::Lost), "a").unwrap()[0], 0x87);
}

#[test]
fn a_full_disk_takes_what_fits_and_still_overwrites() {
    let (disk, file) = with_durable(&[1; 100]);
    disk.set_capacity(110);
    assert_eq!(disk.free_space().unwrap(), 10);
    let error = file.write_at(100, &[IoSlice::new(&[2; 20])]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 110);
    write(&file, 0, &[3; 110]);
    disk.remove("a").unwrap();
    assert_eq!(disk.free_space().unwrap(), 110);
}

#[test]
fn lies_about_syncs_are_found_by_a_cut() {
    let (disk, file) = with_durable(b"old");
    disk.lie_about_sync(|name| name == "a");
    write(&file, 0, b"new");
    file.sync_data().unwrap();
    assert_eq!(read(&disk.power_cut(Cut::Lost), "a").unwrap(), b"old");

    let (disk, _) = with_durable(b"old");
    disk.lie_about_sync_dir();
    disk.remove("a").unwrap();
    disk.sync_dir().unwrap();
    assert_eq!(read(&disk.power_cut(Cut::Lost), "a").unwrap(), b"old");
}

/// Appends numbered blocks with a sync after every third; answers at which position each was durable.
fn record_appends(blocks: u8) -> (Recording, Vec<usize>) {
    let (disk, file) = with_durable(&[]);
    disk.start_recording();
    let mut durable_from = Vec::new();
    for block in 0..blocks {
        write(&file, u64::from(block) * 1024, &[block + 1; 1024]);
        if block % 3 == 2 {
            file.sync_data().unwrap();
            durable_from.resize(usize::from(block) + 1, disk.position());
        }
    }
    (disk.stop_recording(), durable_from)
}

#[test]
fn every_cut_of_a_recording_keeps_what_was_durable_then() {
    let (recording, durable_from) = record_appends(120);
    assert_eq!(recording.len(), 160);
    let mut torn = 0;
    for at in 0..=recording.len() {
        for seed in 0..12 {
            let octets = read(&recording.cut(at, seed), "a").unwrap();
            for (block, &from) in durable_from.iter().enumerate() {
                let stored = octets.get(block * 1024..(block + 1) * 1024);
                let wanted = u8::try_from(block + 1).unwrap();
                let whole = stored.is_some_and(|s| s.iter().all(|&b| b == wanted));
                assert!(whole || at < from, "block {block} lost by a cut at {at}, seed {seed}");
            }
            torn += usize::from(!octets.len().is_multiple_of(1024));
        }
    }
    assert!(torn > 50, "{torn} torn tails");
}

#[test]
fn a_cut_depends_on_nothing_but_position_and_seed() {
    let (recording, _) = record_appends(60);
    let image = |at, seed| read(&recording.cut(at, seed), "a").unwrap();
    assert_eq!(image(71, 5), image(71, 5));
    let images: BTreeSet<_> = (0..40).map(|seed| image(71, seed)).collect();
    assert!(images.len() > 5, "seeds give different images: {}", images.len());
    let digest = |blocks| {
        let (disk, file) = with_durable(&[]);
        (0..blocks).for_each(|block| write(&file, block * 7, b"x"));
        disk.digest()
    };
    assert_eq!(digest(5), digest(5));
    assert_ne!(digest(5), digest(6));
}

#[test]
fn cuts_are_quick() {
    let disk = SimDisk::new();
    disk.start_recording();
    for segment in 0..64 {
        let file = disk.open(&format!("seg-{segment}"), OpenMode::Create).unwrap();
        write(&file, 0, &[0; 65_536]);
        file.sync_data().unwrap();
        disk.sync_dir().unwrap();
        for block in 0..16 {
            write(&file, block * 4096, &[1; 4096]);
            file.sync_data().unwrap();
        }
    }
    let recording = disk.stop_recording();
    let mut files = 0;
    for at in 0..2_000 {
        files += recording.cut(at, 1).list().unwrap().len();
    }
    assert!(files > 50_000, "{files}");
}

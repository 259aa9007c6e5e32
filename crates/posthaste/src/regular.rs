//! Opening files that people write: a pipe or a device in their place must not make anybody wait.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Opens a file to be read. A pipe would wait for its writer; an empty device such as `/dev/null` is as good as a file.
///
/// # Errors
/// Those of the system, and one of our own when it is neither.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let no_wait = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(no_wait).open(path);
    let file = opened.map_err(|error| crate::daemon::privileges::explain(path, error))?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_char_device() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_pipe_or_a_folder_is_no_file_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for path in [pipe.as_path(), folder.path()] {
            assert_eq!(open(path).unwrap_err().to_string(), "it is no file");
        }
        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        assert!(open(&file).is_ok() && open(Path::new("/dev/null")).is_ok());
    }
}

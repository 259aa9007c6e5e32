//! `tls_roots` of `[resolver]`: whose word is believed for the certificates of DNS servers. The file is read with the
//! configuration, so that a wrong one is a wrong setting, and a changed one counts after a reload.

use super::setting::Text;
use posthaste_io::Trust;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most octets of a file that are read: all authorities of a system take about a quarter of a megabyte.
const MAX_TEXT: u64 = 4 << 20;
const SYSTEM: &str = "system";

/// Authorities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum TlsRoots {
    /// Those that this machine trusts.
    System,
    /// Those of a file and no others.
    File {
        path: PathBuf,
        /// Certificates, PEM.
        text: Arc<str>,
    },
}

impl TlsRoots {
    /// The file, if it is one.
    pub(crate) const fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::System => None,
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        match self {
            Self::System => Trust::System,
            Self::File { text, .. } => Trust::Given(Arc::clone(text)),
        }
    }
}

impl Text for TlsRoots {
    const EXPECTED: &'static str =
        "\"system\", or the path of a file with certificates of authorities (PEM)";

    fn from_text(text: &str) -> Result<Self, String> {
        if text == SYSTEM {
            return Ok(Self::System);
        }
        if !text.starts_with('/') {
            return Err(format!("\"{text}\" is not a path that begins with /"));
        }
        let path = PathBuf::from(text);
        Ok(Self::File { text: read_checked(&path)?, path })
    }

    fn to_text(&self) -> String {
        match self {
            Self::System => SYSTEM.to_owned(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }
}

/// Certificates of authorities, PEM; or which file is wrong, and why.
pub(super) fn read_checked(path: &Path) -> Result<Arc<str>, String> {
    let name = path.display();
    let pem = read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    posthaste_io_tokio::check_roots(&pem).map_err(|bad| format!("{name}: {bad}"))?;
    Ok(pem.into())
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut octets = Vec::new();
    crate::regular::open(path)?.take(MAX_TEXT).read_to_end(&mut octets)?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_with_the_configuration_and_a_wrong_one_is_named() {
        assert_eq!(TlsRoots::from_text("system").unwrap().trust(), Trust::System);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("roots.pem");
        let name = path.display().to_string();
        let complaint = || TlsRoots::from_text(&name).unwrap_err();
        assert_eq!(
            TlsRoots::from_text("a.pem").unwrap_err(),
            "\"a.pem\" is not a path that begins with /"
        );
        assert!(complaint().starts_with(&format!("cannot read {name}: No such file")));
        std::fs::write(&path, "nothing of the kind").unwrap();
        assert!(complaint().starts_with(&format!("{name}: it has no certificate")));
        let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, block).unwrap();
        assert_eq!(complaint(), format!("{name}: certificate 1 in it cannot be read"));
    }
}

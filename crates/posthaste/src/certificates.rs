//! Our own certificates: read from their files and held against their keys; without any, one is made here and kept, so
//! that STARTTLS always works.
//!
//! Not here: handshakes (`io-tokio`), when the files are looked at (`daemon`).

use crate::config::{CertificateFiles, Config};
use crate::recipients::{Faults, Stamps};
use posthaste_evidence::Certificate;
use posthaste_io::Identity;
use posthaste_io_tokio::check_identity;
use posthaste_mail::{Secret, Timestamp};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The largest file of a certificate or key, octets.
const MAX_FILE: u64 = 256 * 1024;
/// Before a configured certificate expires, it is warned of for so long.
pub(crate) const WARN_BEFORE: Duration = Duration::from_secs(14 * 86_400);
/// The file of the self-made certificate and its key, in `data`.
const SELF_MADE: &str = "tls-self-made.pem";
const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// How long a self-made certificate is good, and how long before its end another one is made.
const GOOD_FOR: u32 = 10;
const MADE_ANEW: Duration = YEAR;
/// Clocks that are behind ours accept it at once.
const BEHIND: Duration = Duration::from_secs(86_400);

/// Certificates that can be used.
#[derive(Clone)]
pub(crate) struct Certificates {
    pub(crate) identities: Arc<[Identity]>,
    /// What each says of itself, with its file.
    pub(crate) shown: Vec<(PathBuf, Certificate)>,
    /// How the files looked.
    pub(crate) stamps: Stamps,
    /// The operator gave them; else the only one is self-made.
    pub(crate) configured: bool,
}

/// Reads the certificates that the settings name; none when they name none.
///
/// # Errors
/// What is wrong with which file: the operator must correct it.
pub(crate) fn open(config: &Config) -> Result<Certificates, Faults> {
    let stamps = look(config);
    let (mut identities, mut shown, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for files in &config.certificates {
        match read(files) {
            Ok((identity, certificate)) => {
                identities.push(identity);
                shown.push((files.chain.clone(), certificate));
            }
            Err((path, what)) => faults.push((path.display().to_string(), what)),
        }
    }
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let configured = !config.certificates.is_empty();
    Ok(Certificates { identities: identities.into(), shown, stamps, configured })
}

/// The same; without any, the one in `data`, which is made when there is none that will do.
///
/// # Errors
/// As [`open`], and that the self-made one cannot be kept.
pub(crate) fn open_or_make(config: &Config, now: Timestamp) -> Result<Certificates, Faults> {
    let opened = open(config)?;
    if opened.configured {
        return Ok(opened);
    }
    let path = config.data.join(SELF_MADE);
    let names = names(&config.hostname.0);
    let kept = read(&CertificateFiles { chain: path.clone(), key: path.clone() }).ok();
    let good = |(_, own): &(Identity, Certificate)| {
        own.names == names
            && now.since(own.not_before) > Duration::ZERO
            && own.not_after.since(now) > MADE_ANEW
    };
    let (identity, certificate) = match kept.filter(good) {
        Some(kept) => kept,
        None => {
            make(&path, &names).map_err(|what| Faults(vec![(path.display().to_string(), what)]))?
        }
    };
    let identities = Arc::from([identity]);
    Ok(Certificates { identities, shown: vec![(path, certificate)], ..opened })
}

/// How the files of the certificates look now.
pub(crate) fn look(config: &Config) -> Stamps {
    let files = config.certificates.iter();
    Stamps::of(files.flat_map(|files| [files.chain.clone(), files.key.clone()]))
}

impl Certificates {
    /// What is allowed and probably a mistake, each with its file.
    pub(crate) fn doubts(&self, config: &Config, now: Timestamp) -> Vec<(String, String)> {
        if !self.configured {
            return Vec::new();
        }
        let mut doubts = Vec::new();
        for (path, own) in &self.shown {
            let place = path.display().to_string();
            doubts.extend(lifetime(own, now).map(|what| (place, what)));
        }
        let hostname = &config.hostname.0;
        if let Some((path, first)) = self.shown.first()
            && !self.shown.iter().any(|(_, own)| is_for(own, hostname))
        {
            let whose = match first.names.is_empty() {
                true => format!("it is for no host name at all, so not for ours, {hostname}"),
                false => {
                    format!("it is for {}, not for our hostname {hostname}", first.names.join(" "))
                }
            };
            let what = format!("{whose}: clients that verify certificates refuse it");
            doubts.push((path.display().to_string(), what));
        }
        for files in &config.certificates {
            let mode = fs::metadata(&files.key).map_or(0, |metadata| metadata.mode());
            if mode & 0o007 != 0 {
                let key = files.key.display();
                let what =
                    format!("every user of this machine can read this key; run: chmod 640 {key}");
                doubts.push((key.to_string(), what));
            }
        }
        doubts
    }

    /// Those of the operator whose time is over or nearly so: file, names, end.
    pub(crate) fn expiring(&self, now: Timestamp) -> Vec<(&Path, &Certificate)> {
        let shown = self.shown.iter().filter(|_| self.configured);
        let soon = shown.filter(|(_, own)| own.not_after.since(now) < WARN_BEFORE);
        soon.map(|(path, own)| (path.as_path(), own)).collect()
    }
}

fn lifetime(own: &Certificate, now: Timestamp) -> Option<String> {
    let end = own.not_after.rfc3339();
    if now > own.not_after {
        return Some(format!("the certificate has expired at {end}; get a new one"));
    }
    if now < own.not_before {
        return Some(format!("the certificate is valid from {} only", own.not_before.rfc3339()));
    }
    let soon = own.not_after.since(now) < WARN_BEFORE;
    soon.then(|| format!("the certificate expires at {end}; renew it"))
}

fn is_for(own: &Certificate, hostname: &str) -> bool {
    own.names.iter().any(|name| match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(hostname),
        Some(parent) => {
            hostname.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
        }
    })
}

/// The certificate with its key, or the file that is wrong and why.
fn read(files: &CertificateFiles) -> Result<(Identity, Certificate), (PathBuf, String)> {
    let text = |path: &PathBuf| {
        octets(path).map_err(|why| (path.clone(), format!("cannot be read: {why}")))
    };
    let chain = certificates_in(&text(&files.chain)?).into();
    let identity = Identity { chain, key: text(&files.key)? };
    let own = check_identity(&identity).map_err(|bad| {
        let path = if bad.is_of_key() { &files.key } else { &files.chain };
        (path.clone(), bad.to_string())
    })?;
    Ok((identity, own))
}

/// Both kinds of files may hold a key, so both are secrets.
fn octets(path: &Path) -> io::Result<Secret> {
    // All the room it may need: one that grows leaves copies behind.
    let mut octets = Vec::with_capacity(usize::try_from(MAX_FILE + 2).unwrap_or_default());
    let read = crate::regular::open(path)?.take(MAX_FILE + 1).read_to_end(&mut octets);
    let octets = Secret::new(octets);
    read?;
    if octets.expose().len() as u64 > MAX_FILE {
        let what = format!("it is larger than {MAX_FILE} octets");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(octets)
}

/// The blocks of certificates, and nothing of a key that may stand beside them.
fn certificates_in(pem: &Secret) -> String {
    let (mut kept, mut inside) = (Vec::new(), false);
    for line in pem.expose().split_inclusive(|octet| *octet == b'\n') {
        let mark = line.trim_ascii_end();
        if mark.starts_with(b"-----BEGIN ") {
            inside = mark == b"-----BEGIN CERTIFICATE-----";
        }
        if inside {
            kept.extend_from_slice(line);
        }
        inside &= !mark.starts_with(b"-----END ");
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// A hostname that no certificate can have is left out.
fn names(hostname: &str) -> Vec<String> {
    let fits = rcgen::CertificateParams::new(vec![hostname.to_owned()]).is_ok();
    vec![if fits { hostname.to_owned() } else { "localhost".to_owned() }]
}

/// Makes a certificate for these names (ECDSA, P-256) and keeps it where only we can read it.
fn make(path: &Path, names: &[String]) -> Result<(Identity, Certificate), String> {
    let pem = self_signed(names).map_err(|why| format!("cannot make a certificate: {why}"))?;
    keep(path, &pem).map_err(|why| format!("cannot keep the self-made certificate: {why}"))?;
    let files = CertificateFiles { chain: path.to_owned(), key: path.to_owned() };
    read(&files).map_err(|(_, what)| what)
}

fn self_signed(names: &[String]) -> Result<Secret, rcgen::Error> {
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(names.to_vec())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    // The common name has 64 octets at most (RFC 5280 appendix A.1).
    let common = names.first().filter(|name| name.len() <= 64);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, common.map_or("posthaste", |name| name.as_str()));
    let now = SystemTime::now();
    params.not_before = (now - BEHIND).into();
    params.not_after = (now + YEAR * GOOD_FOR).into();
    let mut pem = params.self_signed(&key)?.pem().into_bytes();
    pem.extend_from_slice(Secret::new(key.serialize_pem()).expose());
    Ok(Secret::new(pem))
}

/// Whole or not at all, and only for us.
fn keep(path: &Path, pem: &Secret) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(pem.expose())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests;

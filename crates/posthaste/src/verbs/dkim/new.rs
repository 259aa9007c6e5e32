//! `dkim new DOMAIN`: makes keys, writes their files, prints what to publish and what to set.

use crate::cli::DkimNew;
use crate::config::setting::{Text as _, quote};
use crate::config::{Loaded, Selector};
use crate::daemon::privileges;
use crate::failure::Failure;
use crate::out::Out;
use anyhow::Context as _;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_io_tokio::Folder;
use posthaste_mail::Secret;
use posthaste_message::dkim::{Algorithm, Key, Record, record};
use rustix::fs::OFlags;
use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

/// Base64 on a line of PEM (RFC 7468 section 2).
const LINE: usize = 64;

/// User and group.
type Owner = (u32, u32);

/// A key that was made.
struct Made {
    selector: String,
    path: PathBuf,
    key: Key,
}

pub(super) fn run(loaded: &Loaded, asked: &DkimNew, out: &Out) -> Result<(), Failure> {
    let domain = super::name(&asked.domain)?;
    // Before the daemon has run, root makes all of it for the user that it becomes.
    let wanted_owner = privileges::owner(&loaded.config.process)?;
    let (path, folder, owner) = match &asked.folder {
        Some(folder) => {
            privileges::make_folder(folder, wanted_owner.as_ref())?;
            (folder.clone(), held(folder)?, wanted_owner.map(|owner| owner.ids()))
        }
        None => {
            let data = &loaded.config.data;
            privileges::make_folder(data, wanted_owner.as_ref())?;
            in_data(data, &domain)?
        }
    };
    let absolute = fs::canonicalize(&path)
        .with_context(|| format!("cannot find the folder {}", path.display()))?;
    let mut made = Vec::new();
    for (selector, algorithm) in wanted(asked)? {
        let path = absolute.join(format!("{selector}.pem"));
        let text = generate(algorithm)?;
        let key = Key::from_pem(&text).context("the key that was made cannot be read")?;
        write(&folder, &path, &text, owner)?;
        made.push(Made { selector, path, key });
    }
    if out.is_json() {
        let one = |made: &Made| {
            let text = Record::of(&made.key).text();
            json!({ "selector": made.selector, "algorithm": made.key.algorithm().as_str(), "bits": made.key.bits(),
                "file": made.path, "name": record::name(&made.selector, &domain), "record": text,
                "zone": record::zone_strings(&text) })
        };
        let keys: Vec<_> = made.iter().map(one).collect();
        out.object(&json!({ "v": 1, "domain": domain, "keys": keys, "settings": settings(&domain, &made) }));
    } else {
        tell(&domain, &made, out);
    }
    Ok(())
}

/// The selectors and their algorithms.
fn wanted(asked: &DkimNew) -> Result<Vec<(String, Algorithm)>, Failure> {
    let today = super::super::now().strftime("s%Y%m%d").to_string();
    let selector = asked.selector.clone().unwrap_or(today);
    let selector = Selector::from_text(&selector)
        .map_err(|why| Failure::usage(format!("{why}; expected {}", Selector::EXPECTED)))?
        .0;
    let (rsa, ed25519) = (Algorithm::RsaSha256, Algorithm::Ed25519Sha256);
    Ok(match (asked.both, asked.ed25519) {
        (true, _) => vec![(selector.clone(), rsa), (format!("{selector}-ed"), ed25519)],
        (false, true) => vec![(selector, ed25519)],
        (false, false) => vec![(selector, rsa)],
    })
}

fn generate(algorithm: Algorithm) -> Result<Secret, Failure> {
    let no_chance = |_| Failure::failed("the system gave no random octets; no key was made");
    match algorithm {
        Algorithm::RsaSha256 => {
            let pair = KeyPair::generate(KeySize::Rsa2048).map_err(no_chance)?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(no_chance)?;
            Ok(pem(der.as_ref()))
        }
        Algorithm::Ed25519Sha256 => {
            let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(no_chance)?;
            Ok(pem(der.as_ref()))
        }
    }
}

/// PKCS#8 as PEM.
pub(crate) fn pem(der: &[u8]) -> Secret {
    let octets = Secret::new(STANDARD.encode(der));
    let mut text = Vec::with_capacity(4096);
    text.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\n");
    for line in octets.expose().chunks(LINE) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend_from_slice(b"-----END PRIVATE KEY-----\n");
    Secret::new(text)
}

/// The folder for keys of a domain in the daemon's own folder, and whom its files are for. Another user's links are not
/// followed: root would write where that user may not.
fn in_data(data: &Path, domain: &str) -> Result<(PathBuf, Folder, Option<Owner>), Failure> {
    let owner = owner(data);
    let (mut path, mut folder) = (data.to_owned(), held(data)?);
    for part in ["dkim", domain] {
        path.push(part);
        let made = folder.make(OsStr::new(part), 0o700);
        let (next, is_new) = made.with_context(|| {
            let path = path.display();
            format!("{path} is no folder that can be used; give another with --folder")
        })?;
        if let Some((uid, gid)) = owner.filter(|_| is_new) {
            let given = fchown(next.handle(), Some(uid), Some(gid));
            given.with_context(|| format!("cannot give {} away", path.display()))?;
        }
        folder = next;
    }
    Ok((path, folder, owner))
}

fn held(folder: &Path) -> Result<Folder, Failure> {
    let opened = Folder::open(folder);
    Ok(opened.with_context(|| format!("cannot find the folder {}", folder.display()))?)
}

/// A file that is there already is never replaced: mail may have been signed with it.
fn write(folder: &Folder, path: &Path, text: &Secret, owner: Option<Owner>) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default();
    let file = folder.file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL);
    let mut file = match file {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let message = format!(
                "{} is there already, and a key is never replaced; give another --selector",
                path.display()
            );
            return Err(Failure::failed(message));
        }
        file => file.with_context(|| format!("cannot write {}", path.display()))?,
    };
    let written = file.write_all(text.expose()).and_then(|()| file.sync_all());
    written.with_context(|| format!("cannot write {}", path.display()))?;
    if let Some((uid, gid)) = owner {
        let given = fchown(&file, Some(uid), Some(gid));
        given.with_context(|| format!("cannot give {} to the daemon's user", path.display()))?;
    }
    Ok(())
}

/// Whom the daemon's folder belongs to, when that is somebody else: made by root there, keys must be that user's to read.
fn owner(data: &Path) -> Option<Owner> {
    let data = fs::metadata(data).ok()?;
    let other = data.uid() != rustix::process::geteuid().as_raw();
    other.then(|| (data.uid(), data.gid()))
}

/// The sections to add to the settings.
fn settings(domain: &str, made: &[Made]) -> String {
    let one = |made: &Made| {
        format!(
            "[[dkim]]\ndomain = {}\nselector = {}\nkey = {}\n",
            quote(domain),
            quote(&made.selector),
            quote(&made.path.display().to_string())
        )
    };
    made.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn tell(domain: &str, made: &[Made], out: &Out) {
    for made in made {
        let (algorithm, bits) = (made.key.algorithm().as_str(), made.key.bits());
        out.line(&format!("made {} ({algorithm}, {bits} bits)", made.path.display()));
    }
    out.line("");
    out.line("1. Publish in DNS (who runs the DNS of the domain does it):");
    out.line("");
    for made in made {
        let text = Record::of(&made.key).text();
        let name = record::name(&made.selector, domain);
        out.line(&format!("{name}. 3600 IN TXT {}", record::zone_strings(&text)));
        out.line(&format!("   in a form: name {name}, type TXT, value {text}"));
        out.line("");
    }
    out.line("2. Add to the settings; `sign = false` in it keeps the key quiet until DNS has it:");
    out.line("");
    out.text(&settings(domain, made));
    out.line("");
    out.line(&format!("3. posthaste dkim check {domain}"));
    out.line("4. posthaste reload");
}

//! Certificates in files: made, kept, wrong, and about to expire.

use super::*;
use crate::config;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::EPOCH.plus(since)
}

fn config(folder: &Path, text: &str) -> Config {
    let file = folder.join("p.toml");
    fs::write(&file, format!("hostname = \"mx.example.org\"\n{text}")).unwrap();
    config::load(Some(&file), false).unwrap_or_else(|e| panic!("{e}")).config
}

const NAMED: &str = "[[certificate]]\nchain = \"c.pem\"\nkey = \"c.key\"";

/// A certificate of another authority, and its key.
fn issued(names: &[&str], until: i32) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    (certificate.pem() + &authority.pem(), key.serialize_pem())
}

fn put(folder: &Path, (chain, key): &(String, String)) {
    fs::write(folder.join("c.pem"), chain).unwrap();
    fs::write(folder.join("c.key"), key).unwrap();
    let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(folder.join("c.key"), only_us).unwrap();
}

#[test]
fn the_key_is_nowhere_but_in_its_secret() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = config(dir.path(), "");
    settings.data = dir.path().to_owned();
    let made = open_or_make(&settings, now()).unwrap();
    let (chain, key) = issued(&["mx.example.org"], 2200);
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    for (text, certificates) in [
        (format!("{chain}{key}"), 2),
        (format!("{key}{chain}"), 2),
        (format!("about us\r\n{}{key}", chain.replace('\n', "\r\n")), 2),
        (format!("{chain}{broken}{key}"), 3),
    ] {
        let kept = certificates_in(&Secret::new(text));
        assert_eq!(kept.matches("BEGIN CERTIFICATE").count(), certificates, "{kept}");
        assert!(!kept.contains("PRIVATE") && !key.lines().any(|line| kept.contains(line)));
    }
    fs::write(dir.path().join("both.pem"), format!("{key}{chain}")).unwrap();
    let both = config(dir.path(), "[[certificate]]\nchain = \"both.pem\"\nkey = \"both.pem\"");
    for certificates in [made, open(&both).unwrap()] {
        let identity = &certificates.identities[0];
        assert!(identity.chain.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(!identity.chain.contains("PRIVATE"));
    }
    fs::write(dir.path().join("both.pem"), format!("{chain}{broken}{key}")).unwrap();
    let said = open(&both).map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("it is no PEM text"), "{said}");
}

#[test]
fn without_any_one_is_made_once_and_anew_when_it_no_longer_fits() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "");
    config.data = dir.path().to_owned();
    let first = open_or_make(&config, now()).unwrap();
    let (path, own) = &first.shown[0];
    assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(own.names, ["mx.example.org"]);
    assert!(own.not_after.since(now()) > YEAR * 9 && own.not_before < now());
    assert_eq!(first.doubts(&config, now()), []);
    assert!(first.expiring(now().plus(YEAR * 20)).is_empty(), "it is made anew by itself");
    let again = open_or_make(&config, now()).unwrap();
    assert!(again.identities == first.identities, "kept");
    let late = open_or_make(&config, now().plus(YEAR * 9 + BEHIND)).unwrap();
    assert!(late.identities != first.identities, "made anew before its end");
    fs::write(path, "half a fi").unwrap();
    let mended = open_or_make(&config, now()).unwrap();
    assert_eq!(mended.shown[0].1.names, ["mx.example.org"]);
    config.hostname.0 = "other.example".into();
    assert_eq!(open_or_make(&config, now()).unwrap().shown[0].1.names, ["other.example"]);
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), NAMED);
    let (good, other) = (issued(&["mx.example.org"], 2100), issued(&["mx.example.org"], 2100));
    let (chain, key) = (dir.path().join("c.pem"), dir.path().join("c.key"));
    let place = |path: &Path, what: &str| format!("{}: {what}", path.display());
    let fault = || open(&config).err().map(|faults| faults.to_string()).unwrap_or_default();
    assert!(fault().starts_with(&place(&chain, "cannot be read: No such file")), "{}", fault());
    for (files, at, what) in [
        ((String::new(), good.1.clone()), &chain, "it has no certificate"),
        (
            (good.0.replace("MII", "AAA"), good.1.clone()),
            &chain,
            "certificate 1 in it cannot be read",
        ),
        ((good.0.clone(), "no key".into()), &key, "it has no private key without a passphrase"),
        ((good.0.clone(), other.1), &key, "it is not the key of the first certificate"),
    ] {
        put(dir.path(), &files);
        assert!(fault().starts_with(&place(at, what)), "{}", fault());
    }
    put(dir.path(), &good);
    let opened = open(&config).unwrap();
    assert_eq!((opened.configured, opened.doubts(&config, now())), (true, vec![]));
}

#[test]
fn what_is_probably_a_mistake_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), NAMED);
    let doubts = |names: &[&str], until, at: Timestamp| {
        put(dir.path(), &issued(names, until));
        let opened = open(&config).unwrap();
        let told = opened.doubts(&config, at).into_iter().map(|(_, what)| what);
        (told.collect::<Vec<_>>().join("\n"), opened.expiring(at).len())
    };
    let (told, expiring) = doubts(&["mx.example.org"], 2021, now());
    assert!(
        told.starts_with("the certificate has expired at 2021-01-01") && expiring == 1,
        "{told}"
    );
    let end = Timestamp::from_secs(4_102_444_800);
    let before = |days: u32| Timestamp::EPOCH.plus(end.since(Timestamp::EPOCH) - BEHIND * days);
    let (told, expiring) = doubts(&["*.example.org"], 2100, before(13));
    assert!(told.starts_with("the certificate expires at 2100-01-01") && expiring == 1, "{told}");
    assert_eq!(doubts(&["*.example.org"], 2100, before(15)), (String::new(), 0));
    let (told, _) = doubts(&[], 2100, now());
    assert!(told.starts_with("it is for no host name at all, so not for ours, "), "{told}");
    let (told, _) = doubts(&["*.mx.example.org", "a.example"], 2100, now());
    assert!(
        told.starts_with("it is for *.mx.example.org a.example, not for our hostname"),
        "{told}"
    );
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(dir.path().join("c.key"), all).unwrap();
    let told = open(&config).unwrap().doubts(&config, now());
    assert!(told.iter().any(|(_, what)| what.contains("run: chmod 640")), "{told:?}");
}

//! Certificates made on the spot: an authority, and one that nobody was told of.
//!
//! Not here: what is expected of whom (`way`).

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("its own"))
    }

    /// Its own certificate: what those are given who trust it.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes `NAME.crt` and `NAME.key` for this name to `folder`; only its owner, whoever that is, may read the key, which
    /// is for ECDSA.
    pub(crate) fn certify(&self, name: &str, folder: &Path) {
        self.certify_key(name, folder, &KeyPair::generate().expect("a key"));
    }

    /// The same with a key for RSA.
    pub(crate) fn certify_rsa(&self, name: &str, folder: &Path) {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
        self.certify_key(name, folder, &key.expect("a key"));
    }

    fn certify_key(&self, name: &str, folder: &Path, key: &KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.signed_by(key, &self.0).expect("signed");
        fs::write(folder.join(format!("{name}.crt")), certificate.pem()).expect("ours");
        let file = folder.join(format!("{name}.key"));
        fs::write(&file, key.serialize_pem()).expect("ours");
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(file, closed).expect("ours");
    }
}

//! Why TLS failed, in words.

use posthaste_evidence::{Certificate, TlsFault, Untrusted};

/// A few words, with what the certificate says of itself where that is why.
pub(crate) fn fault(fault: &TlsFault) -> String {
    match fault {
        TlsFault::Untrusted { why, certificate } => match certificate {
            Some(certificate) => format!("{}; {}", untrusted(*why), described(certificate)),
            None => untrusted(*why).to_owned(),
        },
        TlsFault::NotTls => "what came is no TLS".to_owned(),
        TlsFault::NothingInCommon => "no TLS version or cipher in common".to_owned(),
        TlsFault::Alert(number) => format!("the TLS handshake was refused, alert {number}"),
        TlsFault::Lost { reset: true } => "reset in the TLS handshake".to_owned(),
        TlsFault::Lost { reset: false } => "closed in the TLS handshake".to_owned(),
        TlsFault::TimedOut => "no end of the TLS handshake in time".to_owned(),
        TlsFault::Broken => "the TLS handshake breaks its rules".to_owned(),
        TlsFault::BadName => "the name given for its certificate is no name".to_owned(),
    }
}

const fn untrusted(why: Untrusted) -> &'static str {
    match why {
        Untrusted::WrongName => "its certificate is for other names",
        Untrusted::Expired => "its certificate has expired",
        Untrusted::NotYetValid => "its certificate is not valid yet",
        Untrusted::UnknownIssuer => "no trusted authority vouches for its certificate",
        Untrusted::Revoked => "its certificate is revoked",
        Untrusted::BadSignature => "a signature of its certificate is not accepted",
        Untrusted::WrongUse => "its certificate is for another use",
        Untrusted::NotPinned => "its key is none of the given ones",
        Untrusted::Unreadable => "its certificate cannot be read",
        Untrusted::NoRoots => "no authority is trusted here",
        Untrusted::Other => "its certificate is not believed",
    }
}

fn described(certificate: &Certificate) -> String {
    let names = match certificate.names.is_empty() {
        true => certificate.subject.clone(),
        false => certificate.names.join(" "),
    };
    let Certificate { issuer, not_before, not_after, .. } = certificate;
    format!("it is for {names}, by {issuer}, from {not_before} to {not_after}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_mail::Timestamp;

    #[test]
    fn a_wrong_certificate_says_whose_it_is() {
        let certificate = Certificate {
            subject: "CN=a".into(),
            names: vec!["a.example".into(), "192.0.2.1".into()],
            issuer: "CN=An Authority".into(),
            not_before: Timestamp::EPOCH,
            not_after: Timestamp::from_secs(86_400),
            key: [0; 32],
        };
        let wrong = TlsFault::Untrusted {
            why: Untrusted::WrongName,
            certificate: Some(Box::new(certificate)),
        };
        assert_eq!(
            fault(&wrong),
            "its certificate is for other names; it is for a.example 192.0.2.1, by CN=An Authority, \
             from 1970-01-01T00:00:00.000Z to 1970-01-02T00:00:00.000Z"
        );
    }
}

//! What TLS showed, or why it failed, in words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_evidence::{Certificate, TlsDemand, TlsFacts, TlsFault, TlsLevel, Untrusted};
use posthaste_mail::Timestamp;

const DAY: i64 = 86_400;

/// What a handshake at this time showed: `TLSv1.3 TLS_AES_256_GCM_SHA384, certificate CN=mx.example by CN=An Authority,
/// expired 3 days ago, not verified: its certificate has expired`.
pub(crate) fn facts(facts: &TlsFacts, at: Timestamp) -> String {
    let certificate = match facts.chain.first() {
        None => "no certificate that can be read".to_owned(),
        Some(own) => format!("certificate {}, {}", identity(own), age(own, at)),
    };
    let verified = match facts.verified {
        Ok(()) => "verified".to_owned(),
        Err(why) => format!("not verified: {}", untrusted(why)),
    };
    format!("{}, {certificate}, {verified}", facts.agreed())
}

/// The hash of a public key as `tls_pins` has it.
pub(crate) fn pin(key: &[u8; 32]) -> String {
    STANDARD.encode(key)
}

/// What is demanded, and by whom.
pub(crate) fn demand(demand: TlsDemand) -> String {
    let what = match demand.level {
        TlsLevel::None => "TLS is not used",
        TlsLevel::Opportunistic => "TLS where it works",
        TlsLevel::Require => "TLS is required",
        TlsLevel::Verify => "TLS with a certificate that is believed is required",
        TlsLevel::Pinned => "TLS with one of the pinned keys is required",
    };
    format!("{what}, by {}", demand.origin.name())
}

fn identity(certificate: &Certificate) -> String {
    let named = match certificate.names.is_empty() {
        true => certificate.subject.clone(),
        false if certificate.subject.is_empty() => format!("for {}", certificate.names.join(" ")),
        false => format!("{} for {}", certificate.subject, certificate.names.join(" ")),
    };
    format!("{named} by {}", certificate.issuer)
}

fn age(certificate: &Certificate, at: Timestamp) -> String {
    let days =
        |from: Timestamp, to: Timestamp| (to.as_micros() - from.as_micros()) / 1_000_000 / DAY;
    if at < certificate.not_before {
        format!("valid in {} days", days(at, certificate.not_before))
    } else if at > certificate.not_after {
        format!("expired {} days ago", days(certificate.not_after, at))
    } else {
        format!("valid for {} days", days(at, certificate.not_after))
    }
}

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
        TlsFault::Injected => {
            "plain text came between STARTTLS and the handshake: somebody may have put it there"
                .to_owned()
        }
        TlsFault::BadName => "the name given for its certificate is no name".to_owned(),
        TlsFault::NoCertificate => "it shows no certificate, and must".to_owned(),
        TlsFault::NoIdentity => "we have no certificate that can be used".to_owned(),
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
    use posthaste_evidence::{TlsOrigin, TlsVersion};

    #[test]
    fn a_handshake_says_what_verification_would_have_said() {
        let day = |n: i64| Timestamp::from_secs(n * DAY);
        let own = Certificate {
            subject: "CN=mx.b.example".into(),
            names: vec!["mx.b.example".into()],
            issuer: "CN=An Authority".into(),
            not_before: day(10),
            not_after: day(100),
            key: [0; 32],
        };
        let mut seen = TlsFacts {
            version: TlsVersion::Tls13,
            cipher: "TLS_AES_256_GCM_SHA384".into(),
            alpn: None,
            chain: vec![own],
            verified: Ok(()),
        };
        let lead = "TLSv1.3 TLS_AES_256_GCM_SHA384, certificate CN=mx.b.example for mx.b.example by CN=An Authority, ";
        assert_eq!(facts(&seen, day(90)), format!("{lead}valid for 10 days, verified"));
        seen.verified = Err(Untrusted::Expired);
        assert_eq!(
            facts(&seen, day(103)),
            format!("{lead}expired 3 days ago, not verified: its certificate has expired")
        );
        seen.verified = Err(Untrusted::NotYetValid);
        assert_eq!(
            facts(&seen, day(3)),
            format!("{lead}valid in 7 days, not verified: its certificate is not valid yet")
        );
        let sts = TlsDemand { level: TlsLevel::Verify, origin: TlsOrigin::Sts };
        assert_eq!(demand(sts), "TLS with a certificate that is believed is required, by mta-sts");
    }

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

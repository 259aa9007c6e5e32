//! What an answer of DNS says of a key. Pure.

use posthaste_dns::Lookup;
use posthaste_evidence::{AnswerKind, RecordData};
use posthaste_mail::Timestamp;
use posthaste_message::dkim::verify::verify;
use posthaste_message::dkim::{Key, Keyring, Record, Signer, Signing};
use std::sync::Arc;

/// What is signed to see whether the published key fits.
const SAMPLE: &str = "From: <postmaster@example.org>\r\nSubject: sample\r\n\r\nA sample.\r\n";

/// How a key stands in DNS, the worst last.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum State {
    /// Published, and a sample signed with it holds.
    Good,
    /// The same, but it says `t=y`.
    Testing,
    /// DNS did not say.
    CannotTell(String),
    /// It says that it is not for what we sign with or for.
    NotForUs(&'static str),
    /// `p=` is empty.
    Revoked,
    /// Another key is published there.
    OtherKey(String),
    /// What is there is no key record.
    NoRecord(String),
    /// More than one record is there.
    Several(usize),
    /// Nothing is there.
    Missing,
}

impl State {
    /// A fixed word.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Testing => "testing",
            Self::CannotTell(_) => "cannot-tell",
            Self::NotForUs(_) => "not-for-us",
            Self::Revoked => "revoked",
            Self::OtherKey(_) => "other-key",
            Self::NoRecord(_) => "no-record",
            Self::Several(_) => "several",
            Self::Missing => "missing",
        }
    }

    /// Receivers cannot check what is signed with it.
    pub(super) const fn is_blocking(&self) -> bool {
        !matches!(self, Self::Good | Self::Testing | Self::CannotTell(_))
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Good => "published, and a sample signed with it holds".to_owned(),
            Self::Testing => {
                "published and right, but with t=y: receivers may act as if mail were not signed; take t=y out".to_owned()
            }
            Self::CannotTell(why) => format!("DNS does not say: {why}"),
            Self::NotForUs(why) => (*why).to_owned(),
            Self::Revoked => "published as revoked (p= is empty): every signature fails".to_owned(),
            Self::OtherKey(why) => format!("another key is published: {why}"),
            Self::NoRecord(why) => format!("what is published is no key record: {why}"),
            Self::Several(many) => format!("{many} TXT records are published, and receivers take any: leave one"),
            Self::Missing => "not published: receivers cannot check the signature".to_owned(),
        }
    }
}

/// What one server says of a key.
pub(super) fn judge(key: &Arc<Key>, lookup: &Lookup) -> State {
    match lookup.verdict() {
        AnswerKind::Answer => of_texts(key, &texts(lookup)),
        AnswerKind::NxDomain | AnswerKind::NoData => State::Missing,
        other => State::CannotTell(posthaste_admin::answer_word(other)),
    }
}

/// The texts of the TXT records of an answer.
pub(super) fn texts(lookup: &Lookup) -> Vec<String> {
    let text = |data: &RecordData| match data {
        RecordData::Txt(text) => Some(text.clone()),
        _ => None,
    };
    lookup.answer.records.iter().filter_map(|record| text(&record.data)).collect()
}

fn of_texts(key: &Arc<Key>, texts: &[String]) -> State {
    let text = match texts {
        [] => return State::Missing,
        [one] => one,
        several => return State::Several(several.len()),
    };
    let record = match Record::parse(text) {
        Ok(record) => record,
        Err(why) if text.contains('"') => {
            let hint = "quotes stand inside the text: it was split wrongly; only what is between them belongs there";
            return State::NoRecord(format!("{why} ({hint})"));
        }
        Err(why) => return State::NoRecord(why.to_string()),
    };
    if record.public.is_empty() {
        return State::Revoked;
    }
    if record.algorithm != key.algorithm() || record.public != key.public() {
        return State::OtherKey(other(key, &record));
    }
    if record.not_sha256 {
        return State::NotForUs("h= does not have sha256, with which we sign: take h= out");
    }
    if record.not_email {
        return State::NotForUs("s= does not have email: take s= out");
    }
    match (sample_holds(key, &record), record.testing) {
        (false, _) => State::OtherKey("a sample signed with ours does not hold".to_owned()),
        (true, true) => State::Testing,
        (true, false) => State::Good,
    }
}

fn other(key: &Key, record: &Record) -> String {
    let published = match record.bits() {
        Some(bits) => format!("{} with {bits} bits", record.algorithm.key_type()),
        None => format!("{} that cannot be read", record.algorithm.key_type()),
    };
    let cut = key.public().starts_with(&record.public);
    let hint = if cut { ": it is the beginning of ours, so the record was cut" } else { "" };
    format!("{published}, ours is {} with {} bits{hint}", key.algorithm().key_type(), key.bits())
}

fn sample_holds(key: &Arc<Key>, record: &Record) -> bool {
    let signer = Signer {
        domain: "example.org".to_owned(),
        selector: "sample".to_owned(),
        key: Arc::clone(key),
        canons: Default::default(),
        subdomains: false,
        strangers: false,
        valid_for: None,
    };
    let mut signing = Signing::new(Arc::new(Keyring::new([signer])), None, false);
    signing.feed(SAMPLE.as_bytes());
    let signed = signing.finish(Timestamp::EPOCH);
    let message = format!("{}{SAMPLE}", signed.fields);
    verify(message.as_bytes(), 0, record).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::Ed25519KeyPair;

    fn key() -> Arc<Key> {
        let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).expect("chance");
        Arc::new(Key::from_pem(&super::super::pem(der.as_ref())).expect("a key"))
    }

    #[test]
    fn what_dns_says_of_a_key() {
        let (key, stranger) = (key(), key());
        let ours = Record::of(&key).text();
        let told = |texts: &[String]| of_texts(&key, texts);
        for (text, word) in [
            (ours.clone(), "good"),
            (ours.replacen("k=", "t=y; k=", 1), "testing"),
            (ours.replacen("k=", "h=sha1; k=", 1), "not-for-us"),
            (ours.replacen("k=", "s=other; k=", 1), "not-for-us"),
            ("v=DKIM1; k=ed25519; p=".to_owned(), "revoked"),
            (Record::of(&stranger).text(), "other-key"),
            (ours.replace("k=ed25519", "k=rsa"), "other-key"),
            ("v=spf1 -all".to_owned(), "no-record"),
            (ours.replacen("p=", "p=\" \"", 1), "no-record"),
        ] {
            let state = told(std::slice::from_ref(&text));
            assert_eq!(state.word(), word, "{text}");
            assert_eq!(state.is_blocking(), !["good", "testing"].contains(&word), "{text}");
            assert_eq!(state.text().contains("split wrongly"), text.contains('"'), "{text}");
        }
        assert_eq!(told(&[]), State::Missing);
        assert_eq!(told(&[ours.clone(), ours.clone()]), State::Several(2));
        let short = Record { public: key.public()[..20].to_vec(), ..Record::of(&key) };
        assert!(told(&[short.text()]).text().contains("the record was cut"));
        assert!(State::Missing > State::Good && State::Missing > State::CannotTell(String::new()));
    }
}

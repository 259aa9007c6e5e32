//! `[[domain]]`, `aliases`, `postmaster`, `[verify]`: our own domains and who is a recipient in them.
//!
//! Not here: reading the files that are named (`crate::recipients`), what becomes of a recipient (`reception`).

use super::file::Surroundings;
use super::kinds::Domain;
use super::read::{Preset, Section};
use super::setting::{Setting, Text, Wrong, quote, string, wrong};
use posthaste_mail::Mailbox;
use posthaste_reception::recipients::VerifySettings;
use posthaste_route::domain::to_dns;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

const MAX_DOMAINS: usize = 10_000;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Our own domains.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Own {
    /// This machine's name, and the domain of the bare names of its users.
    pub(crate) hostname: String,
    pub(crate) origin: String,
    /// In order: the first is home of `<postmaster>`.
    pub(crate) domains: Vec<OwnDomain>,
    /// The file of aliases.
    pub(crate) aliases: Option<PathBuf>,
    /// Who reads mail to postmaster, abuse and root.
    pub(crate) postmaster: Option<Mailbox>,
    /// What separates a user from a detail.
    pub(crate) delimiter: Option<char>,
    /// Limits of asking next hops.
    pub(crate) verify: VerifySettings,
}

/// One domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OwnDomain {
    /// As an A-label in lower case.
    pub(crate) name: String,
    pub(crate) recipients: Source,
}

/// Where it is known who is a recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// Nowhere: everybody is.
    Any,
    /// At its next hop.
    Verify,
    /// In a file.
    File(PathBuf),
}

/// `"+"` or so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Delimiter(char);

impl Own {
    /// The files of recipients, each once.
    pub(crate) fn lists(&self) -> BTreeSet<&PathBuf> {
        let files = self.domains.iter().filter_map(|domain| match &domain.recipients {
            Source::File(path) => Some(path),
            Source::Any | Source::Verify => None,
        });
        files.collect()
    }
}

pub(super) fn read(top: &Section<'_, '_>, around: &Surroundings, hostname: &Domain) -> Own {
    top.refuse(
        "domains",
        "`domains` does not say who is a recipient; write a section [[domain]] with name = [\"example.org\"] and \
         recipients = \"file:PATH\", \"verify\" or \"any\"",
    );
    let sections = top.list("domain");
    if sections.len() > MAX_DOMAINS {
        top.complain("domain", format!("there are more than {MAX_DOMAINS} sections [[domain]]"));
    }
    let any = !sections.is_empty();
    let mut domains: Vec<OwnDomain> = Vec::new();
    for section in sections {
        one(&section, around, &mut domains);
        section.finish();
    }
    let none = "names are only what each domain has";
    let aliases: Option<PathBuf> = top.take_optional("aliases", none);
    let postmaster =
        top.take_optional::<Address>("postmaster", "needed once there is a [[domain]]");
    if any && postmaster.is_none() && !top.has("postmaster") {
        let what = "`postmaster` is missing: who reads mail to postmaster, abuse and root; write \
                    postmaster = \"admin@example.org\"";
        top.complain("domain", what);
    }
    let delimiter = top.take_optional::<Delimiter>("recipient_delimiter", "no details");
    Own {
        hostname: hostname.0.clone(),
        origin: hostname.0.clone(),
        domains,
        aliases: aliases.map(|path| around.folder.join(path)),
        postmaster: postmaster.map(|address| address.0),
        delimiter: delimiter.map(|delimiter| delimiter.0),
        verify: verify(top.section("verify")),
    }
}

fn one(section: &Section<'_, '_>, around: &Surroundings, all: &mut Vec<OwnDomain>) {
    let names: Vec<OwnName> = section.take("name", Preset::because(Vec::new(), "missing"));
    if !section.has("name") {
        section.complain("name", "`domain.name` is missing; write name = \"example.org\"");
    } else if names.is_empty() {
        section.complain("name", "`domain.name` is empty; this section is about no domain");
    }
    let recipients = section.take_optional::<Source>("recipients", "missing");
    if !section.has("recipients") {
        let what = "`domain.recipients` is missing: who is a recipient; write recipients = \"file:PATH\", \
                    \"verify\" (ask the next hop) or \"any\" (what the next hop refuses is bounced)";
        section.complain("recipients", what);
    }
    let recipients = match recipients {
        Some(Source::File(path)) => Source::File(around.folder.join(path)),
        Some(Source::Any) => {
            let what = "recipients = \"any\": mail to unknown recipients is accepted and then bounced to \
                        senders who are often forged (backscatter); a list or \"verify\" prevents it";
            section.warn("recipients", what);
            Source::Any
        }
        Some(Source::Verify) => Source::Verify,
        // It was complained about.
        None => Source::Any,
    };
    for OwnName(name) in names {
        if all.iter().any(|domain| domain.name == name) {
            section.complain("name", format!("the domain {name} stands in two places"));
        }
        all.push(OwnDomain { name, recipients: recipients.clone() });
    }
}

fn verify(section: Section<'_, '_>) -> VerifySettings {
    let base = VerifySettings::default();
    let count = |key, preset: usize, most: u64| {
        let preset = u64::try_from(preset).unwrap_or(u64::MAX);
        usize::try_from(section.take_in(key, preset, 1..=most)).unwrap_or(usize::MAX)
    };
    let verify = VerifySettings {
        known_for: section.take_in("known_for", base.known_for, MINUTE..=30 * DAY),
        unknown_for: section.take_in("unknown_for", base.unknown_for, SECOND..=DAY),
        unreachable_for: section.take_in(
            "unreachable_for",
            base.unreachable_for,
            SECOND..=60 * MINUTE,
        ),
        wait: section.take_in("wait", base.wait, SECOND..=4 * MINUTE),
        entries: count("entries", base.entries, 10_000_000),
        questions: count("questions", base.questions, 1000),
        per_next_hop: count("per_next_hop", base.per_next_hop, 1000),
    };
    section.finish();
    verify
}

/// A hostname as hosts that we greet want it: in ASCII, and full.
pub(super) fn hostname(top: &Section<'_, '_>, given: Domain) -> Domain {
    let Some(name) = to_dns(&given.0) else {
        top.complain("hostname", format!("`hostname`: {} cannot be a name in DNS", given.0));
        return given;
    };
    if !name.contains('.') {
        let from = if top.has("hostname") {
            "`hostname`"
        } else {
            "`hostname` is not set, and this machine's name"
        };
        let what = format!(
            "{from}: \"{name}\" is not a full name such as \"mail.example.org\"; many hosts refuse mail from it"
        );
        top.warn("hostname", what);
    } else if name.contains('_') {
        let what = format!(
            "`hostname`: \"{name}\" has an underscore, which is not allowed in the name of a host; many hosts refuse mail from it"
        );
        top.warn("hostname", what);
    }
    Domain(name)
}

/// The name of a domain of ours, as an A-label.
#[derive(Clone, PartialEq, Eq, Debug)]
struct OwnName(String);

impl Text for OwnName {
    const EXPECTED: &'static str = "a domain name such as \"example.org\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let Domain(name) = Domain::from_text(text)?;
        to_dns(&name).map(Self).ok_or_else(|| format!("\"{text}\" cannot be a name in DNS"))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

/// An address.
struct Address(Mailbox);

impl Text for Address {
    const EXPECTED: &'static str = "an address such as \"admin@example.org\"";

    fn from_text(text: &str) -> Result<Self, String> {
        Mailbox::parse(text, true).map(Self).map_err(|why| format!("\"{text}\": {why}"))
    }

    fn to_text(&self) -> String {
        self.0.to_string()
    }
}

impl Text for Delimiter {
    const EXPECTED: &'static str = "one character such as \"+\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(c), None) if "+-=_#!%/^~".contains(c) => Ok(Self(c)),
            _ => Err(format!("\"{text}\" is none of + - = _ # ! % / ^ ~")),
        }
    }

    fn to_text(&self) -> String {
        self.0.to_string()
    }
}

impl Setting for Source {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        const EXPECTED: &str = "\"file:PATH\", \"verify\" or \"any\"";
        match string(value, EXPECTED)? {
            "any" => Ok(Self::Any),
            "verify" => Ok(Self::Verify),
            text => match text.strip_prefix("file:") {
                Some("") => Err(wrong(value, format!("the path is empty; expected {EXPECTED}"))),
                Some(path) => Ok(Self::File(PathBuf::from(path))),
                None => {
                    Err(wrong(value, format!("\"{text}\" is not allowed; expected {EXPECTED}")))
                }
            },
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Any => quote("any"),
            Self::Verify => quote("verify"),
            Self::File(path) => quote(&format!("file:{}", path.display())),
        }
    }
}

//! `[notice]`: what senders are told of mail that is late or lost: when, in which words, and how many strangers are told.
//!
//! Not here: reading the operator's own texts (`notice_texts`), who is owed a notice (`dispatch`), the words themselves
//! (`posthaste_message::dsn`).

use super::file::Surroundings;
use super::kinds::{Domain, OrOff};
use super::notice_texts;
use super::read::{Preset, Section};
use super::setting::{Setting as _, Size, Text};
use posthaste_mail::Mailbox;
use posthaste_message::dsn::{MAX_ORIGINAL, OwnTexts, Sender, Wordings};
use posthaste_queue::Schedule;
use posthaste_queue::schedule::DelayRule;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const MONTH: Duration = Duration::from_secs(30 * 86_400);
/// Mail that is given up in this time is failed before anybody wonders; who wrote no `delay_after` misses no notice of it.
const SHORT_LIFE: Duration = Duration::from_secs(3600);
/// A failure notice waits at most so long for what probes find.
const LONGEST_PROBES: Duration = Duration::from_secs(60);
const MOST_AN_HOUR: u32 = 100_000;
const MOST_A_MINUTE: u32 = 1_000_000;

/// What senders are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NoticeRules {
    /// When they are told that mail is late; routes may say otherwise.
    pub(crate) delay: DelayRule,
    /// Who was told of a delay is told of its end.
    pub(crate) all_clear: bool,
    /// Who sends them, and in which words.
    pub(crate) sender: Sender,
    /// How long a notice is tried.
    pub(crate) expire_after: Duration,
    /// How long the notice of a failure waits for the probes into its cause.
    pub(crate) probe_wait: Duration,
    /// Notices to one stranger's address in an hour.
    pub(crate) strangers_per_sender_hour: u32,
    /// Notices to all strangers in a minute.
    pub(crate) strangers_per_minute: u32,
    /// The folder of the operator's own texts.
    pub(crate) texts: Option<PathBuf>,
}

pub(super) fn read(
    top: &Section<'_, '_>,
    section: &Section<'_, '_>,
    base: &Schedule,
    why: &'static str,
    hostname: &Domain,
    around: &Surroundings,
) -> NoticeRules {
    let agent = posthaste_dispatch::Settings::default();
    let lifetime = posthaste_queue::Settings::default().notice_lifetime;
    let delay = delay(section, &base.delay, why);
    let all_clear = section.take("all_clear", agent.all_clear);
    let texts: Option<PathBuf> = section.take_optional("texts", "the built-in ones");
    let texts = texts.map(|folder| around.folder.join(folder));
    let rules = NoticeRules {
        delay,
        all_clear,
        sender: Sender {
            from: from(section, hostname),
            max_original: max_original(section),
            wordings: wordings(section, texts.as_ref()),
            html: section.take("html", true),
            ..Sender::named(&hostname.0)
        },
        expire_after: section.take_in("expire_after", lifetime, MINUTE..=MONTH),
        probe_wait: section.take_in(
            "probe_wait",
            agent.probe_wait,
            Duration::ZERO..=LONGEST_PROBES,
        ),
        strangers_per_sender_hour: section.take_in(
            "strangers_per_sender_hour",
            agent.strangers.per_sender_hour,
            0..=MOST_AN_HOUR,
        ),
        strangers_per_minute: section.take_in(
            "strangers_per_minute",
            agent.strangers.per_minute,
            0..=MOST_A_MINUTE,
        ),
        texts,
    };
    check_expiry(top, section, &rules.delay, base.expire_after);
    rules
}

fn delay(section: &Section<'_, '_>, base: &DelayRule, why: &'static str) -> DelayRule {
    let after: OrOff = section.take("delay_after", Preset::because(OrOff(base.after), why));
    let after = after.0;
    let repeat = OrOff(base.repeat.unwrap_or(Duration::ZERO));
    let repeat: OrOff = section.take("delay_repeat", Preset::because(repeat, why));
    let repeat = repeat.0;
    check_time(section, "delay_after", after, SECOND);
    check_time(section, "delay_repeat", repeat, MINUTE);
    if after.is_zero() && !repeat.is_zero() {
        let what = "`notice.delay_repeat` repeats a first delay notice, and there is none: `notice.delay_after` is \"off\"";
        section.warn("delay_repeat", what);
    }
    DelayRule {
        after,
        at_failure: section.take("delay_at_failure", Preset::because(base.at_failure, why)),
        repeat: (!repeat.is_zero()).then_some(repeat),
    }
}

/// Complains about a time that is neither off nor sensible. `key` may be of `[notice]` or of a route.
pub(super) fn check_time(section: &Section<'_, '_>, key: &str, time: Duration, least: Duration) {
    if !time.is_zero() && !(least..=MONTH).contains(&time) {
        let (low, high) = (least.show(), MONTH.show());
        section.complain(
            key,
            format!("`{}` must be from {low} to {high}, or \"off\"", section.path_of(key)),
        );
    }
}

/// Warns where the first delay notice would come after mail has been given up.
fn check_expiry(
    top: &Section<'_, '_>,
    section: &Section<'_, '_>,
    delay: &DelayRule,
    expiry: Duration,
) {
    let (after, shown) = (delay.after.show(), expiry.show());
    if !comes_too_late(delay.after, expiry) {
    } else if section.has("delay_after") {
        let what = format!(
            "`notice.delay_after`: mail is given up after {shown} already (`expire_after`), so no delay notice ever comes; \
             write a shorter time, or \"off\""
        );
        section.warn("delay_after", what);
    } else if top.has("expire_after") && is_missed(expiry) {
        let what = format!(
            "`expire_after`: mail is given up before {after}, when senders would be told that it is late; write a shorter \
             `notice.delay_after`, or \"off\""
        );
        top.warn("expire_after", what);
    }
}

/// True when a notice at that time is never sent.
pub(super) fn comes_too_late(after: Duration, expiry: Duration) -> bool {
    !after.is_zero() && after >= expiry
}

/// True when mail lives so long that its senders might want to know that it is late.
pub(super) fn is_missed(expiry: Duration) -> bool {
    expiry > SHORT_LIFE
}

fn from(section: &Section<'_, '_>, hostname: &Domain) -> String {
    let usual = FromAddress(Sender::named(&hostname.0).from);
    let from: FromAddress =
        section.take("from", Preset::because(usual, "MAILER-DAEMON at `hostname`"));
    from.0
}

/// The largest original that goes back whole.
fn max_original(section: &Section<'_, '_>) -> u64 {
    let most = section.take("max_original", Size(MAX_ORIGINAL));
    if most.0 > MAX_ORIGINAL {
        let what = format!(
            "`notice.max_original` must be at most {}: notices are small, for each is written to the disk at once with the \
             failure that it tells; of a larger message its header section goes back",
            Size(MAX_ORIGINAL).show()
        );
        section.complain("max_original", what);
    }
    most.0
}

/// The built-in texts and the operator's, and the language for those who ask for none.
fn wordings(section: &Section<'_, '_>, texts: Option<&PathBuf>) -> Wordings {
    let (wordings, is_whole) =
        texts.map_or_else(|| (Wordings::default(), true), |folder| own(section, folder));
    let usual = wordings.default_language().to_owned();
    let language: String = section.take("language", usual);
    if let Some(chosen) = wordings.clone().defaulting_to(&language) {
        return chosen;
    }
    if !is_whole {
        // Its file may be one of those that are wrong, which has been said.
        return wordings;
    }
    let there: Vec<&str> = wordings.languages().collect();
    let there = there.join(", ");
    let what = if language.contains('_') {
        // As locales are written; the name of a file would be wrong as well.
        let tag = language.replace('_', "-");
        format!("`notice.language`: language tags have hyphens: \"{tag}\"; there are: {there}")
    } else {
        format!(
            "`notice.language`: there are no texts in \"{language}\"; there are: {there}. A file {language}.toml in \
             `notice.texts` adds them"
        )
    };
    section.complain("language", what);
    wordings
}

/// With the texts of a folder, and whether all of them could be read. Complains of each file that is wrong, at its first
/// fault.
fn own(section: &Section<'_, '_>, folder: &Path) -> (Wordings, bool) {
    let read = notice_texts::read(folder);
    let is_readable = read.wrong.is_empty();
    for why in read.wrong {
        section.complain("texts", format!("`notice.texts`: {why}"));
    }
    for other in read.others {
        let what = format!(
            "`notice.texts`: {} is not read; texts are in files named by their language, such as de.toml",
            other.display()
        );
        section.warn("texts", what);
    }
    let files = read.files.iter();
    let texts: Vec<OwnTexts<'_>> =
        files.map(|file| OwnTexts { file: &file.name, tag: &file.tag, toml: &file.text }).collect();
    let (wordings, faults) = Wordings::reading(&texts);
    let is_whole = is_readable && faults.is_empty();
    for fault in faults {
        section.complain("texts", format!("`notice.texts`: {fault}"));
    }
    (wordings, is_whole)
}

/// The address in `From:` of our notices. ASCII, as it goes to hosts that know nothing else.
struct FromAddress(String);

impl Text for FromAddress {
    const EXPECTED: &'static str = "an address in ASCII such as \"postmaster@example.org\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let mailbox = Mailbox::parse(text, false).map_err(|why| format!("\"{text}\": {why}"))?;
        Ok(Self(mailbox.to_string()))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

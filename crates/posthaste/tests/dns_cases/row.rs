//! One row of the table: what was broken, what was asked of whom, what was concluded, how long mail was held up.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::mta::{Fate, Mta, Outcome};

/// A row, and what in it is not as it must be.
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) broken: &'static str,
    /// Which servers are real.
    pub(crate) servers: &'static str,
    pub(crate) asked: String,
    pub(crate) concluded: String,
    pub(crate) held_up: String,
    pub(crate) control: String,
    /// What `check domain` finds, where only that tells what is broken.
    pub(crate) check: String,
    pub(crate) wrong: Vec<String>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, broken, servers, asked, concluded, held_up, control, check, wrong } = self;
        writeln!(f, "{case:4}{held_up:28}{broken}")?;
        writeln!(f, "    concluded  {concluded}")?;
        if !asked.is_empty() {
            writeln!(f, "    asked      {asked}")?;
        }
        writeln!(f, "    servers    {servers}; control: {control}")?;
        if !check.is_empty() {
            writeln!(f, "    check domain says: {check}")?;
        }
        wrong.iter().try_for_each(|wrong| writeln!(f, "    WRONG      {wrong}"))
    }
}

/// Cases whose cause is told by the domain's own servers, or by comparing resolvers with them: what `check domain` must
/// find.
const CAUSES: &[(&str, &str)] = &[
    ("A7", "resolver.stale-cache"),
    ("A8", "resolver.negative-cache"),
    ("A10", "resolver.nxdomain-rewriting"),
    ("B7", "dns.auth-unreachable"),
    ("B9", "dns.auth-partial"),
    ("B10", "dns.lame-delegation"),
    ("B11", "dns.ns-disagree"),
    ("B20", "dns.dnssec-expired"),
    ("B21", "dns.dnssec-ds-mismatch"),
    ("B22", "dns.edns-dropped"),
    ("B23", "dns.large-answer-lost"),
    ("B25", "dns.glue-stale"),
];

impl Row {
    /// Adds what `check domain` finds, when the case is one of those that need it.
    pub(crate) fn add_check(&mut self, mta: &Mta, domain: &str) {
        let Some((_, cause)) = CAUSES.iter().find(|(case, _)| *case == self.case) else { return };
        let found = mta.check(domain);
        let texts: Vec<_> =
            found.iter().map(|(cause, effect)| format!("{cause} ({effect})")).collect();
        self.check = texts.join(", ");
        if !found.iter().any(|(found, _)| found == cause) {
            self.wrong.push(format!("check domain does not find {cause}"));
        }
    }
}

/// Names for addresses, so that a row can be read.
pub(crate) struct Names(pub(crate) Vec<(SocketAddr, &'static str)>);

impl Names {
    /// The text with names for addresses.
    pub(crate) fn put(&self, text: &str) -> String {
        let named =
            |text: String, (at, name): &(SocketAddr, &str)| text.replace(&at.to_string(), name);
        self.0.iter().fold(text.to_owned(), named)
    }
}

/// The outcome in a line.
pub(crate) fn concluded(outcome: Option<&Outcome>) -> String {
    let Some(outcome) = outcome else { return "nothing in time".to_owned() };
    let Outcome { fate, status, text, attempts, .. } = outcome;
    match fate {
        Fate::Delivered => format!("delivered at attempt {attempts}"),
        Fate::Waits => format!("waits, {status}: {text}"),
        Fate::Failed => format!("returned, {status}: {text}"),
    }
}

/// Steps of a message's record that a row has room for.
const STEPS: usize = 12;

/// What was asked of whom, and what was said, as the message's record or the DNS log has it.
pub(crate) fn asked(outcome: Option<&Outcome>, names: &Names) -> String {
    let said = outcome.map(|o| o.said.as_slice()).unwrap_or_default();
    let mut steps: Vec<String> = Vec::new();
    for seen in said.iter().filter(|s| s.stage.starts_with("dns")) {
        let subject = names.put(&seen.subject).replace(" asked of ", " @");
        let step = match seen.outcome.as_str() {
            "answer" | "nodata" | "nxdomain" | "servfail" | "refused" => {
                let time = if seen.raw.ends_with(" ms") { &*seen.raw } else { "" };
                format!("{subject} {} {time}", seen.outcome).trim_end().to_owned()
            }
            _ => format!("{subject} {} ({})", seen.outcome, seen.raw),
        };
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    let more = steps.len().saturating_sub(STEPS);
    let last = steps.split_off(steps.len().saturating_sub(1).max(STEPS.min(steps.len())));
    steps.truncate(STEPS);
    if more > 1 {
        steps.push(format!("... {} more", more - 1));
    }
    steps.extend(last);
    steps.join(" | ")
}

/// How long the mail was held up.
pub(crate) fn held_up(outcome: Option<&Outcome>) -> String {
    match outcome {
        None => "?".to_owned(),
        Some(o) if o.fate == Fate::Waits => format!("waits (attempt {} ms)", o.took.as_millis()),
        Some(o) if o.fate == Fate::Failed => format!("returned after {} ms", o.took.as_millis()),
        Some(o) => {
            let by_dns = |lost: Duration| format!(" ({} by DNS)", lost.as_millis());
            format!("{} ms{}", o.took.as_millis(), o.lost.map(by_dns).unwrap_or_default())
        }
    }
}

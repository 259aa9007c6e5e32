//! The part for people: plain text that says who did not get what, why, and who must act.

use super::{Notice, Report, why};
use posthaste_evidence::Fault;
use posthaste_mail::Timestamp;
use std::time::Duration;

/// Lines are wrapped after so many characters where there is a blank.
const WIDTH: usize = 72;

/// The text, with CRLF line ends.
pub(super) fn text(notice: &Notice<'_>, whole: bool) -> String {
    let mut text = Text::default();
    let summary = &notice.envelope.summary;
    text.paragraph("", &opening(notice));
    text.blank();
    if let Some(subject) = &summary.subject {
        text.paragraph("  Subject:  ", subject);
    }
    text.paragraph("  Received: ", &notice.envelope.received.rfc5322());
    if let Some(id) = &summary.message_id {
        text.paragraph("  Message:  ", id);
    }
    for report in &notice.reports {
        text.blank();
        recipient(&mut text, notice, report);
    }
    text.blank();
    let attached = if whole { "The message" } else { "The header of the message" };
    text.paragraph("", &format!("No further attempts are made. {attached} is attached."));
    text.out
}

fn opening(notice: &Notice<'_>) -> String {
    let recipients = match notice.reports.as_slice() {
        [_] if notice.envelope.recipients.len() == 1 => "its recipient",
        [_] => "one of its recipients",
        _ => "the recipients named below",
    };
    format!(
        "This is the mail server {}. The following message could not be delivered to {recipients}.",
        notice.sender.hostname
    )
}

fn recipient(text: &mut Text, notice: &Notice<'_>, report: &Report<'_>) {
    text.paragraph("", &format!("To <{}>:", report.recipient.mailbox));
    let why = why(report.cause().unwrap_or(&Fault::Expired));
    if matches!(report.fault, Some(Fault::Expired)) && report.last.is_some() {
        let tried = notice.now.since(notice.envelope.received);
        let lead = format!("The time for delivery ({}) is over. The last obstacle:", span(tried));
        text.paragraph("  ", &lead);
    }
    text.paragraph("  ", &format!("{} {}", why.what, why.act));
    if let Some(remark) = report.remark {
        text.paragraph("  ", "The administrator says:");
        text.verbatim("    ", remark);
    }
    if let Some(reply) = report.reply() {
        let host = report.last.as_ref().and_then(|last| last.host);
        let who = host.map_or_else(String::new, |host| format!(" of {host}"));
        text.paragraph("  ", &format!("The answer{who} was:"));
        text.verbatim("    ", &reply.to_string());
    }
    text.paragraph("  ", &attempts(report.attempts, report.last.as_ref().map(|last| last.at)));
}

fn attempts(count: u32, last: Option<Timestamp>) -> String {
    match (count, last) {
        (_, None) | (0, _) => "No attempt to deliver it was made.".to_owned(),
        (1, Some(at)) => format!("There was one attempt, on {}.", at.rfc5322()),
        (count, Some(at)) => format!("There were {count} attempts, the last on {}.", at.rfc5322()),
    }
}

/// In whole days, hours or minutes, whichever is the largest that is not below two.
fn span(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match minutes {
        2880.. => format!("{} days", minutes / 1440),
        120.. => format!("{} hours", minutes / 60),
        1 => "1 minute".to_owned(),
        _ => format!("{minutes} minutes"),
    }
}

#[derive(Default)]
struct Text {
    out: String,
}

impl Text {
    fn blank(&mut self) {
        self.out.push_str("\r\n");
    }

    /// A wrapped paragraph; further lines are indented as wide as the lead.
    fn paragraph(&mut self, lead: &str, words: &str) {
        let mut line = lead.to_owned();
        let mut width = lead.len();
        let mut fresh = true;
        for word in words.split_whitespace() {
            let length = word.chars().count();
            if !fresh && width + 1 + length > WIDTH {
                self.line(&line);
                line = " ".repeat(lead.len());
                width = lead.len();
                fresh = true;
            }
            if !fresh {
                line.push(' ');
                width += 1;
            }
            line.push_str(word);
            width += length;
            fresh = false;
        }
        self.line(&line);
    }

    /// Somebody else's words: never wrapped.
    fn verbatim(&mut self, lead: &str, words: &str) {
        self.line(&format!("{lead}{}", crate::header::printable(words.to_owned())));
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        for (seconds, expected) in [
            (59, "0 minutes"),
            (60, "1 minute"),
            (7199, "119 minutes"),
            (7200, "2 hours"),
            (172_799, "47 hours"),
            (432_000, "5 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }
}

//! The part for machines: `message/delivery-status` (RFC 3464 section 2), always 7-bit.

use super::{Notice, Report};
use posthaste_evidence::{Fault, Stage};
use posthaste_mail::{EnhancedStatus, Recipient};
use std::fmt::Write;
use std::net::IpAddr;

/// Where lines are folded when they have a blank, octets.
const FOLD: usize = 76;

/// The groups of fields, with CRLF line ends: the message's, then each recipient's.
pub(super) fn delivery_status(notice: &Notice<'_>) -> String {
    let mut out = String::new();
    field(&mut out, "Reporting-MTA", &format!("dns; {}", notice.sender.hostname));
    if let Some(envid) = &notice.envelope.envid {
        field(&mut out, "Original-Envelope-Id", envid);
    }
    field(&mut out, "Arrival-Date", &notice.envelope.received.rfc5322());
    for report in &notice.reports {
        out.push_str("\r\n");
        recipient(&mut out, report);
    }
    out
}

/// The status given for a failure. When the time was over, that of the last real failure: X.4.7 alone would
/// hide it, and is given only when nothing was ever tried.
pub(super) fn status(report: &Report<'_>) -> EnhancedStatus {
    match report.cause() {
        None | Some(Fault::Expired) => Fault::Expired.status().with_class(4),
        Some(cause) => cause.status(),
    }
}

fn recipient(out: &mut String, report: &Report<'_>) {
    if let Some(orcpt) = &report.recipient.orcpt {
        field(out, "Original-Recipient", orcpt);
    }
    field(out, "Final-Recipient", &final_recipient(report.recipient));
    field(out, "Action", "failed");
    field(out, "Status", &status(report).to_string());
    if let Some(host) = answering_host(report) {
        field(out, "Remote-MTA", &format!("dns; {host}"));
    }
    let diagnostic = match report.reply() {
        Some(reply) => format!("smtp; {reply}"),
        None => {
            format!("x-posthaste; {}", super::why(report.cause().unwrap_or(&Fault::Expired)).what)
        }
    };
    field(out, "Diagnostic-Code", &diagnostic);
    if let Some(last) = &report.last {
        field(out, "Last-Attempt-Date", &last.at.rfc5322());
    }
}

/// RFC 6533 section 3: an address beyond ASCII has the type `utf-8`.
fn final_recipient(recipient: &Recipient) -> String {
    let kind = if recipient.mailbox.as_str().is_ascii() { "rfc822" } else { "utf-8" };
    format!("{kind}; {}", recipient.mailbox)
}

/// The host of the last attempt, when one spoke to us there.
fn answering_host(report: &Report<'_>) -> Option<String> {
    let last = report.last.as_ref()?;
    let spoke = match &last.result.fault {
        Some(
            Fault::Reply { .. }
            | Fault::Gibberish { .. }
            | Fault::TlsNotOffered
            | Fault::TlsRefused { .. }
            | Fault::TlsWanted { .. }
            | Fault::Tls(_)
            | Fault::Login { .. },
        ) => true,
        Some(Fault::Lost { stage } | Fault::TimedOut { stage, .. }) => *stage > Stage::Banner,
        _ => last.result.reply.is_some(),
    };
    let host = last.host.filter(|_| spoke)?;
    Some(match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => format!("[{v4}]"),
        Ok(IpAddr::V6(v6)) => format!("[IPv6:{v6}]"),
        Err(_) => host.to_owned(),
    })
}

fn field(out: &mut String, name: &str, value: &str) {
    let mut column = name.len() + 1;
    out.push_str(name);
    out.push(':');
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        let word = seven_bit(word);
        let fits = column + 1 + word.len() <= FOLD || column == 1;
        out.push_str(if fits { " " } else { "\r\n " });
        column = if fits { column } else { 0 } + 1 + word.len();
        out.push_str(&word);
    }
    out.push_str("\r\n");
}

/// Characters beyond ASCII as `\x{E4}` (RFC 6533 section 3), control characters as `?`.
fn seven_bit(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            _ if c.is_control() => out.push('?'),
            _ if c.is_ascii() => out.push(c),
            _ => write!(out, "\\x{{{:X}}}", u32::from(c)).expect("a string takes every write"),
        }
    }
    out
}

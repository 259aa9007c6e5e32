//! The search for a report within a message: in labelled parts first, then in unlabelled ones, then in forwarded messages,
//! at last in the middle of texts.
//!
//! Not here: the fields themselves (`status`), MIME (`mime`).

use super::{MAX_FORWARDED, MAX_RETURNED, MAX_WORDS, NoReport, Place, Returned};
use crate::dsn::status::{DeliveryStatus, begins_report, is_of_report, next_group};
use crate::header;
use crate::mime::{Entity, MAX_PARTS, charset};
use std::borrow::Cow;

/// Octets of a part for machines that are read.
const MAX_STATUS: usize = 4 * 1024 * 1024;
/// Octets of a text that are searched for a report in its middle.
const MAX_SEARCHED: usize = 8 * 1024 * 1024;
/// Media types of the part for machines.
const STATUS: [&str; 3] =
    ["message/delivery-status", "message/global-delivery-status", "text/delivery-status"];
/// Media types of a returned message.
const WHOLE: [&str; 3] = ["message/rfc822", "message/global", "text/rfc822"];
/// Media types of a returned header section.
const HEADERS: [&str; 4] = [
    "text/rfc822-headers",
    "text/rfc822-header",
    "message/rfc822-headers",
    "message/global-headers",
];

/// Media types of reports of another kind, which have fields of the same names.
const OTHER: [&str; 2] = ["message/feedback-report", "message/disposition-notification"];

/// What was found.
pub(super) struct Found {
    pub(super) header: Vec<u8>,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) status: DeliveryStatus,
    pub(super) returned: Option<Returned>,
    pub(super) place: Place,
}

impl Found {
    pub(super) fn within(octets: &[u8]) -> Result<Self, NoReport> {
        let mut left = MAX_PARTS;
        if let Some(found) = in_parts(octets, 0, &mut left) {
            return Ok(found);
        }
        let root = Entity::of(octets);
        let mut left = MAX_PARTS;
        let leaves = root.leaves(&mut left);
        // What says of itself that it is something else is not searched for words that look like a report.
        for (media_type, is) in OTHER.into_iter().zip([NoReport::Feedback, NoReport::Disposition]) {
            if leaves.iter().any(|leaf| leaf.is(media_type)) {
                return Err(is);
            }
        }
        in_text(&root, &leaves, 0).ok_or(NoReport::NoStatus)
    }
}

/// A report in a part of this message, or of one that it forwards.
fn in_parts(octets: &[u8], depth: usize, left: &mut usize) -> Option<Found> {
    let root = Entity::of(octets);
    let leaves = root.leaves(left);
    let labelled =
        |leaf: &Entity<'_>| leaf.media_type.as_deref().is_some_and(|t| STATUS.contains(&t));
    let all = || leaves.iter().enumerate();
    let read = |(at, leaf): (usize, &Entity<'_>)| {
        labelled(leaf).then(|| (at, labelled_status(leaf), Place::Labelled))
    };
    let found = all().filter_map(read).find(|(_, status, _)| !status.recipients.is_empty());
    let unlabelled = |(at, leaf)| Some((at, unlabelled_status(leaf)?, Place::Unlabelled));
    // Some have a part for machines that names nobody.
    let nobody = || all().filter_map(read).find(|(_, status, _)| !status.is_empty());
    let found = found.or_else(|| all().find_map(unlabelled)).or_else(nobody);
    if let Some((at, status, place)) = found {
        return Some(assembled(&root, &leaves, at, status, place));
    }
    if depth == MAX_FORWARDED {
        return None;
    }
    let forwarded = leaves.iter().filter(|leaf| is_one_of(leaf, &WHOLE));
    forwarded.into_iter().find_map(|leaf| in_parts(&leaf.content(usize::MAX), depth + 1, left))
}

fn is_one_of(leaf: &Entity<'_>, types: &[&str]) -> bool {
    leaf.media_type.as_deref().is_some_and(|given| types.contains(&given))
}

/// The groups, also where they follow the part's own header without an empty line.
fn labelled_status(leaf: &Entity<'_>) -> DeliveryStatus {
    let status = DeliveryStatus::read(&leaf.content(MAX_STATUS));
    if !is_of_report(leaf.header) {
        return status;
    }
    let all = DeliveryStatus::read(&leaf.octets[..leaf.octets.len().min(MAX_STATUS)]);
    if all.recipients.len() > status.recipients.len() || status.reporting_mta.is_none() {
        all
    } else {
        status
    }
}

/// A text, or something without a type that is known, which begins as a report does and names a recipient.
fn unlabelled_status(leaf: &Entity<'_>) -> Option<DeliveryStatus> {
    let of_other_kind = is_one_of(leaf, &WHOLE)
        || is_one_of(leaf, &HEADERS)
        || leaf.is_multipart()
        || leaf.is("text/html")
        || is_one_of(leaf, &OTHER)
        || leaf.media_type.as_deref().is_some_and(|t| t.starts_with("image/"));
    if of_other_kind {
        return None;
    }
    let content = leaf.content(MAX_STATUS);
    // A part of neither header nor empty line: its fields are the report.
    let all: Cow<'_, [u8]> =
        if is_of_report(leaf.header) { Cow::Borrowed(leaf.octets) } else { content };
    let start = all.iter().position(|b| !b.is_ascii_whitespace())?;
    if !begins_report(&all[start..]) {
        return None;
    }
    let (status, _) = run_of_groups(&all[start..]);
    (!status.recipients.is_empty()).then_some(status)
}

/// The report at the start of a text, and where it ends: with the first group that says nothing of a report.
fn run_of_groups(octets: &[u8]) -> (DeliveryStatus, usize) {
    let mut end = 0;
    while let Some((group, after)) = next_group(&octets[end..]) {
        if !is_of_report(group) {
            break;
        }
        end += after;
    }
    (DeliveryStatus::read(&octets[..end]), end)
}

/// The rest of the report around its part for machines.
fn assembled(
    root: &Entity<'_>,
    leaves: &[Entity<'_>],
    at: usize,
    status: DeliveryStatus,
    place: Place,
) -> Found {
    let (before, after) = (&leaves[..at], leaves.get(at + 1..).unwrap_or(&[]));
    let words = |kind: &str| {
        let fits = |leaf: &&Entity<'_>| {
            leaf.is(kind) || (kind == "text/plain" && leaf.media_type.is_none())
        };
        let texts = before.iter().chain(after).filter(fits).filter(|leaf| !looks_like_mail(leaf));
        texts.map(|leaf| leaf.text(MAX_WORDS)).find(|text| !text.trim().is_empty())
    };
    let returned = after.iter().chain(before).find_map(returned);
    let stray = || leaves.get(at).and_then(|leaf| leaf.strays().iter().find_map(self::returned));
    let returned = returned
        .or_else(stray)
        .or_else(|| after.iter().find(|l| looks_like_mail(l)).map(|l| kept(mail_of(l), false)));
    Found {
        header: root.header.to_vec(),
        text: words("text/plain"),
        html: words("text/html"),
        status,
        returned,
        place,
    }
}

fn returned(leaf: &Entity<'_>) -> Option<Returned> {
    let whole = is_one_of(leaf, &WHOLE);
    if !whole && !is_one_of(leaf, &HEADERS) {
        return None;
    }
    let content = leaf.content(MAX_RETURNED + 1);
    (!content.is_empty()).then(|| kept(content, whole))
}

fn kept(octets: Cow<'_, [u8]>, whole: bool) -> Returned {
    let cut = octets.len() > MAX_RETURNED;
    let mut octets = octets.into_owned();
    octets.truncate(MAX_RETURNED);
    Returned { octets, whole, cut }
}

/// An unlabelled part that begins with a message's header.
fn looks_like_mail(leaf: &Entity<'_>) -> bool {
    (leaf.is_text() && !leaf.is("text/html")) && is_header(&mail_of(leaf))
}

/// Where a part has no header and no empty line of its own, what looks like its header is the returned mail's.
fn mail_of<'a>(leaf: &Entity<'a>) -> Cow<'a, [u8]> {
    let own = leaf.media_type.is_none() && is_header(leaf.header);
    if own { Cow::Borrowed(leaf.octets) } else { leaf.content(MAX_RETURNED + 1) }
}

/// At least three of the fields that a message has, at the start.
fn is_header(octets: &[u8]) -> bool {
    const USUAL: [&str; 7] =
        ["Received", "From", "To", "Date", "Subject", "Message-ID", "Return-Path"];
    let start = octets.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(0);
    let mut seen = [false; USUAL.len()];
    for field in header::fields(&octets[start..]).take(200) {
        for (name, seen) in USUAL.iter().zip(&mut seen) {
            *seen |= field.is(name);
        }
    }
    seen.iter().filter(|seen| **seen).count() >= 3
}

/// The last resort: fields of a report in the middle of a text. What stands before them is the words for people, and what
/// follows is the original if it looks like mail.
fn in_text(root: &Entity<'_>, leaves: &[Entity<'_>], depth: usize) -> Option<Found> {
    for leaf in leaves.iter().filter(|leaf| !leaf.is("text/html") && !is_one_of(leaf, &HEADERS)) {
        let content = leaf.content(MAX_SEARCHED);
        if is_one_of(leaf, &WHOLE) {
            let (inner, mut left) = (Entity::of(&content), MAX_PARTS);
            let deeper = depth < MAX_FORWARDED;
            let found = deeper.then(|| in_text(&inner, &inner.leaves(&mut left), depth + 1));
            if let Some(found) = found.flatten() {
                return Some(found);
            }
            continue;
        }
        if let Some((text, start, end, status)) = report_in(content) {
            let rest = &text[end..];
            let mail = rest.iter().position(|b| !b.is_ascii_whitespace()).map(|at| &rest[at..]);
            let mail = mail.filter(|mail| is_header(mail));
            let words = charset::from_unknown(&text[..start.min(MAX_WORDS)]).replace("\r\n", "\n");
            let after = leaves.iter().find_map(returned);
            return Some(Found {
                header: root.header.to_vec(),
                text: Some(words).filter(|words| !words.trim().is_empty()),
                html: leaves.iter().find(|l| l.is("text/html")).map(|l| l.text(MAX_WORDS)),
                status,
                returned: after.or_else(|| mail.map(|mail| kept(Cow::Borrowed(mail), false))),
                place: Place::WithinText,
            });
        }
    }
    None
}

/// The report within a text as it stands, or as somebody quotes it: the text, start, end and what it says.
fn report_in(text: Cow<'_, [u8]>) -> Option<(Cow<'_, [u8]>, usize, usize, DeliveryStatus)> {
    if let Some((start, end, status)) = report_within(&text) {
        return Some((text, start, end, status));
    }
    let text = unquoted(&text);
    let (start, end, status) = report_within(&text)?;
    Some((Cow::Owned(text), start, end, status))
}

/// Forwarded by hand: without the marks in front of each line.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&b| b == b'\n') {
        let marks = line.iter().take_while(|b| matches!(b, b'>')).count();
        let line = &line[marks..];
        out.extend_from_slice(line.strip_prefix(b" ").filter(|_| marks > 0).unwrap_or(line));
    }
    out
}

/// Where the first report in a text begins and ends.
fn report_within(text: &[u8]) -> Option<(usize, usize, DeliveryStatus)> {
    let mut line = 0;
    while line < text.len() {
        if begins_report(&text[line..]) {
            let (status, end) = run_of_groups(&text[line..]);
            if !status.recipients.is_empty() {
                return Some((line, line + end, status));
            }
            // Not again for each of its lines.
            line += end.max(1);
            continue;
        }
        line = memchr::memchr(b'\n', &text[line..]).map_or(text.len(), |lf| line + lf + 1);
    }
    None
}

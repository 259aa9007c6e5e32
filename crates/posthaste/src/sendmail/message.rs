//! What is handed in: read from standard input, made whole, with its envelope.
//!
//! Not here: how it gets to the daemon. RFC 5322, RFC 6409 section 8.

use super::options::Options;
use super::user::{User, caller};
use super::{Trouble, exit};
use crate::config::Config;
use crate::pickup::Part;
use posthaste_mail::{Mailbox, Recipient, ReversePath, Timestamp};
use posthaste_message::addresses::{Address, Entry, addresses};
use posthaste_message::complete::{split, with_crlf, without_mailbox_line};
use posthaste_message::{Completion, complete, recipients};
use std::io::{self, Read as _};
use std::time::SystemTime;

/// A message and its envelope.
pub(super) struct Message {
    reverse_path: ReversePath,
    recipients: Vec<Recipient>,
    options: Options,
    content: Vec<u8>,
}

impl Message {
    /// The message for at most `limit` recipients at a time.
    pub(super) fn parts(&self, limit: u32) -> impl Iterator<Item = Part<'_>> {
        self.recipients.chunks(limit.max(1) as usize).map(|recipients| Part {
            reverse_path: &self.reverse_path,
            recipients: recipients.iter().collect(),
            ret: self.options.ret,
            envid: self.options.envid.as_deref(),
            content: &self.content,
        })
    }
}

/// Reads the message from standard input.
///
/// # Errors
/// 64: nobody to send to; 65: the message cannot be sent; 67: an address is wrong.
pub(super) fn take(options: &Options, config: &Config) -> Result<Message, Trouble> {
    if options.recipients.is_empty() && !options.read_recipients {
        let text = "no recipients: name them, or use -t to take them from the header";
        return Err(Trouble::new(exit::USAGE, text));
    }
    let raw = read(config.limits.message_size)?;
    let raw = if options.dot_ends { up_to_dot(&raw) } else { &raw };
    if raw.contains(&0) {
        return Err(Trouble::new(exit::DATA, "the message contains NUL, which no mail may"));
    }
    whole(raw, options, config, &caller())
}

fn whole(raw: &[u8], options: &Options, config: &Config, user: &User) -> Result<Message, Trouble> {
    let origin = &config.submission.origin.0;
    let own = mailbox(&format!("{}@{origin}", user.login), exit::NO_USER)?;
    let reverse_path = match &options.from {
        Some(from) => sender(from, origin)?,
        None => ReversePath::Mailbox(own.clone()),
    };
    let text = with_crlf(without_mailbox_line(raw));
    let recipients = all_recipients(split(&text).0, options, origin)?;
    let full_name = options.full_name.as_deref().or(user.full_name.as_deref());
    let with = Completion {
        author: Some(reverse_path.mailbox().unwrap_or(&own)),
        full_name,
        hostname: &config.hostname.0,
        origin,
        unique: &unique(),
        now: now(),
    };
    let content = complete(&text, &with);
    Ok(Message { reverse_path, recipients, options: options.clone(), content })
}

fn read(limit: u64) -> Result<Vec<u8>, Trouble> {
    let mut raw = Vec::new();
    let read = io::stdin().lock().take(limit + 1).read_to_end(&mut raw);
    read.map_err(|e| Trouble::new(exit::TEMPORARY, format!("cannot read the message: {e}")))?;
    if raw.len() as u64 > limit {
        return Err(Trouble::new(exit::DATA, format!("the message is larger than {limit} octets")));
    }
    Ok(raw)
}

/// What stands before a line that is a dot and nothing else.
fn up_to_dot(raw: &[u8]) -> &[u8] {
    let mut start = 0;
    for line in raw.split_inclusive(|&octet| octet == b'\n') {
        if matches!(line, b".\n" | b".\r\n" | b".") {
            return &raw[..start];
        }
        start += line.len();
    }
    raw
}

/// `-f`: an address, a bare name, or nothing for notices.
fn sender(from: &str, origin: &str) -> Result<ReversePath, Trouble> {
    if matches!(from.trim(), "" | "<>") {
        return Ok(ReversePath::Null);
    }
    match addresses(from.as_bytes()).as_slice() {
        [Entry::Address(address)] => {
            mailbox(&address.with_origin(origin), exit::USAGE).map(ReversePath::Mailbox)
        }
        _ => Err(Trouble::new(exit::USAGE, format!("-f {from}: not an address"))),
    }
}

/// Those of the command line, then with `-t` those of the header, each once.
fn all_recipients(
    header: &[u8],
    options: &Options,
    origin: &str,
) -> Result<Vec<Recipient>, Trouble> {
    let mut found: Vec<Address> = Vec::new();
    for argument in &options.recipients {
        for entry in addresses(argument.as_bytes()) {
            match entry {
                Entry::Address(address) => found.push(address),
                Entry::Unusable(_) => {
                    let text = format!("{argument}: not an address; nothing was sent");
                    return Err(Trouble::new(exit::NO_USER, text));
                }
            }
        }
    }
    if options.read_recipients {
        let named = recipients(header);
        found.extend(
            named.map_err(|error| {
                Trouble::new(exit::NO_USER, format!("{error}; nothing was sent"))
            })?,
        );
    }
    if found.is_empty() {
        return Err(Trouble::new(exit::USAGE, "no recipients, neither named nor in the header"));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut all = Vec::new();
    for address in found {
        let text = address.with_origin(origin);
        if seen.insert(text.clone()) {
            let mailbox = mailbox(&text, exit::NO_USER)?;
            all.push(Recipient { mailbox, orcpt: None, notify: options.notify });
        }
    }
    Ok(all)
}

fn mailbox(text: &str, code: u8) -> Result<Mailbox, Trouble> {
    Mailbox::parse(text, true)
        .map_err(|error| Trouble::new(code, format!("{text}: {error}; nothing was sent")))
}

/// Two messages never have the same; a copy that a crash makes has it too, and is known by it.
fn unique() -> String {
    format!("{:x}.{:016x}", now().as_millis(), posthaste_io_tokio::unpredictable())
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::options::{Mode, parse};
    use super::*;

    fn handed_in(line: &str, raw: &str) -> Result<(String, Vec<String>, String), Trouble> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let options = parse(&arguments, Mode::Deliver)?;
        let mut config = crate::config::load(None, false).expect("defaults").config;
        config.submission.origin.0 = "example.org".into();
        let user = User { login: "joe".into(), full_name: Some("Joe Doe".into()) };
        let raw = if options.dot_ends { up_to_dot(raw.as_bytes()) } else { raw.as_bytes() };
        let message = whole(raw, &options, &config, &user)?;
        let to = message.recipients.iter().map(|r| r.mailbox.to_string()).collect();
        let content = String::from_utf8(message.content).expect("UTF-8");
        Ok((message.reverse_path.to_string(), to, content))
    }

    #[test]
    fn an_envelope_comes_from_the_line_and_the_header() {
        for (line, raw, from, to) in [
            ("root a@b.test", "x", "joe@example.org", "root@example.org a@b.test"),
            (
                "-t",
                "To: a@b.test, Ann <ann>\nBcc: c@d.test\n\n",
                "joe@example.org",
                "a@b.test ann@example.org c@d.test",
            ),
            ("-t e@f.test", "To: a@b.test, e@f.test\n\n", "joe@example.org", "e@f.test a@b.test"),
            ("-f <> a@b.test", "", "", "a@b.test"),
            ("-f www a@b.test,c@d.test", "", "www@example.org", "a@b.test c@d.test"),
            ("-fjörg@münchen.test a@b.test", "", "jörg@münchen.test", "a@b.test"),
        ] {
            let (found, recipients, content) = handed_in(line, raw).expect(line);
            assert_eq!((found.as_str(), recipients.join(" ").as_str()), (from, to), "{line}");
            assert!(!content.contains("Bcc"), "{content}");
        }
    }

    #[test]
    fn a_dot_ends_the_message_unless_told_otherwise() {
        let raw = "Subject: x\n\none\n.\ntwo\n";
        assert!(handed_in("a@b.test", raw).expect("good").2.ends_with("\r\n\r\none\r\n"));
        assert!(handed_in("-i a@b.test", raw).expect("good").2.ends_with("one\r\n.\r\ntwo\r\n"));
        assert!(handed_in("-oi a@b.test", raw).expect("good").2.ends_with("one\r\n.\r\ntwo\r\n"));
    }

    #[test]
    fn the_author_is_whoever_calls_or_is_named() {
        let from = |line: &str| {
            let content = handed_in(line, "Subject: x\n\n").expect(line).2;
            content.lines().find(|l| l.starts_with("From:")).expect("one is added").to_owned()
        };
        assert_eq!(from("a@b.test"), "From: Joe Doe <joe@example.org>");
        assert_eq!(from("-FCronDaemon a@b.test"), "From: CronDaemon <joe@example.org>");
        assert_eq!(from("-f www@c.test a@b.test"), "From: Joe Doe <www@c.test>");
        assert_eq!(from("-f <> a@b.test"), "From: Joe Doe <joe@example.org>");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_its_status() {
        for (line, raw, code) in [
            ("a@b..c", "", exit::NO_USER),
            ("-t", "To: John Doe\n\n", exit::NO_USER),
            ("-t", "Subject: x\n\n", exit::USAGE),
            ("-f a@b@c d@e", "", exit::USAGE),
        ] {
            assert_eq!(handed_in(line, raw).expect_err(line).code, code, "{line}");
        }
    }
}

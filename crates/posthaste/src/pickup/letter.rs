//! Reads a file of the pickup folder: the envelope in front, or what the header says.
//!
//! Not here: files and folders.

use super::{END, END_OF_EXPORTED};
use posthaste_mail::address::AddressError;
use posthaste_mail::envelope::Ret;
use posthaste_mail::{Mailbox, Recipient, ReversePath};
use posthaste_message::addresses::{Address, Entry, addresses};
use posthaste_message::complete::{split, with_crlf, without_mailbox_line};
use posthaste_message::header::fields;
use posthaste_message::recipients::NoAddress;
use posthaste_message::{Field, recipients};
use posthaste_smtp::server::{Extensions, Fault, ForwardPath, read_mail, read_rcpt};

const SENDER: &str = "X-Sender";
const RECEIVER: &str = "X-Receiver";

/// A message with its envelope.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Letter {
    pub(crate) reverse_path: ReversePath,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) ret: Option<Ret>,
    pub(crate) envid: Option<String>,
    /// Without the envelope's fields; CRLF line ends.
    pub(crate) content: Vec<u8>,
    /// The end of the envelope is marked: whoever wrote the file has made the message whole.
    pub(crate) replayed: bool,
}

/// The file is no message that can be sent. Whoever wrote it must correct it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum BadLetter {
    /// A field of the envelope.
    #[error("{field}: {fault}")]
    Envelope { field: &'static str, fault: Fault },
    /// A field of the header.
    #[error(transparent)]
    Header(#[from] NoAddress),
    /// An address of the header.
    #[error("{address}: {why}")]
    Address { address: String, why: AddressError },
    /// Neither says whom it is for.
    #[error("no X-Receiver field in front, and no recipient in the header")]
    NoRecipients,
}

/// Reads a file. `origin` is the domain of bare names, `sender` who sends when nothing says so.
pub(crate) fn read(file: &[u8], origin: &str, sender: &ReversePath) -> Result<Letter, BadLetter> {
    // Every kind of line end becomes one before anything is looked for.
    let text = with_crlf(without_mailbox_line(file));
    let (header, _) = split(&text);
    let envelope: Vec<Field<'_>> =
        fields(header).take_while(|field| field.is(SENDER) || field.is(RECEIVER)).collect();
    if envelope.iter().any(|field| field.is(RECEIVER)) {
        let end = fields(header)
            .nth(envelope.len())
            .is_some_and(|field| field.is(END) || field.is(END_OF_EXPORTED));
        let content = end_of(&text, envelope.len() + usize::from(end));
        let letter = by_envelope(&text[content..], &envelope, origin, sender);
        return letter.map(|letter| Letter { replayed: end, ..letter });
    }
    let mut recipients_found = Vec::new();
    for address in recipients(header)? {
        let mailbox = mailbox(&address, origin)?;
        let known = |recipient: &Recipient| recipient.mailbox == mailbox;
        if !recipients_found.iter().any(known) {
            recipients_found.push(Recipient { mailbox, orcpt: None, notify: None });
        }
    }
    if recipients_found.is_empty() {
        return Err(BadLetter::NoRecipients);
    }
    let reverse_path = match author(header) {
        Some(address) => ReversePath::Mailbox(mailbox(&address, origin)?),
        None => sender.clone(),
    };
    let (ret, envid) = (None, None);
    let (recipients, content) = (recipients_found, text);
    Ok(Letter { reverse_path, recipients, ret, envid, content, replayed: false })
}

fn by_envelope(
    content: &[u8],
    envelope: &[Field<'_>],
    origin: &str,
    sender: &ReversePath,
) -> Result<Letter, BadLetter> {
    let mut letter = Letter {
        reverse_path: sender.clone(),
        recipients: Vec::new(),
        ret: None,
        envid: None,
        content: content.to_vec(),
        replayed: false,
    };
    let mut utf8 = false;
    for field in envelope {
        let value = String::from_utf8_lossy(&field.unfolded()).into_owned();
        let value = in_brackets(&value);
        if field.is(SENDER) {
            let wrong = |fault| BadLetter::Envelope { field: SENDER, fault };
            let (path, params) =
                read_mail(&value, &Extensions::default(), Some(origin)).map_err(wrong)?;
            utf8 = params.smtputf8;
            (letter.reverse_path, letter.ret, letter.envid) = (path, params.ret, params.envid);
        } else {
            let wrong = |fault| BadLetter::Envelope { field: RECEIVER, fault };
            let (path, params) =
                read_rcpt(&value, &Extensions::default(), utf8, Some(origin)).map_err(wrong)?;
            let mailbox = match path {
                ForwardPath::Mailbox(mailbox) => mailbox,
                ForwardPath::Postmaster => {
                    let bare = Address { local: "postmaster".to_owned(), domain: None, span: 0..0 };
                    self::mailbox(&bare, origin)?
                }
            };
            letter.recipients.push(Recipient {
                mailbox,
                orcpt: params.orcpt,
                notify: params.notify,
            });
        }
    }
    Ok(letter)
}

/// Written by hand it may be without brackets, or a bare name.
fn in_brackets(value: &str) -> String {
    let (path, params) = match (value.starts_with('<'), value.rfind('>'), value.split_once(' ')) {
        (true, Some(end), _) => (&value[1..end], &value[end + 1..]),
        (_, _, Some((path, _))) => (path, &value[path.len()..]),
        _ => (value, ""),
    };
    format!("<{path}>{params}")
}

/// The octet after so many fields.
fn end_of(text: &[u8], count: usize) -> usize {
    let mut seen = 0;
    let mut at = 0;
    for line in text.split_inclusive(|&octet| octet == b'\n') {
        let continues = line.starts_with(b" ") || line.starts_with(b"\t");
        if !continues && seen == count {
            break;
        }
        seen += usize::from(!continues);
        at += line.len();
    }
    at
}

fn author(header: &[u8]) -> Option<Address> {
    let from = fields(header).find(|field| field.is("From"))?;
    addresses(from.value).into_iter().find_map(|entry| match entry {
        Entry::Address(address) => Some(address),
        Entry::Unusable(_) => None,
    })
}

fn mailbox(address: &Address, origin: &str) -> Result<Mailbox, BadLetter> {
    let address = address.with_origin(origin);
    Mailbox::parse(&address, true).map_err(|why| BadLetter::Address { address, why })
}

#[cfg(test)]
mod tests {
    use super::super::Part;
    use super::*;
    use posthaste_mail::envelope::Notify;

    fn opened(file: &str) -> Result<Letter, BadLetter> {
        read(file.as_bytes(), "example.org", &ReversePath::Null)
    }

    #[test]
    fn what_was_left_is_what_is_read() {
        let mailbox = |text| Mailbox::parse(text, true).expect("valid");
        let notify = Some(Notify { success: true, failure: false, delay: true });
        let recipients = [
            Recipient { mailbox: mailbox("a@b.test"), orcpt: None, notify },
            Recipient { mailbox: mailbox("\"x y>\"@münchen.test"), orcpt: None, notify: None },
        ];
        let content = b"X-Receiver: <not@this>\r\nSubject: \xe4\r\n\r\n.\r\n";
        let part = Part {
            reverse_path: &ReversePath::Mailbox(mailbox("joe@example.org")),
            recipients: recipients.iter().collect(),
            ret: Some(Ret::Hdrs),
            envid: Some("a+b =c"),
            content,
        };
        let mut file = part.envelope();
        file.extend_from_slice(content);
        let letter = read(&file, "o.test", &ReversePath::Null).expect("good");
        assert_eq!(&letter.reverse_path, part.reverse_path);
        assert_eq!(letter.recipients, recipients);
        assert_eq!((letter.ret, letter.envid.as_deref()), (part.ret, part.envid));
        assert_eq!(letter.content, content, "fields of the same name in the message are its own");
        assert!(letter.replayed, "what is left is whole");
    }

    #[test]
    fn a_message_dropped_by_hand_goes_by_its_header() {
        let file =
            "From: Joe <joe>\nTo: a@b.test, c\nBcc: d@e.test, a@b.test\nSubject: x\n\nhello\n";
        let letter = opened(file).expect("good");
        assert_eq!(letter.reverse_path.to_string(), "joe@example.org");
        let to: Vec<String> = letter.recipients.iter().map(|r| r.mailbox.to_string()).collect();
        assert_eq!(to, ["a@b.test", "c@example.org", "d@e.test"]);
        // Mail programs have a field of this name: without a receiver it is no envelope.
        let letter = opened("X-Sender: web\nTo: a@b.test\n\n").expect("good");
        assert_eq!(letter.reverse_path, ReversePath::Null);
        assert!(letter.content.starts_with(b"X-Sender: web\r\n"));
        let exported = "X-Sender: <>\nX-Receiver: <a@b.test>\nX-CreatedBy: Posthaste\nTo: z@z\n\n";
        let letter = opened(exported).expect("good");
        assert_eq!((&letter.content[..], letter.replayed), (&b"To: z@z\r\n\r\n"[..], true));
        let by_hand =
            "x-receiver: a@b.test NOTIFY=NEVER\nX-Receiver: joe\nX-Sender: <>\nTo: z@z\n\n";
        let letter = opened(by_hand).expect("good");
        assert_eq!(letter.recipients[0].notify, Some(Notify::default()));
        assert_eq!(letter.recipients[1].mailbox.to_string(), "joe@example.org");
        assert_eq!((&letter.content[..], letter.replayed), (&b"To: z@z\r\n\r\n"[..], false));
    }

    #[test]
    fn what_cannot_be_sent_says_why() {
        for (file, why) in [
            ("", "no X-Receiver field in front, and no recipient in the header"),
            (
                "Subject: x\n\nTo: a@b\n",
                "no X-Receiver field in front, and no recipient in the header",
            ),
            ("To: John Doe\n\n", "`John Doe` in the To field is no address"),
            ("To: a@b..c\n\n", "a@b..c: the domain is not valid"),
            ("X-Receiver: <a@b> FOO=1\n\n", "X-Receiver: parameter not recognised or given twice"),
            (
                "X-Sender: <a@b@c>\nX-Receiver: <a@b>\n\n",
                "X-Sender: bad sender address: the domain is not valid",
            ),
        ] {
            assert_eq!(opened(file).map_err(|e| e.to_string()), Err(why.to_owned()), "{file}");
        }
    }
}

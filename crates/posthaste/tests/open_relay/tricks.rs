//! The table of tricks. `ours.example` is ours, `victim.example` is the rest of the world, `mail.ours.example` is our
//! own name, 127.0.0.1 our own address.

/// How it goes.
#[derive(Debug)]
pub(crate) enum How {
    /// A transaction with this sender and recipient, after these lines. EHLO comes first unless it is among them.
    Address { before: Vec<&'static str>, mail: &'static str, rcpt: &'static str },
    /// These octets after the greeting; MARK is the trick's mark. The codes of all replies are those, where a stranger
    /// may send to us.
    Octets(Vec<u8>, &'static str),
    /// These octets before anything else, then an envelope to the victim; and the codes.
    Early(Vec<u8>, &'static str),
}

/// What may become of its message.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum May {
    /// It is refused.
    Nothing,
    /// It may come to our own next hop, for this recipient exactly.
    Reach(&'static str),
}

#[derive(Debug)]
pub(crate) struct Trick {
    pub(crate) name: String,
    pub(crate) how: How,
    pub(crate) may: May,
}

impl Trick {
    /// The codes of the replies, where they are known.
    pub(crate) const fn codes(&self) -> Option<&'static str> {
        match self.how {
            How::Octets(_, codes) | How::Early(_, codes) => Some(codes),
            How::Address { .. } => None,
        }
    }
}

const SENDER: &str = "<a@stranger.example>";

/// Recipients that lead elsewhere, in whatever disguise.
const ELSEWHERE: &[&str] = &[
    "<user@victim.example>",
    "<user%victim.example@ours.example>",
    "<user%victim.example@mail.ours.example>",
    "<user%victim.example%ours.example@ours.example>",
    "<victim.example!user@ours.example>",
    "<ours.example!victim.example!user>",
    "<ours.example!user@victim.example>",
    "<victim.example!user>",
    "<victim.example!user@mail.ours.example>",
    "<user%victim.example>",
    "<\"user@victim.example\"@ours.example>",
    "<\"user@victim.example\"@mail.ours.example>",
    "<\"user%victim.example\"@ours.example>",
    "<\"victim.example!user\"@ours.example>",
    "<\"user\\@victim.example\"@ours.example>",
    "<\"a b%victim.example\"@ours.example>",
    "<\"user%victim.example@ours.example\"@ours.example>",
    "<\"@ours.example:user@victim.example\"@ours.example>",
    "<\"user@victim.example\">",
    "<@ours.example:user@victim.example>",
    "<@ours.example,@x.example:user@victim.example>",
    "<@mail.ours.example:user@victim.example>",
    "<@[127.0.0.1]:user@victim.example>",
    "<@ours.example:user%victim.example@ours.example>",
    "<@ours.example:@victim.example:user@ours.example>",
    "<@ours.example:\"user@victim.example\"@ours.example>",
    "<user@[127.0.0.1]>",
    "<user@[IPv6:::1]>",
    "<user@[IPv6:::ffff:127.0.0.1]>",
    "<user%victim.example@[127.0.0.1]>",
    "<victim.example!user@[127.0.0.1]>",
    "<\"user@victim.example\"@[127.0.0.1]>",
    "<user@[192.0.2.77]>",
    "<user@[victim.example]>",
    "<user@127.0.0.1>",
    "<user@victim.example@ours.example>",
    "<user@ours.example@victim.example>",
    "<user@victim.example%ours.example>",
    "<user%ours.example@victim.example>",
    "<user@victim.example,user@ours.example>",
    "<user@ours.example,user@victim.example>",
    "<user@victim.example.>",
    "<user@VICTIM.Example>",
    "<user@victim.example(comment)>",
    "<user(comment)@victim.example>",
    "<user @victim.example>",
    "<user@ victim.example>",
    "<\"user with blanks\"@victim.example>",
    "<user@evil.ours.example>",
    "<user@xours.example>",
    "<user@ours.example.victim.example>",
    "<user@ours.example..victim.example>",
    "<user@.ours.example>",
    "<user@ours>",
    "user@victim.example",
    "<user@victim.example",
    "user@victim.example>",
    "<<user@victim.example>>",
    "<user@ours.example> <user@victim.example>",
    "<user@ours.example>,<user@victim.example>",
    "Name <user@victim.example>",
    "<user@victim.example> ORCPT=rfc822;user@ours.example",
    "<user@victim.example> NOTIFY=NEVER",
    "<user@victim.example>\t",
    "\t<user@victim.example>",
    "<user@victim.example\t>",
    "<user%victim.example+x@ours.example>",
    "<user+x%victim.example@ours.example>",
    "<postmaster%victim.example@ours.example>",
    "<postmaster@victim.example>",
    "<abuse@victim.example>",
    "<user@localhost>",
    "<user@localhost.localdomain>",
    "<user@mail>",
    "<user@mail.ours.example>",
    "<user>",
    "<root>",
    "<>",
    "<@>",
    "<user@>",
    "<user@ours.example:25>",
    "<smtp:user@victim.example>",
    "<user@victim.example#ours.example>",
];

/// Recipients of ours, or what only looks like a trick: our next hop may get them, as they were written.
const OURS: &[(&str, &str)] = &[
    ("<user@ours.example>", "user@ours.example"),
    ("<@victim.example:user@ours.example>", "user@ours.example"),
    ("<user+victim.example@ours.example>", "user+victim.example@ours.example"),
    ("<user@OURS.example>", "user@OURS.example"),
    ("<sales+x%victim.example@ours.example>", "user@ours.example"),
    ("<user@ours.example> ORCPT=rfc822;user@victim.example", "user@ours.example"),
];

/// Senders that are trusted elsewhere.
const SENDERS: &[&str] = &[
    "<>",
    "<user@ours.example>",
    "<postmaster@ours.example>",
    "<user@mail.ours.example>",
    "<user@victim.example>",
    "<user@[127.0.0.1]>",
    "<root@localhost>",
    "<@ours.example:user@ours.example>",
    "<user@ours.example> SIZE=100",
];

/// What is said before.
const BEFORE: &[(&str, &[&str])] = &[
    ("HELO with our name", &["HELO mail.ours.example"]),
    ("EHLO with our domain", &["EHLO ours.example"]),
    ("EHLO with our address", &["EHLO [127.0.0.1]"]),
    ("EHLO localhost", &["EHLO localhost"]),
    ("EHLO with the victim's name", &["EHLO victim.example"]),
    (
        "after a transaction of ours and RSET",
        &["MAIL FROM:<>", "RCPT TO:<user@ours.example>", "RSET"],
    ),
    ("after EHLO again", &["MAIL FROM:<>", "RCPT TO:<user@ours.example>", "EHLO x.example"]),
    ("after STARTTLS", &["EHLO x.example", "STARTTLS", "EHLO x.example"]),
    ("after STARTTLS, without another EHLO", &["EHLO x.example", "STARTTLS"]),
    (
        "after a transaction of ours and STARTTLS",
        &[
            "EHLO x.example",
            "MAIL FROM:<>",
            "RCPT TO:<user@ours.example>",
            "STARTTLS",
            "EHLO x.example",
        ],
    ),
    (
        "after STARTTLS and a failed AUTH",
        &["EHLO x.example", "STARTTLS", "EHLO x.example", "AUTH PLAIN AHVzZXIAcGFzc3dvcmQ="],
    ),
    (
        "after STARTTLS and AUTH given up",
        &["EHLO x.example", "STARTTLS", "EHLO x.example", "AUTH LOGIN", "dXNlcg==", "*"],
    ),
    (
        "after STARTTLS and AUTH with no password",
        &["EHLO x.example", "STARTTLS", "EHLO x.example", "AUTH PLAIN AHVzZXIA"],
    ),
    (
        "after STARTTLS and AUTH EXTERNAL",
        &["EHLO x.example", "STARTTLS", "EHLO x.example", "AUTH EXTERNAL dXNlcg=="],
    ),
    ("after a failed AUTH", &["AUTH PLAIN AHVzZXIAcGFzc3dvcmQ="]),
    ("after AUTH LOGIN", &["AUTH LOGIN", "dXNlcg==", "cGFzcw=="]),
    ("after AUTH with an empty response", &["AUTH PLAIN ="]),
    ("after XCLIENT", &["XCLIENT ADDR=127.0.0.1 NAME=localhost LOGIN=user", "EHLO x.example"]),
    ("after XFORWARD", &["XFORWARD ADDR=127.0.0.1 NAME=localhost SOURCE=LOCAL"]),
    ("after a PROXY line", &["PROXY TCP4 127.0.0.1 127.0.0.1 4000 25"]),
    ("after VRFY and EXPN", &["VRFY user@victim.example", "EXPN user"]),
    ("after ETRN", &["ETRN victim.example"]),
    ("after TURN", &["TURN"]),
];

pub(crate) fn all() -> Vec<Trick> {
    let address = |name: String, before: &[&'static str], mail, rcpt, may| Trick {
        name,
        how: How::Address { before: before.to_vec(), mail, rcpt },
        may,
    };
    let victim = ELSEWHERE[0];
    let nothing = May::Nothing;
    let mut all = Vec::new();
    all.extend(
        ELSEWHERE.iter().map(|r| address(r.escape_debug().to_string(), &[], SENDER, r, nothing)),
    );
    all.extend(
        OURS.iter().map(|(r, to)| address(format!("ours: {r}"), &[], SENDER, r, May::Reach(to))),
    );
    all.extend(SENDERS.iter().map(|s| address(format!("from {s}"), &[], s, victim, nothing)));
    all.extend(BEFORE.iter().map(|(n, b)| address((*n).to_owned(), b, SENDER, victim, nothing)));
    all.push(address(
        "an accepted recipient first".into(),
        &["MAIL FROM:<>", "RCPT TO:<user@ours.example>"],
        SENDER,
        victim,
        nothing,
    ));
    all.extend(utf8());
    all.extend(octets());
    all
}

/// Domains and signs that only look like ours.
fn utf8() -> Vec<Trick> {
    [
        "<user@our\u{455}.example>",
        "<user\u{ff05}victim.example@ours.example>",
        "<user\u{ff20}victim.example@ours.example>",
        "<user@victim\u{3002}example>",
    ]
    .into_iter()
    .map(|rcpt| Trick {
        name: format!("{rcpt} with SMTPUTF8"),
        how: How::Address { before: vec![], mail: "<a@stranger.example> SMTPUTF8", rcpt },
        may: May::Nothing,
    })
    .collect()
}

const ENVELOPE: &str = "EHLO x.example\r\nMAIL FROM:<>\r\n";
const SECOND: &str =
    "MAIL FROM:<>\r\nRCPT TO:<user@victim.example>\r\nDATA\r\nSubject: MARK\r\n\r\nx";

/// What no line can hold.
fn octets() -> Vec<Trick> {
    [broken_lines(), smuggled(), out_of_order(), early()].into_iter().flatten().collect()
}

fn broken_lines() -> Vec<Trick> {
    let long = format!(
        "RCPT TO:<user@ours.example> X={}\nRCPT TO:<user@victim.example>\r\n",
        "a".repeat(70_000)
    );
    let rcpts = [
        ("LF and a second RCPT", "RCPT TO:<user@ours.example>\nRCPT TO:<user@victim.example>\r\n"),
        ("CR and a second RCPT", "RCPT TO:<user@ours.example>\rRCPT TO:<user@victim.example>\r\n"),
        ("NUL behind ours", "RCPT TO:<user@ours.example\0@victim.example>\r\n"),
        ("NUL behind the victim", "RCPT TO:<user@victim.example\0@ours.example>\r\n"),
        ("LF within the path", "RCPT TO:<user@victim.example\n@ours.example>\r\n"),
        ("VT and FF within the path", "RCPT TO:<user\x0b@victim.example\x0c>\r\n"),
        ("a line too long, with RCPT behind it", &long),
    ];
    rcpts
        .into_iter()
        .map(|(name, rcpt)| {
            of_octets(
                name,
                &format!("{ENVELOPE}{rcpt}DATA\r\nSubject: MARK\r\n\r\nx\r\n.\r\n"),
                "220 250 250 500 554 500 500 500 500 500 500 221",
            )
        })
        .collect()
}

fn smuggled() -> Vec<Trick> {
    let first = format!("{ENVELOPE}RCPT TO:<user@ours.example>\r\nDATA\r\nSubject: x\r\n\r\nx");
    // What comes behind the bare line end is content, and all of it is refused; then the connection is closed.
    let closed = "220 250 250 250 354 550";
    // The last line of this is the true end.
    let to_the_end = "220 250 250 250 354 554 500 500 221";
    [
        ("LF . CRLF", "\n.\r\n", closed),
        ("CR . CRLF", "\r.\r\n", closed),
        ("LF . LF", "\n.\n", closed),
        ("CR . CR", "\r.\r", closed),
        ("CRLF . LF", "\r\n.\n", closed),
        ("CRLF . CR", "\r\n.\r", closed),
        ("LF . CR LF with NUL", "\n\0.\r\n", to_the_end),
        ("CRLF NUL . CRLF", "\r\n\0.\r\n", to_the_end),
    ]
    .into_iter()
    .map(|(name, end, codes)| {
        let octets = format!("{first}{end}{SECOND}\r\n.\r\n");
        of_octets(&format!("smuggling by {name}"), &octets, codes)
    })
    .collect()
}

fn out_of_order() -> Vec<Trick> {
    let chunk = "BDAT 5 LAST\r\nx: y\n";
    let both =
        format!("{ENVELOPE}RCPT TO:<user@ours.example>\r\nRCPT TO:<user@victim.example>\r\n");
    vec![
        of_octets(
            "BDAT after both",
            &format!("{both}BDAT 15 LAST\r\nSubject: MARK\r\n"),
            "220 250 250 250 550 250 500 500 500 221",
        ),
        of_octets(
            "an envelope within a chunk",
            &format!("{ENVELOPE}RCPT TO:<user@ours.example>\r\nBDAT 4\r\nx: y{SECOND}\r\n.\r\n"),
            "220 250 250 250 250 503 503 503 500 500 500 500 500 500 221",
        ),
        of_octets(
            "BDAT before RCPT",
            &format!("{ENVELOPE}{chunk}RCPT TO:<user@victim.example>\r\nDATA\r\nMARK\r\n.\r\n"),
            "220 250 250 554 503 503 500 500 500 500 221",
        ),
        of_octets(
            "commands behind STARTTLS",
            &format!("EHLO x.example\r\nSTARTTLS\r\n{SECOND}\r\n.\r\n"),
            "220 250 220",
        ),
        of_octets(
            "RCPT before MAIL",
            "EHLO x.example\r\nRCPT TO:<user@victim.example>\r\nDATA\r\nMARK\r\n.\r\n",
            "220 250 503 503 500 500 500 500 221",
        ),
        of_octets(
            "no EHLO",
            &format!("{SECOND}\r\n.\r\n"),
            "220 503 503 503 500 500 500 500 500 500 221",
        ),
        of_octets(
            "DATA in spite of a refused RCPT",
            &format!("{ENVELOPE}RCPT TO:<user@victim.example>\r\nDATA\r\nMARK\r\n.\r\n"),
            "220 250 250 550 554 500 500 500 500 221",
        ),
    ]
}

fn early() -> Vec<Trick> {
    let early = |name: &str, octets: Vec<u8>, codes| Trick {
        name: name.to_owned(),
        how: How::Early(octets, codes),
        may: May::Nothing,
    };
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x0f\xa0\0\x19";
    vec![
        early(
            "a PROXY line before the greeting",
            b"PROXY TCP4 127.0.0.1 127.0.0.1 4000 25\r\n".to_vec(),
            "220 500 250 250 550 500 500 221",
        ),
        early(
            "a PROXY header, version 2",
            header.to_vec(),
            "220 500 500 500 500 503 503 500 500 221",
        ),
    ]
}

fn of_octets(name: &str, octets: &str, codes: &'static str) -> Trick {
    let how = How::Octets(octets.as_bytes().to_vec(), codes);
    Trick { name: name.to_owned(), how, may: May::Nothing }
}

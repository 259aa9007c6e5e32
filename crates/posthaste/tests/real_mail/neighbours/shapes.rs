//! Shapes of messages: envelopes with their parameters, and contents.
//!
//! Not here: which way they go (`neighbours`).

/// One message, for recipients of a domain that the path decides.
pub(super) struct Shape {
    /// Its subject, too.
    pub(super) name: &'static str,
    /// Follows the reverse-path in MAIL.
    pub(super) mail: &'static str,
    /// Follows each forward-path in RCPT.
    pub(super) rcpt: &'static str,
    pub(super) local_part: &'static str,
    pub(super) recipients: usize,
    pub(super) needs_smtputf8: bool,
    body: Body,
}

enum Body {
    Text(&'static str),
    Octets(&'static [u8]),
    Repeated(&'static str, usize),
    Line(usize),
}

const SMALL: Shape = Shape {
    name: "small",
    mail: "",
    rcpt: "",
    local_part: "bob",
    recipients: 1,
    needs_smtputf8: false,
    body: Body::Text("hello\r\n"),
};

pub(super) const SHAPES: &[Shape] = &[
    SMALL,
    Shape { name: "dots", body: Body::Text(".\r\n..\r\n.a\r\n\r\n.\r\nFrom here\r\n"), ..SMALL },
    Shape { name: "no-body", body: Body::Text(""), ..SMALL },
    Shape {
        name: "eight-bit",
        mail: " BODY=8BITMIME",
        body: Body::Octets(b"gr\xfc\xdfe \xff\xfe\x80\r\n"),
        ..SMALL
    },
    Shape {
        name: "smtputf8",
        mail: " BODY=8BITMIME SMTPUTF8",
        local_part: "j\u{f6}rg",
        needs_smtputf8: true,
        body: Body::Text("gr\u{fc}\u{df}e\r\n"),
        ..SMALL
    },
    Shape { name: "line-of-998", body: Body::Line(998), ..SMALL },
    Shape {
        name: "three-megabytes",
        body: Body::Repeated("0123456789 and so on\r\n", 140_000),
        ..SMALL
    },
    Shape { name: "many-recipients", recipients: 150, ..SMALL },
    Shape {
        name: "dsn",
        mail: " RET=HDRS ENVID=e+2B17",
        rcpt: " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@elsewhere.test",
        ..SMALL
    },
];

impl Shape {
    /// Header and body with CRLF as line end. `mark` tells one path's message from another's.
    pub(super) fn content(&self, mark: &str) -> Vec<u8> {
        let utf8 = if self.needs_smtputf8 { "X-Name: J\u{f6}rg\r\n" } else { "" };
        let header = format!(
            "From: <a@sender.test>\r\nTo: <bob@example.test>\r\nSubject: {} over {mark}\r\n\
             Date: Sun, 22 Nov 2026 00:00:00 +0000\r\nMessage-ID: <{}.{mark}@sender.test>\r\n{utf8}\r\n",
            self.name, self.name
        );
        let mut content = header.into_bytes();
        match self.body {
            Body::Text(text) => content.extend_from_slice(text.as_bytes()),
            Body::Octets(octets) => content.extend_from_slice(octets),
            Body::Repeated(line, times) => content.extend_from_slice(line.repeat(times).as_bytes()),
            Body::Line(length) => {
                content.extend_from_slice(format!("{}\r\n", "x".repeat(length)).as_bytes())
            }
        }
        content
    }

    /// How every kept copy ends: with LF as line end, as mail hosts keep it.
    pub(super) fn kept(&self, mark: &str) -> Vec<u8> {
        let mut content = self.content(mark);
        content.retain(|b| *b != b'\r');
        content
    }
}

//! Messages in the shapes of real mail, made from a number: the same number, the same message.
//!
//! Not here: blanks before the colon (RFC 5322 section 4.5), which dkimpy cannot read; they are among the vectors of `message`.

use std::fmt::Write as _;

/// The domain whose keys sign.
pub(crate) const DOMAIN: &str = "sender.test";
/// Over this a body goes to a file.
const INLINE: usize = 256 * 1024;

/// Chance that repeats (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("small");
        usize::try_from(self.next() % limit).expect("small")
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// The message number `number`, with CRLF line ends.
pub(crate) fn message(number: usize) -> Vec<u8> {
    let mut dice = Dice::new(number as u64 + 1);
    let mut header = header(number, &mut dice);
    let (kind, body) = body(number, &mut dice);
    header.push_str(&kind);
    let mut message = header.into_bytes();
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(&body);
    message
}

/// Whether it is so large that it lies in a file.
pub(crate) fn is_large(message: &[u8]) -> bool {
    message.len() > INLINE
}

const FROM: [&str; 8] = [
    "From: Ann Author <ann@sender.test>\r\n",
    "From: ann@sender.test\r\n",
    "FROM:ann@Sender.Test\r\n",
    "From:   \"Author, Ann\"\r\n\t<ann@sender.test>\r\n",
    "From: =?utf-8?B?QW5uIE3DvGxsZXI=?= <ann@sender.test>\r\n",
    "from: Ann (at home) <ann@sender.test> (a comment)\r\n",
    "From: ann@sender.test,\r\n bob@sender.test\r\n",
    "From: Ann M\u{fc}ller <ann@sender.test>\r\n",
];
const SUBJECTS: [&str; 9] = [
    "Subject: Minutes of the meeting\r\n",
    "Subject:\r\n",
    "Subject: \t \r\n",
    "Subject: =?iso-8859-1?Q?Gr=FC=DFe_aus?=\r\n =?iso-8859-1?Q?_Wien?=\r\n",
    "subject:a  b\t c   \r\n",
    "SUBJECT: folded\r\n\tonce \r\n  and again\r\n \tand again  \r\n",
    "Subject: \u{1f600} raw\r\n",
    "subject:\tno blank but a tab\r\n",
    "",
];
const MORE: [&str; 14] = [
    "Cc: carol@remote.test,\r\n   dave@remote.test\r\n",
    "Reply-To: \"Lists\" <reply@sender.test>\r\n",
    "In-Reply-To: <1@remote.test>\r\nReferences: <0@remote.test>\r\n\t<1@remote.test>\r\n",
    "X-Mailer: Microsoft Outlook 16.0\r\nThread-Index: AQHW0mZ3\r\n",
    "X-Empty:\r\n",
    "X-Odd:no blank\r\nX-TAB:\ttab\t\r\n",
    "Received: from desk (desk [192.0.2.7])\r\n\tby relay.sender.test with ESMTP id 1;\r\n\tSat, 21 Nov 2026 06:53:04 +0000\r\n",
    "List-Id: <news.sender.test>\r\nList-Unsubscribe: <mailto:leave@sender.test>,\r\n <https://sender.test/leave>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
    "DKIM-Signature: v=1; a=rsa-sha256; d=elsewhere.test; s=x; h=from; bh=AAAA; b=AAAA\r\n",
    "Sender: secretary@sender.test\r\n",
    "To: second@remote.test\r\n",
    "Priority: urgent\r\nImportance: high\r\nX-Priority: 1 (Highest)\r\n",
    "Auto-Submitted: auto-generated\r\n",
    "X-Long: ",
];

fn header(number: usize, dice: &mut Dice) -> String {
    let mut header = String::new();
    header.push_str(dice.one(&FROM));
    header.push_str(dice.one(&[
        "To: rcpt@remote.test\r\n",
        "To:rcpt@remote.test\r\n",
        "To: \"R\" <rcpt@remote.test>,\r\n\tother@remote.test\r\n",
    ]));
    let _ = write!(header, "Message-ID: <{number}.shape@sender.test>\r\n");
    let _ = write!(header, "Date: Sat, 21 Nov 2026 06:{:02}:04 +0000 (UTC)\r\n", number % 60);
    header.push_str(dice.one(&SUBJECTS));
    for _ in 0..dice.below(5) {
        let field = dice.one(&MORE);
        if field.starts_with("DKIM-Signature") {
            continue;
        }
        header.push_str(field);
        if field.ends_with(": ") {
            header.push_str(&"long ".repeat(20 + dice.below(150)));
            header.push_str("\r\n");
        }
    }
    header
}

/// The fields that say what the body is, and the body.
fn body(number: usize, dice: &mut Dice) -> (String, Vec<u8>) {
    let text = |charset: &str, how: &str| {
        format!(
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {how}\r\n"
        )
    };
    // A few of them go to files.
    if number.is_multiple_of(40) {
        return multipart(dice, INLINE + dice_size(number));
    }
    match number % 12 {
        0 => (String::new(), Vec::new()),
        1 => (String::new(), "\r\n".repeat(1 + dice.below(6)).into_bytes()),
        2 => (String::new(), lines(dice, 4, &[" \r\n", "\t\r\n", " \t \r\n", "\r\n"])),
        3 => {
            let mut body = lines(dice, 8, &["Some text.  \r\n", "\r\n", " \t indented\ttext \r\n"]);
            body.extend(lines(dice, 5, &[" \r\n", "\r\n", "\t\t\r\n"]));
            (text("us-ascii", "7bit"), body)
        }
        4 => (
            text("us-ascii", "7bit"),
            lines(dice, 9, &[".\r\n", "..\r\n", ".dot\r\n", "a.b\r\n", "...\r\n"]),
        ),
        5 => {
            let latin: &[u8] = b"Gr\xfc\xdfe \xe9\xe8  \xa0\r\n";
            (text("iso-8859-1", "8bit"), latin.repeat(1 + dice.below(40)))
        }
        6 => {
            let long = format!("{}\r\n", "A very long line, ".repeat(60 + dice.below(200)));
            (text("utf-8", "8bit"), long.repeat(1 + dice.below(4)).into_bytes())
        }
        7 => (
            text("utf-8", "8bit"),
            lines(
                dice,
                30,
                &["\u{1f600} \u{4f60}\u{597d}\r\n", "z\u{fc}rich\r\n", "\u{a0}\u{2003}\r\n"],
            ),
        ),
        8 => (
            text("us-ascii", "quoted-printable"),
            lines(dice, 20, &["=46rom here =\r\n", "to there=20\r\n", "=2E\r\n"]),
        ),
        9 => multipart(dice, 2_000 + dice_size(number) / 8),
        10 => {
            let html = "<html><body><p style=\"x\">Hello &amp; good  bye</p>\r\n\t<br/>\r\n</body></html>\r\n";
            let kind = "MIME-Version: 1.0\r\nContent-Type: text/html;\r\n\tcharset=\"utf-8\"\r\n";
            (kind.to_owned(), html.repeat(1 + dice.below(50)).into_bytes())
        }
        _ => (
            text("us-ascii", "7bit"),
            lines(
                dice,
                60,
                &["Plain text, as people write it.\r\n", "\r\n", "> quoted\r\n", "-- \r\n"],
            ),
        ),
    }
}

fn dice_size(number: usize) -> usize {
    number * 733 % 400_000
}

fn lines(dice: &mut Dice, most: usize, of: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..=dice.below(most) {
        out.extend_from_slice(dice.one(of).as_bytes());
    }
    out
}

/// Text, and an attachment in base64 of about this size.
fn multipart(dice: &mut Dice, size: usize) -> (String, Vec<u8>) {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let kind =
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"=_b\"\r\n".to_owned();
    let mut body = b"This is a message in parts.\r\n\r\n--=_b\r\nContent-Type: text/plain\r\n\r\nSee the attachment. \r\n\r\n--=_b\r\n\
        Content-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n".to_vec();
    while body.len() < size {
        body.extend((0..76).map(|_| DIGITS[dice.below(DIGITS.len())]));
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"\r\n--=_b--\r\n");
    (kind, body)
}

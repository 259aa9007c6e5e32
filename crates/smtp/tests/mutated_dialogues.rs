//! 10,000 random and mutated dialogues against both sessions: no panic, no hang, bounded memory. Seeded: a failure
//! names the dialogue that caused it, and comes back every time.

mod common;

use common::receiver::Receiver;
use common::script::{self, Line};
use common::sender::{Mail, Sender};
use posthaste_smtp::sasl::Mechanism;
use posthaste_smtp::server::{BareNewline, MAX_AUTH_LINE, MAX_COMMAND_LINE, Settings};
use posthaste_smtp::{client, reply};

const DIALOGUES: u64 = 5_000;
/// Octets of one dialogue.
const MAX_DIALOGUE: usize = 8 * 1024;
const MESSAGE_SIZE: u64 = 3_000;

/// What the session may leave in the read buffer: a command line and one more read.
const MAX_LEFT: usize = MAX_COMMAND_LINE + 2;
/// The same within AUTH.
const MAX_AUTH_LEFT: usize = MAX_AUTH_LINE + 2;
/// A reply line and one more read.
const MAX_REPLY_LEFT: usize = reply::MAX_REPLY_LINE + 2;

#[test]
fn receiving_survives() {
    let corpus = corpus("server", |line| match line {
        Line::Client(octets) => Some(octets),
        _ => None,
    });
    let (mut accepted, mut refused, mut asked) = (0, 0, 0);
    for seed in 0..DIALOGUES {
        let mut random = Random::new(seed);
        let wire = random.dialogue(&corpus, CLIENT_WORDS);
        let mut receiver = Receiver::new(random.server_settings());
        if random.one_in(2) {
            receiver.session.secured(&mut receiver.input);
        }
        for piece in random.pieces(&wire) {
            let said = receiver.feed(piece);
            let most = receiver.session.mechanism().map_or(MAX_LEFT, |_| MAX_AUTH_LEFT);
            assert!(receiver.input.len() <= most, "seed {seed}: {}", receiver.input.len());
            // Every reply answers something: a line of the client, or an end of content.
            assert!(said.len() <= 16 * 1024 + 400 * piece.len(), "seed {seed}: {}", said.len());
            let bound = usize::try_from(MESSAGE_SIZE).expect("small") * 2 + 64 * 1024;
            assert!(receiver.most_held <= bound, "seed {seed}: {}", receiver.most_held);
        }
        asked += receiver.asked;
        accepted += receiver.accepted.len();
        refused += receiver.refused.len() + receiver.content_faults.len();
        for message in &receiver.accepted {
            assert_sound(seed, &message.content);
        }
    }
    assert!(accepted > 500, "the dialogues get as far as messages: {accepted}");
    assert!(asked > 100, "some log in: {asked}");
    assert!(refused > 5_000, "and are wrong often: {refused}");
}

#[test]
fn sending_survives() {
    let mut corpus = corpus("client", |line| match line {
        Line::Server(octets) => Some(octets),
        _ => None,
    });
    // What fits the mails below, as often as all else.
    corpus.extend(vec![obliging_server(); corpus.len()]);
    let (mut delivered, mut reports) = (0, 0);
    for seed in 0..DIALOGUES {
        let mut random = Random::new(seed);
        let wire = random.dialogue(&corpus, SERVER_WORDS);
        let lmtp = random.one_in(4);
        let protocol = if lmtp { client::Protocol::Lmtp } else { client::Protocol::Smtp };
        let pipelining = random.one_in(2);
        let settings = client::Settings { protocol, pipelining, ..Default::default() };
        let mut sender = Sender::new(settings);
        for _ in 0..1 + random.below(3) {
            sender.mails.push_back(Mail::new("a@b", &["c@d", "e@f"], b".x\r\n"));
        }
        sender.quit_when_idle = random.one_in(2);
        for piece in random.pieces(&wire) {
            sender.feed(piece);
            assert!(sender.input.len() <= MAX_REPLY_LEFT || sender.closed, "seed {seed}");
            if sender.closed {
                break;
            }
        }
        if !sender.closed {
            sender.lost();
        }
        reports += sender.reports.len();
        let end_is =
            |r: &client::Report| matches!(r.end, client::End::Delivered(_) | client::End::Answered);
        delivered += sender.reports.iter().filter(|r| end_is(r)).count();
    }
    assert!(reports > 1_000, "the dialogues get as far as transactions: {reports}");
    assert!(delivered > 100, "some of which succeed: {delivered}");
}

/// Whatever the client did: only CRLF, no NUL, within the limit.
fn assert_sound(seed: u64, content: &[u8]) {
    // The empty line before a body without a header is ours.
    assert!(content.len() as u64 <= MESSAGE_SIZE + 2, "seed {seed}");
    assert!(!content.contains(&0), "seed {seed}: NUL");
    let count = |octet: u8| content.iter().filter(|&&o| o == octet).count();
    let pairs = content.windows(2).filter(|w| w == b"\r\n").count();
    assert!(count(b'\r') == pairs && count(b'\n') == pairs, "seed {seed}: a bare newline");
    assert!(content.is_empty() || content.ends_with(b"\r\n"), "seed {seed}: an open line");
}

/// The lines that one side says in the golden dialogues.
fn corpus(folder: &str, side: impl Fn(&Line) -> Option<&Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    let scripts = script::folder(folder);
    let small = |lines: &[Line]| -> Vec<Vec<u8>> {
        lines.iter().filter_map(&side).filter(|l| l.len() < 4096).cloned().collect()
    };
    scripts.iter().map(|(_, lines)| small(lines)).collect()
}

fn obliging_server() -> Vec<Vec<u8>> {
    let transaction =
        [&b"250 ok\r\n"[..], b"250 ok\r\n", b"550 no\r\n", b"354 go on\r\n", b"250 ok\r\n"];
    let hello = [&b"220 mx\r\n"[..], b"250-mx\r\n250 PIPELINING\r\n"];
    let lines = hello.into_iter().chain([transaction; 3].into_iter().flatten());
    lines.map(<[u8]>::to_vec).collect()
}

const CLIENT_WORDS: &[&[u8]] = &[
    b"EHLO c\r\n",
    b"HELO c\r\n",
    b"MAIL FROM:<a@b>\r\n",
    b"MAIL FROM:<a@b> BODY=8BITMIME SMTPUTF8 SIZE=1\r\n",
    b"RCPT TO:<c@d>\r\n",
    b"RCPT TO:<c@d> NOTIFY=SUCCESS ORCPT=rfc822;c@d\r\n",
    b"DATA\r\n",
    b"BDAT 10\r\n0123456\r\n",
    b"BDAT 10 LAST\r\n01234567\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 99999999999\r\n",
    b"RSET\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n",
    b"AUTH PLAIN\r\nAHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n",
    b"AUTH LOGIN\r\ndGlt\r\n",
    b"AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9YWJj\r\n",
    b"AUTH PLAIN =\r\n",
    b"*\r\n",
    b"Subject: x\r\n\r\n",
    b"..\r\n",
    b"\r\n.\r\n",
    b".\r\n",
    b"\n.\n",
    b"\r",
    b"\n",
    b"\0",
    b"<@a,@b:c@d>",
    b"\"\\\"",
    b" ",
    b"=",
    b"\xff\xc3",
];

const SERVER_WORDS: &[&[u8]] = &[
    b"220 mx ESMTP\r\n",
    b"250 ok\r\n",
    b"250 ok\r\n250 ok\r\n250 ok\r\n",
    b"250-PIPELINING\r\n",
    b"250-SIZE 100\r\n",
    b"250 2.1.5 ok\r\n",
    b"354 go on\r\n",
    b"421 4.3.2 bye\r\n",
    b"451 4.2.0 later\r\n",
    b"550 5.1.1 no\r\n",
    b"550-5.7.1 no\r\n",
    b"250",
    b"-",
    b" ",
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff\xc3",
    b"999 x\r\n",
    b"HTTP/1.1 200 OK\r\n",
];

/// A small generator (SplitMix64), so that the same seed is the same dialogue on every machine.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 up to, not including, `bound`.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("below a usize")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn server_settings(&mut self) -> Settings {
        let mut settings = Settings::default();
        settings.limits.message_size = MESSAGE_SIZE;
        settings.limits.errors = 20;
        settings.extensions.starttls = self.one_in(8);
        settings.extensions.auth = true;
        settings.mechanisms = vec![Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256];
        settings.auth_required = self.one_in(16);
        if self.one_in(2) {
            settings.bare_newline = BareNewline::Normalize;
        }
        settings
    }

    /// A golden dialogue mutated, words at random, or noise.
    fn dialogue(&mut self, corpus: &[Vec<Vec<u8>>], words: &[&[u8]]) -> Vec<u8> {
        let mut lines = match self.below(8) {
            0 => (0..self.below(200)).map(|_| vec![self.octet()]).collect(),
            1 | 2 => (0..self.below(60)).map(|_| self.pick(words).to_vec()).collect(),
            _ => self.pick(corpus).clone(),
        };
        for _ in 0..self.below(6) {
            self.mutate_lines(&mut lines, words);
        }
        let mut wire = lines.concat();
        for _ in 0..self.below(6) {
            self.mutate_octets(&mut wire);
        }
        wire.truncate(MAX_DIALOGUE);
        wire
    }

    fn octet(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn mutate_lines(&mut self, lines: &mut Vec<Vec<u8>>, words: &[&[u8]]) {
        let at = self.below(lines.len());
        match self.below(5) {
            0 => lines.insert(at, self.pick(words).to_vec()),
            _ if lines.is_empty() => {}
            1 => {
                lines.remove(at);
            }
            2 => lines.insert(at, lines[at].clone()),
            3 => {
                let other = self.below(lines.len());
                lines.swap(at, other);
            }
            _ => lines[at] = self.pick(words).repeat(1 + self.below(20)),
        }
    }

    fn mutate_octets(&mut self, wire: &mut Vec<u8>) {
        let at = self.below(wire.len());
        match self.below(5) {
            0 => wire.insert(at, self.octet()),
            1 => wire.truncate(at.max(wire.len() / 2)),
            2 => {
                let long = vec![self.octet(); self.below(5000)];
                wire.splice(at..at, long);
            }
            _ if wire.is_empty() => {}
            3 => {
                wire.remove(at);
            }
            _ => wire[at] = *self.pick(b"\r\n\0. <>\"\\=;\xff"),
        }
    }

    /// How the octets arrive: line by line, as in a conversation, or as it comes.
    fn pieces<'a>(&mut self, wire: &'a [u8]) -> Vec<&'a [u8]> {
        if self.one_in(2) {
            return wire.split_inclusive(|&octet| octet == b'\n').collect();
        }
        let most = *self.pick(&[1, 3, 50, 1460, MAX_DIALOGUE]);
        let (mut pieces, mut rest) = (Vec::new(), wire);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + self.below(most)).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

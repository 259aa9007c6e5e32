//! Dialogues put together by chance and damaged: no panic, no hang, nothing left behind, and as many messages
//! stored as were acknowledged.

use crate::{FRIEND, House, STRANGER};

const DIALOGUES: u64 = 4_000;
const PIECES: &[&str] = &[
    "EHLO a\r\n",
    "HELO a\r\n",
    "MAIL FROM:<a@b>\r\n",
    "MAIL FROM:<> SIZE=10 BODY=8BITMIME\r\n",
    "RCPT TO:<c@example.org>\r\n",
    "RCPT TO:<postmaster>\r\n",
    "DATA\r\n",
    "Subject: x\r\n\r\nbody\r\n",
    ".\r\n",
    "..\r\n",
    "\r\n.\r\n",
    "\n.\n",
    "\r",
    "\0",
    "BDAT 10\r\n0123456789",
    "BDAT 12 LAST\r\nA: b\r\n\r\nabcd",
    "BDAT 0 LAST\r\n",
    "BDAT 99999999\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "STARTTLS\r\n",
    "AUTH PLAIN AAAA\r\n",
    "QUIT\r\n",
    "\u{e4}\u{feff}",
];
/// Chance that leads somewhere: most dialogues begin as real ones do.
const USUAL: &str = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@example.org>\r\n";

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }

    fn dialogue(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        for _ in 0..self.below(4) {
            octets.extend_from_slice(USUAL.as_bytes());
            for _ in 0..self.below(10) {
                octets.extend_from_slice(PIECES[self.below(PIECES.len())].as_bytes());
            }
        }
        for _ in 0..self.below(3) {
            if !octets.is_empty() {
                let at = self.below(octets.len());
                octets[at] = u8::try_from(self.below(256)).expect("an octet");
            }
        }
        octets
    }
}

#[test]
fn nothing_that_a_client_says_breaks_a_session() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for dialogue in 0..DIALOGUES {
        let house = House::with(|s| s.limits.receive_budget = 40);
        let client = house.client(if chance.below(2) == 0 { FRIEND } else { STRANGER });
        let octets = chance.dialogue();
        let mut replies = String::new();
        let piece = 1 + chance.below(80);
        for piece in octets.chunks(piece) {
            replies += &house.say(&client, piece);
        }
        client.close();
        // Refusals may wait.
        house.wait(300);
        replies += &client.heard();
        let said = String::from_utf8_lossy(&octets).into_owned();
        let acknowledged = replies.matches("queued as").count();
        assert_eq!(house.stored().len(), acknowledged, "{dialogue}: {said:?} {replies}");
        assert_eq!(house.reception.open_sessions(), 0, "{dialogue}: {said:?}");
        assert_eq!(house.reception.octets_in_memory(), 0, "{dialogue}: {said:?}");
        accepted += acknowledged;
    }
    assert!(accepted > 300, "chance leads somewhere: {accepted}");
}

//! Replies to AUTH without what we said in it: a server may give back the password that it refuses, and replies are kept,
//! shown and sent on in notices.
//!
//! Not here: our own lines ([`super::without_secrets`]).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_mail::Secret;

/// So many octets in a row that are ours are no chance; a shorter secret is looked for as a whole.
const TELLING: usize = 6;
/// What stands for it.
const HIDDEN: &str = "***";

/// What is looked for, in small letters, longest pieces of it that are in the text being replaced.
#[derive(Debug, Default)]
pub(super) struct Masking(Vec<Secret>);

impl Masking {
    /// Of a secret: as it is, and in base64 whatever stands before it.
    pub(super) fn of(secret: &Secret) -> Self {
        let mut masking = Self::default();
        masking.add(secret.expose());
        for before in 0..3 {
            let padded = Secret::new([&[0; 3][..before], secret.expose()].concat());
            masking.add(Secret::new(STANDARD.encode(padded.expose())).expose());
        }
        masking
    }

    /// A line that was sent.
    pub(super) fn add(&mut self, said: &[u8]) {
        let end = said.iter().rposition(|octet| *octet != b'=').map_or(0, |at| at + 1);
        if end > 0 {
            self.0.push(Secret::new(said[..end].to_ascii_lowercase()));
        }
    }

    /// The lines without it.
    pub(super) fn apply(&self, lines: &[String]) -> Vec<String> {
        let whole = self.0.iter().map(Secret::expose);
        let mut pieces: Vec<&[u8]> =
            whole.flat_map(|said| said.windows(said.len().min(TELLING))).collect();
        pieces.sort_unstable();
        pieces.dedup();
        lines.iter().map(|line| masked(line, &pieces)).collect()
    }
}

/// `pieces` in order; none is empty, and none longer than [`TELLING`].
fn masked(line: &str, pieces: &[&[u8]]) -> String {
    let text = Secret::new(line.to_ascii_lowercase());
    let text = text.expose();
    let mut ours = vec![false; text.len()];
    for length in 1..=TELLING {
        for (at, found) in text.windows(length).enumerate() {
            if pieces.binary_search(&found).is_ok() {
                ours[at..at + length].fill(true);
            }
        }
    }
    let mut shown = String::with_capacity(line.len());
    let mut is_hidden = false;
    for (at, letter) in line.char_indices() {
        let hides = ours[at..at + letter.len_utf8()].contains(&true);
        match (hides, is_hidden) {
            (true, false) => shown.push_str(HIDDEN),
            (true, true) => {}
            (false, _) => shown.push(letter),
        }
        is_hidden = hides;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_ours_is_hidden_and_the_rest_is_said() {
        let mut masking = Masking::of(&Secret::new("Open sesame"));
        masking.add(b"AG1lAE9wZW4gc2VzYW1l");
        for (said, shown) in [
            ("no such user or password", "no such user or password"),
            ("bad password: Open sesame!", "bad password: ***!"),
            ("OPEN SESAME is wrong", "*** is wrong"),
            ("you said AG1lAE9wZW4gc2VzYW1l, no", "you said ***, no"),
            ("...lAE9wZW4gc2V...", "...***..."),
            ("of T3BlbiBzZXNhbWU= I know nothing", "of ***= I know nothing"),
            ("\u{e9}Open sesame\u{e9}", "\u{e9}***\u{e9}"),
        ] {
            assert_eq!(masking.apply(&[said.to_owned()]), [shown], "{said}");
        }
        let short = Masking::of(&Secret::new("pw"));
        assert_eq!(short.apply(&["your pw, cHc=, is bad".to_owned()]), ["your ***, ***=, is bad"]);
    }
}

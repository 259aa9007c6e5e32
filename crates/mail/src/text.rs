//! Text of strangers on its way to a screen: what acts on a terminal, or shows something else than what is there.
//!
//! Not here: how JSON is made, and what a terminal gets (the binary's output).

use std::fmt::Write;

/// The character acts on a terminal, or is a mark that turns the direction of writing (Unicode UAX 9).
#[must_use]
pub fn acts_on_screen(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    turns || (c.is_control() && c != '\n')
}

/// JSON in which such characters stand as escapes (RFC 8259 section 7). They occur inside strings only, so that it
/// means the same.
#[must_use]
pub fn armoured(json: String) -> String {
    if json.is_ascii() {
        return json;
    }
    let mut armoured = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if acts_on_screen(c) {
            write!(armoured, "\\u{:04x}", u32::from(c)).expect("a string takes what is written");
        } else {
            armoured.push(c);
        }
    }
    armoured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_screen_is_escaped_and_the_rest_is_left() {
        let given = "{\"a\":\"m\u{fc}nchen \u{9b}2J \u{202e}fdp\"}".to_owned();
        assert_eq!(armoured(given), "{\"a\":\"m\u{fc}nchen \\u009b2J \\u202efdp\"}");
        assert_eq!(armoured("{\"a\":\"\\n\"}\n".into()), "{\"a\":\"\\n\"}\n");
    }
}

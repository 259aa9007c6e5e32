//! Standard output and error: JSON and nothing else when asked for, calm text otherwise.
//!
//! What came in with mail is cleaned before a terminal sees it: control characters could act on it.

use crate::failure::Failure;
use posthaste_mail::text::{acts_on_screen, armoured};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Where a verb's answer goes.
pub(crate) struct Out {
    json: bool,
}

impl Out {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON was asked for.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// A line of text, and only one. A reader that has gone away (`| head`) is no failure.
    pub(crate) fn line(&self, text: &str) {
        let _ = writeln!(io::stdout().lock(), "{}", clean(&text.replace('\n', " ")));
    }

    /// Text of several lines, ending in a line end, written as it is.
    pub(crate) fn text(&self, text: &str) {
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }

    /// An object on one line.
    pub(crate) fn object(&self, value: &Value) {
        let _ = writeln!(io::stdout().lock(), "{}", armoured(value.to_string()));
    }

    /// A remark beside the answer; not with JSON.
    pub(crate) fn remark(&self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr().lock(), "{}", clean(text));
        }
    }

    /// Why it failed: one JSON line with the first error (and all of them when there are more), or a line for each.
    pub(crate) fn failure(&self, failure: &Failure) {
        let mut stderr = io::stderr().lock();
        if self.json {
            let mut object = json!({ "error": failure.errors.first() });
            if failure.errors.len() > 1 {
                object["errors"] = json!(failure.errors);
            }
            let _ = writeln!(stderr, "{object}");
            return;
        }
        for error in &failure.errors {
            let at = error.at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
            let _ = writeln!(stderr, "{}", clean(&format!("{at}{}", error.message)));
        }
    }
}

/// The text without characters that act on a terminal; line ends stay.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if acts_on_screen(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_cannot_act_on_the_terminal() {
        assert_eq!(clean("abc\u{202e}fdp.exe"), "abc\u{fffd}fdp.exe");
        assert_eq!(clean("a\u{1b}[31mb\u{9b}c\r\nd"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}\nd");
    }
}

//! A letter as plain text, with CRLF line ends.

use super::letter::{Block, Letter};

/// Lines are wrapped after so many characters where there is a blank.
const WIDTH: usize = 72;

/// The text; every paragraph with an empty line after it.
pub(super) fn text(letter: &Letter) -> String {
    let mut text = Text::default();
    text.blocks(&letter.people);
    if let Some(title) = &letter.facts_title {
        text.rule();
        text.paragraph("", &format!("{title}:"));
        text.blank();
    }
    text.blocks(&letter.facts);
    if let Some((title, lines)) = &letter.headers {
        text.paragraph("", &format!("{title}:"));
        text.blank();
        lines.iter().for_each(|line| text.line(line));
        text.blank();
    }
    while text.out.ends_with("\r\n\r\n") {
        text.out.truncate(text.out.len() - 2);
    }
    text.out
}

#[derive(Default)]
struct Text {
    out: String,
}

impl Text {
    fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            match block {
                Block::Lead(words) | Block::Words(words) => self.paragraph("", words),
                Block::Addresses(addresses) => {
                    addresses.iter().for_each(|address| self.line(&format!("  {address}")));
                }
                Block::Group(addresses) => {
                    self.blank();
                    self.paragraph("", &format!("{}:", addresses.join(", ")));
                }
                Block::Labelled(label, words) => self.paragraph("", &format!("{label}: {words}")),
                Block::Quote(label, lines) => {
                    self.paragraph("", &format!("{label}:"));
                    self.blank();
                    lines.iter().for_each(|line| self.line(&format!("  {line}")));
                }
                Block::Facts(facts) => self.facts(facts),
                Block::Lines(label, lines) => {
                    self.paragraph("", &format!("{label}:"));
                    lines.iter().for_each(|line| self.paragraph("- ", line));
                }
            }
            self.blank();
        }
    }

    /// Labels in one column, values in another.
    fn facts(&mut self, facts: &[(String, String)]) {
        let width = facts.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0) + 1;
        for (label, value) in facts {
            self.paragraph(&format!("{:<width$} ", format!("{label}:")), value);
        }
    }

    fn rule(&mut self) {
        self.line(&"-".repeat(WIDTH));
        self.blank();
    }

    fn blank(&mut self) {
        self.out.push_str("\r\n");
    }

    /// A wrapped paragraph; further lines are indented as wide as the lead. A number and what it counts stay together.
    fn paragraph(&mut self, lead: &str, words: &str) {
        let indent = lead.chars().count();
        let mut line = lead.to_owned();
        let mut width = indent;
        let mut fresh = true;
        let mut rest = words.split_whitespace().peekable();
        while let Some(word) = rest.next() {
            let length = word.chars().count();
            let number = word.bytes().all(|b| b.is_ascii_digit());
            let counted = rest.peek().filter(|_| number).map_or(0, |next| 1 + next.chars().count());
            if !fresh && width + 1 + length + counted > WIDTH {
                self.line(&line);
                line = " ".repeat(indent);
                width = indent;
                fresh = true;
            }
            if !fresh {
                line.push(' ');
                width += 1;
            }
            line.push_str(word);
            width += length;
            fresh = false;
        }
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push_str("\r\n");
    }
}

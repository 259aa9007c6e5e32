//! Dialogue scripts: one line, one statement.
//!
//! ```text
//! # a comment            set key value        settings of the session
//! C: text                the client says text CRLF
//! c: text                the client says text, as it is: \r \n \t \0 \\ \xHH, {1000*x} for repetition
//! S: text / s: text      the same for the server
//! M: from -> to, to: content (escaped)        a message was accepted
//! R: ...                 what the client session reports
//! close                  the connection is closed
//! ```

use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Set(String, String),
    Client(Vec<u8>),
    Server(Vec<u8>),
    Message(String),
    Result(String),
    /// `send`, `quit`, `lost` and the like: what the driver does.
    Do(String),
    Close,
}

/// Every script of a folder, by name.
pub fn folder(name: &str) -> Vec<(String, Vec<Line>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues").join(name);
    let entries = std::fs::read_dir(&root).expect("the folder of dialogues is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "there are dialogues");
    files.iter().map(|file| (file.display().to_string(), read(file))).collect()
}

fn read(file: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(file).expect("a dialogue is readable");
    let lines = text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
    lines.map(|line| parse(line).unwrap_or_else(|| panic!("{}: {line}", file.display()))).collect()
}

fn parse(line: &str) -> Option<Line> {
    if let Some(rest) = line.strip_prefix("set ") {
        let (key, value) = rest.split_once(' ')?;
        return Some(Line::Set(key.to_owned(), value.to_owned()));
    }
    if line == "close" {
        return Some(Line::Close);
    }
    let Some((tag, text)) = line.split_once(':').filter(|(tag, _)| tag.len() == 1) else {
        return Some(Line::Do(line.to_owned()));
    };
    let text = text.strip_prefix(' ').unwrap_or(text);
    let with_crlf = || [unescape(text), b"\r\n".to_vec()].concat();
    Some(match tag {
        "C" => Line::Client(with_crlf()),
        "c" => Line::Client(unescape(text)),
        "S" => Line::Server(with_crlf()),
        "s" => Line::Server(unescape(text)),
        "M" => Line::Message(text.to_owned()),
        "R" => Line::Result(text.to_owned()),
        _ => return None,
    })
}

pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((count, word, after)) = repetition(rest) {
            out.extend(unescape(word).repeat(count));
            rest = after;
            continue;
        }
        let Some(escape) = rest.strip_prefix('\\') else {
            out.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        let (octet, length) = match escape.as_bytes().first().expect("an escape has a letter") {
            b'r' => (b'\r', 1),
            b'n' => (b'\n', 1),
            b't' => (b'\t', 1),
            b'0' => (0, 1),
            b'x' => (u8::from_str_radix(&escape[1..3], 16).expect("two hex digits"), 3),
            other => (*other, 1),
        };
        out.push(octet);
        rest = &escape[length..];
    }
    out
}

/// `{count*text}`.
fn repetition(text: &str) -> Option<(usize, &str, &str)> {
    let (inner, after) = text.strip_prefix('{')?.split_once('}')?;
    let (count, word) = inner.split_once('*')?;
    Some((count.parse().ok()?, word, after))
}

pub fn escape(octets: &[u8]) -> String {
    let mut out = String::new();
    for octet in octets {
        match octet {
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            0 => out.push_str("\\0"),
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' => out.push(char::from(*octet)),
            _ => out.push_str(&format!("\\x{octet:02x}")),
        }
    }
    out
}

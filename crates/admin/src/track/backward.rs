//! The lines of a file from the last to the first, with bounded memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What is read at once, octets.
const CHUNK: u64 = 256 * 1024;
/// The longest line that is returned, octets; longer ones are passed over.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// Reads a file backwards. What is appended meanwhile is not seen.
pub(super) struct Backward<'f> {
    file: &'f File,
    /// Where the next chunk ends.
    at: u64,
    /// Where reading stops.
    floor: u64,
    /// What was read and not returned; its end is the next line.
    held: Vec<u8>,
    /// How much of `held` is left.
    left: usize,
    /// Octets at the end of `held` known to hold no line end.
    searched: usize,
    /// A line is being passed over: it is too long.
    passing: bool,
}

impl<'f> Backward<'f> {
    /// Reads at most `limit` octets from the end.
    pub(super) fn new(file: &'f File, limit: u64) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let floor = length.saturating_sub(limit);
        Ok(Self { file, at: length, floor, held: Vec::new(), left: 0, searched: 0, passing: false })
    }

    /// True when the beginning of the file is not read, for the limit.
    pub(super) const fn was_cut(&self) -> bool {
        self.floor > 0
    }

    /// The line before the one returned last; empty lines are left out. A torn line at the end is returned too.
    pub(super) fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let unsearched = self.left - self.searched;
            let found = self.held[..unsearched].iter().rposition(|&b| b == b'\n');
            let (start, end) = match found {
                Some(at) => (at + 1, self.left),
                None if self.at == self.floor => {
                    let end = std::mem::take(&mut self.left);
                    self.searched = 0;
                    // Where the limit cut, the first line is only a part of one.
                    let whole = end > 0 && self.floor == 0 && !self.passing;
                    return Ok(whole.then(|| &self.held[..end]));
                }
                None => {
                    self.searched = self.left;
                    self.read_more()?;
                    continue;
                }
            };
            self.left = start - 1;
            self.searched = 0;
            let usable = start < end && !std::mem::take(&mut self.passing);
            if usable {
                return Ok(Some(&self.held[start..end]));
            }
        }
    }

    /// Puts the chunk before what is held.
    fn read_more(&mut self) -> io::Result<()> {
        if self.left > MAX_LINE {
            self.left = 0;
            self.searched = 0;
            self.passing = true;
        }
        let length = CHUNK.min(self.at - self.floor);
        let take = usize::try_from(length).expect("a chunk fits memory");
        let mut chunk = vec![0; take];
        self.file.read_exact_at(&mut chunk, self.at - length)?;
        chunk.extend_from_slice(&self.held[..self.left]);
        self.left += take;
        self.held = chunk;
        self.at -= length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines_of(text: &[u8], limit: u64) -> Vec<String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let mut backward = Backward::new(&file, limit).unwrap();
        let mut lines = Vec::new();
        while let Some(line) = backward.next_line().unwrap() {
            lines.push(String::from_utf8_lossy(line).into_owned());
        }
        lines
    }

    #[test]
    fn lines_come_last_first() {
        for (text, expected) in [
            ("", &[][..]),
            ("a\n", &["a"]),
            ("a\nb\n", &["b", "a"]),
            ("a\n\n\nb", &["b", "a"]),
            ("\na\n", &["a"]),
        ] {
            assert_eq!(lines_of(text.as_bytes(), u64::MAX), expected, "{text:?}");
        }
    }

    #[test]
    fn chunks_do_not_show() {
        let lines: Vec<String> =
            (0..60_000).map(|n| format!("{n}-{}", "x".repeat(n % 17))).collect();
        let text = lines.join("\n");
        assert!(text.len() as u64 > 2 * CHUNK);
        let expected: Vec<String> = lines.into_iter().rev().collect();
        assert_eq!(lines_of(text.as_bytes(), u64::MAX), expected);
    }

    #[test]
    fn the_limit_cuts_at_a_whole_line() {
        assert_eq!(lines_of(b"first\nsecond\nthird\n", 8), ["third"]);
    }

    #[test]
    fn a_line_without_end_is_passed_over() {
        let mut text = b"first\n".to_vec();
        text.extend(vec![b'x'; MAX_LINE + 3 * 256 * 1024]);
        text.extend(b"\nlast\n");
        assert_eq!(lines_of(&text, u64::MAX), ["last", "first"]);
    }
}

//! The lines that begin in a part of a log, in order, with bounded memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What is read at once, octets.
const CHUNK: usize = 1024 * 1024;
/// The longest line that is told, octets; longer ones are passed over.
pub(super) const MAX_LINE: usize = 4 * 1024 * 1024;

/// Tells the lines that begin in `start..end` of a file, with the place where each begins. The last one may end beyond it;
/// one without an end is told too. Empty lines are left out.
pub(super) fn each_line(
    file: &File,
    start: u64,
    end: u64,
    tell: &mut dyn FnMut(u64, &[u8]),
) -> io::Result<()> {
    // A line begins at `start` when a line end is before it.
    let mut at = start.saturating_sub(1);
    let mut passing = start > 0;
    let mut held: Vec<u8> = Vec::new();
    let mut chunk = vec![0; CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK)) + 4096];
    // Where the line in `held` begins.
    let mut begins = at;
    loop {
        let read = read_some(file, &mut chunk, at)?;
        if read == 0 {
            if !passing && !held.is_empty() {
                tell(begins, &held);
            }
            return Ok(());
        }
        let mut rest = &chunk[..read];
        while let Some(length) = memchr::memchr(b'\n', rest) {
            let (line, later) = rest.split_at(length);
            let next = at + (length as u64) + 1;
            if !passing && held.is_empty() {
                tell_line(begins, line, tell);
            } else if !passing {
                held.extend_from_slice(line);
                tell_line(begins, &held, tell);
            }
            held.clear();
            passing = false;
            (at, begins, rest) = (next, next, &later[1..]);
            if begins >= end {
                return Ok(());
            }
        }
        at += rest.len() as u64;
        if held.len() + rest.len() > MAX_LINE {
            held.clear();
            passing = true;
        }
        if !passing {
            held.extend_from_slice(rest);
        } else if at >= end && begins >= end {
            return Ok(());
        }
    }
}

fn tell_line(begins: u64, line: &[u8], tell: &mut dyn FnMut(u64, &[u8])) {
    if !line.is_empty() {
        tell(begins, line);
    }
}

fn read_some(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(into, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines(text: &[u8], start: u64, end: u64) -> Vec<(u64, String)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let mut found = Vec::new();
        let mut tell = |at, line: &[u8]| found.push((at, String::from_utf8_lossy(line).into()));
        each_line(&file, start, end, &mut tell).unwrap();
        found
    }

    #[test]
    fn each_line_belongs_to_the_part_it_begins_in() {
        let text = b"one\ntwo\n\nthree\nfour";
        let all = lines(text, 0, 19);
        let begins: Vec<u64> = all.iter().map(|(at, _)| *at).collect();
        assert_eq!(begins, [0, 4, 9, 15]);
        for size in 1..=20 {
            let mut parts = Vec::new();
            for start in (0..19).step_by(size) {
                parts.extend(lines(text, start, start + size as u64));
            }
            assert_eq!(parts, all, "parts of {size}");
        }
    }

    #[test]
    fn a_line_longer_than_a_chunk_is_whole_and_one_beyond_all_is_passed_over() {
        let long = "x".repeat(2 * CHUNK);
        let text = format!("a\n{long}\nb\n");
        let found = lines(text.as_bytes(), 0, 10);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].1.len(), long.len());
        let longer = "x".repeat(MAX_LINE + 2 * CHUNK);
        let text = format!("a\n{longer}\nb\n");
        let found = lines(text.as_bytes(), 0, text.len() as u64);
        assert_eq!(found.iter().map(|(_, l)| l.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}

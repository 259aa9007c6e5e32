//! The octets of one file: chunks shared until written, so that a copy of a whole disk is cheap.

use std::sync::Arc;

/// Octets in a chunk.
const CHUNK: usize = 16 * 1024;

/// A file's octets; holes read as zeros.
#[derive(Clone, Default)]
pub(super) struct Content {
    len: u64,
    chunks: Vec<Option<Arc<Vec<u8>>>>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Lengthens with zeros; never shortens.
    pub(super) fn extend_to(&mut self, len: u64) {
        self.len = self.len.max(len);
        let chunks = index(self.len.div_ceil(CHUNK as u64));
        if chunks > self.chunks.len() {
            self.chunks.resize(chunks, None);
        }
    }

    pub(super) fn write(&mut self, offset: u64, mut data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.extend_to(offset + data.len() as u64);
        let mut at = index(offset);
        while !data.is_empty() {
            let within = at % CHUNK;
            let part = data.len().min(CHUNK - within);
            let chunk = self.chunks[at / CHUNK].get_or_insert_with(|| Arc::new(vec![0; CHUNK]));
            Arc::make_mut(chunk)[within..within + part].copy_from_slice(&data[..part]);
            data = &data[part..];
            at += part;
        }
    }

    /// Fills `buf` from `offset`; answers how many octets there were.
    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let left = self.len.saturating_sub(offset);
        let total = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let mut done = 0;
        while done < total {
            let at = index(offset) + done;
            let within = at % CHUNK;
            let part = (total - done).min(CHUNK - within);
            let target = &mut buf[done..done + part];
            match &self.chunks[at / CHUNK] {
                Some(chunk) => target.copy_from_slice(&chunk[within..within + part]),
                None => target.fill(0),
            }
            done += part;
        }
        total
    }

    /// Flips bits of one octet, when the file reaches that far.
    pub(super) fn flip(&mut self, offset: u64, mask: u8) {
        let mut octet = [0];
        if self.read(offset, &mut octet) == 1 {
            self.write(offset, &[octet[0] ^ mask]);
        }
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("simulated files fit into memory")
}

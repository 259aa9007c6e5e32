//! Replies. Within a record each distinct reply stands once, in a table; everything else refers to it.

use super::need;
use super::wire::{Damaged, Fields, Value, Writer, push, put_varint, take_varint};
use posthaste_mail::{EnhancedStatus, Reply};

const CODE: u32 = 1;
const ENHANCED: u32 = 2;
const LINE: u32 = 3;

/// The replies of one record, each once.
#[derive(Default)]
pub(super) struct Replies {
    list: Vec<Reply>,
    /// The most octets of text that are kept of each; `None` for the usual limit.
    limit: Option<usize>,
}

impl Replies {
    /// A table that keeps less text than usual.
    pub(super) fn cut_at(limit: Option<usize>) -> Self {
        Self { list: Vec::new(), limit }
    }

    /// The place of a reply, counted from 1, so that 0 can mean none.
    pub(super) fn place(&mut self, reply: &Reply) -> u64 {
        let kept = self.kept(reply);
        let place = self.list.iter().position(|r| *r == kept).unwrap_or_else(|| {
            self.list.push(kept);
            self.list.len() - 1
        });
        place as u64 + 1
    }

    fn kept(&self, reply: &Reply) -> Reply {
        let mut kept = reply.shortened();
        let Some(limit) = self.limit else { return kept };
        let text = kept.text();
        if text.len() > limit {
            let end = text.floor_char_boundary(limit);
            kept.lines = vec![format!("{}...", &text[..end])];
        }
        kept
    }

    pub(super) fn write(&self, w: &mut Writer, tag: u32) {
        for reply in &self.list {
            w.nested(tag, |w| write(w, reply));
        }
    }

    pub(super) fn add(&mut self, value: Value<'_>) -> Result<(), Damaged> {
        let reply = read(value.fields()?)?;
        push(&mut self.list, reply)
    }

    pub(super) fn at(&self, value: Value<'_>) -> Result<Reply, Damaged> {
        let place: usize = value.small()?;
        let reply = place.checked_sub(1).and_then(|index| self.list.get(index));
        reply.cloned().ok_or(Damaged("a reply that is not in the table"))
    }
}

fn write(w: &mut Writer, reply: &Reply) {
    w.number(CODE, u64::from(reply.code));
    if let Some(enhanced) = reply.enhanced {
        let mut packed = vec![enhanced.class];
        put_varint(&mut packed, u64::from(enhanced.subject));
        put_varint(&mut packed, u64::from(enhanced.detail));
        w.bytes(ENHANCED, &packed);
    }
    for line in &reply.lines {
        w.bytes(LINE, line.as_bytes());
    }
}

fn read(fields: Fields<'_>) -> Result<Reply, Damaged> {
    let mut reply = Reply { code: 0, enhanced: None, lines: Vec::new() };
    fields.each(|tag, value| {
        match tag {
            CODE => reply.code = value.small()?,
            ENHANCED => reply.enhanced = Some(read_enhanced(value.bytes()?)?),
            LINE => push(&mut reply.lines, value.text()?)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(reply)
}

fn read_enhanced(mut packed: &[u8]) -> Result<EnhancedStatus, Damaged> {
    let (&class, rest) = need(packed.split_first(), "an empty enhanced status")?;
    packed = rest;
    let mut part = || {
        let number = take_varint(&mut packed)?;
        u16::try_from(number).map_err(|_| Damaged("not an enhanced status"))
    };
    Ok(EnhancedStatus::new(class, part()?, part()?))
}

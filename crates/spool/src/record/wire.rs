//! The tagged fields that every stored record consists of.
//!
//! A field is a key (tag and kind, as a varint), then either a number (a varint) or a length and as many
//! octets. Readers skip tags they do not know, so that fields can be added for ever; a tag's meaning and kind
//! never change, and tags of dropped fields are not used again.

/// Stored octets that cannot be understood: a fault of the disk, or of a version from the future.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the stored record cannot be read: {0}")]
pub struct Damaged(pub &'static str);

/// The most items of one list in a record: more is damage.
pub const MAX_ITEMS: usize = 65_536;

/// Seven bits in each octet, least significant first; at most ten octets.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(low_byte(number) | 0x80);
        number >>= 7;
    }
    out.push(low_byte(number));
}

/// How many octets [`put_varint`] writes.
#[must_use]
pub const fn varint_len(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Reads a varint from the front of `input` and moves it on.
///
/// # Errors
/// [`Damaged`] when it ends early or does not fit 64 bits.
pub fn take_varint(input: &mut &[u8]) -> Result<u64, Damaged> {
    let mut number = 0u64;
    for (index, &byte) in input.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return Err(Damaged("a number is too large"));
        }
        number |= bits << (7 * index);
        if byte & 0x80 == 0 {
            *input = &input[index + 1..];
            return Ok(number);
        }
    }
    Err(Damaged("a number does not end"))
}

/// Takes `length` octets from the front of `input`.
///
/// # Errors
/// [`Damaged`] when there are fewer.
pub fn take_bytes<'a>(input: &mut &'a [u8], length: u64) -> Result<&'a [u8], Damaged> {
    let length = usize::try_from(length).map_err(|_| Damaged("a length is too large"))?;
    let (taken, rest) = input.split_at_checked(length).ok_or(Damaged("a field ends early"))?;
    *input = rest;
    Ok(taken)
}

/// Small for small magnitudes of either sign.
#[must_use]
pub const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// The reverse of [`zigzag`].
#[must_use]
pub const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

const fn low_byte(number: u64) -> u8 {
    (number & 0x7f) as u8
}

/// Writes fields in the order of calls. Zero numbers and empty texts are not written: absence means them.
#[derive(Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Appends to `out`.
    #[must_use]
    pub const fn on(out: Vec<u8>) -> Self {
        Self { out }
    }

    /// What was written.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.out
    }

    /// A number; not written when 0.
    pub fn number(&mut self, tag: u32, number: u64) {
        if number != 0 {
            self.number_even_zero(tag, number);
        }
    }

    /// A number, written even when 0: its presence says something.
    pub fn number_even_zero(&mut self, tag: u32, number: u64) {
        put_varint(&mut self.out, u64::from(tag) << 1);
        put_varint(&mut self.out, number);
    }

    /// A number of either sign; not written when 0.
    pub fn signed(&mut self, tag: u32, number: i64) {
        self.number(tag, zigzag(number));
    }

    /// Written only when true.
    pub fn flag(&mut self, tag: u32, flag: bool) {
        self.number(tag, u64::from(flag));
    }

    /// Octets, written even when empty.
    pub fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        put_varint(&mut self.out, u64::from(tag) << 1 | 1);
        put_varint(&mut self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// A text; not written when empty.
    pub fn text(&mut self, tag: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(tag, text.as_bytes());
        }
    }

    /// A text that may be missing; an empty one is not missing.
    pub fn maybe_text(&mut self, tag: u32, text: Option<&str>) {
        if let Some(text) = text {
            self.bytes(tag, text.as_bytes());
        }
    }

    /// Fields that were written elsewhere.
    pub fn append(&mut self, fields: &[u8]) {
        self.out.extend_from_slice(fields);
    }

    /// A record inside this one.
    pub fn nested(&mut self, tag: u32, write: impl FnOnce(&mut Self)) {
        put_varint(&mut self.out, u64::from(tag) << 1 | 1);
        let start = self.out.len();
        write(self);
        let mut length = Vec::with_capacity(2);
        put_varint(&mut length, (self.out.len() - start) as u64);
        self.out.splice(start..start, length);
    }
}

/// The value of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// A number.
    Number(u64),
    /// Octets: a text, an address, a record inside.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// As a number.
    ///
    /// # Errors
    /// [`Damaged`] when it is none.
    pub const fn number(self) -> Result<u64, Damaged> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) => Err(Damaged("a number was expected")),
        }
    }

    /// As a number of a smaller type.
    ///
    /// # Errors
    /// [`Damaged`] when it is none or does not fit.
    pub fn small<T: TryFrom<u64>>(self) -> Result<T, Damaged> {
        T::try_from(self.number()?).map_err(|_| Damaged("a number is out of range"))
    }

    /// As a number of either sign.
    ///
    /// # Errors
    /// [`Damaged`] when it is none.
    pub fn signed(self) -> Result<i64, Damaged> {
        Ok(unzigzag(self.number()?))
    }

    /// As a flag.
    ///
    /// # Errors
    /// [`Damaged`] when it is none.
    pub fn flag(self) -> Result<bool, Damaged> {
        Ok(self.number()? != 0)
    }

    /// As octets.
    ///
    /// # Errors
    /// [`Damaged`] when it is a number.
    pub const fn bytes(self) -> Result<&'a [u8], Damaged> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(Damaged("octets were expected")),
        }
    }

    /// As a text.
    ///
    /// # Errors
    /// [`Damaged`] when it is a number or not UTF-8.
    pub fn text(self) -> Result<String, Damaged> {
        let text =
            std::str::from_utf8(self.bytes()?).map_err(|_| Damaged("a text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    /// As the fields of a record inside.
    ///
    /// # Errors
    /// [`Damaged`] when it is a number.
    pub const fn fields(self) -> Result<Fields<'a>, Damaged> {
        match self.bytes() {
            Ok(bytes) => Ok(Fields::new(bytes)),
            Err(damaged) => Err(damaged),
        }
    }
}

/// The fields of a record, in order.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of these octets, all of them.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Visits every field.
    ///
    /// # Errors
    /// [`Damaged`] when the octets are no fields, or as the visitor says.
    pub fn each(
        mut self,
        mut visit: impl FnMut(u32, Value<'a>) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        while !self.rest.is_empty() {
            let key = take_varint(&mut self.rest)?;
            let tag = u32::try_from(key >> 1).map_err(|_| Damaged("a tag is too large"))?;
            let number = take_varint(&mut self.rest)?;
            if key & 1 == 0 {
                visit(tag, Value::Number(number))?;
            } else {
                visit(tag, Value::Bytes(take_bytes(&mut self.rest, number)?))?;
            }
        }
        Ok(())
    }
}

/// Adds to a list that must not grow beyond [`MAX_ITEMS`].
///
/// # Errors
/// [`Damaged`] when it is full.
pub fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), Damaged> {
    if list.len() >= MAX_ITEMS {
        return Err(Damaged("a list is too long"));
    }
    list.push(item);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_value_and_announce_their_length() {
        for number in [0, 1, 127, 128, 300, 1 << 35, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            assert_eq!(out.len(), varint_len(number), "{number}");
            assert_eq!(take_varint(&mut &out[..]), Ok(number));
        }
        for number in [0, 1, -1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
        assert!(take_varint(&mut &[0x80u8; 11][..]).is_err());
        assert!(
            take_varint(&mut &[0xffu8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..])
                .is_err()
        );
    }

    #[test]
    fn unknown_tags_are_skipped_and_short_records_are_damaged() {
        let mut w = Writer::default();
        w.number(1, 7);
        w.text(900, "from the future");
        w.nested(2, |w| w.bytes(1, &[0; 200]));
        let record = w.into_vec();
        let mut seen = Vec::new();
        Fields::new(&record)
            .each(|tag, _| {
                seen.push(tag);
                Ok(())
            })
            .expect("whole");
        assert_eq!(seen, [1, 900, 2]);
        for cut in 1..record.len() {
            let whole_field = [2, 2 + 2 + 1 + 15].contains(&cut);
            let read = Fields::new(&record[..cut]).each(|_, _| Ok(()));
            assert_eq!(read.is_ok(), whole_field, "{cut}");
        }
    }
}

//! Filters: one grammar for command line, API and web (the outside interface, *Filters*).
//!
//! ```text
//! filter = all *("or" all)
//! all    = one *("and" one)
//! one    = "not" one / "(" filter ")" / FIELD "present" / FIELD OP VALUE
//! OP     = "=" / "!=" / "<" / "<=" / ">" / ">=" / "like" / "contains"
//! VALUE  = word / DQUOTE text DQUOTE          ; \" and \\ inside quotes
//! ```
//!
//! `like` matches the whole text, `*` standing for any run of characters. Text compares without regard to case. A field
//! with several values (the recipients of a message) fits when one of them does; `!=` is the opposite of `=`. A field
//! without a value fits nothing but `!=`. Durations, sizes and times have units ([`crate::units`], RFC 3339).
//!
//! Not here: which objects have which values (`view`).

mod eval;
mod field;
mod lex;
mod parse;
#[cfg(test)]
mod tests;

pub use eval::{Record, Scalar};
pub use field::{DESTINATION, Field, Kind, MESSAGE, TRACKED};
pub use parse::{MAX_DEPTH, MAX_LENGTH, parse};

use posthaste_mail::Timestamp;
use std::fmt;
use std::time::Duration;

/// A condition on an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Filter {
    /// Both.
    And(Box<Filter>, Box<Filter>),
    /// One of them, or both.
    Or(Box<Filter>, Box<Filter>),
    /// The opposite.
    Not(Box<Filter>),
    /// A comparison.
    Test {
        /// What is compared.
        field: Field,
        /// How.
        op: Op,
        /// With what; of the field's kind.
        value: Value,
    },
    /// The field has a value.
    Present(Field),
}

/// A comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    Differs,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `like`, with `*`
    Like,
    /// `contains`
    Contains,
}

/// What a field is compared with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Text, or one of a field's words.
    Text(String),
    /// A count.
    Number(u64),
    /// Octets.
    Size(u64),
    /// A duration.
    Duration(Duration),
    /// A time, to the millisecond.
    Time(Timestamp),
    /// Yes or no.
    Bool(bool),
}

/// The text is no filter; whoever wrote it must correct it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("at column {column}: {what}")]
pub struct FilterError {
    /// Where, in characters from 1.
    pub column: usize,
    /// What is wrong and what may be written.
    pub what: String,
}

impl Op {
    /// Every comparison as it is written.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Equal, "="),
        (Self::Differs, "!="),
        (Self::Less, "<"),
        (Self::AtMost, "<="),
        (Self::More, ">"),
        (Self::AtLeast, ">="),
        (Self::Like, "like"),
        (Self::Contains, "contains"),
    ];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(op, _)| *op == self).map_or("=", |(_, name)| name)
    }
}

/// As it can be read again, with as few parentheses as keep the tree.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(left, right) => {
                write!(f, "{left} or ")?;
                right.fmt_inside(f, matches!(**right, Self::Or(..)))
            }
            Self::And(left, right) => {
                left.fmt_inside(f, matches!(**left, Self::Or(..)))?;
                f.write_str(" and ")?;
                right.fmt_inside(f, matches!(**right, Self::Or(..) | Self::And(..)))
            }
            Self::Not(inner) => {
                f.write_str("not ")?;
                inner.fmt_inside(f, matches!(**inner, Self::Or(..) | Self::And(..)))
            }
            Self::Test { field, op, value } => write!(f, "{} {} {value}", field.name(), op.name()),
            Self::Present(field) => write!(f, "{} present", field.name()),
        }
    }
}

impl Filter {
    /// Whether it looks at a field.
    #[must_use]
    pub fn mentions(&self, wanted: Field) -> bool {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.mentions(wanted) || right.mentions(wanted)
            }
            Self::Not(inner) => inner.mentions(wanted),
            Self::Test { field, .. } | Self::Present(field) => *field == wanted,
        }
    }

    fn fmt_inside(&self, f: &mut fmt::Formatter<'_>, parentheses: bool) -> fmt::Result {
        if parentheses { write!(f, "({self})") } else { write!(f, "{self}") }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) if !text.is_empty() && text.chars().all(lex::is_word_char) => {
                f.write_str(text)
            }
            Self::Text(text) => {
                write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
            Self::Number(number) => write!(f, "{number}"),
            Self::Size(octets) => f.write_str(&crate::units::print_size(*octets)),
            Self::Duration(duration) => {
                write!(f, "\"{}\"", crate::units::print_duration(*duration))
            }
            Self::Time(time) => f.write_str(&time.rfc3339()),
            Self::Bool(yes) => write!(f, "{yes}"),
        }
    }
}

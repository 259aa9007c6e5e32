//! Whether an object fits a filter.

use super::{Field, Filter, Op, Value};
use posthaste_mail::Timestamp;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::time::Duration;

/// One value of a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scalar<'r> {
    /// Text, or one of a field's words.
    Text(Cow<'r, str>),
    /// A count.
    Number(u64),
    /// Octets.
    Size(u64),
    /// A duration.
    Duration(Duration),
    /// A time.
    Time(Timestamp),
    /// Yes or no.
    Bool(bool),
}

/// An object that filters look at.
pub trait Record {
    /// The values of a field: none, one, or one for each recipient.
    fn values(&self, field: Field, now: Timestamp) -> Vec<Scalar<'_>>;
}

impl Filter {
    /// Whether an object fits.
    #[must_use]
    pub fn fits(&self, record: &dyn Record, now: Timestamp) -> bool {
        match self {
            Self::And(left, right) => left.fits(record, now) && right.fits(record, now),
            Self::Or(left, right) => left.fits(record, now) || right.fits(record, now),
            Self::Not(inner) => !inner.fits(record, now),
            Self::Present(field) => !record.values(*field, now).is_empty(),
            Self::Test { field, op: Op::Differs, value } => {
                !record.values(*field, now).iter().any(|scalar| holds(scalar, Op::Equal, value))
            }
            Self::Test { field, op, value } => {
                record.values(*field, now).iter().any(|scalar| holds(scalar, *op, value))
            }
        }
    }
}

fn holds(scalar: &Scalar<'_>, op: Op, value: &Value) -> bool {
    match (scalar, value) {
        (Scalar::Text(text), Value::Text(wanted)) => {
            text_holds(&text.to_lowercase(), op, &wanted.to_lowercase())
        }
        (Scalar::Number(a), Value::Number(b)) | (Scalar::Size(a), Value::Size(b)) => {
            order_holds(a.cmp(b), op)
        }
        (Scalar::Duration(a), Value::Duration(b)) => order_holds(a.cmp(b), op),
        (Scalar::Time(a), Value::Time(b)) => order_holds(a.cmp(b), op),
        (Scalar::Bool(a), Value::Bool(b)) => op == Op::Equal && a == b,
        _ => false,
    }
}

fn text_holds(text: &str, op: Op, wanted: &str) -> bool {
    match op {
        Op::Equal => text == wanted,
        Op::Contains => text.contains(wanted),
        Op::Like => like(text, wanted),
        _ => false,
    }
}

fn order_holds(order: Ordering, op: Op) -> bool {
    match op {
        Op::Equal => order.is_eq(),
        Op::Less => order.is_lt(),
        Op::AtMost => order.is_le(),
        Op::More => order.is_gt(),
        Op::AtLeast => order.is_ge(),
        _ => false,
    }
}

/// Whether the whole text fits a pattern in which `*` stands for any run of characters. Pieces between stars are
/// searched from the left: no backtracking, so that no pattern is slow.
fn like(text: &str, pattern: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return text == pattern;
    };
    let Some(mut left) = text.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*').filter(|piece| !piece.is_empty()) {
        match left.find(piece) {
            Some(at) => left = &left[at + piece.len()..],
            None => return false,
        }
    }
    left.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_run() {
        for (text, pattern, fits) in [
            ("abc", "abc", true),
            ("abc", "a*", true),
            ("abc", "*c", true),
            ("abc", "*b*", true),
            ("abc", "*", true),
            ("", "*", true),
            ("abc", "a*b*c", true),
            ("abab", "ab*ab", true),
            ("ab", "ab*ab", false),
            ("abc", "b*", false),
            ("abc", "*b", false),
            ("a.b.example.org", "*.example.org", true),
            ("example.org", "*.example.org", false),
            ("aXbXc", "a*X*X*c", true),
            ("aXc", "a*X*X*c", false),
        ] {
            assert_eq!(like(text, pattern), fits, "{text} like {pattern}");
        }
    }
}

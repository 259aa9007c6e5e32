//! From words to a filter whose every value is of its field's kind.

use super::field::{Field, Kind};
use super::lex::{Token, TokenKind, tokens};
use super::{Filter, FilterError, Op, Value};
use crate::units::{parse_duration, parse_size};
use posthaste_mail::Timestamp;

/// The longest filter, octets.
pub const MAX_LENGTH: usize = 4096;
/// How deep parentheses and `not` may nest.
pub const MAX_DEPTH: usize = 32;
/// How alike a misspelt name must be to a known one to be suggested (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;
const MICROS_PER_MILLI: i64 = 1000;

/// Reads a filter over the given fields, [`super::MESSAGE`] or [`super::DESTINATION`].
///
/// # Errors
/// [`FilterError`] points at the column.
pub fn parse(text: &str, fields: &[Field]) -> Result<Filter, FilterError> {
    if text.len() > MAX_LENGTH {
        let what = format!("a filter is at most {MAX_LENGTH} octets long");
        return Err(FilterError { column: 1, what });
    }
    let tokens = tokens(text)?;
    let end = text.chars().count() + 1;
    let mut parser = Parser { tokens, at: 0, end, depth: 0, fields };
    let filter = parser.any()?;
    match parser.peek() {
        None => Ok(filter),
        Some(_) => Err(parser.error("expected `and`, `or` or the end")),
    }
}

struct Parser<'f> {
    tokens: Vec<Token>,
    at: usize,
    /// The column after the last character.
    end: usize,
    depth: usize,
    fields: &'f [Field],
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Filter, FilterError> {
        let mut filter = self.all()?;
        while self.eat_word("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.all()?));
        }
        Ok(filter)
    }

    fn all(&mut self) -> Result<Filter, FilterError> {
        let mut filter = self.one()?;
        while self.eat_word("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Ok(filter)
    }

    fn one(&mut self) -> Result<Filter, FilterError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(&format!("more than {MAX_DEPTH} levels of parentheses")));
        }
        self.depth += 1;
        let filter = if self.eat_word("not") {
            self.one().map(|inner| Filter::Not(Box::new(inner)))
        } else if self.peek() == Some(&TokenKind::Open) {
            self.at += 1;
            self.group()
        } else {
            self.test()
        };
        self.depth -= 1;
        filter
    }

    fn group(&mut self) -> Result<Filter, FilterError> {
        let filter = self.any()?;
        if self.peek() != Some(&TokenKind::Close) {
            return Err(self.error("expected `and`, `or` or `)`"));
        }
        self.at += 1;
        Ok(filter)
    }

    fn test(&mut self) -> Result<Filter, FilterError> {
        let field = self.field()?;
        if self.eat_word("present") {
            return Ok(Filter::Present(field));
        }
        let op = self.op(field)?;
        let value = self.value(field)?;
        Ok(Filter::Test { field, op, value })
    }

    fn field(&mut self) -> Result<Field, FilterError> {
        let Some(TokenKind::Word(name)) = self.peek() else {
            return Err(self.error("expected a field such as `to`, `not` or `(`"));
        };
        let found = self.fields.iter().find(|field| field.name() == name);
        let Some(&field) = found else {
            let all = || self.fields.iter().map(|f| f.name()).collect::<Vec<_>>().join(", ");
            let what = if Field::ALL.iter().any(|row| row.1 == name) {
                format!("`{name}` is not known here; fields are {}", all())
            } else {
                match nearest(name, self.fields.iter().map(|f| f.name())) {
                    Some(near) => format!("unknown field `{name}`; did you mean `{near}`?"),
                    None => format!("unknown field `{name}`; fields are {}", all()),
                }
            };
            return Err(self.error(&what));
        };
        self.at += 1;
        Ok(field)
    }

    fn op(&mut self, field: Field) -> Result<Op, FilterError> {
        let written = match self.peek() {
            Some(TokenKind::Sign(sign)) => *sign,
            Some(TokenKind::Word(word)) => word.as_str(),
            _ => "",
        };
        let allowed = ops(field.kind());
        let found = Op::ALL.iter().find(|(_, name)| *name == written).map(|(op, _)| *op);
        match found {
            Some(op) if allowed.contains(&op) => {
                self.at += 1;
                Ok(op)
            }
            _ => {
                let names: Vec<_> = allowed.iter().map(|op| format!("`{}`", op.name())).collect();
                let what =
                    format!("expected {} or `present` after `{}`", names.join(", "), field.name());
                Err(self.error(&what))
            }
        }
    }

    fn value(&mut self, field: Field) -> Result<Value, FilterError> {
        let (text, column) = match self.tokens.get(self.at) {
            Some(Token { kind: TokenKind::Word(text) | TokenKind::Quoted(text), column }) => {
                (text.clone(), *column)
            }
            _ => return Err(self.error(&format!("expected a value for `{}`", field.name()))),
        };
        self.at += 1;
        let text = self.with_unit(text, field.kind());
        value_of(field, &text).map_err(|what| FilterError { column, what })
    }

    /// `5 min` without quotes: a number takes the unit that follows it.
    fn with_unit(&mut self, number: String, kind: Kind) -> String {
        let bare = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !bare || !matches!(kind, Kind::Duration | Kind::Size) {
            return number;
        }
        match self.peek() {
            Some(TokenKind::Word(unit)) if unit != "and" && unit != "or" => {
                let joined = format!("{number} {unit}");
                self.at += 1;
                joined
            }
            _ => number,
        }
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(TokenKind::Word(w)) if w == word);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<&TokenKind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn error(&self, what: &str) -> FilterError {
        let column = self.tokens.get(self.at).map_or(self.end, |token| token.column);
        FilterError { column, what: what.to_owned() }
    }
}

const TEXT_OPS: &[Op] = &[Op::Equal, Op::Differs, Op::Like, Op::Contains];
const ORDER_OPS: &[Op] = &[Op::Equal, Op::Differs, Op::Less, Op::AtMost, Op::More, Op::AtLeast];
const BOOL_OPS: &[Op] = &[Op::Equal, Op::Differs];

fn ops(kind: Kind) -> &'static [Op] {
    match kind {
        Kind::Text => TEXT_OPS,
        Kind::Word(_) | Kind::Bool => BOOL_OPS,
        Kind::Number | Kind::Size | Kind::Duration | Kind::Time => ORDER_OPS,
    }
}

fn value_of(field: Field, text: &str) -> Result<Value, String> {
    match field.kind() {
        Kind::Text => Ok(Value::Text(text.to_owned())),
        Kind::Word(words) => one_of(field, text, &words()),
        Kind::Number => {
            text.parse().map(Value::Number).map_err(|_| format!("`{text}` is not a whole number"))
        }
        Kind::Size => parse_size(text).map(Value::Size).map_err(|e| e.to_string()),
        Kind::Duration => parse_duration(text).map(Value::Duration).map_err(|e| e.to_string()),
        Kind::Time => time(text).map(Value::Time).ok_or_else(|| {
            format!("`{text}` is not a time; write 2026-11-21 or 2026-11-21T06:53:04Z")
        }),
        Kind::Bool => match text {
            "true" | "yes" => Ok(Value::Bool(true)),
            "false" | "no" => Ok(Value::Bool(false)),
            _ => Err(format!("`{text}` is not `true` or `false`")),
        },
    }
}

fn one_of(field: Field, text: &str, words: &[&'static str]) -> Result<Value, String> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let name = field.name();
    Err(match nearest(text, words.iter().copied()) {
        Some(near) => format!("`{text}` is no {name}; did you mean `{near}`?"),
        None => format!("`{text}` is no {name}; there are {}", words.join(", ")),
    })
}

/// RFC 3339, or a day in UTC; to the millisecond, as times are printed.
fn time(text: &str) -> Option<Timestamp> {
    let micros = match text.parse::<jiff::Timestamp>() {
        Ok(stamp) => stamp.as_microsecond(),
        Err(_) => {
            let day: jiff::civil::Date = text.parse().ok()?;
            day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond()
        }
    };
    Some(Timestamp::from_micros(micros.div_euclid(MICROS_PER_MILLI) * MICROS_PER_MILLI))
}

fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

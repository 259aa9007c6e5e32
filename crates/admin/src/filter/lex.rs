//! The words of a filter and where each stands.

use super::FilterError;

/// One word, operator or parenthesis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    /// Where it begins, in characters from 1.
    pub(super) column: usize,
    pub(super) kind: TokenKind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum TokenKind {
    Open,
    Close,
    /// `=`, `!=`, `<`, `<=`, `>`, `>=`
    Sign(&'static str),
    Word(String),
    /// A quoted string without its quotes.
    Quoted(String),
}

/// Characters that need no quotes.
pub(super) fn is_word_char(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"()\"\\=!<>".contains(c)
}

/// Splits a text into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let chars: Vec<char> = text.chars().collect();
    let mut list = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let column = at + 1;
        let kind = match c {
            _ if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '(' => single(&mut at, TokenKind::Open),
            ')' => single(&mut at, TokenKind::Close),
            '=' | '!' | '<' | '>' => sign(&chars, &mut at)?,
            '"' => quoted(&chars, &mut at)?,
            _ if is_word_char(c) => word(&chars, &mut at),
            _ => {
                let what = format!("`{}` must stand in quotes", c.escape_default());
                return Err(FilterError { column, what });
            }
        };
        list.push(Token { column, kind });
    }
    Ok(list)
}

fn single(at: &mut usize, kind: TokenKind) -> TokenKind {
    *at += 1;
    kind
}

fn sign(chars: &[char], at: &mut usize) -> Result<TokenKind, FilterError> {
    let equals = chars.get(*at + 1) == Some(&'=');
    let sign = match (chars[*at], equals) {
        ('!', true) => "!=",
        ('<', true) => "<=",
        ('>', true) => ">=",
        ('<', false) => "<",
        ('>', false) => ">",
        ('=', false) => "=",
        ('=', true) => return Err(error(*at, "write `=`, not `==`")),
        _ => return Err(error(*at, "write `!=` or `not`, not `!`")),
    };
    *at += sign.len();
    Ok(TokenKind::Sign(sign))
}

fn quoted(chars: &[char], at: &mut usize) -> Result<TokenKind, FilterError> {
    let start = *at;
    let mut text = String::new();
    *at += 1;
    while let Some(&c) = chars.get(*at) {
        *at += 1;
        match c {
            '"' => return Ok(TokenKind::Quoted(text)),
            '\\' => match chars.get(*at) {
                Some(&c @ ('"' | '\\')) => {
                    text.push(c);
                    *at += 1;
                }
                _ => return Err(error(*at - 1, "a `\\` in quotes stands before `\"` or `\\`")),
            },
            _ => text.push(c),
        }
    }
    Err(error(start, "the quoted text has no end"))
}

fn word(chars: &[char], at: &mut usize) -> TokenKind {
    let start = *at;
    while chars.get(*at).copied().is_some_and(is_word_char) {
        *at += 1;
    }
    TokenKind::Word(chars[start..*at].iter().collect())
}

fn error(at: usize, what: &str) -> FilterError {
    FilterError { column: at + 1, what: what.to_owned() }
}

//! Address lists as header fields have them (RFC 5322 sections 3.4 and 4.4): groups, comments, quoted strings, folds,
//! source routes; and names without a domain, which people and programs write on their own machine.
//!
//! Not here: addresses of the envelope, which are narrower (`posthaste_mail::address`). Display names are passed over
//! as they stand, encoded words among them. What cannot be read is told, never guessed.

use std::borrow::Cow;
use std::ops::Range;

/// One entry of an address list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// An address.
    Address(Address),
    /// Octets of the value that are no address.
    Unusable(Range<usize>),
}

/// An address without display name, comments and folds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// As written, quotes included.
    pub local: String,
    /// As written; `None` for a bare name.
    pub domain: Option<String>,
    /// Where it stands in the value; comments and folds within it included.
    pub span: Range<usize>,
}

impl Address {
    /// The whole address; a bare name gets the domain `origin`.
    #[must_use]
    pub fn with_origin(&self, origin: &str) -> String {
        format!("{}@{}", self.local, self.domain.as_deref().unwrap_or(origin))
    }
}

/// The entries of an address list in order, those of groups included. `value` is what follows the colon of a field.
///
/// `;` outside a group separates as `,` does: some mail programs write it.
#[must_use]
pub fn addresses(value: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut list = List::default();
    for token in (Tokens { value, at: 0 }) {
        list.take(value, token, &mut entries);
    }
    list.close(value, &mut entries);
    entries
}

/// The value with `@origin` behind every bare name; borrowed when there is none. Nothing else is changed.
#[must_use]
pub fn qualified<'v>(value: &'v [u8], origin: &str) -> Cow<'v, [u8]> {
    let bare = |entry: Entry| match entry {
        Entry::Address(Address { domain: None, span, .. }) => Some(span.end),
        _ => None,
    };
    let ends: Vec<usize> = addresses(value).into_iter().filter_map(bare).collect();
    if ends.is_empty() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len() + ends.len() * (origin.len() + 1));
    let mut done = 0;
    for end in ends {
        out.extend_from_slice(&value[done..end]);
        out.push(b'@');
        out.extend_from_slice(origin.as_bytes());
        done = end;
    }
    out.extend_from_slice(&value[done..]);
    Cow::Owned(out)
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Token {
    kind: Kind,
    span: Range<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// An atom or a quoted string.
    Word,
    /// `[...]`
    Literal,
    /// One of `<>:;,@.`
    Special(u8),
    /// A quoted string, literal or comment that does not end, or a bracket or parenthesis without its partner.
    Broken,
}

/// Blanks, folds and comments are passed over.
struct Tokens<'v> {
    value: &'v [u8],
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let start = self.at;
            let first = *self.value.get(start)?;
            let (kind, end) = match first {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.at += 1;
                    continue;
                }
                b'(' => match self.comment_end(start) {
                    Some(end) => {
                        self.at = end;
                        continue;
                    }
                    None => (Kind::Broken, self.value.len()),
                },
                b'"' => self.closed_by(start, b'"', Kind::Word),
                b'[' => self.closed_by(start, b']', Kind::Literal),
                b')' | b']' => (Kind::Broken, start + 1),
                _ if is_special(first) => (Kind::Special(first), start + 1),
                _ => (Kind::Word, self.atom_end(start)),
            };
            self.at = end;
            return Some(Token { kind, span: start..end });
        }
    }
}

impl Tokens<'_> {
    fn comment_end(&self, start: usize) -> Option<usize> {
        let (mut depth, mut escaped) = (0usize, false);
        for (i, octet) in self.value.iter().enumerate().skip(start) {
            match octet {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'(' => depth += 1,
                b')' if depth == 1 => return Some(i + 1),
                b')' => depth -= 1,
                _ => {}
            }
        }
        None
    }

    fn closed_by(&self, start: usize, close: u8, kind: Kind) -> (Kind, usize) {
        let mut escaped = false;
        for (i, &octet) in self.value.iter().enumerate().skip(start + 1) {
            match octet {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                _ if octet == close => return (kind, i + 1),
                _ => {}
            }
        }
        (Kind::Broken, self.value.len())
    }

    fn atom_end(&self, start: usize) -> usize {
        let ends = |octet: &u8| {
            is_special(*octet)
                || matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')' | b'"' | b'[' | b']')
        };
        let rest = &self.value[start..];
        rest.iter().position(ends).map_or(self.value.len(), |length| start + length)
    }
}

const fn is_special(octet: u8) -> bool {
    matches!(octet, b'<' | b'>' | b':' | b';' | b',' | b'@' | b'.')
}

/// The entry under way.
#[derive(Default)]
struct List {
    /// Outside angle brackets: an address, or a display name.
    outside: Vec<Token>,
    /// Inside them, once they were opened.
    inside: Option<Vec<Token>>,
    /// They were closed.
    closed: bool,
    /// Another address follows them, with nothing between the two: programs differ in which of them they take.
    doubled: bool,
}

impl List {
    fn take(&mut self, value: &[u8], token: Token, entries: &mut Vec<Entry>) {
        let open = self.inside.is_some() && !self.closed;
        match (token.kind, &mut self.inside) {
            (Kind::Special(b'>'), Some(_)) if open => self.closed = true,
            // Commas and colons inside belong to a source route, unless a bracket was never closed.
            (_, Some(inside)) if open => inside.push(token),
            (Kind::Special(b'<'), None) => self.inside = Some(Vec::new()),
            (Kind::Special(b',' | b';'), _) => self.close(value, entries),
            (Kind::Special(b':'), None) => self.outside.clear(),
            (Kind::Special(b'<' | b'@'), Some(_)) => {
                self.doubled = true;
                self.outside.push(token);
            }
            _ => self.outside.push(token),
        }
    }

    fn close(&mut self, value: &[u8], entries: &mut Vec<Entry>) {
        let list = std::mem::take(self);
        let all = list.outside.iter().chain(list.inside.iter().flatten());
        let start = all.clone().map(|token| token.span.start).min();
        let end = all.map(|token| token.span.end).max();
        let (Some(start), Some(end)) = (start, end) else { return };
        let address = match &list.inside {
            None => specification(value, &list.outside),
            Some(_) if !list.closed || list.doubled => None,
            Some(inside) if inside.is_empty() => return,
            Some(inside) => specification(value, without_route(inside)),
        };
        entries.push(address.map_or(Entry::Unusable(start..end), Entry::Address));
    }
}

/// Drops `@a,@b:` in front (RFC 5322 section 4.4, obs-route).
fn without_route(tokens: &[Token]) -> &[Token] {
    let is = |token: &Token, special| token.kind == Kind::Special(special);
    if !tokens.first().is_some_and(|token| is(token, b'@')) {
        return tokens;
    }
    let colon = tokens.iter().position(|token| is(token, b':'));
    colon.map_or(tokens, |colon| &tokens[colon + 1..])
}

/// `local` or `local@domain`: words with dots between them, comments and folds gone.
fn specification(value: &[u8], tokens: &[Token]) -> Option<Address> {
    let at = tokens.iter().position(|token| token.kind == Kind::Special(b'@'));
    let (local, domain) = match at {
        Some(at) => (&tokens[..at], Some(&tokens[at + 1..])),
        None => (tokens, None),
    };
    let span = tokens.first()?.span.start..tokens.last()?.span.end;
    let literal = |tokens: &[Token]| matches!(tokens, [only] if only.kind == Kind::Literal);
    let domain = match domain {
        Some(tokens) if literal(tokens) => Some(text(value, tokens)?),
        Some(tokens) => Some(dotted(value, tokens)?),
        None => None,
    };
    let local = dotted(value, local)?;
    // A comma within an encoded word: a display name in pieces, nobody's mailbox.
    let encoded = domain.is_none() && local.starts_with("=?");
    (!encoded).then_some(Address { local, domain, span })
}

/// Two words side by side are a phrase and no address.
fn dotted(value: &[u8], tokens: &[Token]) -> Option<String> {
    let fits = |token: &Token| matches!(token.kind, Kind::Word | Kind::Special(b'.'));
    let beside = |pair: &[Token]| pair[0].kind == Kind::Word && pair[1].kind == Kind::Word;
    if tokens.is_empty() || !tokens.iter().all(fits) || tokens.windows(2).any(beside) {
        return None;
    }
    text(value, tokens)
}

fn text(value: &[u8], tokens: &[Token]) -> Option<String> {
    let octets: Vec<u8> =
        tokens.iter().flat_map(|token| &value[token.span.clone()]).copied().collect();
    // A quoted string may be folded (RFC 5322 section 3.2.4): the line end is no part of it.
    let unfolded = octets.into_iter().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
    String::from_utf8(unfolded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses as text; what is unusable in braces.
    fn read(value: &str) -> Vec<String> {
        let shown = |entry| match entry {
            Entry::Address(Address { local, domain: None, .. }) => local,
            Entry::Address(address) => address.with_origin("?"),
            Entry::Unusable(span) => format!("{{{}}}", &value[span]),
        };
        addresses(value.as_bytes()).into_iter().map(shown).collect()
    }

    #[test]
    fn addresses_as_mail_has_them() {
        for (value, expected) in [
            ("", &[][..]),
            (" , ,\r\n ", &[]),
            ("a@b.example", &["a@b.example"]),
            (" A <a@b>, \"B, C\" <b.c@d> ,e@f\r\n", &["a@b", "b.c@d", "e@f"]),
            ("root", &["root"]),
            ("root (Cron Daemon)", &["root"]),
            ("\"Joe Q. Public\" <john.q.public@example.com>", &["john.q.public@example.com"]),
            ("Who? <one@y.test>", &["one@y.test"]),
            (
                "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <x@y.test>",
                &["boss@nil.test", "x@y.test"],
            ),
            (
                "A Group:Ed Jones <joe@where.test>,mary@where.test; , z@x",
                &["joe@where.test", "mary@where.test", "z@x"],
            ),
            ("Undisclosed recipients:;", &[]),
            ("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", &[]),
            (
                "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
                &["pete@silly.test"],
            ),
            ("John.Doe . x @ example . test (c)", &["John.Doe.x@example.test"]),
            ("Mary <@node.test,@other.test:mary@example.net>", &["mary@example.net"]),
            ("a@[192.0.2.1], \"a b\"@c", &["a@[192.0.2.1]", "\"a b\"@c"]),
            ("=?utf-8?Q?J=C3=B6rg,?= <j@x>", &["{=?utf-8?Q?J=C3=B6rg}", "j@x"]),
            ("a@b; c@d", &["a@b", "c@d"]),
            ("<>", &[]),
            ("jörg@münchen.test", &["jörg@münchen.test"]),
            ("\"a\r\n b\"@c", &["\"a b\"@c"]),
            // What nobody can deliver to is said.
            ("John Doe", &["{John Doe}"]),
            ("a b@c, d@e", &["{a b@c}", "d@e"]),
            ("a@b@c", &["{a@b@c}"]),
            ("<a b@c>", &["{a b@c}"]),
            ("<a@b, c@d", &["{a@b, c@d}"]),
            ("\"a@b", &["{\"a@b}"]),
            ("A <a@b> B <c@d>, e@f", &["{A <a@b> B <c@d>}", "e@f"]),
            ("<a@b> c@d", &["{a@b> c@d}"]),
            ("c@d <a@b>", &["a@b"]),
            ("(a@b", &["{(a@b}"]),
            ("a@", &["{a@}"]),
            ("@b", &["{@b}"]),
            ("a@[1", &["{a@[1}"]),
        ] {
            assert_eq!(read(value), expected, "{value}");
        }
    }

    #[test]
    fn bare_names_get_the_origin_and_nothing_else_changes() {
        for (value, expected) in [
            (" root (Cron Daemon)", " root@here.test (Cron Daemon)"),
            (" Joe <joe>,\r\n\tann, b@c", " Joe <joe@here.test>,\r\n\tann@here.test, b@c"),
            (" G: a, \"b c\" ;", " G: a@here.test, \"b c\"@here.test ;"),
            (" a@b, John Doe", " a@b, John Doe"),
            (" undisclosed-recipients:;", " undisclosed-recipients:;"),
        ] {
            let changed = qualified(value.as_bytes(), "here.test");
            assert_eq!(String::from_utf8_lossy(&changed), expected);
            let again = qualified(&changed, "elsewhere.test");
            assert!(matches!(again, Cow::Borrowed(_)), "{value}");
        }
    }

    #[test]
    fn no_octets_make_it_panic_or_lose_its_place() {
        // Every text of up to six of the octets that mean something.
        let octets = b"a \"\\()<>[]:;,@.\n\xff";
        for length in 0..=5u32 {
            for number in 0..octets.len().pow(length) {
                let digit = |i| octets[number / octets.len().pow(i) % octets.len()];
                let value: Vec<u8> = (0..length).map(digit).collect();
                for entry in addresses(&value) {
                    let (Entry::Address(Address { span, .. }) | Entry::Unusable(span)) = entry;
                    assert!(span.start < span.end && span.end <= value.len(), "{value:?}");
                }
                let once = qualified(&value, "o").into_owned();
                assert_eq!(qualified(&once, "o"), once, "{value:?}");
            }
        }
    }
}

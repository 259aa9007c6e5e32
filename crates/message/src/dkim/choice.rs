//! Which header fields are signed, and how often each is named (RFC 6376 sections 3.5, 5.4 and 8.15).

use super::canon::Raw;

/// What is signed, and named once more than it is there: a field that somebody adds later breaks the signature.
const NAMED_ONCE_MORE: [&str; 12] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "In-Reply-To",
    "References",
];
/// What is signed and named once more when it is there. Lists add these to mail that they pass on otherwise unchanged: such
/// mail stays valid.
const WHEN_THERE: [&str; 9] = [
    "Sender",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
];

/// The names of `h=` in order, each with the field it stands for; `None` for one that must not come to be. Of repeated
/// fields the last is taken first (RFC 6376 section 5.4.2).
#[must_use]
pub fn chosen<'a>(fields: &[Raw<'a>]) -> Vec<(&'static str, Option<Raw<'a>>)> {
    let mut chosen = Vec::new();
    let always = NAMED_ONCE_MORE.iter().map(|name| (name, true));
    for (name, always) in always.chain(WHEN_THERE.iter().map(|name| (name, false))) {
        let before = chosen.len();
        let named = |field: &&Raw<'a>| field.name.eq_ignore_ascii_case(name.as_bytes());
        chosen.extend(fields.iter().rev().filter(named).map(|field| (*name, Some(*field))));
        if always || chosen.len() > before {
            chosen.push((*name, None));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::canon::raw_fields;

    #[test]
    fn fields_are_named_bottom_up_and_once_more() {
        let header = b"Received: x\r\nTo: a\r\nFROM: b\r\nTo: c\r\nList-Id: l\r\nX: y\r\n\r\n";
        let fields = raw_fields(header).expect("fields");
        let chosen = chosen(&fields);
        let text = |field: &Option<Raw<'_>>| {
            field.map_or("-".to_owned(), |f| String::from_utf8_lossy(f.lines).into_owned())
        };
        let seen: Vec<String> = chosen.iter().map(|(n, f)| format!("{n}={}", text(f))).collect();
        assert_eq!(seen[..5], ["From=FROM: b", "From=-", "To=To: c", "To=To: a", "To=-"]);
        assert_eq!(seen[5..].len(), 12, "ten more names, and List-Id twice: {seen:?}");
        assert_eq!(seen[15..], ["List-Id=List-Id: l", "List-Id=-"]);
        assert!(!seen.iter().any(|s| s.starts_with("Received") || s.starts_with("Sender")));
    }
}

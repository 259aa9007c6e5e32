//! A letter as HTML: no images, nothing from elsewhere, styles in the elements, light and dark, readable on a telephone.
//!
//! Everything that is said is escaped; words of others stand in elements that keep their own direction of writing.

use super::Kind;
use super::letter::{Block, Letter};

/// Mail programs that follow the system's colours take these instead of those in the elements.
const DARK: &str = "\
@media (prefers-color-scheme: dark) {\r\n\
.page { background: #1b1c1e !important; color: #e6e6e6 !important; }\r\n\
.soft { color: #a9adb3 !important; }\r\n\
.box { background: #27292d !important; border-color: #44474d !important; }\r\n\
}\r\n";
/// Above a group.
const RULE: &str = "; border-top: 1px solid #b9bdc3; padding-top: 12px; font-size: 16px";
const FONT: &str = "font-family: -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; \
                    font-size: 16px; line-height: 1.5; overflow-wrap: anywhere; word-break: break-word";

/// The page, with CRLF line ends. `lang`: the tag of its language.
pub(super) fn html(letter: &Letter, kind: Kind, lang: &str) -> String {
    let mut page = Page { out: head(&letter.title, lang), colour: colour(kind), columns: false };
    page.blocks(&letter.people);
    if let Some(title) = &letter.facts_title {
        page.line("<div class=\"soft\" style=\"font-size: 14px; color: #55595f\">");
        page.line("<hr style=\"border: 0; border-top: 1px solid #b9bdc3; margin: 24px 0 0\">");
        let title = escaped(title);
        page.line(&format!("<h2 style=\"font-size: 15px; margin: 12px 0\">{title}</h2>"));
        page.columns = true;
        page.blocks(&letter.facts);
        if let Some((title, lines)) = &letter.headers {
            page.paragraph("", &format!("<b>{}:</b>", escaped(title)));
            page.line(
                "<pre dir=\"ltr\" class=\"box\" style=\"font-size: 12px; white-space: pre-wrap; \
                 background: #f3f4f6; border: 1px solid #d5d8dc; padding: 8px; margin: 0\">",
            );
            lines.iter().for_each(|line| page.line(&escaped(line)));
            page.line("</pre>");
        }
        page.line("</div>");
    }
    page.line("</div>");
    page.line("</body>");
    page.line("</html>");
    page.out
}

fn head(title: &str, lang: &str) -> String {
    format!(
        "<!DOCTYPE html>\r\n\
         <html lang=\"{lang}\">\r\n\
         <head>\r\n\
         <meta charset=\"utf-8\">\r\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\r\n\
         <meta name=\"color-scheme\" content=\"light dark\">\r\n\
         <title>{title}</title>\r\n\
         <style>\r\n\
         :root {{ color-scheme: light dark; }}\r\n\
         {DARK}\
         </style>\r\n\
         </head>\r\n\
         <body class=\"page\" style=\"margin: 0; padding: 16px; background: #ffffff; color: #1d1f22\">\r\n\
         <div style=\"max-width: 640px; margin: 0 auto; {FONT}\">\r\n",
        lang = escaped(lang),
        title = escaped(title),
    )
}

/// Of the bar beside the first sentence: told apart in light and dark, and never the only sign.
const fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Failed => "#c5362b",
        Kind::Delayed => "#c27c0e",
        Kind::Delivered | Kind::Relayed | Kind::AllClear => "#2e8b57",
    }
}

struct Page {
    out: String,
    colour: &'static str,
    /// The labels of all tables are of one width.
    columns: bool,
}

impl Page {
    fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            match block {
                Block::Lead(words) => {
                    let style = format!(
                        "border-left: 4px solid {}; padding-left: 12px; font-size: 18px; \
                         font-weight: normal",
                        self.colour
                    );
                    let words = escaped(words);
                    self.line(&format!("<h1 style=\"margin: 0 0 16px; {style}\">{words}</h1>"));
                }
                Block::Addresses(addresses) => self.addresses("p", "", addresses),
                Block::Group(addresses) => self.addresses("h2", RULE, addresses),
                Block::Words(words) => self.paragraph("", &escaped(words)),
                Block::Labelled(label, words) => {
                    self.paragraph("", &format!("<b>{}:</b> {}", escaped(label), escaped(words)));
                }
                Block::Quote(label, lines) => self.quote(label, lines),
                Block::Facts(facts) => self.facts(facts),
                Block::Lines(label, lines) => self.lines(label, lines),
            }
        }
    }

    fn addresses(&mut self, element: &str, style: &str, addresses: &[String]) {
        self.line(&format!("<{element} style=\"margin: 0 0 16px; padding-left: 16px{style}\">"));
        for address in addresses {
            self.line(&format!("<b dir=\"auto\">{}</b><br>", escaped(address)));
        }
        self.line(&format!("</{element}>"));
    }

    fn lines(&mut self, label: &str, lines: &[String]) {
        self.line(&format!("<p style=\"margin: 0\"><b>{}:</b></p>", escaped(label)));
        self.line("<ul style=\"margin: 0 0 16px; padding-left: 20px\">");
        lines.iter().for_each(|line| self.line(&format!("<li>{}</li>", escaped(line))));
        self.line("</ul>");
    }

    fn quote(&mut self, label: &str, lines: &[String]) {
        self.paragraph("", &format!("<b>{}:</b>", escaped(label)));
        self.line(
            "<div class=\"box\" style=\"margin: 0 0 16px; padding: 8px 12px; background: #f3f4f6; \
             border: 1px solid #d5d8dc; font-family: monospace; font-size: 14px\">",
        );
        lines
            .iter()
            .for_each(|line| self.line(&format!("<div dir=\"auto\">{}</div>", escaped(line))));
        self.line("</div>");
    }

    fn facts(&mut self, facts: &[(String, String)]) {
        self.line("<table style=\"border-collapse: collapse; margin: 0 0 16px\">");
        let width = if self.columns { "; width: 10em" } else { "" };
        for (label, value) in facts {
            self.line(&format!(
                "<tr><th scope=\"row\" class=\"soft\" style=\"vertical-align: top; padding: 0 12px 2px 0; \
                 text-align: left; font-weight: normal; white-space: nowrap; color: #55595f{width}\">{}</th>\r\n\
                 <td dir=\"auto\" style=\"vertical-align: top; padding: 0 0 2px\">{}</td></tr>",
                escaped(label),
                escaped(value)
            ));
        }
        self.line("</table>");
    }

    /// `words` are HTML already.
    fn paragraph(&mut self, style: &str, words: &str) {
        self.line(&format!("<p style=\"margin: 0 0 16px; {style}\">{words}</p>"));
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push_str("\r\n");
    }
}

/// What has a meaning in HTML, in text and in attributes, loses it.
fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len() + 8);
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_words_become_markup() {
        let hostile = "<script>alert('x')</script>\" onload=\"&copy;".to_owned();
        let all = || vec![hostile.clone()];
        let letter = Letter {
            title: hostile.clone(),
            people: vec![
                Block::Lead(hostile.clone()),
                Block::Addresses(all()),
                Block::Group(all()),
                Block::Words(hostile.clone()),
                Block::Labelled(hostile.clone(), hostile.clone()),
                Block::Quote(hostile.clone(), all()),
                Block::Facts(vec![(hostile.clone(), hostile.clone())]),
                Block::Lines(hostile.clone(), all()),
            ],
            facts_title: Some(hostile.clone()),
            facts: Vec::new(),
            headers: Some((hostile.clone(), all())),
        };
        let page = html(&letter, Kind::Failed, &hostile);
        assert_eq!(page.matches("&lt;script&gt;alert(&#39;x&#39;)").count(), 17);
        assert!(
            !page.contains("<script") && !page.contains("onload=\"") && !page.contains("&copy;")
        );
        assert!(!page.contains("src=") && !page.contains("url(") && !page.contains("http"));
    }
}

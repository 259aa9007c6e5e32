//! Tests of reading languages: what is built in is whole, and what is wrong is told with its place.

use super::*;
use crate::dsn::Wordings;

fn own<'a>(tag: &'a str, toml: &'a str) -> OwnTexts<'a> {
    OwnTexts { file: "texts/x.toml", tag, toml }
}

fn refused(tag: &str, toml: &str) -> String {
    Wordings::with(&[own(tag, toml)]).expect_err(toml).to_string()
}

#[test]
fn the_built_in_languages_say_everything() {
    let wordings = Wordings::default();
    for tag in ["en", "de"] {
        let language = wordings.chosen(b"", Some(tag));
        assert_eq!(language.tag, tag);
        for key in Key::ALL {
            let texts = &language.texts[*key as usize];
            assert!(texts.iter().all(|text| !text.is_empty()) || *key == Key::Closing, "{key:?}");
        }
    }
}

#[test]
fn a_few_texts_of_ones_own_replace_the_built_in_ones() {
    let toml = "[explain]\nclosing = \"Helpdesk of {hostname}: 4711\"\n";
    let wordings = Wordings::with(&[own("de", toml), own("de-AT", "[time]\nmonths = ['Jänner', 'Februar', 'März', 'April', 'Mai', 'Juni', 'Juli', 'August', 'September', 'Oktober', 'November', 'Dezember']")]).expect("valid");
    assert_eq!(wordings.languages().collect::<Vec<_>>(), ["de", "de-AT", "en"]);
    let german = wordings.chosen(b"", Some("de-CH"));
    assert_eq!(german.fill(Key::Closing, &[("hostname", "mx")]), "Helpdesk of mx: 4711");
    assert_eq!(german.say(Key::LabelWhy), "Grund");
    assert_eq!(wordings.chosen(b"", Some("de-at-1996")).month(1), "Jänner");
    assert_eq!(wordings.chosen(b"", None).say(Key::Closing), "");
    let austrian = wordings.chosen(b"", Some("de-AT")).fill(Key::Closing, &[("hostname", "mx")]);
    assert_eq!(austrian, "Helpdesk of mx: 4711", "what their own German says");
}

const DUTCH: &str = include_str!("languages/en.toml");
const BELGIAN: &str = "[explain]\nclosing = \"Vragen? 4711\"\n";

/// In which order the files are read says nothing about which is a variant of which.
#[test]
fn a_variant_takes_the_words_of_the_operators_own_language() {
    let dutch = DUTCH.replace("Delivery delayed", "Vertraagd");
    let empty = own("nl-BE-x", "");
    for texts in [
        [own("nl", &dutch), own("nl-BE", BELGIAN), empty],
        [empty, own("NL-be", BELGIAN), own("nl", &dutch)],
    ] {
        let wordings = Wordings::with(&texts).expect("the language itself is whole");
        let belgian = wordings.chosen(b"Content-Language: nl-BE\r\n", None);
        assert_eq!(belgian.say(Key::Closing), "Vragen? 4711");
        let title = belgian.fill(Key::SubjectDelayed, &[("subject", "x")]);
        assert!(title.starts_with("Vertraagd"), "{title}");
        assert_eq!(wordings.chosen(b"", Some("nl")).say(Key::Closing), "");
        assert_eq!(wordings.chosen(b"", Some("nl-BE-x")).say(Key::Closing), "Vragen? 4711");
    }
    let german = own("de", "[explain]\nclosing = \"HELPDESK-DE\"\n");
    let wordings = Wordings::with(&[own("de-AT", ""), german]).expect("both are short");
    assert_eq!(wordings.chosen(b"", Some("de-AT")).say(Key::Closing), "HELPDESK-DE");
}

/// Whoever changes some sentences of a whole file need not know which parts to take out.
#[test]
fn a_copy_of_a_whole_file_may_replace_it() {
    let german = Wordings::BUILT_IN.iter().find(|(tag, _)| *tag == "de").expect("built in").1;
    for tag in ["de", "de-CH"] {
        let wordings = Wordings::with(&[own(tag, german)]).expect("the same rules");
        assert_eq!(wordings.chosen(b"", Some(tag)).say(Key::LabelWhy), "Grund");
    }
}

#[test]
fn each_file_is_told_what_is_wrong_with_it_and_no_more() {
    let file = |file, tag, toml| OwnTexts { file, tag, toml };
    let read = |texts: &[OwnTexts<'_>]| {
        let (wordings, faults) = Wordings::reading(texts);
        let there = wordings.languages().collect::<Vec<_>>().join(" ");
        (there, faults.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let twice = read(&[file("EN.toml", "EN", BELGIAN), file("en.toml", "en", "")]);
    let said =
        "en.toml:1:1: EN.toml is the same language (case has no meaning in tags); keep one of them";
    assert_eq!(twice, ("EN de".to_owned(), vec![said.to_owned()]));
    // What a variant lacks is its language's to say, which is not read.
    let broken = format!("x{DUTCH}");
    let (there, faults) = read(&[
        file("nl-BE.toml", "nl-BE", BELGIAN),
        file("nl.toml", "nl", &broken),
        file("fr.toml", "fr", BELGIAN),
    ]);
    assert_eq!(there, "de en");
    let [nl, fr] = &faults[..] else { panic!("{faults:?}") };
    assert!(fr.starts_with("fr.toml:1:1: the text `time.months` and "), "{fr}");
    assert!(nl.starts_with("nl.toml:1:"), "{nl}");
}

/// Whole languages need no code, whatever their plural rules.
#[test]
fn another_language_is_a_file() {
    let english = include_str!("languages/en.toml");
    let polish = english
        .replace(
            "one = \"n = 1\"",
            "one = \"n = 1\"\nfew = \"n % 10 = 2..4 and n % 100 != 12..14\"",
        )
        .replace("{ one = \"", "{ few = \"x {n} \", one = \"")
        .replace("few = \"x {n} \", one = \"{n} day\"", "few = \"{n} dni\", one = \"{n} dzień\"")
        .replace(
            "few = \"x {n} \", one = \"{from}",
            "few = \"{from} {to} {n} {what}\", one = \"{from}",
        )
        .replace(
            "few = \"x {n} \", one = \"The time for",
            "few = \"{span}\", one = \"The time for",
        );
    let wordings = Wordings::with(&[own("pl", &polish)]).expect("valid");
    let language = wordings.chosen(b"Content-Language: pl\r\n", None);
    let said: Vec<_> =
        [1, 3, 5, 13, 22].iter().map(|&n| language.count(Key::Days, n, &[])).collect();
    assert_eq!(said, ["1 dzień", "3 dni", "5 days", "13 days", "22 dni"]);
    let without_plural = polish.replace("few = \"n % 10 = 2..4 and n % 100 != 12..14\"", "");
    assert!(refused("pl", &without_plural).contains("`few` is no plural form of this language"));
}

/// (tag, file, what is said of it)
const WRONG: &[(&str, &str, &str)] = &[
    ("de", "[lead\n", "texts/x.toml:1:6: "),
    (
        "de",
        "[leed]\n",
        "texts/x.toml:1:2: there is no section [leed]; the built-in English has all",
    ),
    ("de", "\n[act]\n  räte = 1\n", "texts/x.toml:3:4: "),
    (
        "de",
        "[act]\npatience-x = \"x\"\n",
        "texts/x.toml:2:1: there is no text `act.patience-x`; the built-in English has all names",
    ),
    ("de", "[act]\npatience = 7\n", "texts/x.toml:2:12: this must be text in quotes"),
    ("de", "act = 7\n", "texts/x.toml:1:7: this must be a section"),
    (
        "de",
        "[act]\npatience = \"  \"\n",
        "texts/x.toml:2:12: `act.patience` must not be empty; leave it out to keep the built-in text",
    ),
    (
        "de",
        "[act]\npatience = \"a\\nb\"\n",
        "texts/x.toml:2:12: `act.patience` must be one line without control characters",
    ),
    (
        "de",
        "[why]\nnull-mx = \"{name} {nam}\"\n",
        "texts/x.toml:2:11: `why.null-mx` has no value {nam}; its values: {name}",
    ),
    ("de", "[why]\nnull-mx = \"x\"\n", "texts/x.toml:2:11: `why.null-mx` must have {name} in it"),
    (
        "de",
        "[why]\nheld = \"{x}\"\n",
        "texts/x.toml:2:8: `why.held` has no value {x}; its values: none",
    ),
    (
        "de",
        "[why]\nheld = \"a } b\"\n",
        "texts/x.toml:2:8: `why.held`: `{` and `}` only stand around the name of a value",
    ),
    (
        "de",
        "[count]\ndays = { one = \"a\", few = \"b\", other = \"c\" }\n",
        "texts/x.toml:2:21: `few` is no plural form of this language; it has `one`, `other`",
    ),
    (
        "de",
        "[count]\ndays = { one = \"a\" }\n",
        "texts/x.toml:2:8: `count.days` needs the forms `one`, `other`",
    ),
    (
        "de-AT",
        "[plural]\none = \"n = 0..1\"\n",
        "texts/x.toml:1:1: the plural rules of this language are known and cannot be others; leave [plural] out",
    ),
    ("de", "[time]\nmonths = ['a']\n", "texts/x.toml:2:10: `months` must be twelve names"),
    (
        "nl",
        "[plural]\none = \"n\"\n",
        "texts/x.toml:2:7: `n` is no plural rule such as `n % 10 = 2..4`",
    ),
    (
        "nl",
        "[plural]\none = \"n = 5..2\"\n",
        "texts/x.toml:2:7: `5..2` holds no number; write the smaller one first",
    ),
    ("nl", "", "texts/x.toml:1:1: the text `time.months` and 1"),
    ("x", "", "texts/x.toml:1:1: `x` is no language tag such as `de` or `pt-BR`; rename the file"),
    ("..", "", "texts/x.toml:1:1: `..` is no language tag"),
];

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_to_do() {
    for (tag, toml, expected) in WRONG {
        let told = refused(tag, toml);
        assert!(told.starts_with(*expected), "{told}\n{expected}");
    }
}

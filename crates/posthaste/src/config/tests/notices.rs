//! `[notice]` and `delay_after` of routes: what they come to, what is refused, what is warned of.

use super::care::warnings;
use super::{around, complaints, good, read};
use crate::config::file::Surroundings;
use posthaste_message::dsn::Wordings;
use std::fs;
use std::path::Path;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn without_a_section_senders_are_told_after_four_hours() {
    let config = good("hostname = \"mx.example.org\"");
    let rules = &config.notices;
    assert_eq!((rules.delay.after, rules.delay.repeat), (4 * HOUR, None));
    assert!(!rules.delay.at_failure && !rules.all_clear && rules.sender.html);
    assert_eq!(rules.sender.from, "MAILER-DAEMON@mx.example.org");
    assert_eq!(rules.sender.hostname, "mx.example.org");
    assert_eq!(rules.sender.wordings.default_language(), "en");
    assert_eq!((rules.expire_after, rules.probe_wait), (24 * HOUR, Duration::from_secs(60)));
    assert_eq!(config.retry.delay, rules.delay);
    let exchange = good("profile = \"exchange\"");
    assert!(exchange.notices.delay.at_failure);
    assert_eq!(exchange.retry.delay.after, 4 * HOUR);
}

#[test]
fn off_is_written_in_three_ways() {
    for never in ["\"off\"", "0", "\"0\"", "\"0s\""] {
        let config = good(&format!("[notice]\ndelay_after = {never}"));
        assert!(config.retry.delay.after.is_zero(), "{never}");
        let route = format!("[[route]]\nto = \"a.example\"\nvia = \"mx\"\ndelay_after = {never}");
        assert_eq!(good(&route).routes[0].delay_after, Some(Duration::ZERO), "{never}");
    }
    assert_eq!(good("[[route]]\nto = \"a.example\"").routes[0].delay_after, None);
    let hold = "[[route]]\nto = \"a.example\"\nvia = \"hold\"\ndelay_after = \"1h\"";
    assert_eq!(good(hold).routes[0].delay_after, Some(HOUR), "held mail is late, too");
}

#[test]
fn a_route_with_its_own_retries_keeps_what_all_notices_have() {
    let text = "[notice]\ndelay_after = \"1h\"\ndelay_repeat = \"1d\"\n\
                [[route]]\nto = \"a.example\"\nretry.jitter = 0\n";
    let own = good(text).routes[0].retry.clone().expect("its own");
    assert_eq!((own.delay.after, own.delay.repeat), (HOUR, Some(24 * HOUR)));
}

/// A file, and what is said about it.
const WRONG: &[(&str, &str)] = &[
    (
        "[notice]\ndelay_after = 4",
        "p.toml:2:15: `notice.delay_after`: expected a duration such as \"30 min\" or \"4h\", or \"off\", found an integer",
    ),
    (
        "[notice]\ndelay_after = \"never\"",
        "p.toml:2:15: `notice.delay_after`: `never` does not begin with a number; expected a duration such as \"30 min\" \
         or \"4h\", or \"off\"",
    ),
    (
        "[notice]\ndelay_after = \"31d\"",
        "p.toml:2:15: `notice.delay_after` must be from \"1s\" to \"30d\", or \"off\"",
    ),
    (
        "[notice]\ndelay_repeat = \"5s\"",
        "p.toml:2:16: `notice.delay_repeat` must be from \"1 min\" to \"30d\", or \"off\"",
    ),
    (
        "[notice]\nfrom = \"postmaster\"",
        "p.toml:2:8: `notice.from`: \"postmaster\": an address has the form local-part@domain; expected an address in ASCII \
         such as \"postmaster@example.org\"",
    ),
    (
        "[notice]\nmax_original = \"10MB\"",
        "p.toml:2:16: `notice.max_original` must be at most \"128KiB\": notices are small, for each is written to the disk at \
         once with the failure that it tells; of a larger message its header section goes back",
    ),
    (
        "[notice]\nlanguage = \"nl\"",
        "p.toml:2:12: `notice.language`: there are no texts in \"nl\"; there are: de, en. A file nl.toml in `notice.texts` \
         adds them",
    ),
    (
        "[notice]\nlanguage = \"de_DE\"",
        "p.toml:2:12: `notice.language`: language tags have hyphens: \"de-DE\"; there are: de, en",
    ),
    (
        "[notice]\nprobe_wait = \"5 min\"",
        "p.toml:2:14: `notice.probe_wait` must be from \"0s\" to \"1 min\"",
    ),
    (
        "[notice]\ndelay_warning_time = \"4h\"",
        "p.toml:2:1: unknown setting `delay_warning_time` in [notice]; did you mean `delay_after`?",
    ),
    (
        "[[route]]\nto = \"a.example\"\nvia = \"discard\"\ndelay_after = \"1h\"",
        "p.toml:4:15: `route.delay_after` means nothing: this route sends nothing",
    ),
    (
        "[[route]]\nto = \"a.example\"\ndelay_after = \"1 day 1\"",
        "p.toml:3:15: `route.delay_after`: `1 day 1` has no unit; write for example `1 day 1s`; expected a duration such as \
         \"30 min\" or \"4h\", or \"off\"",
    ),
];

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_to_write() {
    for (text, expected) in WRONG {
        assert_eq!(complaints(text), *expected, "{text}");
    }
}

#[test]
fn a_delay_notice_that_never_comes_is_warned_of() {
    let all =
        |after: &str| warnings(&format!("expire_after = \"1d\"\n[notice]\ndelay_after = {after}"));
    let said = "p.toml:3:15: `notice.delay_after`: mail is given up after \"1d\" already (`expire_after`), so no delay notice \
                ever comes; write a shorter time, or \"off\"";
    assert_eq!(all("\"1d\""), [said]);
    assert!(all("\"23h\"").is_empty() && all("\"off\"").is_empty());
    let short = "p.toml:1:16: `expire_after`: mail is given up before \"4h\", when senders would be told that it is late; write \
                 a shorter `notice.delay_after`, or \"off\"";
    assert_eq!(warnings("expire_after = \"3h\""), [short]);
    assert_eq!(warnings("expire_after = \"4h\""), [short]);
    for quiet in ["", "expire_after = \"5h\"", "expire_after = \"1h\"", "profile = \"exchange\""] {
        assert_eq!(warnings(quiet), Vec::<String>::new(), "{quiet}: nobody misses one");
    }
    assert!(warnings("expire_after = \"3h\"\n[notice]\ndelay_after = \"off\"").is_empty());
    let alone = |expiry| {
        let text = "[[route]]\nto = \"a.example\"\nexpire_after = ";
        warnings(&format!("{text}\"{expiry}\""))
    };
    let of_route = "p.toml:3:16: `route.expire_after`: mail of this route is given up before \"4h\", when `notice.delay_after` \
                    would tell its senders that it is late; give the route a shorter `delay_after`, or \"off\"";
    assert_eq!(alone("2h"), [of_route]);
    assert!(alone("1h").is_empty() && alone("5h").is_empty());
    let route = |rest: &str| {
        warnings(&format!("[notice]\ndelay_after = \"2h\"\n[[route]]\nto = \"a.example\"\n{rest}"))
    };
    let shorter = "p.toml:5:16: `route.expire_after`: mail of this route is given up before \"2h\", when `notice.delay_after` \
                   would tell its senders that it is late; give the route a shorter `delay_after`, or \"off\"";
    assert_eq!(route("expire_after = \"1h\""), [shorter]);
    assert!(route("expire_after = \"1h\"\ndelay_after = \"off\"").is_empty());
    assert!(route("expire_after = \"1h\"\ndelay_after = \"30 min\"").is_empty());
    let own = "p.toml:5:15: `route.delay_after`: mail of this route is given up after \"5d\" already (`expire_after`), so no \
               delay notice ever comes; write a shorter time, or \"off\"";
    assert_eq!(route("delay_after = \"6d\""), [own]);
    let repeated = "p.toml:3:16: `notice.delay_repeat` repeats a first delay notice, and there is none: `notice.delay_after` \
                    is \"off\"";
    assert_eq!(warnings("[notice]\ndelay_after = \"off\"\ndelay_repeat = \"1d\""), [repeated]);
}

fn with_texts(folder: &Path, more: &str) -> Result<crate::config::file::Good, String> {
    let text = format!("[notice]\ntexts = \"{}\"\n{more}", folder.display());
    let around = Surroundings { folder: folder.to_owned(), ..around() };
    read("p.toml", &text, &around).map_err(|wrong| wrong.to_string())
}

#[test]
fn own_texts_change_sentences_and_add_variants() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("en.toml"), "[explain]\nclosing = \"Call 1234.\"\n").expect("ours");
    fs::write(folder.join("de-AT.toml"), "[head]\nsender-name = \"Postamt\"\n").expect("ours");
    let good = with_texts(folder, "language = \"de-AT\"").expect("good");
    assert!(good.warnings.is_empty(), "{:?}", good.warnings);
    let wordings = &good.config.notices.sender.wordings;
    assert_eq!(wordings.languages().collect::<Vec<_>>(), ["de", "de-AT", "en"]);
    assert_eq!(wordings.default_language(), "de-AT");
    assert_eq!(good.config.files().last(), Some(&folder.to_owned()), "a confined daemon reads it");
    fs::write(folder.join("LIESMICH"), "words").expect("ours");
    let warned = with_texts(folder, "").expect("good").warnings;
    let said = "LIESMICH is not read; texts are in files named by their language, such as de.toml";
    assert!(warned.len() == 1 && warned[0].what.ends_with(said), "{warned:?}");
}

#[test]
fn a_language_of_ones_own_has_variants_and_is_there_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let [(_, german), _] = Wordings::BUILT_IN;
    fs::write(folder.join("nl.toml"), german).expect("ours");
    fs::write(folder.join("nl-BE.toml"), "[explain]\nclosing = \"Bel 1234.\"\n").expect("ours");
    let good = with_texts(folder, "language = \"nl-BE\"").expect("the variant is short");
    assert_eq!(good.config.notices.sender.wordings.default_language(), "nl-BE");
    // One fault is one complaint: the variant, and the setting that names it, are not to blame.
    fs::write(folder.join("nl.toml"), "[head]\nfialed = \"x\"\n").expect("ours");
    let said = with_texts(folder, "language = \"nl-BE\"").expect_err("nl is wrong");
    assert!(said.lines().count() == 1 && said.contains("nl.toml:2:1: there is no text"), "{said}");
    fs::remove_file(folder.join("nl.toml")).expect("ours");
    fs::write(folder.join("NL-be.toml"), "").expect("ours");
    fs::write(folder.join("DE.toml"), "").expect("ours");
    fs::write(folder.join("de.toml"), "").expect("ours");
    let said = with_texts(folder, "").expect_err("de is there twice, and nl-BE has no nl");
    let twice = format!("de.toml:1:1: {}/DE.toml is the same language", folder.display());
    assert!(said.contains(&twice) && said.contains("NL-be.toml is the same language"), "{said}");
}

#[test]
fn every_wrong_text_is_told_at_once_with_its_own_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for (name, text) in [
        ("de.toml", "[head]\n  fialed = \"x\"\n"),
        ("en.toml", "[explain]\nkeeps-trying = \"Soon.\"\n"),
        ("fr.toml", "[head]\nfailed = \"x\"\n"),
        ("german.language.toml", ""),
        ("pl.toml", "[head\n"),
    ] {
        fs::write(folder.join(name), text).expect("ours");
    }
    let said = with_texts(folder, "").expect_err("all are wrong");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 5, "{said}");
    for (name, what) in [
        ("de.toml:2:3", "`head.fialed`"),
        ("en.toml:2:16", "{span}"),
        ("fr.toml:1:1", "are missing"),
        ("german.language.toml:1:1", "no language tag"),
        ("pl.toml:1:", ""),
    ] {
        let start = format!("p.toml:2:9: `notice.texts`: {}/{name}", folder.display());
        let found = lines.iter().any(|line| line.starts_with(&start) && line.contains(what));
        assert!(found, "{name} {what} is not in\n{said}");
    }
    let absent = with_texts(&folder.join("absent"), "").expect_err("no folder");
    assert!(absent.starts_with("p.toml:2:9: `notice.texts`: cannot read the folder "), "{absent}");
}

//! `notice preview`: what a sender would be told, before it is.
//!
//! A sample is made here, with the settings; of a message in the queue the daemon is asked. Not here: the words
//! (`posthaste_message::dsn`).

use super::daemon;
use crate::cli::{Global, NoticeVerb, Part, Preview, Sample};
use crate::client::Target;
use crate::config;
use crate::failure::{Exit, Failure};
use crate::out::{Out, clean};
use crate::place;
use posthaste_admin::view::NoticeObject;
use posthaste_evidence::NoticeKind;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_message::dsn::{self, Wordings};
use serde_json::json;
use std::io::{IsTerminal as _, stdout};

pub(super) fn run(global: &Global, verb: NoticeVerb, out: &Out) -> Result<(), Failure> {
    let preview = match verb {
        NoticeVerb::Preview(preview) => preview,
        NoticeVerb::Texts { lang } => return texts(&lang, out),
    };
    let notice = match (&preview.of.id, preview.of.sample) {
        (Some(id), _) => of_message(global, id, &preview)?,
        (None, Some(kind)) => sample(global, kind, preview.lang.as_deref())?,
        (None, None) => return Err(Failure::usage("give the id of a message, or --sample KIND")),
    };
    show(&notice, preview.part, out)
}

/// The built-in texts, to be changed or translated.
fn texts(tag: &str, out: &Out) -> Result<(), Failure> {
    let found = Wordings::BUILT_IN.iter().find(|(known, _)| known.eq_ignore_ascii_case(tag));
    let (tag, toml) = found.ok_or_else(|| {
        let there: Vec<&str> = Wordings::BUILT_IN.iter().map(|(tag, _)| *tag).collect();
        let message = format!("no texts in `{tag}` are built in; there are: {}", there.join(", "));
        Failure::new(Exit::Usage, "usage", message)
    })?;
    if out.is_json() {
        out.object(&json!({ "v": 1, "language": tag, "toml": toml }));
    } else {
        out.text(toml);
    }
    Ok(())
}

fn of_message(global: &Global, id: &str, preview: &Preview) -> Result<NoticeObject, Failure> {
    let id: QueueId = id.parse().map_err(|e| Failure::usage(format!("`{id}`: {e}")))?;
    let kind = NoticeKind::from(preview.kind);
    let target = Target::new("/v1/notices/preview").with("id", &id.to_string());
    let target = target.with("kind", kind.name()).with_some("language", preview.lang.as_deref());
    let answer = daemon(global)?.get(&target)?;
    serde_json::from_value(answer)
        .map_err(|error| Failure::failed(format!("the daemon's answer cannot be read: {error}")))
}

fn sample(global: &Global, of: Sample, language: Option<&str>) -> Result<NoticeObject, Failure> {
    let file = place::config_file(global);
    // Clocks have no part in a sample.
    let loaded = config::load(file.as_deref(), true)?;
    loaded.tell_warnings();
    let sender = &loaded.config.notices.sender;
    if let Some(tag) = language.filter(|tag| sender.wordings.has(tag).is_none()) {
        let there: Vec<&str> = sender.wordings.languages().collect();
        let message = format!("there are no texts in `{tag}`; there are: {}", there.join(", "));
        return Err(Failure::new(Exit::Usage, "usage", message));
    }
    let kind = NoticeKind::from(of);
    let now = Timestamp::from_micros(super::now().as_microsecond());
    let composed = match of {
        Sample::Expired => dsn::sample_expired(sender, language, now),
        _ => dsn::sample(kind, sender, language, now),
    };
    Ok(NoticeObject::of(None, kind, &composed))
}

fn show(notice: &NoticeObject, part: Part, out: &Out) -> Result<(), Failure> {
    if out.is_json() {
        let object = serde_json::to_value(notice);
        out.object(&object.map_err(|error| Failure::failed(error.to_string()))?);
        return Ok(());
    }
    let text = match part {
        Part::Text => {
            for (name, value) in
                [("From", &notice.from), ("To", &notice.to), ("Subject", &notice.subject)]
            {
                out.line(&format!("{name}: {value}"));
            }
            out.line("");
            &notice.text
        }
        Part::Html => notice.html.as_ref().ok_or_else(|| {
            Failure::failed("there is no page: the settings say `[notice] html = false`")
        })?,
        Part::Status => &notice.status,
        Part::All => &notice.message,
    };
    // Into a file it goes as it is; a terminal must not act on what others wrote.
    let text = if stdout().is_terminal() { clean(text) } else { text.clone() };
    out.text(&text);
    if !text.ends_with('\n') {
        out.text("\n");
    }
    Ok(())
}

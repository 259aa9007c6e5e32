//! `dkim check [DOMAIN]`: whether the keys are published, asked of every DNS server as mail would ask it, and whether a sample
//! signed with them holds.

use super::judge::{State, judge, texts};
use super::show;
use crate::config::setting::Text as _;
use crate::config::{DkimKey, Loaded, Server};
use crate::daemon::machine;
use crate::failure::Failure;
use crate::out::Out;
use posthaste_dns::{Agreement, Lookup, Resolver};
use posthaste_evidence::{RecordData, RecordType};
use posthaste_io::World;
use posthaste_io_tokio::NullJournal;
use posthaste_message::dkim::{Record, record};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// A check has found a blocking problem (the outside interface, *Exit status*).
const FOUND: u8 = 5;
/// A selector that nobody has: what is published there is published everywhere.
const NOBODYS: &str = "posthaste-control";

/// What DNS says of one key.
struct Found {
    /// What each server says.
    said: Vec<(String, State, Lookup)>,
    /// The worst of it.
    state: State,
    /// A wildcard answers for every selector.
    wildcard: bool,
}

pub(super) fn run(loaded: &Loaded, keys: &[&DkimKey], out: &Out) -> Result<ExitCode, Failure> {
    let settings = loaded.config.lower(&machine::look(&loaded.config)).dns;
    if keys.is_empty() {
        let message = "no [[dkim]] in the settings; `posthaste dkim new DOMAIN` makes a key";
        return Err(Failure::new(crate::failure::Exit::NotFound, "not-found", message));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let found: Vec<Found> = runtime.block_on(async {
        let world = posthaste_io_tokio::world(Arc::new(NullJournal));
        let mut found = Vec::new();
        for key in keys {
            found.push(look(&world, &settings, key).await);
        }
        found
    });
    let pairs = || keys.iter().copied().zip(&found);
    let blocking = pairs().any(|(key, found)| key.sign && found.state.is_blocking());
    if out.is_json() {
        let keys: Vec<Value> = pairs().map(|(key, found)| object(key, found)).collect();
        out.object(&json!({ "v": 1, "blocking": blocking, "keys": keys }));
    } else {
        for (key, found) in pairs() {
            tell(key, found, out);
        }
    }
    let unknown =
        pairs().any(|(key, found)| key.sign && matches!(found.state, State::CannotTell(_)));
    Ok(match (blocking, unknown) {
        (true, _) => ExitCode::from(FOUND),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Each server alone, so that one that is behind the others is seen.
async fn look(world: &World, settings: &posthaste_dns::Settings, key: &DkimKey) -> Found {
    let name = record::name(&key.selector, &key.domain);
    let mut said = Vec::new();
    for server in &settings.servers {
        let alone = posthaste_dns::Settings {
            servers: vec![server.clone()],
            fallback: Vec::new(),
            stale_for: Duration::ZERO,
            ..settings.clone()
        };
        let resolver = Resolver::new(world.clone(), alone);
        let lookup = resolver.ask(&name, RecordType::Txt, Agreement::All).await;
        said.push((Server(server.clone()).to_text(), judge(&key.key, &lookup), lookup));
    }
    let nobody = || State::CannotTell("there is no DNS server in [resolver]".to_owned());
    let state = said.iter().map(|(_, state, _)| state.clone()).max().unwrap_or_else(nobody);
    let odd = matches!(state, State::OtherKey(_) | State::NoRecord(_) | State::Several(_));
    let mut wildcard = false;
    if odd {
        let resolver = Resolver::new(world.clone(), settings.clone());
        let control = record::name(NOBODYS, &key.domain);
        let control = resolver.ask(&control, RecordType::Txt, Agreement::First).await;
        wildcard = !texts(&control).is_empty();
    }
    Found { said, state, wildcard }
}

/// The name that an alias leads to, when the record is somebody else's.
fn alias(found: &Found) -> Option<String> {
    let records = found.said.iter().flat_map(|(_, _, lookup)| &lookup.answer.records);
    let target = |data: &RecordData| match data {
        RecordData::Cname(target) => Some(target.clone()),
        _ => None,
    };
    records.rev().find_map(|record| target(&record.data))
}

/// What is to be done, and by whom.
fn advice(key: &DkimKey, found: &Found) -> Vec<String> {
    if !found.state.is_blocking() {
        return Vec::new();
    }
    let name = record::name(&key.selector, &key.domain);
    let at = alias(found).unwrap_or_else(|| name.clone());
    let text = Record::of(&key.key).text();
    let mut lines = vec![format!("must act: who runs the DNS of {at}")];
    if at != name {
        lines.push(format!("{name} is an alias of {at}: the record belongs there"));
    }
    if found.wildcard {
        lines.push(format!(
            "a wildcard answers for every name in _domainkey.{}: publish the name itself",
            key.domain
        ));
    }
    lines.push(format!("publish: {at}. 3600 IN TXT {}", record::zone_strings(&text)));
    if key.sign {
        lines.push("until then: sign = false in its [[dkim]], and reload".to_owned());
    }
    lines
}

fn object(key: &DkimKey, found: &Found) -> Value {
    let mut object = show::object(key);
    let said = |(server, state, lookup): &(String, State, Lookup)| json!({ "server": server, "state": state.word(), "text": state.text(), "records": texts(lookup) });
    object["state"] = json!(found.state.word());
    object["text"] = json!(found.state.text());
    object["blocking"] = json!(key.sign && found.state.is_blocking());
    object["wildcard"] = json!(found.wildcard);
    object["alias"] = json!(alias(found));
    object["advice"] = json!(advice(key, found));
    object["servers"] = found.said.iter().map(said).collect();
    object
}

fn tell(key: &DkimKey, found: &Found, out: &Out) {
    let quiet = if key.sign { "" } else { " (does not sign)" };
    out.line(&format!(
        "{} {}{quiet}: {}",
        record::name(&key.selector, &key.domain),
        key.key.algorithm().as_str(),
        found.state.text()
    ));
    for line in advice(key, found) {
        out.line(&format!("    {line}"));
    }
    for (server, state, lookup) in &found.said {
        out.line(&format!("    {server}: {}", state.word()));
        if state.is_blocking() {
            for text in texts(lookup) {
                out.line(&format!("        {text}"));
            }
        }
    }
}

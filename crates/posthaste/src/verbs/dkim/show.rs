//! `dkim show [DOMAIN]`: the keys of the settings, who signs, and the records they need.

use crate::config::DkimKey;
use crate::out::Out;
use crate::table::Table;
use jiff::Timestamp;
use posthaste_message::dkim::{Record, record};
use serde_json::{Value, json};

pub(super) fn run(keys: &[&DkimKey], out: &Out) {
    if out.is_json() {
        let keys: Vec<Value> = keys.iter().map(|key| object(key)).collect();
        out.object(&json!({ "v": 1, "keys": keys }));
        return;
    }
    let mut table = Table::new(&["DOMAIN", "SELECTOR", "ALGORITHM", "SIGNS", "SINCE", "FILE"]);
    for key in keys {
        let since = written(key).map_or_else(|| "-".to_owned(), |at| at.strftime("%F").to_string());
        table.row(vec![
            key.domain.clone(),
            key.selector.clone(),
            format!("{} {}", key.key.algorithm().as_str(), key.key.bits()),
            signs(key).to_owned(),
            since,
            key.path.display().to_string(),
        ]);
    }
    table.print(
        out,
        "no [[dkim]] in the settings: nothing is signed; `posthaste dkim new DOMAIN` makes a key",
    );
    for key in keys {
        out.line("");
        let name = record::name(&key.selector, &key.domain);
        let text = record::zone_strings(&Record::of(&key.key).text());
        out.line(&format!("{name}. 3600 IN TXT {text}"));
    }
}

/// What is known of a key without asking anybody.
pub(super) fn object(key: &DkimKey) -> Value {
    json!({
        "domain": key.domain, "selector": key.selector, "algorithm": key.key.algorithm().as_str(),
        "bits": key.key.bits(), "signs": key.sign, "subdomains": key.subdomains, "strangers": key.strangers,
        "canonicalization": format!("{}/{}", key.canons.header.as_str(), key.canons.body.as_str()),
        "valid_for": key.valid_for.map(|time| time.as_secs()), "file": key.path,
        "since": written(key).map(|at| at.to_string()),
        "name": record::name(&key.selector, &key.domain), "record": Record::of(&key.key).text(),
    })
}

const fn signs(key: &DkimKey) -> &'static str {
    match (key.sign, key.subdomains) {
        (false, _) => "no",
        (true, false) => "yes",
        (true, true) => "yes, subdomains too",
    }
}

/// When the file was written.
fn written(key: &DkimKey) -> Option<Timestamp> {
    let at = std::fs::metadata(&key.path).and_then(|file| file.modified()).ok()?;
    Timestamp::try_from(at).ok()
}

//! `check domain NAME`: what is wrong with a domain's DNS, who must act, and each question that shows it.

use super::alone;
use crate::cli::Global;
use crate::client::Target;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::table::Table;
use crate::verbs::{daemon, text};
use serde_json::Value;
use std::process::ExitCode;

/// A check has found a blocking problem (the outside interface, *Exit status*).
const FOUND: u8 = 5;

pub(super) fn run(
    global: &Global,
    name: &str,
    route: Option<&str>,
    out: &Out,
) -> Result<ExitCode, Failure> {
    let target = Target::new("/v1/check/domain").with("name", name).with_some("route", route);
    let check = match daemon(global).and_then(|client| client.get(&target)) {
        Err(failure) if failure.exit == Exit::NoDaemon => {
            out.remark("no daemon: this program asks itself");
            alone::domain(global, name, route)?
        }
        answer => answer?,
    };
    if out.is_json() {
        out.object(&check);
    } else {
        show(&check, out);
    }
    let blocking = check["blocking"] == true;
    Ok(if blocking { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn show(check: &Value, out: &Out) {
    for line in findings(check) {
        out.line(&line);
    }
    out.line("");
    let mut table = Table::new(&["ID", "ASKED", "OUTCOME", "TIME", "DETAIL"]);
    for seen in list(&check["observations"]) {
        table.row(vec![
            text(&seen["id"]),
            text(&seen["subject"]),
            text(&seen["outcome"]),
            format!("{} ms", text(&seen["took_ms"])),
            text(&seen["raw"]),
        ]);
    }
    table.print(out, "nobody was asked");
}

/// The verdict, the way down, and each finding.
fn findings(check: &Value) -> Vec<String> {
    let found = list(&check["findings"]);
    let mut lines = vec![format!(
        "{}: {}, {} questions in {} ms",
        text(&check["domain"]),
        match (found.len(), check["blocking"] == true) {
            (0, _) if check["at_zone"] == true => "nothing wrong was found".to_owned(),
            (0, _) => "our own servers find nothing wrong".to_owned(),
            (many, true) => format!("{many} found, and mail cannot be delivered"),
            (many, false) => format!("{many} found, and mail can be delivered"),
        },
        list(&check["observations"]).len(),
        text(&check["took_ms"]),
    )];
    let zones: Vec<String> = list(&check["zones"]).iter().map(|zone| text(&zone["name"])).collect();
    let unseen = match (zones.is_empty(), check["at_zone"] == true) {
        (true, _) => "not walked: there are no roots in `[resolver] roots`; nothing is confirmed",
        (false, true) => "",
        (false, false) => " (its own servers did not say what there is; nothing is confirmed)",
    };
    lines.push(format!("zones    {}{unseen}", zones.join(" > ")));
    lines.push(format!("asked by {}", text(&check["asked"])));
    let limits: Vec<String> = list(&check["limits"]).iter().map(text).collect();
    if !limits.is_empty() {
        lines.push(format!("cut      the check met a limit: {}", limits.join(", ")));
    }
    for finding in found {
        let shown: Vec<String> = list(&finding["evidence"]).iter().map(text).collect();
        lines.push(String::new());
        lines.push(format!(
            "{}: {} {}",
            text(&finding["effect"]),
            text(&finding["subject"]),
            text(&finding["text"])
        ));
        lines.push(format!("    cause    {}", text(&finding["cause"])));
        lines.push(format!("    must act {}", text(&finding["owner_text"])));
        lines.push(format!("    to do    {}", text(&finding["advice"])));
        lines.push(format!("    shown by {}", shown.join(", ")));
    }
    lines
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_finding_tells_who_must_act() {
        let check = json!({ "domain": "shop.test", "took_ms": 80, "blocking": true, "at_zone": true, "asked": "route b", "limits": ["time"],
            "zones": [{ "name": "." }, { "name": "test" }], "observations": [{}, {}],
            "findings": [{ "effect": "blocking", "subject": "zone shop.test", "text": "none of its name servers answers",
                "cause": "dns.auth-unreachable", "owner_text": "who runs the DNS of the domain", "advice": "repair it",
                "evidence": ["o.1", "o.2"] }] });
        let expected = [
            "shop.test: 1 found, and mail cannot be delivered, 2 questions in 80 ms",
            "zones    . > test",
            "asked by route b",
            "cut      the check met a limit: time",
            "",
            "blocking: zone shop.test none of its name servers answers",
            "    cause    dns.auth-unreachable",
            "    must act who runs the DNS of the domain",
            "    to do    repair it",
            "    shown by o.1, o.2",
        ];
        assert_eq!(findings(&check), expected);
        let unseen =
            json!({ "domain": "b.test", "took_ms": 1, "blocking": false, "at_zone": false });
        let told = findings(&unseen);
        assert_eq!(told[0], "b.test: our own servers find nothing wrong, 0 questions in 1 ms");
        assert!(told[1].ends_with("no roots in `[resolver] roots`; nothing is confirmed"));
        let good = json!({ "domain": "b.test", "took_ms": 1, "blocking": false, "at_zone": true });
        assert_eq!(findings(&good)[0], "b.test: nothing wrong was found, 0 questions in 1 ms");
    }
}

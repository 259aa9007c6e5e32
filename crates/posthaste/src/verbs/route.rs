//! `route ADDRESS [--from]`: which rule, which hops, which limits, and why not now.

use super::{last_error, now, text};
use crate::cli::RouteArgs;
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use crate::table::{Table, relative};
use posthaste_admin::units::{print_rough, print_size};
use serde_json::Value;
use std::time::Duration;

pub(super) fn run(client: &Client, asked: &RouteArgs, out: &Out) -> Result<(), Failure> {
    let target = Target::new("/v1/route")
        .with("address", &asked.address)
        .with_some("from", asked.from.as_deref())
        .with_some("listener", asked.listener.as_deref())
        .with_some("user", asked.user.as_deref())
        .with_some("size", asked.size.as_deref());
    let route = client.get(&target)?;
    if out.is_json() {
        out.object(&route);
        return Ok(());
    }
    show(&route, out);
    Ok(())
}

fn show(route: &Value, out: &Out) {
    let expire = Duration::from_secs(route["expire_after"].as_u64().unwrap_or(0));
    let expire = print_rough(expire);
    let said = || format!("{} {}", text(&route["enhanced"]), text(&route["reason"]));
    match (route["route"].as_str(), route["via"].as_str()) {
        (None, _) => out.line("route        none matches"),
        (Some(name), via) => {
            out.line(&format!("route        {name}, via {}", via.unwrap_or_default()));
        }
    }
    match route["action"].as_str() {
        Some("discard") => out.line("does         discards it, and tells nobody"),
        Some("fail") => out.line(&format!("does         fails it: {}", said())),
        Some("hold") => {
            let until =
                if route["route"].is_null() { "a route matches" } else { "the rules change" };
            out.line(&format!("does         holds it until {until}, {expire} at most"));
        }
        _ => {
            out.line(&format!("destination  {}", text(&route["destination"])));
            out.line(&format!("tried for    {expire}"));
            out.line(&format!("limits       {}", limits(route)));
            if let Some(user) = route["auth"]["user"].as_str() {
                let mechanisms = each(&route["auth"]["mechanisms"]).join(", ");
                out.line(&format!("logs in      as {user}, by {mechanisms}"));
            }
            if !route["reason"].is_null() {
                out.line(&format!("not sent     {}", said()));
            }
        }
    }
    out.line(&format!("recipient    {}", recipient(&route["recipient"])));
    standing(&route["standing"], out);
    if route["action"].as_str().is_some_and(|action| action != "send") {
        return;
    }
    let mut hops = Table::new(&["HOP", "PREFERENCE", "ADDRESS", "PORT", "TLS"]);
    for hop in route["hops"].as_array().into_iter().flatten() {
        let mut cells = ["host", "preference", "ip", "port"].map(|name| text(&hop[name])).to_vec();
        cells.push(demanded(&hop["tls"]));
        hops.row(cells);
    }
    out.line("");
    hops.print(out, "no next hop");
    let mut seen = Table::new(&["SEEN", "ABOUT", "OUTCOME", "DETAIL"]);
    for step in route["observations"].as_array().into_iter().flatten() {
        let cells = ["stage", "subject", "outcome", "raw"].map(|name| text(&step[name]));
        seen.row(cells.to_vec());
    }
    out.line("");
    seen.print(out, "nothing was asked");
}

/// What the route has of its own, and how many connections there may be now.
fn limits(route: &Value) -> String {
    let limits = &route["limits"];
    let now = route["concurrency"].as_u64();
    let mut parts = vec![format!("{} connections now", now.map_or("-".into(), |n| n.to_string()))];
    let mut add = |part: String| parts.push(part);
    if let Some(most) = limits["connections"].as_u64() {
        add(format!("{most} over all of the route"));
    }
    if let Some(most) = limits["messages_per_minute"].as_u64() {
        add(format!("{most} messages a minute"));
    }
    if let Some(most) = limits["message_size"].as_u64() {
        add(format!("messages up to {}", print_size(most)));
    }
    for (name, words) in [("source", "from"), ("resolvers", "resolvers")] {
        let all = each(&limits[name]);
        if !all.is_empty() {
            add(format!("{words} {}", all.join(" ")));
        }
    }
    if let Some(ehlo) = limits["ehlo"].as_str() {
        add(format!("EHLO {ehlo}"));
    }
    parts.join(", ")
}

fn each(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(text).collect()
}

/// What TLS with a host must be; names and keys only where mail depends on them.
fn demanded(tls: &Value) -> String {
    let level = text(&tls["level"]);
    let names = each(&tls["names"]).join(" ");
    let mut said = match (level.as_str(), tls["roots"].as_str()) {
        ("verify", Some("given")) => format!("{level}: {names}, by tls_roots"),
        ("verify", _) => format!("{level}: {names}"),
        ("pinned", _) => format!("{level}: {}", each(&tls["pins"]).join(" ")),
        _ => level,
    };
    if tls["implicit"] == true {
        said += ", from the first octet";
    }
    match tls["by"].as_str() {
        None | Some("route") => said,
        Some(other) => format!("{said}, by {other}"),
    }
}

/// Whether it would be accepted, and why.
fn recipient(recipient: &Value) -> String {
    let everybody = recipient["takes_everybody"].as_bool() == Some(true);
    match recipient["by"].as_str() {
        Some("elsewhere") => "none of ours: accepted from who may relay".to_owned(),
        Some("any") => "accepted: its domain takes any".to_owned(),
        Some("list") => "accepted: on the list of its domain".to_owned(),
        Some("postmaster") => "accepted: every domain has a postmaster".to_owned(),
        Some("verify") if everybody => {
            "accepted: its next hop takes it, as it takes everybody".to_owned()
        }
        Some("verify") => "accepted: its next hop takes it".to_owned(),
        Some("alias") => {
            let names = recipient["becomes"].as_array().into_iter().flatten();
            format!("accepted for {}", names.map(text).collect::<Vec<_>>().join(", "))
        }
        _ => format!("not accepted: {}", text(&recipient["reply"])),
    }
}

/// Why not now.
fn standing(standing: &Value, out: &Out) {
    if standing.is_null() {
        out.line("now          nothing is queued for it");
        return;
    }
    let mut line = format!(
        "now          {}, {} messages, {} connections",
        text(&standing["status"]),
        text(&standing["messages"]),
        text(&standing["connections"])
    );
    if let Some(since) = standing["down_since"].as_str() {
        let next = relative(standing["next_attempt"].as_str(), now());
        line = format!("{line}; down since {since}, tried again {next}");
    }
    out.line(&line);
    if !standing["last_error"].is_null() {
        out.line(&format!("last error   {}", last_error(&standing["last_error"])));
    }
}

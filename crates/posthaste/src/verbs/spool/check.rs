//! `spool check [FOLDER]`: everything is read, nothing is changed.

use super::{FOUND, data, in_use, look};
use crate::cli::Global;
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use crate::place;
use crate::spool;
use crate::table::Table;
use crate::verbs::text;
use posthaste_admin::units::print_rough_size;
use posthaste_io_tokio::{DiskOpenError, RealDisk};
use posthaste_spool::store::Quarantined;
use posthaste_spool_local::{Checked, Report};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) fn run(
    global: &Global,
    folder: Option<PathBuf>,
    out: &Out,
) -> Result<ExitCode, Failure> {
    let data = data(global, folder)?;
    match look(&data)? {
        Ok(disk) => offline(disk, out),
        Err(locked) => ask(global, &data, &locked, out),
    }
}

fn offline(disk: RealDisk, out: &Out) -> Result<ExitCode, Failure> {
    let folder = disk.path().display().to_string();
    let (log, report) = spool::open(disk, true)
        .map_err(|error| Failure::failed(format!("cannot open the spool in {folder}: {error}")))?;
    let checked = log.check().map_err(|error| Failure::failed(error.to_string()))?;
    let clean = checked.damaged.is_empty() && report.torn.is_none() && report.unclaimed.is_empty();
    if out.is_json() {
        out.object(&object(&folder, clean, &report, &checked));
    } else {
        tell(&folder, clean, &report, &checked, out);
    }
    Ok(if clean { ExitCode::SUCCESS } else { FOUND.into() })
}

fn object(folder: &str, clean: bool, report: &Report, checked: &Checked) -> Value {
    let Checked { segments, without_index, groups, messages, octets, large, ledger, damaged } =
        checked;
    let place = |q: &Quarantined| json!({ "place": q.place, "size": q.size, "what": q.what });
    let damaged: Vec<Value> = damaged.iter().map(place).collect();
    let kept: Vec<Value> = report.kept.iter().map(place).collect();
    json!({
        "v": 1, "folder": folder, "clean": clean, "daemon": false, "segments": segments,
        "without_index": without_index, "commits": groups, "messages": messages, "octets": octets,
        "large": large, "ledger": ledger, "damaged": damaged, "torn": report.torn, "kept": kept,
        "unclaimed": report.unclaimed,
    })
}

fn tell(folder: &str, clean: bool, report: &Report, checked: &Checked, out: &Out) {
    let Checked { segments, without_index, groups, messages, octets, large, ledger, damaged } =
        checked;
    out.line(&format!("{folder}: {}", if clean { "clean" } else { "NOT CLEAN" }));
    out.line(&format!("segments   {segments} with records, {groups} commits, all read"));
    let octets = print_rough_size(*octets);
    out.line(&format!("messages   {messages} whole, {octets}, {large} in files of their own"));
    out.line(&format!("ledger     {ledger} entries"));
    if *without_index > 0 {
        out.line(&format!(
            "unsealed   {without_index}: the last run was not ended in order; a start reads them commit by commit"
        ));
    }
    if let Some(place) = &report.torn {
        out.line(&format!(
            "torn       {place}: a commit that was begun and not finished; a start drops it, nothing was acknowledged \
             with it"
        ));
    }
    for body in &report.kept {
        out.line(&format!("kept       {}: {}; a start keeps it once more", body.place, body.what));
    }
    for file in &report.unclaimed {
        out.line(&format!("orphan     {file}: a start removes it"));
    }
    places(damaged, out);
    if !damaged.is_empty() {
        out.remark(
            "the daemon goes on with the rest and sets aside what it finds damaged: commits and envelopes at its start, \
             a content when its message is tried, which is then held; see `posthaste spool quarantine list`",
        );
    }
}

fn places(damaged: &[Quarantined], out: &Out) {
    if damaged.is_empty() {
        return;
    }
    let mut table = Table::new(&["DAMAGED", "OCTETS", "WHAT"]);
    for place in damaged {
        table.row(vec![place.place.clone(), place.size.to_string(), place.what.to_owned()]);
    }
    table.print(out, "");
}

/// A daemon has it: it tells what it has found, which is less than a check would.
fn ask(
    global: &Global,
    data: &Path,
    locked: &DiskOpenError,
    out: &Out,
) -> Result<ExitCode, Failure> {
    let socket = if global.socket.is_some() || place::config_file(global).is_some() {
        place::socket(global)?
    } else {
        data.join("control.sock")
    };
    let client = Client::new(socket.clone())?;
    let nobody = |_: Failure| {
        let place = socket.display();
        in_use(locked, &format!("no daemon answers at {place}: end the process, and check again"))
    };
    let mut answer = client.get(&Target::new("/v1/spool")).map_err(nobody)?;
    let status = client.get(&Target::new("/v1/status"))?;
    // Those of this run, or with those of earlier ones that are still in quarantine.
    let damaged = answer["quarantined"].as_array().map_or(0, Vec::len) as u64;
    let damaged = damaged.max(status["store"]["quarantined"].as_u64().unwrap_or(0));
    let accepting = status["store"]["accepting"] == true;
    let clean = damaged == 0 && accepting;
    if out.is_json() {
        answer["daemon"] = json!(true);
        answer["clean"] = json!(clean);
        answer["store"] = status["store"].clone();
        answer["messages"] = status["messages"].clone();
        out.object(&answer);
    } else {
        out.line(&format!("{locked}, a daemon: this is what it has found"));
        let state = if accepting { "accepting" } else { "NOT ACCEPTING mail" };
        let messages = text(&status["messages"]);
        out.line(&format!("spool      {state}, {messages} messages, {damaged} damaged places"));
        for place in answer["quarantined"].as_array().into_iter().flatten() {
            out.line(&format!("damaged    {}: {}", text(&place["place"]), text(&place["what"])));
        }
        if damaged > 0 {
            out.remark("what was set aside: `posthaste spool quarantine list`");
        }
        out.remark("stop the daemon and check again to have everything read");
    }
    Ok(if clean { ExitCode::SUCCESS } else { FOUND.into() })
}

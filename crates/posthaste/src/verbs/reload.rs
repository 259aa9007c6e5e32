//! `reload`: the daemon rereads its settings. Sessions and attempts under way keep theirs.

use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use bytes::Bytes;
use serde_json::Value;

pub(super) fn run(client: &Client, out: &Out) -> Result<(), Failure> {
    let answer = client.post(&Target::new("/v1/reload"), Bytes::new())?;
    if out.is_json() {
        out.object(&answer);
        return Ok(());
    }
    match answer["due_now"].as_u64() {
        None | Some(0) => out.line("reloaded"),
        Some(due) => {
            out.line(&format!("reloaded; {due} recipients waited for this and are due now"))
        }
    }
    let later = answer["after_restart"].as_array().into_iter().flatten();
    for setting in later.filter_map(Value::as_str) {
        out.line(&format!("`{setting}` has changed and holds after a restart"));
    }
    Ok(())
}

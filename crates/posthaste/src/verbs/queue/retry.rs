//! `queue retry (ID|--where FILTER|--all) [--dry-run]`: slice by slice, so that no request takes long.

use crate::cli::RetryArgs;
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use bytes::Bytes;
use serde_json::{Value, json};

pub(super) fn run(client: &Client, args: &RetryArgs, out: &Out) -> Result<(), Failure> {
    let mut request = json!({ "dry_run": args.dry_run });
    match (&args.which.id, &args.which.filter) {
        (Some(id), _) => request["id"] = json!(id),
        (None, Some(filter)) => request["where"] = json!(filter),
        (None, None) => request["all"] = json!(true),
    }
    let (mut messages, mut recipients) = (0, 0);
    loop {
        let answer = client.post(&Target::new("/v1/retry"), Bytes::from(request.to_string()))?;
        messages += answer["messages"].as_u64().unwrap_or(0);
        recipients += answer["recipients"].as_u64().unwrap_or(0);
        match &answer["next"] {
            Value::String(next) => request["after"] = json!(next),
            _ => break,
        }
    }
    if out.is_json() {
        let dry_run = args.dry_run;
        out.object(
            &json!({ "v": 1, "messages": messages, "recipients": recipients, "dry_run": dry_run }),
        );
    } else if args.dry_run {
        out.line(&format!("would try {recipients} recipients of {messages} messages now"));
    } else {
        out.line(&format!("{recipients} recipients of {messages} messages are due now"));
    }
    Ok(())
}

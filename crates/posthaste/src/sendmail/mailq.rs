//! `mailq`, `sendmail -bp`: the queue in the form that people and scripts know from Postfix; `sendmail -q`: all of it now.
//!
//! Not here: `posthaste queue`, which says more.

use super::{Trouble, exit};
use crate::client::{Client, Target};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::clean;
use crate::pickup::leave::count;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Messages asked for at once.
const SLICE: &str = "500";
const HEADING: &str = "-Queue ID-   --Size-- ---Arrival Time (UTC)-- -Sender/Recipient-------";

/// Prints the queue.
///
/// # Errors
/// 69 without a daemon, 77 for users who may not see the queue.
pub(super) fn list(config: &Config) -> Result<(), Trouble> {
    let client = client(config)?;
    let (mut messages, mut octets) = (0u64, 0u64);
    let mut after: Option<String> = None;
    loop {
        let target = Target::new("/v1/messages").with("limit", SLICE);
        let slice = client.get(&target.with_some("after", after.as_deref()));
        let slice = slice.map_err(|failure| trouble(&failure, config))?;
        for message in slice["messages"].as_array().into_iter().flatten() {
            if messages == 0 {
                print(&format!("{HEADING}\n"));
            }
            messages += 1;
            octets += message["size"].as_u64().unwrap_or(0);
            print(&format!("{}\n", entry(message)));
        }
        after = slice["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    match messages {
        0 => print("Mail queue is empty\n"),
        1 => print(&format!("-- {} Kbytes in 1 Request.\n", octets.div_ceil(1024))),
        many => print(&format!("-- {} Kbytes in {many} Requests.\n", octets.div_ceil(1024))),
    }
    Ok(())
}

/// Makes all mail due now.
///
/// # Errors
/// As [`list`].
pub(super) fn flush(config: &Config) -> Result<(), Trouble> {
    let request = json!({ "act": "retry", "all": true }).to_string();
    let done = client(config)?.post(&Target::new("/v1/acts"), Bytes::from(request));
    done.map(drop).map_err(|failure| trouble(&failure, config))
}

fn client(config: &Config) -> Result<Client, Trouble> {
    Client::new(config.admin.socket.clone()).map_err(|failure| trouble(&failure, config))
}

/// A reader that has gone away (`| head`) is no failure.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(clean(text).as_bytes());
}

fn trouble(failure: &Failure, config: &Config) -> Trouble {
    let mut text = failure.errors.first().map(|line| line.message.clone()).unwrap_or_default();
    let mine = std::os::unix::net::UnixStream::connect(&config.admin.socket);
    let forbidden = mine.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    if forbidden {
        let text = "the queue is for root and the user of the daemon to see";
        return Trouble::new(exit::NO_PERMISSION, text);
    }
    if let Some(waiting) = count(&config.submission.pickup).filter(|count| *count > 0) {
        let _ = write!(
            text,
            "; {waiting} messages wait for it in {}",
            config.submission.pickup.display()
        );
    }
    let code = if failure.exit == Exit::NoDaemon { exit::UNAVAILABLE } else { exit::TEMPORARY };
    Trouble::new(code, text)
}

/// As Postfix: `*` for mail that is being sent, `!` for held mail; what went wrong above the recipient.
fn entry(message: &Value) -> String {
    let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let recipients: Vec<&Value> = message["recipients"].as_array().into_iter().flatten().collect();
    let any = |status| recipients.iter().any(|recipient| recipient["status"] == status);
    let mark = match (any("in-flight"), any("held")) {
        (true, _) => '*',
        (false, true) => '!',
        _ => ' ',
    };
    let received = of(&message["received"]);
    let arrived = received
        .parse::<Timestamp>()
        .map_or(received, |at| at.strftime("%a %b %e %H:%M:%S").to_string());
    let sender = Some(of(&message["reverse_path"]))
        .filter(|s| !s.is_empty())
        .unwrap_or("MAILER-DAEMON".into());
    let size = message["size"].as_u64().unwrap_or(0);
    let mut text = format!("{}{mark} {size:>7} {arrived:>23}  {sender}\n", of(&message["id"]));
    for recipient in recipients {
        if !matches!(recipient["status"].as_str(), Some("queued" | "in-flight" | "held")) {
            continue;
        }
        if let Some(error) = recipient["last_error"]["text"].as_str() {
            let _ = writeln!(text, "{:>8}({})", "", error.replace('\n', " "));
        }
        let _ = writeln!(text, "{:46}{}", "", of(&recipient["address"]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_looks_as_people_know_it() {
        let message = json!({
            "id": "0000000000001", "received": "2026-11-21T06:53:04Z", "size": 350, "reverse_path": "",
            "recipients": [
                {"address": "a@b.test", "status": "delivered"},
                {"address": "c@d.test", "status": "queued", "last_error": {"text": "connection refused"}},
                {"address": "e@f.test", "status": "held", "last_error": null},
            ],
        });
        let expected = "0000000000001!     350     Sat Nov 21 06:53:04  MAILER-DAEMON\n        \
            (connection refused)\n                                              c@d.test\n                                              \
            e@f.test\n";
        assert_eq!(entry(&message), expected);
    }
}

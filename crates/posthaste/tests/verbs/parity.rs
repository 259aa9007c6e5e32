//! `docs/coming-from.md`: every command of its tables is run against a real daemon with a queue, and what the table says
//! one sees is seen. A table that is not run says what was true once.

use crate::command::{Ran, fed, posthaste};
use crate::daemon::{free_ports, settings, start};
use std::path::Path;
use std::time::{Duration, Instant};

const TABLES: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/coming-from.md"));
/// More than there are commands that take a message away.
const MESSAGES: usize = 20;

struct Row<'d> {
    line: usize,
    theirs: &'d str,
    ours: &'d str,
    look_for: &'d str,
}

fn rows() -> Vec<Row<'static>> {
    let mut rows = Vec::new();
    for (number, line) in TABLES.lines().enumerate() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [theirs, ours, look_for] = cells[..] else { continue };
        if line.starts_with('|') && !ours.starts_with("---") && ours != "Posthaste" {
            rows.push(Row { line: number + 1, theirs, ours, look_for });
        }
    }
    rows
}

/// Words of a command, those in double quotes as one.
fn words(command: &str) -> Vec<String> {
    let parts = command.split('"').enumerate();
    let words = parts.flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

fn ids(folder: &Path) -> Vec<String> {
    let arguments = ["queue", "messages", "status = queued", "--json", "--config", "p.toml"];
    let listed = posthaste(folder, &arguments).json();
    let messages = listed["messages"].as_array().unwrap().iter();
    // Notices and what was redirected are not what the tables speak of.
    let ours = messages.filter(|m| {
        m["reverse_path"] == "ann@a.example" && m["recipients"][0]["address"] == "bob@b.example"
    });
    ours.map(|m| m["id"].as_str().unwrap().to_owned()).collect()
}

fn prepare(folder: &Path, dead: u16) {
    for number in 0..MESSAGES {
        let arguments =
            ["send", "--from", "ann@a.example", "--to", "bob@b.example", "--config", "p.toml"];
        let ran = fed(folder, &arguments, &format!("Subject: m{number}\n\nhello\n"));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while !run(folder, "queue --json", "", "").stdout.contains("connection: refused") {
        assert!(Instant::now() < deadline, "127.0.0.1:{dead} refuses");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn run(folder: &Path, command: &str, id: &str, destination: &str) -> Ran {
    let mut arguments = words(command);
    for word in &mut arguments {
        *word = word.replace("ID", id).replace("DEST", destination);
    }
    if !arguments.iter().any(|word| word == "--socket") {
        arguments.extend(["--config".to_owned(), "p.toml".to_owned()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    posthaste(folder, &arguments)
}

#[test]
fn every_command_of_the_tables_does_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [port, dead] = free_ports();
    settings(folder, &[port], &format!("[[route]]\nto = \"*\"\nvia = \"127.0.0.1:{dead}\"\n"));
    let _daemon = start(folder);
    prepare(folder, dead);
    let destination = format!("127.0.0.1:{dead}");
    let (mut held, mut ran, mut wrong) = (None, 0, Vec::new());
    for Row { line, theirs, ours, look_for } in rows() {
        let Some(command) = ours.strip_prefix("`posthaste ").and_then(|c| c.strip_suffix('`'))
        else {
            let reason = ours == "-" && look_for.len() > 10;
            assert!(reason, "line {line}: {theirs} has neither a command nor a reason");
            continue;
        };
        // What was held is released; everything else happens to a message that waits.
        let held_one = held.take().filter(|_| command.contains("queue release ID"));
        let waiting = ids(folder);
        let id = held_one.or_else(|| waiting.first().cloned()).expect("enough messages");
        let did = run(folder, command, &id, &destination);
        if command.contains("queue hold ID") {
            held = Some(id.clone());
        }
        let look_for = look_for.trim_matches('`');
        let look_for = look_for.replace("DEST", &destination);
        let seen = format!("{}{}", did.stdout, did.stderr);
        if did.code != 0 || !seen.contains(&look_for) {
            wrong.push(format!("line {line}, {theirs}: `{command}`: no `{look_for}` in {did:?}"));
        }
        ran += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 90, "{ran} commands were found");
}

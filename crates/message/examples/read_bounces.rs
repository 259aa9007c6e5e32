//! How well bounces of other servers are read: all `.eml` of a folder, measured against what somebody else says of them.
//!
//! `cargo run -p posthaste-message --example read_bounces -- FOLDER [TRUTH.TSV]`
//!
//! The table has a head and these columns, by name, in any order: `file`, `recipient`, `status` (RFC 3463), `reply_code`
//! (RFC 5321), `note`. Rows with a note are not scored, nor are empty values, nor statuses of the form x.0.9yz, which some
//! parsers make up themselves; a file of which there is no row is only read.
//!
//! A recipient agrees when the report names it, as the original or the final one. A status agrees when the `Status` field or
//! the reply in the `Diagnostic-Code` has it, a reply code when that reply has it. Each disagreement is a line:
//! what, file, recipient, theirs, ours.
//!
//! Not here: what a bounce means, and bounces without a part for machines: they are counted by the reason that `dsn::read`
//! gives, with a line each where the file has a field that only reports have.

#![expect(clippy::print_stdout, reason = "figures for people")]
#![expect(clippy::disallowed_methods, reason = "a program of its own: the folder is its argument")]

use posthaste_message::dsn::status::{RecipientStatus, Typed};
use posthaste_message::dsn::{ReadReport, read};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or_else(|| io::Error::other("which folder?"))?;
    let truth = arguments.next().map(std::fs::read_to_string).transpose()?;
    let truth = truth.as_deref().map_or_else(BTreeMap::new, rows);
    let mut tally = Tally::default();
    for (name, octets) in mails(Path::new(&folder))? {
        let told = truth.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        tally.file(&name, &octets, told);
    }
    tally.show();
    Ok(())
}

fn mails(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "eml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            all.insert(name, std::fs::read(&path)?);
        }
    }
    Ok(all)
}

/// What somebody else says of one recipient; empty where nothing is to be scored.
struct Row<'a> {
    recipient: &'a str,
    status: &'a str,
    code: &'a str,
}

fn rows(table: &str) -> BTreeMap<&str, Vec<Row<'_>>> {
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let mut all: BTreeMap<&str, Vec<Row<'_>>> = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |name: &str| {
            let at = head.iter().position(|column| *column == name);
            at.and_then(|at| cells.get(at)).map_or("", |cell| cell.trim())
        };
        if !cell("note").is_empty() {
            continue;
        }
        let status = cell("status");
        let status = if is_made_up(status) { "" } else { status };
        let row = Row { recipient: cell("recipient"), status, code: cell("reply_code") };
        all.entry(cell("file")).or_default().push(row);
    }
    all
}

/// x.0.9yz
fn is_made_up(status: &str) -> bool {
    let detail = status.split_once(".0.9").map(|(_, rest)| rest);
    detail.is_some_and(|rest| rest.len() == 2 && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// How often we say the same.
#[derive(Default)]
struct Score {
    agreed: usize,
    disagreed: usize,
}

#[derive(Default)]
struct Tally {
    files: usize,
    read: usize,
    places: BTreeMap<String, usize>,
    not_read: BTreeMap<String, usize>,
    scored: usize,
    recipients: Score,
    statuses: Score,
    codes: Score,
    lines: Vec<String>,
}

impl Tally {
    fn file(&mut self, name: &str, octets: &[u8], told: &[Row<'_>]) {
        self.files += 1;
        match read(octets) {
            Ok(report) => {
                self.read += 1;
                *self.places.entry(format!("{:?}", report.place)).or_default() += 1;
                self.scored += usize::from(!told.is_empty());
                told.iter().for_each(|row| self.row(name, &report, row));
            }
            Err(reason) => {
                *self.not_read.entry(reason.to_string()).or_default() += 1;
                if let Some(field) = field_of_reports(octets) {
                    self.lines.push(format!("not read\t{name}\t-\t{field}\t{reason}"));
                }
            }
        }
    }

    fn row(&mut self, name: &str, report: &ReadReport, row: &Row<'_>) {
        let all = &report.status.recipients;
        let named = |one: &&RecipientStatus| {
            let both = [&one.original_recipient, &one.final_recipient];
            both.into_iter().flatten().any(|a| a.address().eq_ignore_ascii_case(row.recipient))
        };
        let one = all.iter().find(named);
        let shown = || all.iter().filter_map(RecipientStatus::address).collect::<Vec<_>>();
        let line = score(&mut self.recipients, one.is_some());
        if line && !row.recipient.is_empty() {
            self.lines.push(format!("recipient\t{name}\t-\t{}\t{:?}", row.recipient, shown()));
        }
        // Where one recipient is all there is, it is meant.
        let Some(one) = one.or(all.first().filter(|_| all.len() == 1)) else { return };
        let reply = one.diagnostic.as_ref().and_then(Typed::reply);
        let diagnostic = one.diagnostic.as_ref().map_or("", |typed| typed.value.as_str());
        let told = |ours: String| format!("{name}\t{}\t{ours}\t{diagnostic:.120}", row.recipient);
        if !row.status.is_empty() {
            let status = one.status.map(|status| status.to_string()).unwrap_or_default();
            let enhanced = reply.as_ref().and_then(|reply| reply.enhanced);
            let enhanced = enhanced.map(|status| status.to_string()).unwrap_or_default();
            let same = [&status, &enhanced].into_iter().any(|ours| ours == row.status);
            if score(&mut self.statuses, same) {
                let ours = format!("{}\t{status} {enhanced}", row.status);
                self.lines.push(format!("status\t{}", told(ours)));
            }
        }
        if !row.code.is_empty() {
            let code = reply.map(|reply| reply.code.to_string()).unwrap_or_default();
            if score(&mut self.codes, code == row.code) {
                self.lines.push(format!("reply\t{}", told(format!("{}\t{code}", row.code))));
            }
        }
    }

    fn show(&self) {
        println!("files            {}", self.files);
        println!("reports read     {}", self.read);
        for (place, count) in &self.places {
            println!("  {place:14} {count}");
        }
        println!("not reports      {}", self.files - self.read);
        for (reason, count) in &self.not_read {
            println!("  {count:4} {reason}");
        }
        println!("reports scored   {}", self.scored);
        let scores = [
            ("recipients", &self.recipients),
            ("statuses", &self.statuses),
            ("codes", &self.codes),
        ];
        for (what, score) in scores {
            println!("  {what:14} {} agreed, {} disagreed", score.agreed, score.disagreed);
        }
        self.lines.iter().for_each(|line| println!("{line}"));
    }
}

/// True when they disagree.
fn score(score: &mut Score, same: bool) -> bool {
    if same {
        score.agreed += 1;
    } else {
        score.disagreed += 1;
    }
    !same
}

/// The first line with a field that only reports have, wherever it stands.
fn field_of_reports(octets: &[u8]) -> Option<String> {
    const FIELDS: [&str; 4] =
        ["reporting-mta:", "final-recipient:", "original-recipient:", "diagnostic-code:"];
    let text = String::from_utf8_lossy(octets);
    let is_field = |line: &&str| {
        let line = line.trim_start_matches(['>', ' ']).to_ascii_lowercase();
        FIELDS.iter().any(|field| line.starts_with(field))
    };
    text.lines().find(is_field).map(|line| line.chars().take(80).collect())
}

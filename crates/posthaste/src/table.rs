//! Aligned columns of text, and times and sizes as a person reads them beside each other.

use crate::out::{Out, clean};
use jiff::Timestamp;
use posthaste_admin::units::print_rough;
use std::time::Duration;

/// The widest a column grows; the last one is not limited.
const MAX_WIDTH: usize = 44;

/// Rows under a heading.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|&h| h.to_owned()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        let one_line = |cell: String| clean(&cell.replace('\n', " "));
        self.rows.push(cells.into_iter().map(one_line).collect());
    }

    /// Prints it; without rows it prints `empty` instead.
    pub(crate) fn print(&self, out: &Out, empty: &str) {
        if self.rows.len() == 1 {
            out.line(empty);
            return;
        }
        out.text(&self.text());
    }

    /// Prints it with every line cut to a width, for what is looked at rather than read by programs.
    pub(crate) fn print_within(&self, out: &Out, width: usize) {
        for line in self.text().lines() {
            out.line(fitted(line, width).trim_end());
        }
    }

    fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).min(MAX_WIDTH)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let last = row.len().saturating_sub(1);
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                if column == last {
                    line.push_str(cell);
                } else {
                    line.push_str(&fitted(cell, widths[column]));
                    line.push_str("  ");
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// `12min ago`, `in 3h`, `now`; a dash when there is no time.
pub(crate) fn relative(time: Option<&str>, now: Timestamp) -> String {
    let Some(at) = time.and_then(|text| text.parse::<Timestamp>().ok()) else {
        return "-".to_owned();
    };
    let seconds = at.as_second() - now.as_second();
    let rough = print_rough(Duration::from_secs(seconds.unsigned_abs()));
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("in {rough}"),
        _ => format!("{rough} ago"),
    }
}

/// How long ago, without the word; a dash when there is no time.
pub(crate) fn age(time: Option<&str>, now: Timestamp) -> String {
    let at = time.and_then(|text| text.parse::<Timestamp>().ok());
    let seconds = at.map(|at| u64::try_from(now.as_second() - at.as_second()).unwrap_or(0));
    seconds.map_or_else(|| "-".to_owned(), |s| print_rough(Duration::from_secs(s)))
}

/// Cut with an ellipsis or filled up with blanks to a width in characters.
fn fitted(cell: &str, width: usize) -> String {
    let count = cell.chars().count();
    if count <= width {
        return format!("{cell}{}", " ".repeat(width - count));
    }
    let kept: String = cell.chars().take(width - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_bounded() {
        let mut table = Table::new(&["NAME", "N", "LAST"]);
        table.row(vec!["é".into(), "1".into(), "first".into()]);
        table.row(vec!["x".repeat(60), "23".into(), String::new()]);
        let wide = format!("{}…", "x".repeat(MAX_WIDTH - 1));
        let expected = format!(
            "NAME{0}  N   LAST\né{1}  1   first\n{wide}  23\n",
            " ".repeat(MAX_WIDTH - 4),
            " ".repeat(MAX_WIDTH - 1)
        );
        assert_eq!(table.text(), expected);
    }

    #[test]
    fn times_read_from_now() {
        let now: Timestamp = "2026-11-21T06:53:04Z".parse().unwrap();
        for (time, text) in [
            (Some("2026-11-21T06:53:04.900Z"), "now"),
            (Some("2026-11-21T06:54:04Z"), "in 1min"),
            (Some("2026-11-20T05:53:04Z"), "1d 1h ago"),
            (None, "-"),
        ] {
            assert_eq!(relative(time, now), text);
        }
    }
}

//! Writes to standard output and standard error: lines, JSON, tables.

use std::io::{self, Write as _};

use serde::Serialize;

use crate::domain::Timestamp;

/// Writes one line, now.
pub(super) fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Writes a value as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string(value)?)?)
}

/// Writes what went wrong. Nobody can be told when that fails.
pub(super) fn error(error: &anyhow::Error) {
    writeln!(io::stderr().lock(), "error: {error:#}").ok();
}

/// Tells people something beside the output. Nobody can be told when that fails.
pub(super) fn note(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// A moment in a table.
pub(super) fn moment(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Writes rows under their headings, in columns.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    line(&columns(&headings.map(str::to_owned), rows))
}

fn columns<const N: usize>(headings: &[String; N], rows: &[[String; N]]) -> String {
    let all = || std::iter::once(headings).chain(rows);
    let widths: Vec<usize> = (0..N).map(|at| all().map(|row| width(&row[at])).max().unwrap_or(0)).collect();
    let lines: Vec<String> = all().map(|row| aligned(row, &widths)).collect();
    lines.join("\n")
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, wanted) in row.iter().zip(widths) {
        text.push_str(cell);
        text.push_str(&" ".repeat(wanted - width(cell) + 2));
    }
    text.trim_end().to_owned()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["é".to_owned(), "1".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(columns(&["A".to_owned(), "B".to_owned()], &rows), "A     B\né     1\nlong");
    }
}

//! What a command prints: tables for people, the API's JSON for scripts.

use std::io::Write;

use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Table, TableComponent, presets};
use serde::Serialize;

use super::exit::CliError;
use crate::api::Page;

/// Terminals narrower than this get lines that are too long rather than letters in columns.
const WRAP_COLUMNS_MIN: u16 = 60;

/// Where results go. Progress and remarks go to standard error, so that standard output stays clean.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// A listing: one line an item.
    pub fn list<T: Serialize>(
        &self,
        page: &Page<T>,
        headers: &[&str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), CliError> {
        if self.json {
            return self.print_json(page);
        }
        page.notes.iter().try_for_each(|note| remark(note))?;
        if page.items.is_empty() {
            return remark("nothing to list");
        }
        let mut table = plain_table();
        table.set_header(headers.iter().map(|header| header.to_uppercase()));
        for item in &page.items {
            table.add_row(row(item));
        }
        print_table(table)?;
        match page.next {
            Some(_) => remark("there is more: raise --limit"),
            None => Ok(()),
        }
    }

    /// One thing: a line for each of its facts. An empty fact is left out.
    pub fn facts<T: Serialize>(&self, view: &T, facts: &[(&str, String)]) -> Result<(), CliError> {
        if self.json {
            return self.print_json(view);
        }
        let mut table = plain_table();
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            table.add_row([*name, value.as_str()]);
        }
        print_table(table)
    }

    /// Something was done: one line.
    pub fn done<T: Serialize>(&self, view: &T, line: &str) -> Result<(), CliError> {
        if self.json { self.print_json(view) } else { print(line) }
    }

    fn print_json(&self, value: &impl Serialize) -> Result<(), CliError> {
        print(&serde_json::to_string_pretty(value).expect("views are plain data"))
    }
}

/// A table without lines, as wide as the terminal at most; where there is none, as wide as its content.
pub fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let fits = table.width().is_some_and(|columns| columns >= WRAP_COLUMNS_MIN);
    table.set_content_arrangement(if fits { ContentArrangement::Dynamic } else { ContentArrangement::Disabled });
    table
}

/// A table on standard output: two blanks between columns, none at either end of a line.
pub fn print_table(mut table: Table) -> Result<(), CliError> {
    table.set_style(TableComponent::VerticalLines, ' ');
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    print(&table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n"))
}

/// A line on standard output.
pub fn print(line: &str) -> Result<(), CliError> {
    write(&mut std::io::stdout().lock(), line.as_bytes(), b"\n")
}

/// Bytes on standard output, as they are.
pub fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    write(&mut std::io::stdout().lock(), bytes, b"")
}

/// A line on standard error.
pub fn remark(line: &str) -> Result<(), CliError> {
    write(&mut std::io::stderr().lock(), line.as_bytes(), b"\n")
}

fn write(to: &mut impl Write, text: &[u8], end: &[u8]) -> Result<(), CliError> {
    match to.write_all(text).and_then(|()| to.write_all(end)).and_then(|()| to.flush()) {
        Ok(()) => Ok(()),
        Err(err) if err.kind() == std::io::ErrorKind::BrokenPipe => Err(CliError::OutputClosed),
        Err(err) => Err(CliError::Failed(format!("cannot write the output: {err}"))),
    }
}

/// `2026-11-23 18:47:03`, UTC.
pub fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

pub fn time_or_dash(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), time)
}

pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// `1.4 GiB`.
pub fn bytes(n: u64) -> String {
    indicatif::BinaryBytes(n).to_string()
}

/// `12,345`.
pub fn count(n: u64) -> String {
    indicatif::HumanCount(n).to_string()
}

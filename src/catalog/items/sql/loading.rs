//! Writes many versions at once, as a rebuild does.
//!
//! A statement has two values, however many rows it writes: one holds records of equal length, the other what is of any
//! length, and the statement says how the columns are cut out of them. To parse or to bind a value for each column takes
//! the server longer than to write the rows. The values are bound, so nothing in them can end them. What all rows of a
//! statement have in common, such as the chain, stands in its text.

use std::fmt::Write;

use chrono::{Datelike, NaiveDateTime, Timelike};
use diesel::prelude::*;
use diesel::result::Error::SerializationError;
use diesel::sql_types::Binary;

use super::VersionRecord;
use crate::catalog::items::VersionRow;
use crate::db::{Conn, QueryResult};
use crate::ids::ChainId;

/// Where a statement ends and the next begins: far below what the server takes (`max_allowed_packet`, 16 MiB), unless
/// one version alone refers to hundreds of thousands of blobs.
const STATEMENT_BYTES: usize = 512 << 10;

/// The digits of a number of 32 and of 64 bits, and of a time as `YYYYMMDDhhmmss`.
const U32: usize = 10;
const U64: usize = 20;
const TIME: usize = 14;
/// Items and blobs are named by as many bytes.
const ID_BYTES: usize = 16;
const N_COLUMNS: usize = 20;
/// A longer value, even one that all rows have, does not stand in the text of a statement.
const LITERAL_BYTES_MAX: usize = 1024;
/// What a row takes in a statement besides what is of any length, at most.
const ROW_BYTES: usize = 300;

pub(in crate::catalog) fn insert_rows(conn: &mut Conn, chain: ChainId, rows: &[VersionRow]) -> QueryResult<()> {
    let (mut together, mut bytes) = (Vec::new(), 0);
    for row in rows {
        together.push(VersionRecord::new(chain, row.number, (row.from, row.to), &row.version));
        bytes += ROW_BYTES + row.version.name.len() + row.version.party.len() + row.version.refs.len() * ID_BYTES;
        if bytes >= STATEMENT_BYTES {
            insert(conn, &together)?;
            together.clear();
            bytes = 0;
        }
    }
    insert(conn, &together)
}

/// Writes rows with one statement. The tables `seq_0_to_N` are MariaDB's own and hold the numbers from 0 to N; the join is
/// straight, so that the two values are looked up once and not for each of the numbers.
fn insert(conn: &mut Conn, rows: &[VersionRecord]) -> QueryResult<()> {
    let Some((first, rest)) = rows.split_first() else { return Ok(()) };
    let first = columns(first)?;
    let mut common = first.map(|column| column.is_short());
    for row in rest {
        for ((common, of_first), of_row) in common.iter_mut().zip(&first).zip(&columns(row)?) {
            *common &= of_first == of_row;
        }
    }
    let record_bytes = varying(first, common).map(|column| column.width()).sum();
    let (mut names, mut values, mut at) = (String::new(), String::new(), 0);
    for (column, common) in first.iter().zip(common) {
        let comma = if names.is_empty() { "" } else { "," };
        let value = if common { column.literal() } else { column.cut(at, record_bytes) };
        at += if common { 0 } else { column.width() };
        write!(names, "{comma}{}", column.name)
            .and_then(|()| write!(values, "{comma}{value}"))
            .expect("writing to memory cannot fail");
    }
    let (mut records, mut runs) = (Vec::with_capacity(rows.len() * record_bytes), Vec::new());
    for row in rows {
        varying(columns(row)?, common).for_each(|column| column.write(&mut records, &mut runs));
    }
    let last = rows.len() - 1;
    let text = format!(
        "INSERT INTO item_versions ({names}) SELECT {values} FROM (SELECT ? AS records, ? AS runs) AS given \
         STRAIGHT_JOIN seq_0_to_{last}"
    );
    diesel::sql_query(text).bind::<Binary, _>(records).bind::<Binary, _>(runs).execute(conn).map(drop)
}

/// The columns that rows do not have in common.
fn varying<'a>(columns: [Column<'a>; N_COLUMNS], common: [bool; N_COLUMNS]) -> impl Iterator<Item = Column<'a>> {
    columns.into_iter().zip(common).filter(|(_, common)| !common).map(|(column, _)| column)
}

/// Of which kind a column is must be the same for all versions: the first one of a statement tells how all are cut.
fn columns(row: &VersionRecord) -> QueryResult<[Column<'_>; N_COLUMNS]> {
    let VersionRecord {
        chain_id,
        version_number,
        item_key,
        from_point,
        to_point,
        container_id,
        parent_key,
        full_walk,
        kind,
        flags,
        change_tag,
        name,
        party,
        item_time,
        bytes,
        properties_pack,
        properties_blob,
        content_pack,
        content_blob,
        refs,
    } = row;
    let number = |name, number: &u32| Column::of(name, Cell::Digits((*number).into(), U32));
    let content_pack = content_pack.map(|pack| Cell::Digits(pack.into(), U32));
    Ok([
        number("chain_id", chain_id),
        number("version_number", version_number),
        Column::of("item_key", Cell::Id(item_key)),
        number("from_point", from_point),
        number("to_point", to_point),
        number("container_id", container_id),
        Column::of("parent_key", Cell::Run(parent_key)),
        number("full_walk", full_walk),
        number("kind", &(*kind).into()),
        number("flags", &(*flags).into()),
        Column::of("change_tag", Cell::Digits(*change_tag, U64)),
        Column::of("name", Cell::Run(name.as_bytes())),
        Column::of("party", Cell::Run(party.as_bytes())),
        Column::of("item_time", Cell::Digits(digits_of(*item_time)?, TIME)),
        Column::of("bytes", Cell::Digits(*bytes, U64)),
        number("properties_pack", properties_pack),
        Column::of("properties_blob", Cell::Id(properties_blob)),
        Column::or_null("content_pack", content_pack, Cell::Digits(0, U32)),
        Column::or_null("content_blob", content_blob.as_deref().map(Cell::Id), Cell::Id(&[0; ID_BYTES])),
        Column::or_null("refs", refs.as_deref().map(Cell::Run), Cell::Run(&[])),
    ])
}

fn digits_of(time: NaiveDateTime) -> QueryResult<u64> {
    let year = u32::try_from(time.year()).ok().filter(|year| *year <= 9999);
    let year = year.ok_or_else(|| SerializationError(format!("{time} is a time that no column can hold").into()))?;
    let parts = [time.month(), time.day(), time.hour(), time.minute(), time.second()];
    Ok(parts.iter().fold(u64::from(year), |digits, part| digits * 100 + u64::from(*part)))
}

/// A value as it lies in a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell<'a> {
    /// A number with that many digits: more than the server needs, and quickly read by it.
    Digits(u64, usize),
    Id(&'a [u8]),
    /// Of any length: the record says where among the runs it is.
    Run(&'a [u8]),
}

impl Cell<'_> {
    fn width(&self) -> usize {
        match self {
            Self::Digits(_, digits) => *digits,
            Self::Id(_) => ID_BYTES,
            Self::Run(_) => 2 * U32,
        }
    }

    fn write(&self, records: &mut Vec<u8>, runs: &mut Vec<u8>) {
        match self {
            Self::Digits(number, digits) => push_digits(records, *number, *digits),
            Self::Id(id) => records.extend_from_slice(id),
            Self::Run(run) => {
                // SQL counts from one.
                push_digits(records, runs.len() as u64 + 1, U32);
                push_digits(records, run.len() as u64, U32);
                runs.extend_from_slice(run);
            }
        }
    }

    /// As it stands in the text of a statement.
    fn literal(&self) -> String {
        match self {
            Self::Digits(number, _) => number.to_string(),
            Self::Id(bytes) | Self::Run(bytes) => format!("x'{}'", hex::encode(bytes)),
        }
    }

    /// How the server cuts it out of records of `record_bytes`, when it lies at `at`.
    fn cut(&self, at: usize, record_bytes: usize) -> String {
        let slice = |at, width| format!("SUBSTR(records,seq*{record_bytes}+{},{width})", at + 1);
        match self {
            Self::Digits(..) | Self::Id(_) => slice(at, self.width()),
            Self::Run(_) => format!("SUBSTR(runs,{},{})", slice(at, U32), slice(at + U32, U32)),
        }
    }
}

fn push_digits(out: &mut Vec<u8>, number: u64, digits: usize) {
    let from = out.len();
    out.resize(from + digits, b'0');
    let mut rest = number;
    for digit in out[from..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Column<'a> {
    name: &'static str,
    cell: Cell<'a>,
    presence: Presence,
}

/// Whether a column has a value in a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Always,
    Here,
    Null,
}

impl Presence {
    /// What stands before a value that may be missing.
    fn mark(self) -> Option<u8> {
        match self {
            Self::Always => None,
            Self::Here => Some(b'1'),
            Self::Null => Some(b'0'),
        }
    }
}

impl<'a> Column<'a> {
    fn of(name: &'static str, cell: Cell<'a>) -> Self {
        Self { name, cell, presence: Presence::Always }
    }

    /// `blank` takes the place of a value that is missing.
    fn or_null(name: &'static str, cell: Option<Cell<'a>>, blank: Cell<'a>) -> Self {
        let presence = if cell.is_some() { Presence::Here } else { Presence::Null };
        Self { name, cell: cell.unwrap_or(blank), presence }
    }

    fn width(&self) -> usize {
        self.cell.width() + usize::from(self.presence.mark().is_some())
    }

    fn write(&self, records: &mut Vec<u8>, runs: &mut Vec<u8>) {
        records.extend(self.presence.mark());
        self.cell.write(records, runs);
    }

    /// Whether it may stand in the text of a statement.
    fn is_short(&self) -> bool {
        !matches!(self.cell, Cell::Run(run) if run.len() > LITERAL_BYTES_MAX)
    }

    fn literal(&self) -> String {
        match self.presence {
            Presence::Always | Presence::Here => self.cell.literal(),
            Presence::Null => "NULL".to_owned(),
        }
    }

    fn cut(&self, at: usize, record_bytes: usize) -> String {
        if self.presence.mark().is_none() {
            return self.cell.cut(at, record_bytes);
        }
        let value = self.cell.cut(at + 1, record_bytes);
        format!("IF(SUBSTR(records,seq*{record_bytes}+{},1)='1',{value},NULL)", at + 1)
    }
}

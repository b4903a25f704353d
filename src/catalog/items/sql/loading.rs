//! Writes many versions at once, as a rebuild does.
//!
//! Statements are text with all values in them: of a statement with thousands of parameters the server spends more time
//! on the parameters than on the rows. Every text and every byte string is written in hexadecimal, so that nothing in a
//! value can end it.

use std::fmt::Write;

use diesel::connection::SimpleConnection;

use super::VersionRecord;
use crate::catalog::items::VersionRow;
use crate::db::{Conn, QueryResult};
use crate::ids::ChainId;

/// Where a statement ends and the next begins: far below what the server takes (`max_allowed_packet`, 16 MiB), unless
/// one version alone refers to hundreds of thousands of blobs.
const STATEMENT_BYTES: usize = 512 << 10;
const HEAD: &str = "INSERT INTO item_versions (chain_id, item_key, from_point, to_point, container_id, parent_key, full_walk, kind, \
                    flags, change_tag, name, party, item_time, bytes, properties_pack, properties_blob, content_pack, \
                    content_blob, refs) VALUES ";

pub(in crate::catalog) fn insert_rows(conn: &mut Conn, chain: ChainId, rows: &[VersionRow]) -> QueryResult<()> {
    let mut text = String::with_capacity(STATEMENT_BYTES + (64 << 10));
    for row in rows {
        text.push_str(if text.is_empty() { HEAD } else { "," });
        push_values(&mut text, &VersionRecord::new(chain, (row.from, row.to), &row.version));
        if text.len() >= STATEMENT_BYTES {
            conn.batch_execute(&text)?;
            text.clear();
        }
    }
    if text.is_empty() { Ok(()) } else { conn.batch_execute(&text) }
}

fn push_values(text: &mut String, row: &VersionRecord) {
    let written = write!(
        text,
        "({},x'{}',{},{},{},x'{}',{},{},{},{},",
        row.chain_id,
        hex::encode(&row.item_key),
        row.from_point,
        row.to_point,
        row.container_id,
        hex::encode(&row.parent_key),
        row.full_walk,
        row.kind,
        row.flags,
        row.change_tag,
    );
    written.expect("writing to memory cannot fail");
    for words in [&row.name, &row.party] {
        text.push_str("_utf8mb4 x'");
        text.push_str(&hex::encode(words));
        text.push_str("',");
    }
    let time = row.item_time.format("%Y-%m-%d %H:%M:%S");
    write!(text, "'{time}',{},{},x'{}',", row.bytes, row.properties_pack, hex::encode(&row.properties_blob))
        .expect("writing to memory cannot fail");
    match row.content_pack {
        Some(pack) => write!(text, "{pack},").expect("writing to memory cannot fail"),
        None => text.push_str("NULL,"),
    }
    push_bytes(text, row.content_blob.as_deref());
    text.push(',');
    push_bytes(text, row.refs.as_deref());
    text.push(')');
}

fn push_bytes(text: &mut String, bytes: Option<&[u8]>) {
    match bytes {
        None => text.push_str("NULL"),
        Some(bytes) => {
            text.push_str("x'");
            text.push_str(&hex::encode(bytes));
            text.push('\'');
        }
    }
}

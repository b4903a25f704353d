//! What unfinished exports and rehearsals read.

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{Nullable, Text};
use serde::Deserialize;

use crate::db::Conn;
use crate::db::schema::tasks;
use crate::ids::{ChainId, PointNumber};
use crate::queue::task::{TaskKind, TaskState};

/// What parts of exports and of rehearsals have in common.
#[derive(Deserialize)]
struct ReadPart {
    chain: ChainId,
    point: PointNumber,
}

/// The chains and points that unfinished exports and rehearsals read, of at most `limit` of them.
pub fn points_being_exported(conn: &mut Conn, limit: i64) -> QueryResult<Vec<(ChainId, PointNumber)>> {
    // The work as a whole may name thousands of items; its parts are asked for.
    let parts = diesel::dsl::sql::<Nullable<Text>>("JSON_EXTRACT(work, '$.parts')");
    let rows: Vec<Option<String>> = tasks::table
        .filter(tasks::kind.eq_any([TaskKind::Export.as_str(), TaskKind::Rehearse.as_str()]))
        .filter(tasks::state.eq_any([TaskState::Queued.as_str(), TaskState::Leased.as_str()]))
        .limit(limit)
        .select(parts)
        .load(conn)?;
    let mut points = Vec::new();
    for row in rows {
        let parts: Option<Vec<ReadPart>> = row.as_deref().and_then(|json| serde_json::from_str(json).ok());
        let unreadable =
            || DieselError::DeserializationError("an export or a rehearsal does not say which points it reads".into());
        points.extend(parts.ok_or_else(unreadable)?.into_iter().map(|part| (part.chain, part.point)));
    }
    Ok(points)
}

//! What unfinished exports read.

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{Nullable, Text};

use crate::db::Conn;
use crate::db::schema::tasks;
use crate::ids::{ChainId, PointNumber};
use crate::queue::task::{TaskKind, TaskState};
use crate::queue::work::ExportPart;

/// The chains and points that unfinished exports read, of at most `limit` exports.
pub fn points_being_exported(conn: &mut Conn, limit: i64) -> QueryResult<Vec<(ChainId, PointNumber)>> {
    // The work as a whole may name thousands of items; its parts are asked for.
    let parts = diesel::dsl::sql::<Nullable<Text>>("JSON_EXTRACT(work, '$.parts')");
    let rows: Vec<Option<String>> = tasks::table
        .filter(tasks::kind.eq(TaskKind::Export.as_str()))
        .filter(tasks::state.eq_any([TaskState::Queued.as_str(), TaskState::Leased.as_str()]))
        .limit(limit)
        .select(parts)
        .load(conn)?;
    let mut points = Vec::new();
    for row in rows {
        let parts: Option<Vec<ExportPart>> = row.as_deref().and_then(|json| serde_json::from_str(json).ok());
        let unreadable = || DieselError::DeserializationError("an export does not say which points it reads".into());
        points.extend(parts.ok_or_else(unreadable)?.into_iter().map(|part| (part.chain, part.point)));
    }
    Ok(points)
}

//! The report of a restore: what became of each item, as a stream of CSV or JSON lines of any length.

mod line;
mod naming;

use std::collections::VecDeque;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::{Data, Path, Query};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;

pub use line::ReportLine;
use naming::Names;

use crate::api::Shared;
use crate::api::error::{ApiError, ApiResult};
use crate::catalog::{self, OutcomeRow, Part};
use crate::db::{Conn, Db, DbError};
use crate::ids::{ChainId, ItemKey, RestoreId};
use crate::restores;

/// Outcomes that are read, and written into one piece of the stream.
const PAGE_ROWS: u32 = 500;
const PARTS_PAGE: u32 = 100;

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Csv,
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportQuery {
    #[serde(default)]
    format: Format,
}

/// How far the stream is.
struct Report {
    db: Db,
    restore: RestoreId,
    dry_run: bool,
    format: Format,
    parts: VecDeque<Part>,
    /// The last part that was read.
    last_part: ChainId,
    at: Option<(Part, Option<ItemKey>, Names)>,
    begun: bool,
}

/// It breaks off where the database does.
pub async fn show(app: Data<Shared>, restore: Path<RestoreId>, query: Query<ReportQuery>) -> ApiResult<HttpResponse> {
    let id = *restore;
    let found = restores::get(&app.db, id).await?.ok_or_else(|| ApiError::not_found("restore", id))?;
    let report = Report {
        db: app.db.clone(),
        restore: id,
        dry_run: found.dry_run,
        format: query.format,
        parts: VecDeque::new(),
        last_part: ChainId::new(0),
        at: None,
        begun: false,
    };
    let body = stream::try_unfold(report, |mut report| async move {
        Ok::<_, DbError>(report.piece().await?.map(|piece| (piece, report)))
    });
    let (content_type, ending) = match query.format {
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
        Format::Json => ("application/x-ndjson", "jsonl"),
    };
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"restore-{id}.{ending}\"")))
        .streaming(body))
}

impl Report {
    /// The next lines; `None` at the end.
    async fn piece(&mut self) -> Result<Option<Bytes>, DbError> {
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            if matches!(self.format, Format::Csv) {
                line::csv_header(&mut text);
            }
        }
        while let Some((part, rows)) = self.page().await? {
            if rows.is_empty() {
                continue;
            }
            let Some((_, _, names)) = &mut self.at else { continue };
            let told = names.tell(&self.db, rows).await?;
            for (row, named) in told {
                let line = ReportLine::new(self.dry_run, part.target, row, named);
                match self.format {
                    Format::Csv => line.csv(&mut text),
                    Format::Json => line.json(&mut text),
                }
            }
            break;
        }
        Ok((!text.is_empty()).then(|| text.into()))
    }

    /// A page of the part at hand, which is empty when the next part begins; `None` behind the last one.
    async fn page(&mut self) -> Result<Option<(Part, Vec<OutcomeRow>)>, DbError> {
        let Some((part, after, names)) = self.at.take() else {
            let Some(part) = self.next_part().await? else { return Ok(None) };
            let names = Names::of(&self.db, &part).await?;
            self.at = Some((part, None, names));
            return Ok(Some((part, Vec::new())));
        };
        let (restore, chain) = (self.restore, part.chain);
        let read = move |conn: &mut Conn| catalog::outcomes::list(conn, restore, chain, after, PAGE_ROWS);
        let rows = self.db.run("read a report", read).await?;
        if let Some(last) = rows.last() {
            self.at = Some((part, Some(last.key), names));
        }
        Ok(Some((part, rows)))
    }

    async fn next_part(&mut self) -> Result<Option<Part>, DbError> {
        if self.parts.is_empty() {
            let (restore, after) = (self.restore, self.last_part);
            let read = move |conn: &mut Conn| catalog::parts::list(conn, restore, after, PARTS_PAGE);
            self.parts = self.db.run("read the parts of a restore", read).await?.into();
        }
        let next = self.parts.pop_front();
        self.last_part = next.map_or(self.last_part, |part| part.chain);
        Ok(next)
    }
}

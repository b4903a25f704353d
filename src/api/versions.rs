//! `/versions`: what an item was over the restore points, side by side.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::browse::ItemView;
use super::error::{ApiError, ApiResult};
use super::issues::parse_key;
use super::page::{Page, PageQuery};
use super::resolve::{self, ChainWanted};
use crate::catalog::search::Places;
use crate::catalog::{self, VersionRow};
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, PointNumber};

/// One version, and what it changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VersionView {
    /// When the first point that holds it was sealed; `null` when that point was given up since.
    pub at: Option<DateTime<Utc>>,
    /// The names of its folders, with slashes between.
    pub folder: String,
    /// `created`, or `returned` after the item was gone; else what is not as it was in the version before: `name`,
    /// `party`, `time`, `size`, `flags`, `folder`, `content`, `properties`.
    pub changes: Vec<String>,
    /// It is the last one, and the newest point does not hold it.
    pub deleted: bool,
    #[serde(flatten)]
    pub item: ItemView,
}

/// A version with what is not in its row.
struct Placed {
    row: VersionRow,
    at: Option<DateTime<Utc>>,
    folder: String,
}

/// The versions of an item that sealed points hold, newest first.
pub async fn list(
    app: Data<Shared>,
    path: Path<(ChainId, String)>,
    query: Query<PageQuery>,
) -> ApiResult<Json<Page<VersionView>>> {
    let (id, key) = (path.0, parse_key(&path.1)?);
    let (rows, before) = (query.rows(app.rows_max)?, query.after()?.unwrap_or(PointNumber::OPEN));
    let chain = resolve::chain(&app, ChainWanted { chain: Some(id), resource: None, feature: None }).await?;
    let newest = resolve::sealed_point(&app, &chain, None).await?;
    let read = move |conn: &mut Conn| {
        let mut all = catalog::items::versions(conn, id, &[key])?;
        all.retain(|row| row.from <= newest);
        all.sort_unstable_by_key(|row| row.from);
        // One more than are shown: the oldest is compared with it.
        let shown = all.partition_point(|row| row.from < before);
        all.truncate(shown);
        all.drain(..shown.saturating_sub(rows as usize + 1));
        let mut places = Places::default();
        all.into_iter().map(|row| placed(conn, id, &mut places, row)).collect::<QueryResult<Vec<_>>>()
    };
    let found = app.db.run("read the versions of an item", read).await?;
    if found.is_empty() && before == PointNumber::OPEN {
        return Err(ApiError::NotFound(format!("no restore point of chain {id} holds item {key}")));
    }
    let mut views = Vec::with_capacity(found.len());
    for (index, version) in found.iter().enumerate() {
        let earlier = index.checked_sub(1).and_then(|index| found.get(index));
        views.push(view(chain.key.feature.as_str(), newest, earlier, version));
    }
    views.reverse();
    Ok(Json(Page::cut(views, rows, |view| view.item.from_point, |view| view)))
}

fn placed(conn: &mut Conn, chain: ChainId, places: &mut Places, row: VersionRow) -> QueryResult<Placed> {
    let at = catalog::points::get(conn, chain, row.from)?.and_then(|point| point.sealed_at);
    let folder = places.of(conn, chain, row.from, &row)?;
    Ok(Placed { row, at, folder })
}

fn view(feature: &str, newest: PointNumber, earlier: Option<&Placed>, version: &Placed) -> VersionView {
    let mut row = version.row.clone();
    // What the open point ends is current to everybody else.
    if row.to > newest {
        row.to = PointNumber::OPEN;
    }
    VersionView {
        at: version.at,
        folder: version.folder.clone(),
        changes: changes(earlier, version).into_iter().map(str::to_owned).collect(),
        deleted: row.to <= newest,
        item: ItemView::new(feature, row),
    }
}

fn changes(earlier: Option<&Placed>, version: &Placed) -> Vec<&'static str> {
    let Some(earlier) = earlier else { return vec!["created"] };
    if earlier.row.to < version.row.from {
        return vec!["returned"];
    }
    let (old, new) = (&earlier.row.version, &version.row.version);
    let told = [
        ("name", old.name != new.name),
        ("party", old.party != new.party),
        ("time", old.time != new.time),
        ("size", old.bytes != new.bytes),
        ("flags", old.flags != new.flags),
        ("folder", (old.container, old.parent) != (new.container, new.parent) || earlier.folder != version.folder),
        ("content", old.content.map(|content| content.blob) != new.content.map(|content| content.blob)),
        ("properties", old.properties.blob != new.properties.blob),
    ];
    told.into_iter().filter_map(|(name, changed)| changed.then_some(name)).collect()
}

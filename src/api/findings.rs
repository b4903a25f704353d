//! `/storages/{storage}/verifications` and `/findings`: what verifications looked at, and what is damaged.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::error::ApiResult;
use super::issues::parse_key;
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve;
use crate::catalog::damage;
use crate::ids::{ChainId, PointNumber, ResourceId, StorageId, TaskId};
use crate::repository::verify::{self, DamagedRow, VerificationRow};
use crate::workers::{self, Finding};

/// Damaged packs that one verification shows.
const DAMAGED_SHOWN: u32 = 100;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerificationView {
    pub task_id: TaskId,
    pub level: u8,
    pub started_at: DateTime<Utc>,
    /// `null`: it runs, or it was interrupted and waits to go on.
    pub finished_at: Option<DateTime<Utc>>,
    pub packs: u64,
    /// Stored bytes that were read.
    pub bytes: u64,
    /// Files in the folders of packs that the catalog does not know.
    pub unknown_files: u64,
    pub unreadable: u64,
    pub items_sampled: u64,
    /// The first of the packs that it found damaged and set aside.
    pub damaged_packs: Vec<DamagedPackView>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DamagedPackView {
    /// The name of its file, without folder and ending.
    pub pack: String,
    /// Where it is damaged, and how.
    pub what: String,
    pub found_at: DateTime<Utc>,
    /// Its index was unreadable, so nothing of it could be saved.
    pub all_lost: bool,
    pub blobs_lost: u32,
    pub blobs_saved: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindingView {
    /// `current`: the next backup captures it anew. `past`: restores of the points from `from_point` to before
    /// `to_point` cannot bring it back. `replaced`: written anew or expired.
    pub state: String,
    pub found_at: DateTime<Utc>,
    pub pack: Option<String>,
    pub what: String,
    pub resource_id: Option<ResourceId>,
    pub user: String,
    pub address: String,
    pub feature: String,
    pub chain_id: ChainId,
    /// 32 hexadecimal digits.
    pub key: String,
    pub name: String,
    pub from_point: PointNumber,
    pub to_point: Option<PointNumber>,
}

/// The verifications of a storage, newest first.
pub async fn verifications(
    app: Data<Shared>,
    storage: Path<String>,
    query: Query<PageQuery>,
) -> ApiResult<Json<Page<VerificationView>>> {
    let storage = resolve::storage(&app, &Ref::of(&storage)).await?;
    let (rows, before) = (query.rows(app.rows_max)?, query.after::<TaskId>()?);
    let read = app.db.run("list verifications", move |conn| {
        let found = verify::list_verifications(conn, storage, before, rows + 1)?;
        found.into_iter().map(|row| with_packs(conn, storage, row)).collect()
    });
    Ok(Json(Page::cut(read.await?, rows, |view: &VerificationView| view.task_id, |view| view)))
}

/// The damaged versions of a storage's items, in the order of chain, item and point.
pub async fn list(
    app: Data<Shared>,
    storage: Path<String>,
    query: Query<PageQuery>,
) -> ApiResult<Json<Page<FindingView>>> {
    let storage = resolve::storage(&app, &Ref::of(&storage)).await?;
    let (rows, after) = (query.rows(app.rows_max)?, query.after::<(ChainId, String, PointNumber)>()?);
    let after: Option<damage::After> = match after {
        None => None,
        Some((chain, key, from)) => Some((chain, parse_key(&key)?, from)),
    };
    let found = workers::findings(&app.db, storage, after, rows + 1).await?;
    let key = |finding: &Finding| (finding.mark.chain, finding.mark.key.to_string(), finding.mark.from);
    Ok(Json(Page::cut(found, rows, key, view)))
}

fn with_packs(
    conn: &mut crate::db::Conn,
    storage: StorageId,
    row: VerificationRow,
) -> crate::db::QueryResult<VerificationView> {
    let mut damaged_packs = Vec::new();
    for DamagedRow { pack, what, found_at, all_lost, n_lost, n_saved, .. } in
        verify::damaged_by(conn, row.task, DAMAGED_SHOWN)?
    {
        let uid = verify::pack_uid(conn, storage, pack)?;
        let pack = uid.map_or_else(|| pack.to_string(), |uid| uid.to_string());
        damaged_packs.push(DamagedPackView {
            pack,
            what,
            found_at,
            all_lost,
            blobs_lost: n_lost,
            blobs_saved: n_saved,
        });
    }
    Ok(VerificationView {
        task_id: row.task,
        level: row.level,
        started_at: row.started_at,
        finished_at: row.finished_at,
        packs: row.counted.n_packs,
        bytes: row.counted.bytes,
        unknown_files: row.counted.n_unknown,
        unreadable: row.counted.n_unreadable,
        items_sampled: row.counted.n_sampled,
        damaged_packs,
    })
}

fn view(finding: Finding) -> FindingView {
    let Finding { mark, found_at, pack, what, chain, resource, version } = finding;
    let to = version.as_ref().map(|row| row.to);
    let state = match to {
        None => "replaced",
        Some(PointNumber::OPEN) => "current",
        Some(_) => "past",
    };
    FindingView {
        state: state.to_owned(),
        found_at,
        pack: pack.map(|uid| uid.to_string()),
        what,
        resource_id: resource.as_ref().map(|resource| resource.id),
        user: resource.as_ref().map(|resource| resource.name.clone()).unwrap_or_default(),
        address: resource.map(|resource| resource.address).unwrap_or_default(),
        feature: chain.map(|chain| chain.key.feature.to_string()).unwrap_or_default(),
        chain_id: mark.chain,
        key: mark.key.to_string(),
        name: version.map(|row| row.version.name).unwrap_or_default(),
        from_point: mark.from,
        to_point: to.filter(|to| *to != PointNumber::OPEN),
    }
}

//! `/browse`: the containers and items of a restore point.

use std::collections::HashMap;

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::descent::{Place, Shelf, Wanted, path_to};
use super::error::ApiResult;
use super::issues::parse_key;
use super::moment::PointWanted;
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve::{self, ChainWanted};
use crate::catalog::items::{After, Within};
use crate::catalog::{self, Chain, Container, Holding, VersionRow};
use crate::db::{Conn, QueryResult};
use crate::features::{self, flag};
use crate::ids::{ChainId, ContainerId, FeatureName, PointNumber, VersionNumber};

/// One container as of a point: what is directly in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BrowseView {
    pub chain_id: ChainId,
    pub feature: FeatureName,
    pub point: PointNumber,
    /// From the top to here; empty at the top.
    pub path: Vec<ContainerView>,
    pub containers: Vec<ContainerView>,
    /// Behind the containers of `path`: the items from there down to here, such as the folders of a drive.
    pub folders: Vec<ItemView>,
    /// A page of items, newest first.
    pub items: Vec<ItemView>,
    pub next: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerView {
    pub id: ContainerId,
    pub parent_id: Option<ContainerId>,
    pub name: String,
    /// The language-independent name of a default folder, such as `inbox`.
    pub well_known: Option<String>,
    pub hidden: bool,
    /// What is directly in it.
    pub items: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ItemView {
    /// 32 hexadecimal digits.
    pub key: String,
    pub container_id: ContainerId,
    /// The item that holds it, such as the folder of a file.
    pub parent_key: Option<String>,
    /// A number of the feature's own.
    pub kind: u8,
    /// It holds other items, and is no more than that.
    pub is_folder: bool,
    /// `read`, `draft`, `flagged`, `attachments`, `high_importance`, `low_importance`
    pub flags: Vec<String>,
    pub name: String,
    /// The other side: a sender's address, an organiser.
    pub party: String,
    pub time: DateTime<Utc>,
    pub bytes: u64,
    pub has_content: bool,
    /// The first point that holds this version.
    pub from_point: PointNumber,
    /// The first point that does not; `null` while it is current.
    pub to_point: Option<PointNumber>,
}

/// The names of [`flag`], in the order of their bits.
const FLAGS: [(u16, &str); 8] = [
    (flag::READ, "read"),
    (flag::DRAFT, "draft"),
    (flag::FLAGGED, "flagged"),
    (flag::ATTACHMENTS, "attachments"),
    (flag::HIGH_IMPORTANCE, "high_importance"),
    (flag::LOW_IMPORTANCE, "low_importance"),
    (flag::REFERENCES, "references"),
    (flag::KEPT_AS_PARTS, "kept_as_parts"),
];

impl ItemView {
    pub fn new(feature: &str, row: VersionRow) -> Self {
        let version = row.version;
        let flags = FLAGS.iter().filter(|(bit, _)| version.flags & bit != 0).map(|(_, name)| (*name).to_owned());
        Self {
            key: version.key.to_string(),
            container_id: version.container,
            parent_key: version.parent.map(|key| key.to_string()),
            kind: version.kind,
            is_folder: features::is_folder(feature, version.kind),
            flags: flags.collect(),
            name: version.name,
            party: version.party,
            time: version.time,
            bytes: version.bytes,
            has_content: version.content.is_some(),
            from_point: row.from,
            to_point: (row.to != PointNumber::OPEN).then_some(row.to),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowseQuery {
    chain: Option<ChainId>,
    resource: Option<Ref>,
    feature: Option<FeatureName>,
    point: Option<PointNumber>,
    /// Instead of `point`: the newest one that was sealed by then.
    as_of: Option<DateTime<Utc>>,
    container: Option<ContainerId>,
    /// Names from the top, with slashes between, instead of `container`: of containers, then of folders among items.
    path: Option<String>,
    /// Instead of both the key of an item: what it holds, such as the files of a folder.
    parent: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

pub async fn browse(app: Data<Shared>, query: Query<BrowseQuery>) -> ApiResult<Json<BrowseView>> {
    let page = PageQuery::new(query.limit, query.cursor.clone());
    let parent = query.parent.as_deref().map(parse_key).transpose()?;
    let (rows, after) = (page.rows(app.rows_max)?, page.after::<(DateTime<Utc>, VersionNumber)>()?);
    let wanted = ChainWanted { chain: query.chain, resource: query.resource.as_ref(), feature: query.feature.as_ref() };
    let chain = resolve::chain(&app, wanted).await?;
    let point = PointWanted::of(query.point, query.as_of)?.resolve(&app, &chain).await?;
    let wanted = Wanted { container: query.container, path: query.path.clone(), parent };
    let (place, all) = find(&app, &chain, point, wanted).await?;
    let here = place.container;
    let path = path_to(&all, here)?;
    // Below a folder among items there are no containers.
    let at_container = place.folders.is_empty();
    let parts =
        all.iter().find(|one| features::holds_parts(chain.key.feature.as_str(), &one.graph_id)).map(|one| one.id);
    let children: Vec<Container> = all.into_iter().filter(|one| at_container && one.parent == here).collect();
    let listed = [children.as_slice(), path.as_slice()].concat();
    let id = chain.id;
    let after = after.map(|(time, number)| After { parent: place.parent, time, number });
    // What lies below an item that is no folder are its parts.
    let feature = chain.key.feature.as_str();
    let in_parts = place.folders.last().is_some_and(|last| !features::is_folder(feature, last.version.kind));
    let within = parts.filter(|_| in_parts).or(here);
    let wanted = within.map(|container| (container, Within::Parent(place.parent)));
    let read = move |conn: &mut Conn| read_level(conn, id, point, wanted, after, rows + 1, &listed);
    let (items, mut counts) = app.db.run("browse a container", read).await?;
    let mut view = |one: Container| {
        let Holding { items, bytes } = counts.remove(&one.id).unwrap_or_default();
        ContainerView {
            id: one.id,
            parent_id: one.parent,
            name: one.name,
            well_known: one.well_known,
            hidden: one.hidden,
            items,
            bytes,
        }
    };
    let (containers, path) = (children.into_iter().map(&mut view).collect(), path.into_iter().map(&mut view).collect());
    let item = |row: VersionRow| ItemView::new(chain.key.feature.as_str(), row);
    let folders = place.folders.into_iter().map(item).collect();
    let page = Page::cut(items, rows, |row| (row.version.time, row.number), item);
    let (feature, items, next) = (chain.key.feature, page.items, page.next);
    Ok(Json(BrowseView { chain_id: id, feature, point, path, containers, folders, items, next }))
}

/// The place that is meant, among the containers of the point.
async fn find(app: &Shared, chain: &Chain, point: PointNumber, wanted: Wanted) -> ApiResult<(Place, Vec<Container>)> {
    let chain = chain.clone();
    let read = move |conn: &mut Conn| {
        let containers = catalog::containers::as_of(conn, chain.id, point)?;
        let shelf = Shelf { chain: &chain, point, containers: &containers, is_folder: features::is_folder };
        Ok(shelf.find(conn, &wanted)?.map(|place| (place, containers)))
    };
    app.db.run("find a place in a point", read).await?
}

type Level = (Vec<VersionRow>, HashMap<ContainerId, Holding>);

fn read_level(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    wanted: Option<(ContainerId, Within)>,
    after: Option<After>,
    limit: u32,
    counted: &[Container],
) -> QueryResult<Level> {
    let counted: Vec<ContainerId> = counted.iter().map(|container| container.id).collect();
    let counts = catalog::tallies::as_of(conn, point, &counted)?;
    let items = match wanted {
        Some(within) => catalog::items::browse(conn, chain, point, within, after, limit)?,
        None => Vec::new(),
    };
    Ok((items, counts))
}

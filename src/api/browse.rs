//! `/browse`: the containers and items of a restore point.

use std::collections::HashMap;

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::error::{ApiError, ApiResult};
use super::issues::parse_key;
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve::{self, ChainWanted};
use crate::catalog::items::{After, Within};
use crate::catalog::{self, Container, Holding, VersionRow};
use crate::db::{Conn, QueryResult};
use crate::features::flag;
use crate::ids::{ChainId, ContainerId, FeatureName, PointNumber};

/// Containers of one chain: what Exchange allows in one mailbox, with room.
const CONTAINERS_MAX: u32 = 100_000;
/// A path deeper than this is a ring.
const DEPTH_MAX: usize = 400;

/// One container as of a point: what is directly in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BrowseView {
    pub chain_id: ChainId,
    pub point: PointNumber,
    /// From the top to here; empty at the top.
    pub path: Vec<ContainerView>,
    pub containers: Vec<ContainerView>,
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

impl From<VersionRow> for ItemView {
    fn from(row: VersionRow) -> Self {
        let version = row.version;
        let flags = FLAGS.iter().filter(|(bit, _)| version.flags & bit != 0).map(|(_, name)| (*name).to_owned());
        Self {
            key: version.key.to_string(),
            container_id: version.container,
            parent_key: version.parent.map(|key| key.to_string()),
            kind: version.kind,
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
    container: Option<ContainerId>,
    /// Names from the top, with slashes between, instead of `container`.
    path: Option<String>,
    /// The key of an item: what it holds, such as the files of a folder. Left out: what stands directly in the container.
    parent: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

pub async fn browse(app: Data<Shared>, query: Query<BrowseQuery>) -> ApiResult<Json<BrowseView>> {
    let page = PageQuery::new(query.limit, query.cursor.clone());
    let parent = query.parent.as_deref().map(parse_key).transpose()?;
    let (rows, after) = (page.rows(app.rows_max)?, page.after::<(DateTime<Utc>, String)>()?);
    let after = match after {
        Some((time, key)) => Some(After { parent, time, key: parse_key(&key)? }),
        None => None,
    };
    let wanted = ChainWanted { chain: query.chain, resource: query.resource.as_ref(), feature: query.feature.as_ref() };
    let chain = resolve::chain(&app, wanted).await?;
    let point = resolve::sealed_point(&app, &chain, query.point).await?;
    let id = chain.id;
    let read = move |conn: &mut Conn| catalog::containers::as_of(conn, id, point, CONTAINERS_MAX);
    let all = app.db.run("read the containers of a point", read).await?;
    let here = match (&query.path, query.container) {
        (None, wanted) => wanted,
        (Some(path), None) => at_path(&all, path)?,
        (Some(_), Some(_)) => return Err(ApiError::BadRequest("give container or path, not both".to_owned())),
    };
    let path = path_to(&all, here)?;
    let children: Vec<Container> = all.into_iter().filter(|one| one.parent == here).collect();
    let listed = [children.as_slice(), path.as_slice()].concat();
    let wanted = here.map(|here| (here, Within::Parent(parent)));
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
    let page = Page::cut(items, rows, |row| (row.version.time, row.version.key.to_string()), ItemView::from);
    Ok(Json(BrowseView { chain_id: id, point, path, containers, items: page.items, next: page.next }))
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

/// Descends by names. A name may hold a slash itself, so the longest match of each level is taken; where a folder's
/// name and another's well-known name are equal, the name that people see wins.
fn at_path(all: &[Container], path: &str) -> ApiResult<Option<ContainerId>> {
    let mut here = None;
    let mut rest = path.trim_matches('/');
    while !rest.is_empty() {
        let children = all.iter().filter(|one| one.parent == here);
        let Some((length, _, found)) = children.filter_map(|one| matched(one, rest)).max() else {
            return Err(ApiError::NotFound(format!("there is no folder \"{rest}\" in \"{path}\" as of this point")));
        };
        rest = rest[length..].trim_start_matches('/');
        here = Some(found);
    }
    Ok(here)
}

/// How much of the path this container's name is, and whether it is the name that people see.
fn matched(container: &Container, path: &str) -> Option<(usize, bool, ContainerId)> {
    let begins = |name: &str| {
        let head = path.get(..name.len())?;
        let whole = matches!(path.as_bytes().get(name.len()), None | Some(b'/'));
        (whole && head.to_lowercase() == name.to_lowercase()).then_some(name.len())
    };
    match begins(&container.name) {
        Some(length) => Some((length, true, container.id)),
        None => Some((begins(container.well_known.as_deref()?)?, false, container.id)),
    }
}

fn path_to(all: &[Container], here: Option<ContainerId>) -> ApiResult<Vec<Container>> {
    let mut path = Vec::new();
    let mut next = here;
    while let Some(id) = next {
        let Some(container) = all.iter().find(|one| one.id == id).filter(|_| path.len() < DEPTH_MAX) else {
            return Err(ApiError::NotFound(format!("there is no container {id} as of this point")));
        };
        path.push(container.clone());
        next = container.parent;
    }
    path.reverse();
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: u32, parent: Option<u32>, name: &str, well_known: Option<&str>) -> Container {
        Container {
            id: ContainerId::new(id),
            from: PointNumber::new(1),
            graph_id: format!("g{id}"),
            well_known: well_known.map(str::to_owned),
            parent: parent.map(ContainerId::new),
            name: name.to_owned(),
            hidden: false,
            cursors: catalog::containers::Cursors::default(),
        }
    }

    fn mailbox() -> Vec<Container> {
        vec![
            container(1, None, "Posteingang", Some("inbox")),
            container(2, Some(1), "A", None),
            container(3, Some(1), "A/B", None),
            container(4, Some(3), "Deep", None),
            container(5, None, "Entwürfe", Some("drafts")),
            container(6, None, "drafts", None),
        ]
    }

    fn id_at(path: &str) -> Option<u32> {
        at_path(&mailbox(), path).unwrap().map(ContainerId::get)
    }

    #[test]
    fn a_path_is_found_by_name_or_well_known_name_in_any_letter_case() {
        assert_eq!(id_at(""), None);
        assert_eq!(id_at("/posteingang/a"), Some(2));
        assert_eq!(id_at("Inbox"), Some(1));
        assert_eq!(id_at("inbox/A/B/deep"), Some(4));
        assert_eq!(id_at("Drafts"), Some(6), "a folder of that name goes before the folder that is well known as it");
        assert!(at_path(&mailbox(), "inbox/nowhere").is_err());
    }

    #[test]
    fn the_way_from_the_top_is_told() {
        let names: Vec<String> =
            path_to(&mailbox(), Some(ContainerId::new(4))).unwrap().into_iter().map(|one| one.name).collect();

        assert_eq!(names, ["Posteingang", "A/B", "Deep"]);
        assert!(path_to(&mailbox(), Some(ContainerId::new(9))).is_err());
    }
}

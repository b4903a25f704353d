//! Tables `containers` and `container_versions`.

use diesel::prelude::*;

use super::{Container, ContainerSpan, Cursors, LIST};
use crate::catalog::retention::Gap;
use crate::db::schema::{container_versions, containers};
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ContainerId, PointNumber, WalkNumber};

#[derive(Queryable, Selectable)]
#[diesel(table_name = containers)]
struct ContainerRecord {
    id: u32,
    graph_id: String,
    well_known: Option<String>,
    cursor_since: Option<Vec<u8>>,
    cursor_resume: Option<Vec<u8>>,
    full_walks: u32,
    walking: bool,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = container_versions)]
struct VersionRecord {
    from_point: u32,
    parent_id: Option<u32>,
    name: String,
    hidden: bool,
}

/// Tokens are ASCII; anything else in the column is treated as no token, and the walk begins anew.
fn token(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.and_then(|bytes| String::from_utf8(bytes).ok())
}

fn cursors_of(since: Option<Vec<u8>>, resume: Option<Vec<u8>>, full_walks: u32, walking: bool) -> Cursors {
    Cursors { since: token(since), resume: token(resume), full_walk: WalkNumber::new(full_walks), walking }
}

impl From<(ContainerRecord, VersionRecord)> for Container {
    fn from((container, version): (ContainerRecord, VersionRecord)) -> Self {
        Self {
            id: ContainerId::new(container.id),
            from: PointNumber::new(version.from_point),
            graph_id: container.graph_id,
            well_known: container.well_known,
            parent: version.parent_id.map(ContainerId::new),
            name: version.name,
            hidden: version.hidden,
            cursors: cursors_of(
                container.cursor_since,
                container.cursor_resume,
                container.full_walks,
                container.walking,
            ),
        }
    }
}

/// What was there at `point`; [`PointNumber::OPEN`] asks for the newest state.
pub(super) fn present(conn: &mut Conn, chain: ChainId, point: PointNumber, limit: u32) -> QueryResult<Vec<Container>> {
    let mut query = container_versions::table
        .inner_join(containers::table.on(containers::id.eq(container_versions::container_id)))
        .filter(container_versions::chain_id.eq(chain.get()))
        .filter(containers::graph_id.ne(LIST))
        .into_boxed();
    query = if point == PointNumber::OPEN {
        query.filter(container_versions::to_point.eq(point.get()))
    } else {
        query
            .filter(container_versions::from_point.le(point.get()))
            .filter(container_versions::to_point.gt(point.get()))
    };
    let rows: Vec<(ContainerRecord, VersionRecord)> = query
        .order(containers::id)
        .limit(limit.into())
        .select((ContainerRecord::as_select(), VersionRecord::as_select()))
        .load(conn)?;
    Ok(rows.into_iter().map(Container::from).collect())
}

pub(super) fn spans(conn: &mut Conn, ids: &[ContainerId]) -> QueryResult<Vec<(ContainerId, ContainerSpan)>> {
    let rows: Vec<(u32, u32, u32, Option<u32>, String)> = container_versions::table
        .filter(container_versions::container_id.eq_any(ids.iter().map(|id| id.get())))
        .select((
            container_versions::container_id,
            container_versions::from_point,
            container_versions::to_point,
            container_versions::parent_id,
            container_versions::name,
        ))
        .load(conn)?;
    let span = |(id, from, to, parent, name): (u32, u32, u32, Option<u32>, String)| {
        let (from, to) = (PointNumber::new(from), PointNumber::new(to));
        (ContainerId::new(id), ContainerSpan { from, to, parent: parent.map(ContainerId::new), name })
    };
    Ok(rows.into_iter().map(span).collect())
}

pub(super) fn service_counts(conn: &mut Conn, chain: ChainId, limit: u32) -> QueryResult<Vec<(ContainerId, u64)>> {
    let rows: Vec<(u32, u64)> = containers::table
        .filter(containers::chain_id.eq(chain.get()))
        .filter(containers::n_service.is_not_null())
        .order(containers::id)
        .limit(limit.into())
        .select((containers::id, containers::n_service.assume_not_null()))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, n)| (ContainerId::new(id), n)).collect())
}

pub(super) fn insert(conn: &mut Conn, chain: ChainId, graph_id: &str) -> QueryResult<()> {
    diesel::insert_or_ignore_into(containers::table)
        .values((containers::chain_id.eq(chain.get()), containers::graph_id.eq(graph_id)))
        .execute(conn)
        .map(drop)
}

pub(super) fn id_of(conn: &mut Conn, chain: ChainId, graph_id: &str) -> QueryResult<ContainerId> {
    containers::table
        .filter(containers::chain_id.eq(chain.get()))
        .filter(containers::graph_id.eq(graph_id))
        .select(containers::id)
        .first::<u32>(conn)
        .map(ContainerId::new)
}

pub(super) fn set_facts(
    conn: &mut Conn,
    id: ContainerId,
    well_known: Option<&str>,
    n_items: Option<u64>,
) -> QueryResult<()> {
    let target = containers::table.find(id.get());
    if let Some(well_known) = well_known {
        diesel::update(target).set(containers::well_known.eq(Some(well_known))).execute(conn)?;
    }
    if let Some(n_items) = n_items {
        diesel::update(target).set(containers::n_service.eq(Some(n_items))).execute(conn)?;
    }
    Ok(())
}

pub(super) fn is_current(
    conn: &mut Conn,
    id: ContainerId,
    parent: Option<ContainerId>,
    name: &str,
    hidden: bool,
) -> QueryResult<bool> {
    let current: Option<VersionRecord> = container_versions::table
        .filter(container_versions::container_id.eq(id.get()))
        .filter(container_versions::to_point.eq(PointNumber::OPEN.get()))
        .select(VersionRecord::as_select())
        .first(conn)
        .optional()?;
    Ok(current.is_some_and(|version| {
        version.parent_id == parent.map(ContainerId::get) && version.name == name && version.hidden == hidden
    }))
}

pub(super) fn insert_version(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    id: ContainerId,
    parent: Option<ContainerId>,
    name: &str,
    hidden: bool,
) -> QueryResult<()> {
    diesel::insert_into(container_versions::table)
        .values((
            container_versions::container_id.eq(id.get()),
            container_versions::from_point.eq(point.get()),
            container_versions::chain_id.eq(chain.get()),
            container_versions::parent_id.eq(parent.map(ContainerId::get)),
            container_versions::name.eq(name),
            container_versions::hidden.eq(hidden),
        ))
        .execute(conn)
        .map(drop)
}

/// Removes what the open point itself had written: it never became part of a sealed point.
pub(super) fn delete_version_of(conn: &mut Conn, point: PointNumber, id: ContainerId) -> QueryResult<()> {
    diesel::delete(container_versions::table.find((id.get(), point.get()))).execute(conn).map(drop)
}

pub(super) fn close_version(conn: &mut Conn, point: PointNumber, id: ContainerId) -> QueryResult<()> {
    diesel::update(container_versions::table)
        .filter(container_versions::container_id.eq(id.get()))
        .filter(container_versions::to_point.eq(PointNumber::OPEN.get()))
        .set(container_versions::to_point.eq(point.get()))
        .execute(conn)
        .map(drop)
}

/// Forgets where walks stand.
pub(super) fn forget(conn: &mut Conn, id: ContainerId) -> QueryResult<()> {
    diesel::update(containers::table.find(id.get()))
        .set((
            containers::cursor_since.eq(None::<Vec<u8>>),
            containers::cursor_resume.eq(None::<Vec<u8>>),
            containers::walking.eq(false),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn begin_walk(conn: &mut Conn, id: ContainerId, walk: WalkNumber) -> QueryResult<()> {
    forget(conn, id)?;
    diesel::update(containers::table.find(id.get()))
        .set((containers::full_walks.eq(walk.get()), containers::walking.eq(true)))
        .execute(conn)
        .map(drop)
}

pub(super) fn end_walk(conn: &mut Conn, id: ContainerId, since: &str) -> QueryResult<()> {
    diesel::update(containers::table.find(id.get()))
        .set((
            containers::cursor_since.eq(Some(since.as_bytes())),
            containers::cursor_resume.eq(None::<Vec<u8>>),
            containers::walking.eq(false),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn set_resume(conn: &mut Conn, id: ContainerId, token: &str) -> QueryResult<()> {
    diesel::update(containers::table.find(id.get()))
        .set(containers::cursor_resume.eq(Some(token.as_bytes())))
        .execute(conn)
        .map(drop)
}

pub(super) fn cursors(conn: &mut Conn, id: ContainerId) -> QueryResult<Cursors> {
    let (since, resume, full_walks, walking) = containers::table
        .find(id.get())
        .select((containers::cursor_since, containers::cursor_resume, containers::full_walks, containers::walking))
        .first::<(Option<Vec<u8>>, Option<Vec<u8>>, u32, bool)>(conn)?;
    Ok(cursors_of(since, resume, full_walks, walking))
}

pub(in crate::catalog) fn insert_all(conn: &mut Conn, chain: ChainId, graph_ids: &[String]) -> QueryResult<()> {
    let rows: Vec<_> =
        graph_ids.iter().map(|id| (containers::chain_id.eq(chain.get()), containers::graph_id.eq(id))).collect();
    diesel::insert_or_ignore_into(containers::table).values(rows).execute(conn).map(drop)
}

pub(in crate::catalog) fn ids_of(conn: &mut Conn, chain: ChainId) -> QueryResult<Vec<(String, ContainerId)>> {
    let rows: Vec<(String, u32)> = containers::table
        .filter(containers::chain_id.eq(chain.get()))
        .select((containers::graph_id, containers::id))
        .load(conn)?;
    Ok(rows.into_iter().map(|(graph_id, id)| (graph_id, ContainerId::new(id))).collect())
}

/// Forgets names and cursors of all containers of a chain.
pub(in crate::catalog) fn forget_chain(conn: &mut Conn, chain: ChainId) -> QueryResult<()> {
    diesel::delete(container_versions::table.filter(container_versions::chain_id.eq(chain.get()))).execute(conn)?;
    forget_all(conn, chain)
}

/// Forgets where the walks of a chain stand.
pub(super) fn forget_all(conn: &mut Conn, chain: ChainId) -> QueryResult<()> {
    diesel::update(containers::table.filter(containers::chain_id.eq(chain.get())))
        .set((
            containers::cursor_since.eq(None::<Vec<u8>>),
            containers::cursor_resume.eq(None::<Vec<u8>>),
            containers::walking.eq(false),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn ids(conn: &mut Conn, chain: ChainId, after: ContainerId, limit: u32) -> QueryResult<Vec<ContainerId>> {
    let ids: Vec<u32> = containers::table
        .filter(containers::chain_id.eq(chain.get()))
        .filter(containers::id.gt(after.get()))
        .order(containers::id)
        .limit(limit.into())
        .select(containers::id)
        .load(conn)?;
    Ok(ids.into_iter().map(ContainerId::new).collect())
}

pub(super) fn delete_swallowed(conn: &mut Conn, chain: ChainId, gap: &Gap) -> QueryResult<()> {
    diesel::delete(container_versions::table)
        .filter(container_versions::chain_id.eq(chain.get()))
        .filter(container_versions::from_point.gt(gap.after.get()))
        // Both ends, so that the index on (chain_id, to_point) leads to these rows alone.
        .filter(container_versions::to_point.gt(gap.after.get()))
        .filter(container_versions::to_point.le(gap.until.get()))
        .execute(conn)
        .map(drop)
}

pub(in crate::catalog) fn set_cursors(
    conn: &mut Conn,
    id: ContainerId,
    well_known: Option<&str>,
    cursors: &Cursors,
) -> QueryResult<()> {
    diesel::update(containers::table.find(id.get()))
        .set((
            containers::well_known.eq(well_known),
            containers::cursor_since.eq(cursors.since.as_ref().map(|token| token.as_bytes())),
            containers::cursor_resume.eq(cursors.resume.as_ref().map(|token| token.as_bytes())),
            containers::full_walks.eq(cursors.full_walk.get()),
            containers::walking.eq(cursors.walking),
        ))
        .execute(conn)
        .map(drop)
}

/// A container with the span, parent, name and visibility of a version of it.
type VersionColumns = (ContainerId, PointNumber, PointNumber, Option<ContainerId>, String, bool);

pub(in crate::catalog) fn insert_versions(
    conn: &mut Conn,
    chain: ChainId,
    versions: &[VersionColumns],
) -> QueryResult<()> {
    let row = |(id, from, to, parent, name, hidden): &VersionColumns| {
        (
            container_versions::container_id.eq(id.get()),
            container_versions::from_point.eq(from.get()),
            container_versions::to_point.eq(to.get()),
            container_versions::chain_id.eq(chain.get()),
            container_versions::parent_id.eq(parent.map(ContainerId::get)),
            container_versions::name.eq(name.clone()),
            container_versions::hidden.eq(*hidden),
        )
    };
    let rows: Vec<_> = versions.iter().map(row).collect();
    diesel::insert_into(container_versions::table).values(rows).execute(conn).map(drop)
}

pub(super) fn without_versions(
    conn: &mut Conn,
    chain: ChainId,
    after: ContainerId,
    limit: u32,
) -> QueryResult<Vec<ContainerId>> {
    let ids: Vec<u32> = containers::table
        .filter(containers::chain_id.eq(chain.get()))
        .filter(containers::id.gt(after.get()))
        .filter(containers::graph_id.ne(LIST))
        .filter(containers::id.ne_all(with_version(chain)))
        .filter(containers::id.ne_all(above_another(chain)))
        .order(containers::id)
        .limit(limit.into())
        .select(containers::id)
        .load(conn)?;
    Ok(ids.into_iter().map(ContainerId::new).collect())
}

pub(super) fn delete_empty(conn: &mut Conn, chain: ChainId, empty: &[ContainerId]) -> QueryResult<()> {
    diesel::delete(containers::table)
        .filter(containers::id.eq_any(empty.iter().map(|id| id.get())))
        .filter(containers::id.ne_all(with_version(chain)))
        .filter(containers::id.ne_all(above_another(chain)))
        .execute(conn)
        .map(drop)
}

#[diesel::dsl::auto_type]
fn with_version(chain: ChainId) -> _ {
    let chain: u32 = chain.get();
    container_versions::table.filter(container_versions::chain_id.eq(chain)).select(container_versions::container_id)
}

/// An incremental listing may name a container above another that was never listed itself.
#[diesel::dsl::auto_type]
fn above_another(chain: ChainId) -> _ {
    let chain: u32 = chain.get();
    container_versions::table
        .filter(container_versions::chain_id.eq(chain))
        .filter(container_versions::parent_id.is_not_null())
        .select(container_versions::parent_id.assume_not_null())
}

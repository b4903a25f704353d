//! Where a path leads: down the containers by name, then down items that hold others, such as the folders of a drive.

use super::error::{ApiError, ApiResult};
use crate::catalog::items::{self, VersionRow, Within};
use crate::catalog::{Chain, Container};
use crate::db::{Conn, QueryResult};
use crate::ids::{ContainerId, ItemKey, PointNumber};

/// A path deeper than this is a ring.
const DEPTH_MAX: usize = 400;
/// Names that the database takes for equal, because letter case or accents alone tell them apart.
const ALIKE_MAX: u32 = 20;

/// What a request asks for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub container: Option<ContainerId>,
    /// Names from the top, with slashes between, instead of `container`.
    pub path: Option<String>,
    /// The item whose contents are meant.
    pub parent: Option<ItemKey>,
}

/// Where it is.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// `None`: at the top.
    pub container: Option<ContainerId>,
    /// The items from the container down to here, without the root of a drive.
    pub folders: Vec<VersionRow>,
    /// The item that holds what is here; `None`: the container itself.
    pub parent: Option<ItemKey>,
}

/// The chain and point that are looked into.
#[derive(Clone, Copy)]
pub struct Shelf<'a> {
    pub chain: &'a Chain,
    pub point: PointNumber,
    pub containers: &'a [Container],
    /// Whether an item of this kind is a folder.
    pub is_folder: fn(&str, u8) -> bool,
}

impl Shelf<'_> {
    pub fn find(self, conn: &mut Conn, wanted: &Wanted) -> QueryResult<ApiResult<Place>> {
        match (wanted.parent, &wanted.path, wanted.container) {
            (Some(parent), None, None) => self.above(conn, parent),
            (None, Some(path), None) => self.descend(conn, path),
            (None, None, container) => {
                Ok(Ok(Place { container, parent: self.root(conn, container)?, folders: Vec::new() }))
            }
            (Some(parent), None, Some(_)) => self.above(conn, parent),
            (_, Some(_), _) => {
                let why = "give one of container, path and parent".to_owned();
                Ok(Err(ApiError::BadRequest(why)))
            }
        }
    }

    /// The item that stands for the container as a whole, as the root of a drive does: nobody calls it by its name.
    fn root(self, conn: &mut Conn, container: Option<ContainerId>) -> QueryResult<Option<ItemKey>> {
        let Some(container) = container else { return Ok(None) };
        let top = (container, Within::Parent(None));
        let standing = items::browse(conn, self.chain.id, self.point, top, None, 2)?;
        Ok(match standing.as_slice() {
            [only] if self.is_folder(only) => Some(only.version.key),
            _ => None,
        })
    }

    fn is_folder(self, row: &VersionRow) -> bool {
        (self.is_folder)(self.chain.key.feature.as_str(), row.version.kind)
    }

    fn descend(self, conn: &mut Conn, path: &str) -> QueryResult<ApiResult<Place>> {
        let (mut container, rest) = by_containers(self.containers, path);
        if container.is_none() && !rest.is_empty() {
            // A drive is alone in its chain, so that its name need not be given.
            container = only_one(self.containers);
        }
        let mut parent = self.root(conn, container)?;
        let mut folders: Vec<VersionRow> = Vec::new();
        for name in rest.split('/').filter(|name| !name.is_empty()) {
            let found = match container {
                Some(container) if folders.len() < DEPTH_MAX => self.named(conn, (container, parent), name)?,
                _ => None,
            };
            let Some(row) = found else {
                let why = format!("there is no folder \"{name}\" in \"{path}\" as of this point");
                return Ok(Err(ApiError::NotFound(why)));
            };
            parent = Some(row.version.key);
            folders.push(row);
        }
        Ok(Ok(Place { container, folders, parent }))
    }

    /// The item of this name. Only what is in a folder has a name to go by: subjects of mails are no names.
    fn named(
        self,
        conn: &mut Conn,
        (container, parent): (ContainerId, Option<ItemKey>),
        name: &str,
    ) -> QueryResult<Option<VersionRow>> {
        let mut found = items::named(conn, self.chain.id, self.point, (container, parent), name, ALIKE_MAX)?;
        found.retain(|row| parent.is_some() || self.is_folder(row));
        let likeness = |row: &VersionRow| {
            let other = &row.version.name;
            (other == name, other.to_lowercase() == name.to_lowercase(), self.is_folder(row))
        };
        Ok(found.into_iter().max_by_key(likeness))
    }

    /// The place of what an item holds, found from below.
    fn above(self, conn: &mut Conn, parent: ItemKey) -> QueryResult<ApiResult<Place>> {
        let mut folders: Vec<VersionRow> = Vec::new();
        let mut next = Some(parent);
        while let Some(key) = next.filter(|_| folders.len() < DEPTH_MAX) {
            let Some(row) = items::get(conn, self.chain.id, self.point, key)? else { break };
            next = row.version.parent;
            folders.push(row);
        }
        folders.reverse();
        let Some(container) = folders.last().map(|row| row.version.container) else {
            let why = format!("there is no item {parent} as of this point");
            return Ok(Err(ApiError::NotFound(why)));
        };
        if folders.first().map(|row| row.version.key) == self.root(conn, Some(container))? {
            folders.remove(0);
        }
        Ok(Ok(Place { container: Some(container), folders, parent: Some(parent) }))
    }
}

fn only_one(all: &[Container]) -> Option<ContainerId> {
    let mut top = all.iter().filter(|one| one.parent.is_none());
    let only = top.next()?;
    top.next().is_none().then_some(only.id)
}

/// Descends by names as far as there are containers; returns what is left of the path. A name may hold a slash itself,
/// so the longest match of each level is taken; where a folder's name and another's well-known name are equal, the name
/// that people see wins.
fn by_containers<'a>(all: &[Container], path: &'a str) -> (Option<ContainerId>, &'a str) {
    let mut here = None;
    let mut rest = path.trim_matches('/');
    while !rest.is_empty() {
        let children = all.iter().filter(|one| one.parent == here);
        let Some((length, _, found)) = children.filter_map(|one| matched(one, rest)).max() else { break };
        rest = rest[length..].trim_start_matches('/');
        here = Some(found);
    }
    (here, rest)
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

pub fn path_to(all: &[Container], here: Option<ContainerId>) -> ApiResult<Vec<Container>> {
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
    use chrono::DateTime;

    use super::*;
    use crate::catalog::containers::{self, Cursors};
    use crate::catalog::{ChainKey, ContainerState, ContentRef, NewVersion, chains, points};
    use crate::ids::{BlobId, PackId, ResourceId, StorageId, TaskId, WalkNumber};
    use crate::repository::tests::server::TestDb;

    fn container(id: u32, parent: Option<u32>, name: &str, well_known: Option<&str>) -> Container {
        Container {
            id: ContainerId::new(id),
            from: PointNumber::new(1),
            graph_id: format!("g{id}"),
            well_known: well_known.map(str::to_owned),
            parent: parent.map(ContainerId::new),
            name: name.to_owned(),
            hidden: false,
            cursors: Cursors::default(),
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
        let (found, rest) = by_containers(&mailbox(), path);
        assert_eq!(rest, "", "{path}");
        found.map(ContainerId::get)
    }

    #[test]
    fn a_path_is_found_by_name_or_well_known_name_in_any_letter_case() {
        assert_eq!(id_at(""), None);
        assert_eq!(id_at("/posteingang/a"), Some(2));
        assert_eq!(id_at("Inbox"), Some(1));
        assert_eq!(id_at("inbox/A/B/deep"), Some(4));
        assert_eq!(id_at("Drafts"), Some(6), "a folder of that name goes before the folder that is well known as it");
        assert_eq!(by_containers(&mailbox(), "inbox/nowhere/b"), (Some(ContainerId::new(1)), "nowhere/b"));
    }

    #[test]
    fn a_container_that_is_alone_at_the_top_need_not_be_named() {
        let drive = [container(1, None, "OneDrive", None), container(2, Some(1), "Below", None)];

        assert_eq!(only_one(&drive), Some(ContainerId::new(1)));
        assert_eq!(only_one(&mailbox()), None);
    }

    #[test]
    fn the_way_from_the_top_is_told() {
        let names: Vec<String> =
            path_to(&mailbox(), Some(ContainerId::new(4))).unwrap().into_iter().map(|one| one.name).collect();

        assert_eq!(names, ["Posteingang", "A/B", "Deep"]);
        assert!(path_to(&mailbox(), Some(ContainerId::new(9))).is_err());
    }

    const FOLDER: u8 = 1;
    const FILE: u8 = 2;

    fn version(container: ContainerId, kind: u8, id: &str, parent: Option<&str>, name: &str) -> NewVersion {
        NewVersion {
            key: ItemKey::of(id),
            container,
            parent: parent.map(ItemKey::of),
            full_walk: WalkNumber::FIRST,
            kind,
            flags: 0,
            change_tag: 0,
            name: name.to_owned(),
            party: String::new(),
            time: DateTime::UNIX_EPOCH,
            bytes: 0,
            properties: ContentRef { pack: PackId::new(1), blob: BlobId::from_bytes([0; 16]) },
            content: None,
            refs: Vec::new(),
        }
    }

    /// A chain with a drive: root, A, A/b, A/B and a file in each.
    fn drive(conn: &mut Conn) -> QueryResult<Chain> {
        let feature = "onedrive".parse().expect("a name");
        let key = ChainKey { resource: ResourceId::new(1), feature, storage: StorageId::new(1) };
        let chain = chains::open(conn, &key)?.id;
        let point = points::open_point(conn, chain, None, TaskId::new(1))?;
        let container = containers::identify(conn, chain, "drive")?;
        let state = ContainerState {
            graph_id: "drive".to_owned(),
            parent: None,
            name: "OneDrive".to_owned(),
            hidden: false,
            well_known: None,
            n_items: None,
        };
        containers::put(conn, chain, point, container, &state)?;
        let version = |kind, id, parent, name| version(container, kind, id, parent, name);
        let all = [
            version(FOLDER, "r", None, "root"),
            version(FOLDER, "a", Some("r"), "A"),
            version(FILE, "f", Some("r"), "top.txt"),
            version(FOLDER, "b", Some("a"), "B"),
            version(FILE, "g", Some("b"), "deep.txt"),
        ];
        items::put(conn, chain, point, &all)?;
        points::seal(conn, chain, point, 0)?;
        Ok(chains::get(conn, chain)?.expect("it was just made"))
    }

    fn look(conn: &mut Conn, wanted: &Wanted) -> QueryResult<ApiResult<(Vec<String>, Vec<String>)>> {
        let chain = drive(conn)?;
        let point = PointNumber::new(chain.last_point);
        let all = containers::as_of(conn, chain.id, point)?;
        let is_folder = |_: &str, kind: u8| kind == FOLDER;
        let place = match (Shelf { chain: &chain, point, containers: &all, is_folder }).find(conn, wanted)? {
            Ok(place) => place,
            Err(err) => return Ok(Err(err)),
        };
        let names = |rows: Vec<VersionRow>| rows.into_iter().map(|row| row.version.name).collect::<Vec<_>>();
        let Some(container) = place.container else { return Ok(Ok((Vec::new(), Vec::new()))) };
        let mut held =
            names(items::browse(conn, chain.id, point, (container, Within::Parent(place.parent)), None, 10)?);
        held.sort();
        Ok(Ok((names(place.folders), held)))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_drive_is_looked_into_like_a_file_system() {
        let server = TestDb::start();
        let at = |path: &str| Wanted { path: Some(path.to_owned()), ..Wanted::default() };
        let cases: [(Wanted, &[&str], &[&str]); 6] = [
            (at(""), &[], &[]),
            (at("OneDrive"), &[], &["A", "top.txt"]),
            (at("onedrive/a"), &["A"], &["B"]),
            (at("A/B"), &["A", "B"], &["deep.txt"]),
            (at("/A/B/deep.txt/"), &["A", "B", "deep.txt"], &[]),
            (Wanted { parent: Some(ItemKey::of("b")), ..Wanted::default() }, &["A", "B"], &["deep.txt"]),
        ];
        for (wanted, folders, held) in cases {
            let (asked, shown) = (wanted.clone(), format!("{wanted:?}"));
            let found = server.db.run("look", move |conn| look(conn, &asked)).await.unwrap().unwrap();
            assert_eq!((found.0, found.1), (owned(folders), owned(held)), "{shown}");
        }

        for wrong in [at("A/nothing"), at("nothing"), Wanted { parent: Some(ItemKey::of("x")), ..Wanted::default() }] {
            let found = server.db.run("look", move |conn| look(conn, &wrong)).await.unwrap();
            assert!(found.unwrap_err().to_string().contains("there is no"));
        }
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}

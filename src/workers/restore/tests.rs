//! The way through a drive, and what was chosen of it, read from a real MariaDB.

use chrono::DateTime;

use super::choice::Choice;
use super::walk::{Shelf, Step, Walk};
use crate::catalog::{
    Chain, ChainKey, ContainerState, ContentRef, NewVersion, VersionRow, chains, containers, items, points,
};
use crate::db::{Conn, QueryResult};
use crate::features;
use crate::ids::{
    BlobId, ContainerId, ItemKey, PackId, PointNumber, ResourceId, StorageId, TaskId, VersionNumber, WalkNumber,
};
use crate::queue::work::RestoreSelection;
use crate::repository::tests::server::TestDb;

const FOLDER: u8 = features::onedrive::KIND_FOLDER;
const FILE: u8 = features::onedrive::KIND_FILE;

fn version(container: ContainerId, (kind, id, parent): (u8, &str, Option<&str>), name: &str) -> NewVersion {
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
        bytes: 10,
        properties: ContentRef { pack: PackId::new(1), blob: BlobId::from_bytes([0; 16]) },
        content: None,
        refs: Vec::new(),
    }
}

/// A file that is in no catalog.
pub(super) fn row(id: &str) -> VersionRow {
    let number = VersionNumber::NONE;
    VersionRow {
        number,
        from: PointNumber::new(1),
        to: PointNumber::OPEN,
        version: version(ContainerId::new(1), (FILE, id, None), id),
    }
}

/// A chain with a drive: in its root the folders A and Empty and a file, in A the folder B, in B three files.
fn drive(conn: &mut Conn) -> QueryResult<(Chain, ContainerId)> {
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
    let all = [
        ((FOLDER, "r", None), "root"),
        ((FOLDER, "a", Some("r")), "A"),
        ((FOLDER, "e", Some("r")), "Empty"),
        ((FILE, "f", Some("r")), "top.txt"),
        ((FOLDER, "b", Some("a")), "B"),
        ((FILE, "1", Some("b")), "1.txt"),
        ((FILE, "2", Some("b")), "2.txt"),
        ((FILE, "3", Some("b")), "3.txt"),
    ];
    let all: Vec<NewVersion> = all.into_iter().map(|(what, name)| version(container, what, name)).collect();
    items::put(conn, chain, point, &all)?;
    points::seal(conn, chain, point, 0)?;
    Ok((chains::get(conn, chain)?.expect("it was just made"), container))
}

async fn shelf(server: &TestDb) -> (Shelf, ContainerId) {
    let (chain, container) = server.db.run("make a drive", drive).await.unwrap();
    let feature = features::find("onedrive").expect("it is registered");
    (Shelf { db: server.db.clone(), chain, point: PointNumber::new(1), feature }, container)
}

/// What is met on the way: folders in brackets, and the files of one page in the order of their names.
async fn way(shelf: &Shelf, mut walk: Walk) -> Vec<String> {
    let mut way = Vec::new();
    while let Some(step) = walk.next(shelf).await.unwrap() {
        match step {
            Step::Enter(folder) => way.push(format!("[{}", folder.version.name)),
            Step::Items(page) => way.extend(page.into_iter().map(|row| row.version.name)),
            Step::Leave => way.push("]".to_owned()),
        }
    }
    way
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_is_walked_folder_by_folder_and_each_item_is_met_once() {
    let server = TestDb::start();
    let (shelf, drive) = shelf(&server).await;
    let mut told = Vec::new();

    for page_rows in [1, 2, 100] {
        let way = way(&shelf, Walk::of(&shelf, drive, page_rows)).await;
        let mut met: Vec<&str> = way.iter().map(String::as_str).filter(|step| *step != "]").collect();
        met.sort_unstable();
        assert_eq!(met, ["1.txt", "2.txt", "3.txt", "[A", "[B", "[Empty", "[root", "top.txt"], "{page_rows} a page");
        assert_eq!(way.iter().filter(|step| *step == "]").count(), 4, "{way:?}");
        assert_eq!((way[0].as_str(), way[1].as_str()), ("[root", "top.txt"), "the files of a folder go first: {way:?}");
        told.push(way);
    }
    assert!(told.iter().all(|way| *way == told[0]), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_are_left_to_other_walks_are_met_by_them_alone() {
    let server = TestDb::start();
    let (shelf, drive) = shelf(&server).await;
    let mut walk = Walk::of(&shelf, drive, 100);
    let mut told = Vec::new();

    while let Some(step) = walk.next(&shelf).await.unwrap() {
        match step {
            Step::Enter(folder) if walk.n_beside() > 0 => {
                for folder in std::iter::once(*folder).chain(walk.pass_by(5)) {
                    told.extend(way(&shelf, Walk::below(folder, 100)).await);
                }
            }
            Step::Enter(folder) => told.push(format!("[{}", folder.version.name)),
            Step::Items(page) => told.extend(page.into_iter().map(|row| row.version.name)),
            Step::Leave => told.push("]".to_owned()),
        }
    }

    told.sort_unstable();
    let folders = ["[A", "[B", "[Empty", "[root", "]", "]", "]", "]"];
    assert_eq!(told, [&["1.txt", "2.txt", "3.txt"][..], &folders, &["top.txt"]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_a_chosen_folder_comes_back_with_it_and_not_once_more() {
    let server = TestDb::start();
    let (shelf, drive) = shelf(&server).await;
    let items = ["a", "2", "f", "nowhere"].map(ItemKey::of).to_vec();
    let selection = RestoreSelection { items, ..RestoreSelection::default() };

    let choice = Choice::of(Some(&selection), &shelf).await.unwrap();

    let names: Vec<&str> = choice.folders.iter().map(|row| row.version.name.as_str()).collect();
    assert_eq!(names, ["A"]);
    let single: Vec<_> = choice.items.into_iter().collect();
    assert_eq!(single, [((drive, Some(ItemKey::of("r"))), vec![ItemKey::of("f")])]);
    assert_eq!(choice.missing, [ItemKey::of("nowhere")]);
    let below = way(&shelf, Walk::below(choice.folders[0].clone(), 100)).await;
    assert_eq!(below.len(), 7, "{below:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_down_to_a_chosen_item_leaves_the_root_of_a_drive_out() {
    let server = TestDb::start();
    let (shelf, _) = shelf(&server).await;
    let selection = RestoreSelection { items: vec![ItemKey::of("2")], ..RestoreSelection::default() };

    let choice = Choice::of(Some(&selection), &shelf).await.unwrap();

    assert_eq!(choice.names_to(Some(ItemKey::of("b"))), ["A", "B"]);
    assert_eq!(choice.names_to(Some(ItemKey::of("r"))), [""; 0]);
    assert!(!choice.takes_all_of(choice.items.keys().next().expect("one place").0));
}

//! Where a restore goes: the folder in a drive, created if it is missing, and what it holds already.

use std::fmt;

use serde_json::{Value, json};

use super::facets::is;
use super::identity::of_present;
use super::names::{self, Level};
use crate::features::{Existing, OWN_CONTAINER, Opening, PathStep, Present, RestoreError, Source};
use crate::graph::{DriveEndpoint, DriveTarget, Endpoint, GraphError};

/// The top of every drive goes by this id too.
pub(super) const TOP: &str = "root";
/// About 170 MB; a folder beyond it is restored to a new one instead.
const EXISTING_MAX: usize = 500_000;
const PAGE_ITEMS: &str = "999";
pub(super) const PRESENT_PROPERTIES: &str =
    "id,name,size,file,folder,package,remoteItem,fileSystemInfo,description,lastModifiedBy,lastModifiedDateTime";
/// How often a folder is created whose creation ended unclear and left nothing.
const CREATIONS_MAX: u32 = 3;

/// A folder of a drive, as the id of a target container says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folder<'a> {
    pub drive: &'a str,
    pub item: &'a str,
}

impl<'a> Folder<'a> {
    pub(super) fn of(container: &'a str) -> Result<Self, RestoreError> {
        let parts = container.split_once('/').filter(|(drive, item)| !drive.is_empty() && !item.is_empty());
        let (drive, item) = parts.ok_or_else(|| RestoreError::Item("the target is no folder of a drive".to_owned()))?;
        Ok(Self { drive, item })
    }

    pub(super) fn level(self) -> Level {
        if self.item == TOP { Level::Top } else { Level::Below }
    }

    pub(super) fn named<'n>(self, names: &'n str) -> DriveTarget<'n>
    where
        'a: 'n,
    {
        DriveTarget::Named { drive: self.drive, folder: self.item, names }
    }

    /// Its id as moves want it, which is not the one that every top has.
    pub(super) async fn own_id(self, target: Source<'_>) -> Result<String, RestoreError> {
        if self.level() == Level::Below {
            return Ok(self.item.to_owned());
        }
        let endpoint = Endpoint::Drive(DriveEndpoint::Item { drive: self.drive, item: self.item });
        let top = target.graph.get(endpoint).query("$select", "id").json().await?;
        Ok(id_of(&top, endpoint)?.to_owned())
    }
}

impl fmt::Display for Folder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.drive, self.item)
    }
}

/// The folder at `path` below the drive itself, which is the first step.
pub(super) async fn open_folder(
    target: Source<'_>,
    path: &[PathStep],
    opening: Opening,
) -> Result<Option<String>, RestoreError> {
    if let Some(own) = own_container(path) {
        return Ok(Some(own.to_owned()));
    }
    let drive = drive_of(target).await?;
    let top = Folder { drive: &drive, item: TOP };
    let steps = path.iter().skip(1).enumerate().map(|(depth, step)| {
        let level = if depth == 0 { Level::Top } else { Level::Below };
        names::safe(&step.name, level).into_owned()
    });
    let steps: Vec<String> = steps.collect();
    if steps.is_empty() {
        return Ok(Some(top.to_string()));
    }
    if let Some(found) = find(target, top, &steps.join("/")).await? {
        let folder = Folder { drive: &drive, item: folder_id(&found)? };
        return Ok(Some(folder.to_string()));
    }
    if opening == Opening::Look {
        return Ok(None);
    }
    let mut here = TOP.to_owned();
    for name in steps {
        here = open_child(target, Folder { drive: &drive, item: &here }, &name).await?;
    }
    Ok(Some(Folder { drive: &drive, item: &here }.to_string()))
}

/// A container that kodo made up is no place in a drive.
fn own_container(path: &[PathStep]) -> Option<&str> {
    path.last()?.well_known.as_deref().filter(|name| is_own(name))
}

pub(super) fn is_own(container: &str) -> bool {
    container.starts_with(OWN_CONTAINER)
}

pub(super) async fn drive_of(target: Source<'_>) -> Result<String, RestoreError> {
    let endpoint = Endpoint::Drive(DriveEndpoint::OfUser { user: target.user });
    let drive = target.graph.get(endpoint).query("$select", "id").json().await?;
    Ok(id_of(&drive, endpoint)?.to_owned())
}

async fn open_child(target: Source<'_>, parent: Folder<'_>, name: &str) -> Result<String, RestoreError> {
    match find(target, parent, name).await? {
        Some(found) => Ok(folder_id(&found)?.to_owned()),
        None => Ok(create_folder(target, parent, name).await?.0),
    }
}

/// Whether a folder was made, or stood there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    New,
    Found,
}

/// Creates a folder, or finds the one that somebody was faster to create.
pub(super) async fn create_folder(
    target: Source<'_>,
    parent: Folder<'_>,
    name: &str,
) -> Result<(String, Made), RestoreError> {
    let endpoint = Endpoint::DriveTarget(DriveTarget::Children { drive: parent.drive, folder: parent.item });
    let body = json!({ "name": name, "folder": {}, "@microsoft.graph.conflictBehavior": "fail" });
    let mut creations = 0;
    loop {
        creations += 1;
        let error = match target.graph.post(endpoint).body(&body).json().await {
            Ok(folder) => return Ok((id_of(&folder, endpoint)?.to_owned(), Made::New)),
            Err(error @ (GraphError::Conflict { .. } | GraphError::Ambiguous { .. })) => error,
            Err(error) => return Err(item_error(error)),
        };
        let unclear = matches!(error, GraphError::Ambiguous { .. });
        match find(target, parent, name).await? {
            // Nobody else works on this drive: after an unclear end it is our own.
            Some(found) if unclear => return Ok((folder_id(&found)?.to_owned(), Made::New)),
            Some(found) => return Ok((folder_id(&found)?.to_owned(), Made::Found)),
            None if unclear && creations < CREATIONS_MAX => {}
            None => return Err(item_error(error)),
        }
    }
}

/// What is called so below a folder.
pub(super) async fn find(target: Source<'_>, folder: Folder<'_>, names: &str) -> Result<Option<Value>, RestoreError> {
    let endpoint = Endpoint::DriveTarget(folder.named(names));
    match target.graph.get(endpoint).query("$select", PRESENT_PROPERTIES).json().await {
        Ok(found) => Ok(Some(found)),
        Err(GraphError::NotFound { .. }) => Ok(None),
        Err(error) => Err(item_error(error)),
    }
}

fn folder_id(found: &Value) -> Result<&str, RestoreError> {
    let is_folder = (is(found, "folder") || is(found, "package")) && !is(found, "remoteItem");
    let id = found["id"].as_str().filter(|_| is_folder);
    id.ok_or_else(|| {
        RestoreError::Item("something that is no folder has the name of a folder on the target: rename it".to_owned())
    })
}

pub(super) fn id_of<'a>(found: &'a Value, endpoint: Endpoint<'_>) -> Result<&'a str, RestoreError> {
    let id = found["id"].as_str().filter(|id| !id.is_empty());
    id.ok_or_else(|| GraphError::protocol(endpoint, "it has no id").into())
}

/// Lists a folder. What an interrupted restore left under a working name is deleted.
pub(super) async fn existing(target: Source<'_>, container: &str, opening: Opening) -> Result<Existing, RestoreError> {
    let mut existing = Existing::with_unique_keys();
    if is_own(container) {
        return Ok(existing);
    }
    let folder = Folder::of(container)?;
    let endpoint = Endpoint::DriveTarget(DriveTarget::Children { drive: folder.drive, folder: folder.item });
    let mut call = target.graph.get(endpoint).query("$select", PRESENT_PROPERTIES).query("$top", PAGE_ITEMS);
    let mut left_over = Vec::new();
    loop {
        let page = call.page().await?;
        for found in page.value {
            let id = id_of(&found, endpoint)?.to_owned();
            if found["name"].as_str().is_some_and(names::is_working) {
                left_over.push(id);
            } else {
                existing.add(Present { id, identity: of_present(&found) }, None);
            }
        }
        if existing.len() > EXISTING_MAX {
            let text = format!("the target folder holds more than {EXISTING_MAX} items: restore to a new folder");
            return Err(RestoreError::Item(text));
        }
        match page.next {
            Some(next) => call = target.graph.follow(endpoint, &next)?,
            None => break,
        }
    }
    if opening == Opening::Create {
        for id in left_over {
            delete(target, folder.drive, &id).await?;
        }
    }
    Ok(existing)
}

pub(super) async fn delete(target: Source<'_>, drive: &str, item: &str) -> Result<(), RestoreError> {
    match target.graph.delete(Endpoint::DriveTarget(DriveTarget::Item { drive, item })).done().await {
        Ok(()) | Err(GraphError::NotFound { .. }) => Ok(()),
        Err(error) => Err(item_error(error)),
    }
}

/// What concerns this item alone must not end the restore of the others.
pub(super) fn item_error(error: GraphError) -> RestoreError {
    match error {
        GraphError::BadItem { .. }
        | GraphError::Refused { .. }
        | GraphError::TooLarge { .. }
        | GraphError::Conflict { .. }
        | GraphError::Locked { .. }
        | GraphError::NotFound { .. }
        | GraphError::Protocol { .. } => RestoreError::Item(error.to_string()),
        GraphError::Throttled { .. }
        | GraphError::Transient { .. }
        | GraphError::Ambiguous { .. }
        | GraphError::Login { .. }
        | GraphError::Forbidden { .. }
        | GraphError::NoService { .. }
        | GraphError::Resync { .. }
        | GraphError::Quota { .. } => RestoreError::Graph(error),
    }
}

//! Where a restore goes: the folder in a drive, created if it is missing, and what it holds already.

use std::fmt;

use serde_json::{Value, json};

use super::facets::is;
use super::identity::of_present;
use super::names::{self, Level};
use crate::features::{Noted, Noting, OWN_CONTAINER, Opened, Opening, PathStep, RestoreError, Source};
use crate::graph::{DriveEndpoint, DriveTarget, Endpoint, GraphError};

/// The top of every drive goes by this id too.
pub(super) const TOP: &str = "root";
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

/// The folder at the end of `path`, whose first step is the drive itself.
pub(super) async fn open_folder(
    target: Source<'_>,
    path: &[PathStep],
    above: Option<&Opened>,
    opening: Opening,
) -> Result<Option<Opened>, RestoreError> {
    if let Some(own) = own_container(path) {
        return Ok(Some(Opened::found(own.to_owned())));
    }
    let (Some(above), Some(step)) = (above, path.last()) else {
        let drive = drive_of(target).await?;
        return Ok(Some(Opened::found(Folder { drive: &drive, item: TOP }.to_string())));
    };
    let parent = Folder::of(&above.id)?;
    let name = names::safe(&step.name, parent.level());
    let of = |item: &str| Folder { drive: parent.drive, item }.to_string();
    if !above.is_new && opening != Opening::CreateNew {
        let found = find(target, parent, &name).await?;
        if let Some(found) = found {
            return Ok(Some(Opened::found(of(folder_id(&found)?))));
        }
        if opening == Opening::Look {
            return Ok(None);
        }
    }
    Ok(Some(match create_folder(target, parent, &name).await? {
        (id, Made::New) => Opened::new(of(&id)),
        (id, Made::Found) => Opened::found(of(&id)),
    }))
}

/// A container that kodo made up is no place in a drive.
pub(super) fn own_container(path: &[PathStep]) -> Option<&str> {
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
pub(super) async fn list(
    target: Source<'_>,
    container: &str,
    opening: Opening,
    noting: &mut dyn Noting,
) -> Result<(), RestoreError> {
    if is_own(container) {
        return Ok(());
    }
    let folder = Folder::of(container)?;
    let endpoint = Endpoint::DriveTarget(DriveTarget::Children { drive: folder.drive, folder: folder.item });
    let mut call = target.graph.get(endpoint).query("$select", PRESENT_PROPERTIES).query("$top", PAGE_ITEMS);
    let mut left_over = Vec::new();
    loop {
        let page = call.page().await?;
        let mut noted = Vec::with_capacity(page.value.len());
        for found in page.value {
            let id = id_of(&found, endpoint)?;
            if found["name"].as_str().is_some_and(names::is_working) {
                left_over.push(id.to_owned());
            } else {
                noted.push(Noted::new(id, of_present(&found), None));
            }
        }
        noting.note(noted).await?;
        match page.next {
            Some(next) => call = target.graph.follow(endpoint, &next)?,
            None => break,
        }
    }
    if opening != Opening::Look {
        for id in left_over {
            delete(target, folder.drive, &id).await?;
        }
    }
    Ok(())
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

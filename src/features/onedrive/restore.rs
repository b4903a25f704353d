//! Bringing one item of a drive back. A file appears whole, under its name and with its dates, or not at all: what
//! needs more than one request stands under a working name until the last one.

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::facets::{is, kind};
use super::identity::{content, modified, of_present, of_stored};
use super::names::{self, Level};
use super::putting::{Sending, Spot, dates};
use super::target::{self, Folder, Made, PRESENT_PROPERTIES, create_folder, find, item_error};
use super::{KIND_FILE, KIND_FOLDER, KIND_PACKAGE, OneDrive, PERMISSIONS, elsewhere, history, sharing, versions};
use crate::features::{
    Action, Along, Noting, Opened, Opening, PathStep, Present, Recognised, RestoreError, Restored, Restoring, Source,
    StoredContent, StoredItem,
};
use crate::graph::{DriveTarget, Endpoint, FRAGMENT_BYTES, GraphError};

/// States of one file of the same minute that can stand beside it.
const BESIDE_MAX: u32 = 20;
const NO_SHORTCUT: &str = "a shortcut to another drive: Microsoft lets nobody create one through Graph; what it leads \
    to can be read in the restore point";
const NO_OLDER: &str = "an older version comes back with its file: restore the file with its versions, or read this one \
    in the restore point";
const TAKEN: &str = "something else has its name on the target";
const NOT_SHARED: &str = "whom it was shared with is brought back only when a restore is asked for permissions";
const SHARING_UNKNOWN: &str = "whom it was shared with is not in the restore point: the policy does not ask for it";
const ORDINARY: &str = "it comes back as an ordinary folder";

impl Restoring for OneDrive {
    fn open<'a>(
        &'a self,
        target: Source<'a>,
        path: &'a [PathStep],
        above: Option<&'a Opened>,
        opening: Opening,
    ) -> BoxFuture<'a, Result<Option<Opened>, RestoreError>> {
        Box::pin(target::open_folder(target, path, above, opening))
    }

    fn stands_alone(&self, path: &[PathStep]) -> bool {
        path.len() <= 1 || target::own_container(path).is_some()
    }

    fn keys_are_unique(&self) -> bool {
        true
    }

    fn list<'a>(
        &'a self,
        target: Source<'a>,
        container: &'a str,
        opening: Opening,
        noting: &'a mut dyn Noting,
    ) -> BoxFuture<'a, Result<(), RestoreError>> {
        Box::pin(target::list(target, container, opening, noting))
    }

    fn recognise(&self, container: &str, item: &StoredItem) -> Result<Recognised, RestoreError> {
        recognise(container, item)
    }

    fn carry_out<'a>(
        &'a self,
        target: Source<'a>,
        container: &'a str,
        item: &'a StoredItem,
        action: &'a Action,
        along: Along<'a>,
    ) -> BoxFuture<'a, Result<Restored, RestoreError>> {
        Box::pin(carry_out(target, container, item, action, along))
    }

    /// A fragment is all that an upload holds.
    fn large_above_bytes(&self) -> Option<u64> {
        Some(FRAGMENT_BYTES as u64)
    }

    fn locate<'a>(
        &'a self,
        target: Source<'a>,
        item: &'a StoredItem,
    ) -> BoxFuture<'a, Result<Option<Present>, RestoreError>> {
        Box::pin(elsewhere::locate(target, item))
    }

    fn move_back<'a>(
        &'a self,
        target: Source<'a>,
        container: &'a str,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, RestoreError>> {
        Box::pin(elsewhere::move_back(target, container, id))
    }

    fn finish_folder<'a>(
        &'a self,
        target: Source<'a>,
        folder: &'a str,
        item: &'a StoredItem,
        along: Along<'a>,
    ) -> BoxFuture<'a, Result<Vec<String>, RestoreError>> {
        Box::pin(finish_folder(target, folder, item, along))
    }

    fn recognises_by_properties(&self) -> bool {
        true
    }

    /// A session and its fragments; a folder is created, and finished later.
    fn requests_to_create(&self, _item: &StoredItem, bytes: u64) -> u64 {
        1 + bytes.div_ceil(FRAGMENT_BYTES as u64).max(1)
    }

    fn brings_back_parts(&self) -> bool {
        true
    }

    fn order_of_part(&self, properties: &[u8]) -> Option<u64> {
        versions::order(properties)
    }

    /// A session and its fragments for each; a name in the end, and a look before and afterwards, which cost as much as
    /// one more.
    fn requests_for_parts(&self, parts: u64, bytes: u64) -> u64 {
        if parts == 0 { 0 } else { 2 * parts + bytes / FRAGMENT_BYTES as u64 + 3 }
    }

    fn shared_with(&self, item: &StoredItem) -> Vec<String> {
        sharing::shared_with(item)
    }

    fn requests_to_share(&self, item: &StoredItem) -> u64 {
        sharing::requests(item)
    }
}

fn recognise(container: &str, item: &StoredItem) -> Result<Recognised, RestoreError> {
    if target::is_own(container) {
        return Ok(Recognised::LeftOut { why: NO_OLDER });
    }
    let original = item.json()?;
    match kind(&original) {
        KIND_FILE | KIND_FOLDER | KIND_PACKAGE => {
            // A dry run knows no folder that is missing. The top of a drive never is.
            let level = if container.is_empty() { Level::Below } else { Folder::of(container)?.level() };
            let name = safe_name(&original, level);
            Ok(Recognised::Item(of_stored(&original, &name)))
        }
        _ => Ok(Recognised::LeftOut { why: NO_SHORTCUT }),
    }
}

fn safe_name(original: &Value, level: Level) -> String {
    names::safe(original["name"].as_str().unwrap_or_default(), level).into_owned()
}

async fn carry_out(
    target: Source<'_>,
    container: &str,
    item: &StoredItem,
    action: &Action,
    along: Along<'_>,
) -> Result<Restored, RestoreError> {
    let (original, folder) = (item.json()?, Folder::of(container)?);
    let name = safe_name(&original, folder.level());
    let mut remarks = remarks(&original, &name, along);
    if is(&original, "root") {
        return Ok(Restored::AlreadyThere);
    }
    let bringing = Bringing { target, folder, item, original: &original, along };
    match (kind(&original) == KIND_FILE, action) {
        (false, Action::Create | Action::CreateBeside) => match create_folder(target, folder, &name).await?.1 {
            Made::New => Ok(Restored::Created { remarks }),
            Made::Found => Ok(Restored::AlreadyThere),
        },
        (false, Action::Update { id }) => match bringing.settle(id, bearing(&original, Some(&name), None)).await? {
            Settled::NameTaken => Ok(Restored::LeftAlone { why: TAKEN }),
            settled => {
                remarks.extend(settled.remark().map(str::to_owned));
                Ok(Restored::Updated { remarks })
            }
        },
        (true, Action::Create) => bringing.create(&name, remarks).await,
        (true, Action::CreateBeside) => bringing.beside(&name, remarks).await,
        (true, Action::Update { id }) => {
            // First: a file that is as it was is not looked at again.
            remarks.extend(bringing.share(id).await?);
            remarks.extend(bringing.update(id, &name).await?);
            Ok(Restored::Updated { remarks })
        }
    }
}

fn remarks(original: &Value, name: &str, along: Along<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    if original["name"].as_str() != Some(name) && !is(original, "root") {
        remarks.push(format!("OneDrive does not take its name here: it is called \"{name}\" now"));
    }
    match along.people {
        None if is(original, PERMISSIONS) => remarks.push(NOT_SHARED.to_owned()),
        Some(_) if is(original, "shared") && !is(original, PERMISSIONS) => remarks.push(SHARING_UNKNOWN.to_owned()),
        None | Some(_) => {}
    }
    if kind(original) == KIND_PACKAGE {
        remarks.push(ORDINARY.to_owned());
    }
    remarks
}

/// What became of the properties of an item that is there.
enum Settled {
    Done,
    /// But for its description.
    Undescribed,
    NameTaken,
}

impl Settled {
    fn remark(&self) -> Option<&'static str> {
        match self {
            Self::Undescribed => Some("OneDrive does not take its description"),
            Self::Done | Self::NameTaken => None,
        }
    }
}

/// One item on its way to a folder.
struct Bringing<'a> {
    target: Source<'a>,
    folder: Folder<'a>,
    item: &'a StoredItem,
    original: &'a Value,
    along: Along<'a>,
}

impl Bringing<'_> {
    fn sending<'n>(&'n self, name: &'n str) -> Result<Sending<'n>, RestoreError> {
        if matches!(self.item.content, StoredContent::None) && self.original["size"].as_u64() != Some(0) {
            return Err(RestoreError::Item("the restore point holds no content of this file".to_owned()));
        }
        Ok(Sending { item: self.item, original: self.original, name })
    }

    /// Creates the file, if its name is free.
    async fn create(&self, name: &str, mut remarks: Vec<String>) -> Result<Restored, RestoreError> {
        let sending = self.sending(name)?;
        // Neither a description nor the dates of an empty file come with the content, nor does what comes along.
        let more = self.original["description"].is_string() || self.along.parts.is_some() || self.shares();
        if sending.bytes() > 0 && !more {
            return Ok(match sending.put(self.target, Spot::New(self.folder)).await? {
                Some(_) => Restored::Created { remarks },
                None => Restored::LeftAlone { why: TAKEN },
            });
        }
        let working = names::working(self.item.key);
        let sending = self.sending(&working)?;
        let id = match self.along.parts {
            Some(older) => {
                let put = history::put(self.target, self.folder, &sending, older).await?;
                remarks.extend(put.remarks);
                put.id
            }
            None => {
                let put = sending.put(self.target, Spot::Working(self.folder)).await?;
                put.ok_or_else(|| RestoreError::Item(TAKEN.to_owned()))?
            }
        };
        remarks.extend(self.share(&id).await?);
        match self.settle(&id, bearing(self.original, Some(name), None)).await? {
            Settled::NameTaken => {
                target::delete(self.target, self.folder.drive, &id).await?;
                Ok(Restored::LeftAlone { why: TAKEN })
            }
            settled => {
                remarks.extend(settled.remark().map(str::to_owned));
                Ok(Restored::Created { remarks })
            }
        }
    }

    /// Whether somebody is to be let in.
    fn shares(&self) -> bool {
        self.along.people.is_some() && is(self.original, PERMISSIONS)
    }

    async fn share(&self, id: &str) -> Result<Vec<String>, RestoreError> {
        match self.along.people {
            Some(people) => sharing::share(self.target, (self.folder.drive, id), self.original, people).await,
            None => Ok(Vec::new()),
        }
    }

    /// Creates the file under a name of its own, unless an earlier restore did.
    async fn beside(&self, name: &str, remarks: Vec<String>) -> Result<Restored, RestoreError> {
        for further in 0..BESIDE_MAX {
            let beside = names::beside(name, modified(self.original), further);
            match find(self.target, self.folder, &beside).await? {
                Some(found) if self.is_there(&found, &beside) => return Ok(Restored::AlreadyThere),
                Some(_) => {}
                None => return self.create(&beside, remarks).await,
            }
        }
        Ok(Restored::LeftAlone { why: TAKEN })
    }

    fn is_there(&self, found: &Value, name: &str) -> bool {
        let (here, stored) = (of_present(found), of_stored(self.original, name));
        let same = |one: Option<u64>, other: Option<u64>| one.is_some() && one == other;
        same(here.state, stored.state) || same(here.change_tag, stored.change_tag)
    }

    /// Makes a file that is there what the backup has: it keeps its id, and OneDrive keeps what it was as a version.
    async fn update(&self, id: &str, name: &str) -> Result<Option<String>, RestoreError> {
        let drive = self.folder.drive;
        let endpoint = Endpoint::DriveTarget(DriveTarget::Item { drive, item: id });
        let present = self.target.graph.get(endpoint).query("$select", PRESENT_PROPERTIES).json().await;
        let present = present.map_err(item_error)?;
        if content(&present).is_none() || content(&present) != content(self.original) {
            let put = self.sending(name)?.put(self.target, Spot::Over { drive, item: id }).await?;
            put.ok_or_else(|| RestoreError::Item("it cannot be replaced: it was changed meanwhile".to_owned()))?;
        }
        let renamed = Some(name).filter(|name| present["name"].as_str() != Some(*name));
        let settled = self.settle(id, bearing(self.original, renamed, Some(&present))).await?;
        if !matches!(settled, Settled::NameTaken) {
            return Ok(settled.remark().map(str::to_owned));
        }
        self.settle(id, bearing(self.original, None, Some(&present))).await?;
        Ok(Some("it keeps its present name: something else has the one that it had".to_owned()))
    }

    /// Gives an item its dates and its description, and its name if it has another, all in one request.
    async fn settle(&self, id: &str, mut wanted: Value) -> Result<Settled, RestoreError> {
        let endpoint = Endpoint::DriveTarget(DriveTarget::Item { drive: self.folder.drive, item: id });
        let mut described = true;
        loop {
            match self.target.graph.patch(endpoint).body(&wanted).done().await {
                Ok(()) if described => return Ok(Settled::Done),
                Ok(()) => return Ok(Settled::Undescribed),
                Err(GraphError::Conflict { .. }) if is(&wanted, "name") => return Ok(Settled::NameTaken),
                // Not every drive takes descriptions. A file is worth more than its own.
                Err(GraphError::Refused { .. } | GraphError::BadItem { .. }) if is(&wanted, "description") => {
                    described = false;
                    if let Some(wanted) = wanted.as_object_mut() {
                        wanted.remove("description");
                    }
                }
                Err(error) => return Err(item_error(error)),
            }
        }
    }
}

/// What an item bears besides its content: what the backup has, and nothing of what `present` has beyond it.
fn bearing(original: &Value, name: Option<&str>, present: Option<&Value>) -> Value {
    let mut wanted = json!({ "fileSystemInfo": dates(original) });
    if let Some(name) = name {
        wanted["name"] = json!(name);
    }
    if let Some(text) = original["description"].as_str() {
        wanted["description"] = json!(text);
    } else if present.is_some_and(|present| is(present, "description")) {
        wanted["description"] = json!("");
    }
    wanted
}

/// What is put into a folder changes its dates, so they come last.
async fn finish_folder(
    target: Source<'_>,
    folder: &str,
    item: &StoredItem,
    along: Along<'_>,
) -> Result<Vec<String>, RestoreError> {
    let (original, folder) = (item.json()?, Folder::of(folder)?);
    if is(&original, "root") {
        return Ok(Vec::new());
    }
    let bringing = Bringing { target, folder, item, original: &original, along };
    let mut remarks = remarks(&original, &safe_name(&original, Level::Below), along);
    remarks.extend(bringing.share(folder.item).await?);
    let settled = bringing.settle(folder.item, bearing(&original, None, None)).await?;
    remarks.extend(settled.remark().map(str::to_owned));
    Ok(remarks)
}

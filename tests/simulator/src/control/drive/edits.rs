//! Declared changes of a drive, one at a time.

use super::{refused, stamp};
use crate::app::{App, User};
use crate::clock::parse_iso;
use crate::company::files::mime_of;
use crate::control::{ControlError, Controlled, bad};
use crate::locks::write;
use crate::store::drive::content::Content;
use crate::store::drive::item::{File, Grant, Kind, Permission, Pointer};
use crate::store::drive::{Drive, ROOT, Stamp, ids};
use crate::store::message::{Blob, Person};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// One change of one item. With `create` the item is made first; `size` or `text` for an item that
/// is there already overwrites it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SingleEdit {
    pub path: String,
    #[serde(default)]
    pub create: Option<NewKind>,
    /// Bytes of computed content; any number, none of them is kept.
    #[serde(default)]
    pub size: Option<u64>,
    #[serde(default)]
    pub seed: u64,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// The date the file itself bears.
    #[serde(default)]
    pub modified: Option<String>,
    #[serde(default)]
    pub share: Option<Share>,
    #[serde(default)]
    pub rename: Option<String>,
    /// Path of a folder; empty for the root.
    #[serde(default)]
    pub move_to: Option<String>,
    #[serde(default)]
    pub delete: bool,
    /// Somebody opens it for writing, or closes it.
    #[serde(default)]
    pub locked: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewKind {
    File,
    Folder,
    Notebook,
    Shortcut,
    Infected,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    Colleague,
    /// Somebody by the address, who is in the directory or not.
    With {
        address: String,
        #[serde(default)]
        may_write: bool,
    },
    Organization,
    Anonymous,
}

pub fn single(app: &App, user: &User, wanted: SingleEdit) -> Controlled {
    let at = stamp(app, user);
    let mut drive = write(&user.drive);
    let content = content(&wanted);
    let number = match wanted.create {
        Some(kind) => create(&mut drive, &wanted.path, kind, content, &at)?,
        None => {
            let number = find(&drive, &wanted.path)?;
            if let Some(content) = content
                && !drive.overwrite(number, content, &at)
            {
                return Err(bad(format!("'{}' is no file", wanted.path)));
            }
            number
        }
    };
    if let Some(text) = &wanted.description {
        drive.update(number, &at, |item| item.description = Some(text.clone()));
    }
    if let Some(text) = &wanted.modified {
        let moment = parse_iso(text).ok_or_else(|| bad(format!("'{text}' is no date")))?;
        drive.update(number, &at, |item| item.modified = moment);
    }
    if let Some(locked) = wanted.locked {
        drive.update(number, &at, |item| item.locked = locked);
    }
    if let Some(share) = &wanted.share {
        drive.share(number, permission(app, share), &at);
    }
    if let Some(name) = &wanted.rename {
        drive.rename(number, name, &at).map_err(|why| refused(name, why))?;
    }
    if let Some(path) = &wanted.move_to {
        let to = find(&drive, path)?;
        drive.relocate(number, to, &at).map_err(|why| refused(path, why))?;
    }
    let out = json!({"id": drive.id_of(number), "path": drive.path(number)});
    if wanted.delete {
        drive.remove(number, at.at).map_err(|why| refused(&wanted.path, why))?;
    }
    Ok(out)
}

fn permission(app: &App, share: &Share) -> Permission {
    let (grant, may_write) = match share {
        Share::Colleague => (Grant::Person(app.world.staff[0].person.clone()), false),
        Share::With { address, may_write } => {
            let known = app.user(address).map(|user| user.profile());
            let name = known.map_or_else(|| address.clone(), |profile| profile.display_name);
            (Grant::Person(Person { name, address: address.clone() }), *may_write)
        }
        Share::Organization => (Grant::Link { scope: "organization" }, false),
        Share::Anonymous => (Grant::Link { scope: "anonymous" }, false),
    };
    Permission { grant, may_write }
}

fn find(drive: &Drive, path: &str) -> Result<u64, ControlError> {
    drive.by_path(path).map(|item| item.number).ok_or_else(|| bad(format!("nothing at '{path}'")))
}

fn content(wanted: &SingleEdit) -> Option<Arc<Content>> {
    match (&wanted.text, wanted.size) {
        (Some(text), _) => Some(Content::blob(Blob::Held(text.clone().into()))),
        (None, Some(size)) => Some(Content::computed(wanted.seed, size)),
        (None, None) => None,
    }
}

fn create(
    drive: &mut Drive,
    path: &str,
    kind: NewKind,
    content: Option<Arc<Content>>,
    at: &Stamp,
) -> Result<u64, ControlError> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = find(drive, parent)?;
    let mut file = File::new(mime_of(name), content.unwrap_or_else(|| Content::computed(0, 0)));
    let kind = match kind {
        NewKind::File => Kind::File(file),
        NewKind::Infected => {
            file.malware = Some("Win32/Invented.B");
            Kind::File(file)
        }
        NewKind::Folder => Kind::Folder { special: None },
        NewKind::Notebook => Kind::Notebook,
        NewKind::Shortcut => {
            Kind::Shortcut(Pointer { drive: ids::drive_id(0), item: ids::item_id(0, ROOT + 1), owner: at.by.clone() })
        }
    };
    drive.add(parent, name, kind, at).map_err(|why| refused(path, why))
}

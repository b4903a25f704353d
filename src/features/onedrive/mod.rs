//! OneDrive: the drive of a user as one container, its root, folders, files and shortcuts as items.
//!
//! Owns: how a drive is followed by its delta, what of an item is kept, when a file is read again, and that what was read
//! is what the service says it is.
//!
//! Invariants: items are known by their ids, never by paths, so that the rename or move of a folder touches that folder
//! alone (where a policy chooses by paths, one that moves across a border is found by a walk over everything); a file is read again only when its hash or its length changed; what does not have the hash or the length that
//! the service says is not kept. A file above the bound of memory is read while it is stored.
//!
//! A restore finds items by their ids or by their names, makes nothing visible before it is whole, and tells nobody by mail.
//!
//! Does not do: what lies behind a shortcut (it is somebody else's), OneNote notebooks and infected files (OneDrive does
//! not hand them out; they are recorded as skipped), drives other than the user's own.

mod capture;
mod changes;
mod chosen;
mod content;
mod elsewhere;
mod facets;
mod history;
mod identity;
mod names;
mod places;
mod putting;
mod quick_xor;
mod rehearsal;
mod restore;
mod rules;
mod sharing;
mod target;
mod versions;

use futures_util::future::BoxFuture;

use super::{
    CaptureError, Captured, ContainerChanges, Cursor, Feature, KnownVersion, Need, Page, Parts, Rehearsing, RemoteItem,
    Restoring, Source, Walk, WalkError,
};
use crate::graph::Scope;
use crate::ids::ResourceId;

pub(super) use rules::check as check_path;
pub use versions::Versions;

pub struct OneDrive;

/// [`super::Summary::kind`] of a folder, the root included.
pub const KIND_FOLDER: u8 = 1;
/// [`super::Summary::kind`] of a file.
pub const KIND_FILE: u8 = 2;
/// [`super::Summary::kind`] of a package: a folder that programs show as one thing.
pub const KIND_PACKAGE: u8 = 3;
/// [`super::Summary::kind`] of a shortcut to a folder in another drive.
pub const KIND_SHORTCUT: u8 = 4;
/// [`super::Summary::kind`] of an older version of a file, which is its parent.
pub const KIND_VERSION: u8 = 5;

/// Where the permissions of a shared item are kept among its properties, next to what Graph says.
pub const PERMISSIONS: &str = "kodo.permissions";
/// Where a folder is marked, among its properties, below which a policy does not want everything.
pub const PATHS: &str = "kodo.paths";
/// Where a file says how many older versions of it are wanted.
pub const VERSIONS: &str = "kodo.versions";

impl Feature for OneDrive {
    fn name(&self) -> &'static str {
        "onedrive"
    }

    fn exclusive_key(&self, resource: ResourceId) -> String {
        format!("onedrive:{resource}")
    }

    fn scope(&self, _user: &str) -> Scope {
        Scope::Drives
    }

    fn is_folder(&self, kind: u8) -> bool {
        matches!(kind, KIND_FOLDER | KIND_PACKAGE)
    }

    fn parts(&self) -> Option<&dyn Parts> {
        Some(&versions::OlderVersions)
    }

    fn containers<'a>(
        &'a self,
        source: Source<'a>,
        _since: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<ContainerChanges, WalkError>> {
        Box::pin(changes::drive(source))
    }

    fn page<'a>(
        &'a self,
        source: Source<'a>,
        container: &'a str,
        walk: &'a Walk,
    ) -> BoxFuture<'a, Result<Page, WalkError>> {
        Box::pin(changes::page(source, container, walk))
    }

    fn tells_of_more(&self, item: &RemoteItem, known: Option<&KnownVersion>) -> bool {
        chosen::tells_of_more(item, known)
    }

    fn need(&self, item: &RemoteItem, known: Option<&KnownVersion>) -> Need {
        if versions::is_version(&item.id) { versions::need(item, known) } else { changes::need(item, known) }
    }

    fn capture<'a>(
        &'a self,
        source: Source<'a>,
        item: &'a RemoteItem,
        need: Need,
    ) -> BoxFuture<'a, Result<Captured, CaptureError>> {
        if versions::is_version(&item.id) {
            return Box::pin(versions::capture(source, item, need));
        }
        Box::pin(capture::capture(source, item, need))
    }

    fn restoring(&self) -> Option<&dyn Restoring> {
        Some(self)
    }

    fn rehearsing(&self) -> Option<&dyn Rehearsing> {
        Some(self)
    }
}

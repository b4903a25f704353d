//! Contacts: the default folder and those beside and below it, each contact with its photo.
//!
//! Owns: how contact folders are found, how their changes are followed, what of a contact is kept. The properties are
//! Graph's JSON with all fields, and fields of Outlook that Graph does not name as extended properties; the content is
//! the photo, where there is one and the policy wants it.
//!
//! A restored contact carries a marker, which says too whether its photo is still to come: one that was interrupted
//! before it had its photo is deleted and created again.
//!
//! Does not do: distribution lists (Graph does not show them), taking a photo away (Graph cannot).

mod capture;
mod fields;
mod folders;
mod marker;
mod person;
mod rehearsal;
mod restore;
mod target;

use futures_util::future::BoxFuture;

use super::exchange::{self, Collection};
use super::{
    Action, Along, CaptureError, Captured, ContainerChanges, Cursor, Feature, KnownVersion, Need, Noting, Opened,
    Opening, Page, PathStep, Present, Recognised, Rehearsing, RemoteItem, RestoreError, Restored, Restoring, Source,
    StoredItem, Walk, WalkError,
};
use crate::graph::{Endpoint, Outlook};
use crate::ids::ResourceId;

pub use person::picture_type;

pub struct Contacts;

/// [`super::Summary::kind`] of a contact.
pub const KIND_CONTACT: u8 = 1;

impl Feature for Contacts {
    fn name(&self) -> &'static str {
        "contacts"
    }

    /// Exchange's limits are those of the mailbox, whatever is read of it.
    fn exclusive_key(&self, resource: ResourceId) -> String {
        format!("mailbox:{resource}")
    }

    fn containers<'a>(
        &'a self,
        source: Source<'a>,
        _since: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<ContainerChanges, WalkError>> {
        Box::pin(folders::containers(source))
    }

    fn page<'a>(
        &'a self,
        source: Source<'a>,
        container: &'a str,
        walk: &'a Walk,
    ) -> BoxFuture<'a, Result<Page, WalkError>> {
        let at = |what| Endpoint::Outlook { user: source.user, what };
        let folder = Collection {
            delta: at(Outlook::ContactsDelta { folder: container }),
            delta_select: Some(fields::OUTLINE),
            delta_page_size: exchange::PAGE_SIZE,
            listing: at(Outlook::Contacts { folder: container }),
            listing_select: fields::OUTLINE,
            read: fields::read,
        };
        Box::pin(async move { exchange::page(source, &folder, walk).await })
    }

    fn need(&self, item: &RemoteItem, known: Option<&KnownVersion>) -> Need {
        exchange::need(item, known)
    }

    fn capture<'a>(
        &'a self,
        source: Source<'a>,
        item: &'a RemoteItem,
        _need: Need,
    ) -> BoxFuture<'a, Result<Captured, CaptureError>> {
        Box::pin(capture::capture(source, item))
    }
    fn restoring(&self) -> Option<&dyn Restoring> {
        Some(self)
    }

    fn rehearsing(&self) -> Option<&dyn Rehearsing> {
        Some(self)
    }
}

impl Restoring for Contacts {
    fn open<'a>(
        &'a self,
        target: Source<'a>,
        path: &'a [PathStep],
        above: Option<&'a Opened>,
        opening: Opening,
    ) -> BoxFuture<'a, Result<Option<Opened>, RestoreError>> {
        Box::pin(target::open_folder(target, path, above, opening))
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

    fn recognise(&self, _container: &str, item: &StoredItem) -> Result<Recognised, RestoreError> {
        restore::recognise(item)
    }

    fn carry_out<'a>(
        &'a self,
        target: Source<'a>,
        container: &'a str,
        item: &'a StoredItem,
        action: &'a Action,
        _along: Along<'a>,
    ) -> BoxFuture<'a, Result<Restored, RestoreError>> {
        Box::pin(restore::carry_out(target, container, item, action))
    }

    fn locate<'a>(
        &'a self,
        target: Source<'a>,
        item: &'a StoredItem,
    ) -> BoxFuture<'a, Result<Option<Present>, RestoreError>> {
        Box::pin(target::locate(target, item))
    }

    fn requests_to_create(&self, _item: &StoredItem, bytes: u64) -> u64 {
        restore::requests_to_create(bytes)
    }
}

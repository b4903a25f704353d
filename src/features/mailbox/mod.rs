//! Mail: the folders of a mailbox, each message as its properties and its MIME text, and the mailbox's settings.
//!
//! Owns: how folders are listed and followed and which of them a policy wants, what of a message is kept, how a message
//! becomes a message again: not a draft, with its dates, flags, recipients and attachments, in its folder.
//!
//! Invariants: every request about messages asks for immutable ids, so that a move is not a new message; a restored
//! message carries a marker, and one whose attachments are not all there is deleted and created again; nothing here
//! sends mail to anybody.
//!
//! Does not do: calendars and contacts (their folders are not mail folders), the online archive (Graph does not reach
//! it). Exchange's own streams of messages are kept for who wants them; no restore needs them.

mod attached;
mod capture;
mod changes;
mod compose;
mod elsewhere;
mod fields;
mod folder_requests;
mod folders;
mod marker;
mod message;
mod mime;
#[cfg(test)]
mod mime_tests;
mod nested;
mod parts;
mod references;
mod rehearsal;
mod repair;
mod restore;
mod settings;
mod smime;
mod streams;
mod target;

use futures_util::future::BoxFuture;

use super::{
    Action, Along, CaptureError, Captured, ContainerChanges, Cursor, Feature, KnownVersion, Need, Noting, Opened,
    Opening, Page, Parts, PathStep, Present, Recognised, Rehearsing, RemoteItem, RestoreError, Restored, Restoring,
    Source, StoredItem, Walk, WalkError,
};
use crate::graph::IMMUTABLE_IDS;
use crate::ids::ResourceId;

pub struct Mailbox;

/// Preferences are not part of a link: this and the kind of ids are asked for with every page.
const PAGE_SIZE: &str = "odata.maxpagesize=500";

/// What is kept of a message besides its MIME text. The body, the headers and the preview are in the MIME.
const MESSAGE_PROPERTIES: &str = "id,changeKey,parentFolderId,subject,from,sender,toRecipients,ccRecipients,\
    bccRecipients,replyTo,importance,categories,flag,isRead,isDraft,isReadReceiptRequested,\
    isDeliveryReceiptRequested,hasAttachments,internetMessageId,conversationId,conversationIndex,receivedDateTime,\
    sentDateTime,createdDateTime,lastModifiedDateTime,inferenceClassification";

/// In an item's properties: what kodo itself has to say. `warning` is a text; `references` are files in the cloud.
const NOTES: &str = "kodo";

/// [`super::Summary::kind`] of a message.
pub const KIND_MESSAGE: u8 = 1;
/// [`super::Summary::kind`] of an invitation, its answer or its cancellation.
pub const KIND_INVITATION: u8 = 2;
/// [`super::Summary::kind`] of a message or an invitation whose text Exchange could not produce: kept as its parts.
pub const KIND_PARTS: u8 = 3;
/// [`super::Summary::kind`] of the mailbox settings.
pub const KIND_SETTINGS: u8 = 10;
/// [`super::Summary::kind`] of a category in the mailbox's list.
pub const KIND_CATEGORY: u8 = 11;
/// [`super::Summary::kind`] of an inbox rule.
pub const KIND_RULE: u8 = 12;
/// [`super::Summary::kind`] of Exchange's own stream of a message, which is its parent.
pub const KIND_STREAM: u8 = 20;

impl Feature for Mailbox {
    fn name(&self) -> &'static str {
        "mailbox"
    }

    fn exclusive_key(&self, resource: ResourceId) -> String {
        format!("mailbox:{resource}")
    }

    fn parts(&self) -> Option<&dyn Parts> {
        Some(self)
    }

    fn containers<'a>(
        &'a self,
        source: Source<'a>,
        since: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<ContainerChanges, WalkError>> {
        Box::pin(folders::containers(source, since))
    }

    fn page<'a>(
        &'a self,
        source: Source<'a>,
        container: &'a str,
        walk: &'a Walk,
    ) -> BoxFuture<'a, Result<Page, WalkError>> {
        Box::pin(changes::page(source, container, walk))
    }

    fn need(&self, item: &RemoteItem, known: Option<&KnownVersion>) -> Need {
        if streams::is_stream(&item.id) { streams::need(item, known) } else { changes::need(item, known) }
    }

    fn capture<'a>(
        &'a self,
        source: Source<'a>,
        item: &'a RemoteItem,
        need: Need,
    ) -> BoxFuture<'a, Result<Captured, CaptureError>> {
        if streams::is_stream(&item.id) {
            return Box::pin(streams::capture(source, item));
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

impl Restoring for Mailbox {
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
        path.len() <= 1 || target::is_own(path)
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
        restore::recognise(container, item)
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

    fn recognises_by_properties(&self) -> bool {
        true
    }

    fn requests_to_create(&self, item: &StoredItem, bytes: u64) -> u64 {
        restore::requests_to_create(item, bytes)
    }
}

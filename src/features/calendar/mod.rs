//! Calendars: a user's own ones, each single event and each series with all that belongs to it.
//!
//! Owns: which calendars are the user's own, how their changes are followed, what of an event is kept, how an event
//! becomes an event again.
//!
//! Invariants: nothing here mails anybody. Events are made without attendees and without online meetings, which stand
//! in their text instead; an event that has attendees is neither changed nor deleted where they would hear of it. A
//! restored event carries a marker, and one of which something is missing is deleted and created again.
//!
//! An item is a single event or a series. Exceptions of a series and its cancelled dates are part of the series: Exchange
//! keeps them inside it, attachments included, so that whatever changes in them changes the series' change key.
//! The properties are Graph's JSON, `exceptionOccurrences` and `cancelledOccurrences` included; each event in it that has
//! attachments lists them without their bytes, and those are pieces of a [`Bundle`](super::Bundle), the item's content.
//!
//! Times are asked for in the zone in which the event was made (`originalStartTimeZone`), where Graph lets one: in UTC a
//! series would slip by an hour with summer time when it is made again. A custom zone cannot be asked for: such an event
//! is kept in UTC, and the zone's definition with it, as extended properties. The body is asked for as it is stored
//! (a wish for HTML would turn text into it) and without sanitising.
//!
//! Calendars of others that were shared with the user are not the user's to protect. Read-only ones, such as holidays,
//! are captured like others; nobody can create events in them again.
//!
//! Does not do: colours and groups of calendars, who may see a calendar.

mod attachments;
mod calendars;
mod capture;
mod compose;
mod elsewhere;
mod files;
mod marker;
mod meeting;
mod occurrences;
mod outline;
mod recurring;
mod rehearsal;
mod restore;
mod target;
mod update;

use futures_util::future::BoxFuture;

use super::exchange::{self, Collection};
use super::{
    Action, Along, CaptureError, Captured, ContainerChanges, Cursor, Feature, KnownVersion, Need, Noting, Opened,
    Opening, Page, PathStep, Present, Recognised, Rehearsing, RemoteItem, RestoreError, Restored, Restoring, Source,
    StoredItem, Walk, WalkError,
};
use crate::graph::{Endpoint, Outlook};
use crate::ids::ResourceId;

pub struct Calendar;

/// [`super::Summary::kind`] of a single event.
pub const KIND_EVENT: u8 = 1;
/// [`super::Summary::kind`] of a series.
pub const KIND_SERIES: u8 = 2;

impl Feature for Calendar {
    fn name(&self) -> &'static str {
        "calendar"
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
        Box::pin(calendars::containers(source))
    }

    fn page<'a>(
        &'a self,
        source: Source<'a>,
        container: &'a str,
        walk: &'a Walk,
    ) -> BoxFuture<'a, Result<Page, WalkError>> {
        let at = |what| Endpoint::Outlook { user: source.user, what };
        let calendar = Collection {
            delta: at(Outlook::EventsDelta { calendar: container }),
            // Delta takes no $select here: entries are whole events.
            delta_select: None,
            delta_page_size: exchange::PAGE_SIZE_WHOLE,
            listing: at(Outlook::Events { calendar: container }),
            listing_select: outline::PROPERTIES,
            read: outline::read,
        };
        Box::pin(async move { exchange::page(source, &calendar, walk).await })
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

impl Restoring for Calendar {
    fn open<'a>(
        &'a self,
        target: Source<'a>,
        path: &'a [PathStep],
        _above: Option<&'a Opened>,
        opening: Opening,
    ) -> BoxFuture<'a, Result<Option<Opened>, RestoreError>> {
        Box::pin(target::open_calendar(target, path, opening))
    }

    /// Calendars do not nest.
    fn stands_alone(&self, _path: &[PathStep]) -> bool {
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

    fn recognises_by_properties(&self) -> bool {
        true
    }

    fn requests_to_create(&self, item: &StoredItem, _bytes: u64) -> u64 {
        restore::requests_to_create(item)
    }
}

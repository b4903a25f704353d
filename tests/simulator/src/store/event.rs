//! An event as the mailbox holds it. A series is one event with its exceptions and cancelled
//! dates inside; its occurrences are computed when somebody asks.

use super::message::{Attachment, Body, Importance, Person};
use super::recurrence::Recurrence;
use super::zone::{Zone, day_of, midnight};
use chrono::{Days, NaiveDate};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct Event {
    pub subject: String,
    pub body: Body,
    /// Wall clock time in `zone`; of a whole day everywhere.
    pub start: i64,
    pub end: i64,
    pub zone: Zone,
    pub all_day: bool,
    pub location: String,
    pub organizer: Option<Person>,
    /// The mailbox belongs to the organizer.
    pub own: bool,
    pub response: Response,
    pub attendees: Vec<Attendee>,
    pub recurrence: Option<Recurrence>,
    /// By the day on which the occurrence would have been.
    pub exceptions: BTreeMap<NaiveDate, Arc<Event>>,
    pub cancelled: BTreeSet<NaiveDate>,
    pub categories: Vec<String>,
    pub importance: Importance,
    pub sensitivity: Sensitivity,
    pub show_as: ShowAs,
    /// Minutes before the start.
    pub reminder: Option<i32>,
    pub response_requested: bool,
    pub hide_attendees: bool,
    pub is_cancelled: bool,
    pub is_draft: bool,
    pub online: Option<Online>,
    pub ical_uid: String,
    pub transaction_id: Option<String>,
    pub created: i64,
    pub modified: i64,
    pub attachments: Vec<Attachment>,
    pub next_attachment: u32,
    /// Single-value extended properties.
    pub properties: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Attendee {
    pub person: Person,
    pub role: Role,
    pub response: Response,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Required,
    Optional,
    Resource,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Resource => "resource",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Response {
    #[default]
    None,
    Organizer,
    NotResponded,
    Accepted(i64),
    Tentative(i64),
    Declined(i64),
}

impl Response {
    /// Its name, and when it was given.
    pub fn told(self) -> (&'static str, Option<i64>) {
        match self {
            Self::None => ("none", None),
            Self::Organizer => ("organizer", None),
            Self::NotResponded => ("notResponded", None),
            Self::Accepted(at) => ("accepted", Some(at)),
            Self::Tentative(at) => ("tentativelyAccepted", Some(at)),
            Self::Declined(at) => ("declined", Some(at)),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sensitivity {
    #[default]
    Normal,
    Personal,
    Private,
    Confidential,
}

impl Sensitivity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Personal => "personal",
            Self::Private => "private",
            Self::Confidential => "confidential",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShowAs {
    Free,
    Tentative,
    #[default]
    Busy,
    OutOfOffice,
    WorkingElsewhere,
}

impl ShowAs {
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Tentative => "tentative",
            Self::Busy => "busy",
            Self::OutOfOffice => "oof",
            Self::WorkingElsewhere => "workingElsewhere",
        }
    }
}

/// What an online meeting adds; made by the service, never by a client.
#[derive(Clone, Debug)]
pub struct Online {
    pub join_url: String,
    pub conference_id: String,
    pub toll_number: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    SingleInstance,
    Occurrence,
    Exception,
    SeriesMaster,
}

impl EventKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleInstance => "singleInstance",
            Self::Occurrence => "occurrence",
            Self::Exception => "exception",
            Self::SeriesMaster => "seriesMaster",
        }
    }
}

/// An event to be shown: itself, or what a series has on one day.
#[derive(Clone, Debug)]
pub struct Instance {
    pub kind: EventKind,
    /// Of an occurrence or exception: where the pattern puts it.
    pub day: Option<NaiveDate>,
    pub event: Arc<Event>,
}

impl Instance {
    pub fn of(event: &Arc<Event>) -> Self {
        let kind = if event.recurrence.is_some() { EventKind::SeriesMaster } else { EventKind::SingleInstance };
        Self { kind, day: None, event: Arc::clone(event) }
    }
}

impl Event {
    pub fn start_utc(&self) -> i64 {
        if self.all_day { self.start } else { self.zone.to_utc(self.start) }
    }

    pub fn end_utc(&self) -> i64 {
        if self.all_day { self.end } else { self.zone.to_utc(self.end) }
    }

    pub fn overlaps(&self, from: i64, to: i64) -> bool {
        self.start_utc() < to && self.end_utc() > from
    }

    pub fn has_attachments(&self) -> bool {
        self.attachments.iter().any(|a| !a.is_inline)
    }

    /// Says the number under which it is known.
    pub fn attach(&mut self, mut attachment: Attachment) -> u32 {
        self.next_attachment += 1;
        attachment.number = self.next_attachment;
        self.attachments.push(attachment);
        self.next_attachment
    }

    /// When the occurrence of this day begins by the pattern.
    pub fn original_start(&self, day: NaiveDate) -> i64 {
        let local = self.local_start(day);
        if self.all_day { local } else { self.zone.to_utc(local) }
    }

    fn local_start(&self, day: NaiveDate) -> i64 {
        midnight(day) + self.start - midnight(day_of(self.start))
    }

    /// What the series has on this day of its pattern; nothing if it has none, or not any more.
    pub fn on_day(&self, day: NaiveDate) -> Option<Instance> {
        let recurrence = self.recurrence.as_ref()?;
        if self.cancelled.contains(&day) || !recurrence.has(day) {
            return None;
        }
        Some(self.on_pattern_day(day))
    }

    fn on_pattern_day(&self, day: NaiveDate) -> Instance {
        match self.exceptions.get(&day) {
            Some(exception) => Instance { kind: EventKind::Exception, day: Some(day), event: Arc::clone(exception) },
            None => Instance { kind: EventKind::Occurrence, day: Some(day), event: Arc::new(self.occurrence(day)) },
        }
    }

    /// A copy of the series for one day, which an exception then changes.
    pub fn occurrence(&self, day: NaiveDate) -> Self {
        let start = self.local_start(day);
        Self {
            start,
            end: start + self.end - self.start,
            recurrence: None,
            exceptions: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            ..self.clone()
        }
    }

    /// The day is left out of the series.
    pub fn cancel_day(&mut self, day: NaiveDate, now: i64) {
        self.exceptions.remove(&day);
        self.cancelled.insert(day);
        self.modified = now;
    }

    /// What the series has on this day becomes an exception, or another one.
    pub fn change_day(&mut self, day: NaiveDate, now: i64, edit: impl FnOnce(&mut Self)) {
        self.cancelled.remove(&day);
        let mut changed = self.exceptions.get(&day).map_or_else(|| self.occurrence(day), |have| Self::clone(have));
        edit(&mut changed);
        changed.modified = now;
        self.exceptions.insert(day, Arc::new(changed));
        self.modified = now;
    }

    /// Changes the event itself, or what it has on one day.
    pub fn change(&mut self, day: Option<NaiveDate>, now: i64, edit: impl FnOnce(&mut Self)) {
        match day {
            Some(day) => self.change_day(day, now, edit),
            None => {
                edit(self);
                self.modified = now;
            }
        }
    }

    pub fn set_property(&mut self, id: &str, value: &str) {
        self.properties.retain(|(have, _)| !have.eq_ignore_ascii_case(id));
        self.properties.push((id.to_owned(), value.to_owned()));
    }

    /// All of this event that is in the window: itself, or the days of the series.
    pub fn instances(self: &Arc<Self>, from: i64, to: i64) -> Vec<Instance> {
        let Some(recurrence) = &self.recurrence else {
            return if self.overlaps(from, to) { vec![Instance::of(self)] } else { Vec::new() };
        };
        // An exception may have been moved into the window from a day far behind it.
        let last = self.exceptions.keys().next_back().copied().unwrap_or_default();
        let until = (day_of(to) + Days::new(1)).max(last);
        recurrence
            .days(until)
            .into_iter()
            .filter(|day| !self.cancelled.contains(day))
            .map(|day| self.on_pattern_day(day))
            .filter(|instance| instance.event.overlaps(from, to))
            .collect()
    }

    pub fn exception_instances(&self) -> Vec<Instance> {
        self.exceptions
            .iter()
            .map(|(day, event)| Instance { kind: EventKind::Exception, day: Some(*day), event: Arc::clone(event) })
            .collect()
    }
}

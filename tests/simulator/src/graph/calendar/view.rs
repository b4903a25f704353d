//! The JSON of an event: what Graph shows of a single one, a series, an occurrence, an exception.

use super::super::odata::Query;
use super::super::view::{attachment_json, body_json, held_properties, preview, recipient};
use super::calendars::id_of;
use crate::clock::iso;
use crate::mime::without_scripts;
use crate::request::Prefer;
use crate::store::event::{Attendee, Event, EventKind, Instance, Online, Response};
use crate::store::ids::{self, IdKind, Name, What};
use crate::store::message::{Attachment, Body};
use crate::store::recurrence::{Pattern, Range, Recurrence};
use crate::store::shelf::Entry;
use crate::store::zone::Zone;
use chrono::{Datelike, NaiveDate, Weekday};
use serde_json::{Map, Value, json};

pub const EVENT_PROPERTIES: [&str; 46] = [
    "id",
    "changeKey",
    "createdDateTime",
    "lastModifiedDateTime",
    "categories",
    "transactionId",
    "originalStartTimeZone",
    "originalEndTimeZone",
    "iCalUId",
    "uid",
    "reminderMinutesBeforeStart",
    "isReminderOn",
    "hasAttachments",
    "subject",
    "bodyPreview",
    "importance",
    "sensitivity",
    "isAllDay",
    "isCancelled",
    "isOrganizer",
    "responseRequested",
    "seriesMasterId",
    "showAs",
    "type",
    "webLink",
    "onlineMeetingUrl",
    "isOnlineMeeting",
    "onlineMeetingProvider",
    "allowNewTimeProposals",
    "isDraft",
    "hideAttendees",
    "recurrence",
    "onlineMeeting",
    "responseStatus",
    "body",
    "start",
    "end",
    "location",
    "locations",
    "attendees",
    "organizer",
    "originalStart",
    "cancelledOccurrences",
    "exceptionOccurrences",
    "attachments",
    "occurrenceId",
];

/// An event with what is needed to name it.
pub struct Shown<'a> {
    pub guid: &'a str,
    pub entry: &'a Entry<Event>,
    pub instance: &'a Instance,
    pub prefer: &'a Prefer,
    /// The zone that times are shown in.
    pub zone: Zone,
}

pub fn event_id<T>(guid: &str, kind: IdKind, entry: &Entry<T>, day: Option<NaiveDate>) -> String {
    name(kind, entry.item, entry.incarnation, day).write(guid)
}

pub fn name(kind: IdKind, item: u64, incarnation: u32, day: Option<NaiveDate>) -> Name {
    Name { what: What::Event, kind, item, incarnation, number: 0, day: day_number(day) }
}

pub fn day_number(day: Option<NaiveDate>) -> u32 {
    day.map_or(0, |day| day.num_days_from_ce().unsigned_abs())
}

impl Shown<'_> {
    pub fn id(&self) -> String {
        event_id(self.guid, self.prefer.kind(), self.entry, self.instance.day)
    }

    fn master_id(&self) -> Value {
        match self.instance.day {
            Some(_) => json!(event_id(self.guid, self.prefer.kind(), self.entry, None)),
            None => Value::Null,
        }
    }

    fn moment(&self, local: i64) -> Value {
        let event = &self.instance.event;
        let shown = if event.all_day { local } else { self.zone.to_local(event.zone.to_utc(local)) };
        json!({"dateTime": iso(shown).replace('Z', ".0000000"), "timeZone": self.zone.name()})
    }

    fn head(&self) -> Map<String, Value> {
        let mut out = Map::new();
        let key = ids::change_key(self.entry.item, self.entry.change);
        out.insert("@odata.etag".into(), json!(format!("W/\"{key}\"")));
        out.insert("id".into(), json!(self.id()));
        out
    }

    /// What a delta over a window tells of an occurrence that follows its series in everything.
    pub fn thin(&self) -> Map<String, Value> {
        let event = &self.instance.event;
        let mut out = self.head();
        out.insert("seriesMasterId".into(), self.master_id());
        out.insert("type".into(), json!(self.instance.kind.name()));
        out.insert("start".into(), self.moment(event.start));
        out.insert("end".into(), self.moment(event.end));
        out
    }

    /// All that the query selects and expands.
    pub fn json(&self, query: &Query) -> Map<String, Value> {
        let mut out = self.head();
        for (name, value) in self.facts().into_iter().chain(self.people_and_times()) {
            if query.wants(name) {
                out.insert(name.to_owned(), value);
            }
        }
        if query.wants("body") {
            out.insert("body".into(), body(&self.instance.event.body, self.prefer));
        }
        self.extras(query, &mut out);
        out
    }

    fn facts(&self) -> [(&'static str, Value); 27] {
        let e = &self.instance.event;
        [
            ("changeKey", json!(ids::change_key(self.entry.item, self.entry.change))),
            ("createdDateTime", json!(iso(e.created))),
            ("lastModifiedDateTime", json!(iso(e.modified))),
            ("categories", json!(e.categories)),
            ("transactionId", json!(e.transaction_id)),
            ("originalStartTimeZone", json!(e.zone.name())),
            ("originalEndTimeZone", json!(e.zone.name())),
            ("iCalUId", json!(e.ical_uid)),
            ("reminderMinutesBeforeStart", json!(e.reminder.unwrap_or(15))),
            ("isReminderOn", json!(e.reminder.is_some())),
            ("hasAttachments", json!(e.has_attachments())),
            ("subject", json!(e.subject)),
            ("bodyPreview", json!(preview(&Body { content: without_scripts(&e.body.content), ..e.body }))),
            ("importance", json!(e.importance.name())),
            ("sensitivity", json!(e.sensitivity.name())),
            ("isAllDay", json!(e.all_day)),
            ("isCancelled", json!(e.is_cancelled)),
            ("isOrganizer", json!(e.own)),
            ("responseRequested", json!(e.response_requested)),
            ("seriesMasterId", self.master_id()),
            ("showAs", json!(e.show_as.name())),
            ("type", json!(self.instance.kind.name())),
            ("isOnlineMeeting", json!(e.online.is_some())),
            ("onlineMeetingProvider", json!(if e.online.is_some() { "teamsForBusiness" } else { "unknown" })),
            ("allowNewTimeProposals", json!(true)),
            ("isDraft", json!(e.is_draft)),
            ("hideAttendees", json!(e.hide_attendees)),
        ]
    }

    fn people_and_times(&self) -> [(&'static str, Value); 11] {
        let e = &self.instance.event;
        let locations = if e.location.is_empty() { Vec::new() } else { vec![location(&e.location)] };
        let link = format!(
            "https://outlook.office365.com/owa/?itemid={}&exvsurl=1&path=/calendar/item",
            crate::request::encode(&self.id())
        );
        [
            ("webLink", json!(link)),
            ("onlineMeetingUrl", Value::Null),
            ("recurrence", e.recurrence.as_ref().map_or(Value::Null, recurrence)),
            ("onlineMeeting", e.online.as_ref().map_or(Value::Null, online)),
            ("responseStatus", response(e.response)),
            ("start", self.moment(e.start)),
            ("end", self.moment(e.end)),
            ("location", location(&e.location)),
            ("locations", json!(locations)),
            ("attendees", e.attendees.iter().map(attendee).collect()),
            ("organizer", recipient(e.organizer.as_ref())),
        ]
    }

    fn extras(&self, query: &Query, out: &mut Map<String, Value>) {
        let e = &self.instance.event;
        let series = &self.entry.content;
        if let Some(day) = self.instance.day
            && query.wants("originalStart")
        {
            out.insert("originalStart".into(), json!(iso(series.original_start(day))));
        }
        // Told only to who names it.
        let named = |name: &str| query.select.iter().flatten().any(|have| have.eq_ignore_ascii_case(name));
        if named("cancelledOccurrences") && self.instance.kind == EventKind::SeriesMaster {
            let master = self.id();
            let all: Vec<String> = e.cancelled.iter().map(|day| format!("OID.{master}.{day}")).collect();
            out.insert("cancelledOccurrences".into(), json!(all));
        }
        if query.expand.exceptions && self.instance.kind == EventKind::SeriesMaster {
            let inner = Query { expand: Default::default(), ..Query::default() };
            let all: Vec<Value> = e
                .exception_instances()
                .iter()
                .map(|instance| Value::Object(Shown { instance, ..*self }.json(&inner)))
                .collect();
            out.insert("exceptionOccurrences".into(), json!(all));
        }
        if query.expand.attachments {
            let all: Vec<Value> =
                e.attachments.iter().map(|a| Value::Object(self.attachment(a, true, false))).collect();
            out.insert("attachments".into(), json!(all));
        }
        let found = held_properties(&e.properties, &query.expand.properties);
        if !found.is_empty() {
            out.insert("singleValueExtendedProperties".into(), json!(found));
        }
    }

    pub fn attachment(&self, a: &Attachment, with_bytes: bool, nested: bool) -> Map<String, Value> {
        let id = Name {
            what: What::EventAttachment,
            number: a.number,
            ..name(self.prefer.kind(), self.entry.item, self.entry.incarnation, self.instance.day)
        };
        attachment_json(&id.write(self.guid), a, self.prefer, with_bytes, nested)
    }

    /// Where the event is, as Graph adds it to events of a list and to single ones.
    pub fn add_calendar_links(&self, base: &str, out: &mut Map<String, Value>) {
        let url = format!("{base}/calendars('{}')", id_of(self.guid, self.entry.container));
        out.insert("calendar@odata.associationLink".into(), json!(format!("{url}/$ref")));
        out.insert("calendar@odata.navigationLink".into(), json!(url));
    }
}

fn body(body: &Body, prefer: &Prefer) -> Value {
    if body.html && !prefer.unsafe_html {
        return body_json(&Body { html: true, content: without_scripts(&body.content) }, prefer);
    }
    body_json(body, prefer)
}

fn response(response: Response) -> Value {
    let (name, at) = response.told();
    json!({"response": name, "time": at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), iso)})
}

fn attendee(a: &Attendee) -> Value {
    json!({
        "type": a.role.name(),
        "status": response(a.response),
        "emailAddress": {"name": a.person.name, "address": a.person.address},
    })
}

fn location(name: &str) -> Value {
    if name.is_empty() {
        return json!({
            "displayName": "", "locationType": "default", "uniqueIdType": "unknown", "address": {}, "coordinates": {},
        });
    }
    json!({"displayName": name, "locationType": "default", "uniqueId": name, "uniqueIdType": "private"})
}

fn online(online: &Online) -> Value {
    json!({
        "joinUrl": online.join_url,
        "conferenceId": online.conference_id,
        "tollNumber": online.toll_number,
    })
}

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "monday",
        Weekday::Tue => "tuesday",
        Weekday::Wed => "wednesday",
        Weekday::Thu => "thursday",
        Weekday::Fri => "friday",
        Weekday::Sat => "saturday",
        Weekday::Sun => "sunday",
    }
}

// Outlook fills the members that a pattern has no use for with their first value.
fn recurrence(r: &Recurrence) -> Value {
    let (kind, month, day, days, index) = match &r.pattern {
        Pattern::Daily => ("daily", 0, 0, Vec::new(), "first"),
        Pattern::Weekly { days } => ("weekly", 0, 0, days.clone(), "first"),
        Pattern::AbsoluteMonthly { day } => ("absoluteMonthly", 0, *day, Vec::new(), "first"),
        Pattern::RelativeMonthly { weekday, index } => ("relativeMonthly", 0, 0, vec![*weekday], index.name()),
        Pattern::AbsoluteYearly { day, month } => ("absoluteYearly", *month, *day, Vec::new(), "first"),
        Pattern::RelativeYearly { weekday, index, month } => {
            ("relativeYearly", *month, 0, vec![*weekday], index.name())
        }
    };
    let mut pattern = json!({
        "type": kind, "interval": r.interval, "month": month, "dayOfMonth": day,
        "firstDayOfWeek": weekday(r.first_day_of_week), "index": index,
    });
    if !days.is_empty() {
        pattern["daysOfWeek"] = days.into_iter().map(weekday).collect();
    }
    let (range, end, count) = match r.range {
        Range::EndDate(day) => ("endDate", day.to_string(), 0),
        Range::NoEnd => ("noEnd", "0001-01-01".to_owned(), 0),
        Range::Numbered(n) => ("numbered", "0001-01-01".to_owned(), n),
    };
    json!({"pattern": pattern, "range": {
        "type": range, "startDate": r.start.to_string(), "endDate": end,
        "recurrenceTimeZone": r.zone.name(), "numberOfOccurrences": count,
    }})
}

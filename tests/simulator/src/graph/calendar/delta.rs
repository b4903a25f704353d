//! Delta over all events of a calendar: single ones and series, without bound in time.

use super::super::Call;
use super::super::odata::Query;
use super::super::token::{Area, Phase, WalkToken};
use super::super::walk::{self, Place, Walk, refuse_options, removed};
use super::calendars::{self, id_of};
use super::events::wanted_zone;
use super::view::{EVENT_PROPERTIES, Shown, name};
use crate::locks::read;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::calendar::{Calendars, EventsDelta};
use crate::store::changes::Fold;
use crate::store::event::{Event, Instance};
use crate::store::ids::IdKind;
use crate::store::shelf::Entry;
use serde_json::{Value, json};

/// An event as it is, or the id of one that is gone.
enum Row {
    Present(Entry<Event>),
    Removed(String),
}

pub fn page(call: &Call) -> Answer {
    let zone = wanted_zone(call)?;
    let user = call.user()?;
    let calendars = read(&user.calendars);
    match calendars.events_delta {
        EventsDelta::Works => {}
        EventsDelta::Unsupported => {
            let text = "Parameter 'DeltaToken' not supported for this request.";
            return Err(Refusal::new(400, "ErrorInvalidRequest", text));
        }
        EventsDelta::Unavailable => {
            if call.request.prefer.page_size.is_none_or(|size| size > calendars.small_page) {
                return Ok(Reply::empty(503));
            }
        }
    }
    let calendar = calendars::wanted(call, &calendars)?;
    let shelf = &calendars.shelf;
    let place =
        Place { guid: &shelf.guid, epoch: shelf.epoch, seq: shelf.seq(), area: Area::Events, container: calendar };
    let token = match walk::open(call, &place)? {
        Some(token) => token,
        None => {
            refuse_options(call, &["$expand", "$filter", "$orderby", "$search"])?;
            call.query.check_select(&EVENT_PROPERTIES, "event")?;
            walk::begin(call, &place)
        }
    };
    let guid = shelf.guid.clone();
    let prefer = &call.request.prefer;
    let rows = rows(&calendars, &token, prefer.kind());
    drop(calendars);
    let query = Query { select: token.select.clone(), ..Query::default() };
    let path = format!("calendars('{}')/events/delta", id_of(&guid, calendar));
    let ghost = name(prefer.kind(), u64::MAX >> 8, 1, None).write(&guid);
    Walk { token, type_name: "event", path: &path, ghost }.page(call, rows, |row| match row {
        Row::Removed(id) => removed("event", &id),
        Row::Present(entry) => {
            let instance = Instance::of(&entry.content);
            let shown = Shown { guid: &guid, entry: &entry, instance: &instance, prefer, zone };
            let mut out = shown.json(&query);
            out.insert("@odata.type".into(), json!("#microsoft.graph.event"));
            Value::Object(out)
        }
    })
}

fn rows(calendars: &Calendars, token: &WalkToken, kind: IdKind) -> Vec<(u64, Row)> {
    let shelf = &calendars.shelf;
    let Phase::Changes { from, .. } = token.phase else {
        return shelf.held_in(token.folder).into_iter().map(|entry| (entry.item, Row::Present(entry))).collect();
    };
    let fold = Fold::of(kind);
    let steps = shelf.changes(token.folder, from, token.upto, fold);
    steps
        .into_iter()
        .map(|step| {
            let gone = || Row::Removed(name(kind, step.item, step.incarnation, None).write(&shelf.guid));
            (0, step.now.map_or_else(gone, Row::Present))
        })
        .collect()
}

//! Attachments of an event. Every exception of a series has its own.

use super::super::Call;
use super::super::attachments::{self as any, open_session};
use super::super::input::object;
use super::events::{Wanted, wanted};
use super::view::{Shown, day_number};
use super::writes::{is_told, tell, writable};
use crate::locks::{read, write};
use crate::mime;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::calendar::Calendars;
use crate::store::ids::{Name, What};
use crate::store::message::{Attachment, AttachmentContent};
use crate::store::zone::Zone;
use crate::upload::Holder;
use serde_json::{Value, json};

pub fn list(call: &Call) -> Answer {
    let found = wanted(call, call.user()?)?;
    let value: Vec<Value> = found.instance.event.attachments.iter().map(|a| show(call, &found, a)).collect();
    Ok(Reply::ok(json!({"@odata.context": call.context("users/events/attachments"), "value": value})))
}

fn show(call: &Call, found: &Wanted, a: &Attachment) -> Value {
    let Wanted { guid, entry, instance } = found;
    let shown = Shown { guid, entry, instance, prefer: &call.request.prefer, zone: Zone::Utc };
    let mut out = shown.attachment(a, call.query.wants("contentBytes"), call.query.expand.nested_item);
    if call.query.select.is_some() {
        out.retain(|name, _| name.starts_with('@') || name == "id" || name == "item" || call.query.wants(name));
    }
    Value::Object(out)
}

fn pick<'a>(call: &Call, found: &'a Wanted) -> Result<&'a Attachment, Refusal> {
    let text = call.target.attachment.as_deref().unwrap_or_default();
    let guid = read(&call.user()?.calendars).shelf.guid.clone();
    let name = Name::read(&guid, text).filter(|n| n.what == What::EventAttachment).ok_or_else(Refusal::bad_id)?;
    let here = name.kind == call.request.prefer.kind()
        && name.item == found.entry.item
        && name.day == day_number(found.instance.day);
    let mut held = found.instance.event.attachments.iter();
    held.find(|a| here && a.number == name.number).ok_or_else(Refusal::item_not_found)
}

pub fn one(call: &Call) -> Answer {
    let found = wanted(call, call.user()?)?;
    let mut out = show(call, &found, pick(call, &found)?);
    out["@odata.context"] = json!(call.context("users/events/attachments/$entity"));
    Ok(Reply::ok(out))
}

pub fn value(call: &Call) -> Answer {
    let found = wanted(call, call.user()?)?;
    let attachment = pick(call, &found)?;
    match &attachment.content {
        AttachmentContent::File(blob) => Ok(Reply::raw(&attachment.content_type, blob.bytes())),
        AttachmentContent::Item(item) => Ok(Reply::raw("text/plain", mime::write(item))),
        AttachmentContent::Reference => {
            call.violation("reference_value", "a reference attachment has no content");
            Err(Refusal::method())
        }
    }
}

pub fn create(call: &Call) -> Answer {
    let user = call.user()?;
    let found = writable(call, user)?;
    any::check_length(call)?;
    let attachment = any::read(call, &Value::Object(object(call)?))?;
    if is_told(&found.instance.event) {
        tell(call, user, "update", &found.instance.event);
    }
    let holder = Holder::Event { item: found.entry.item, day: found.instance.day };
    let number = attach(&mut write(&user.calendars), holder, attachment, call.app.clock.now());
    let number = number.ok_or_else(Refusal::item_not_found)?;
    let found = wanted(call, user)?;
    let made = found.instance.event.attachments.iter().find(|a| a.number == number);
    let mut out = show(call, &found, made.ok_or_else(Refusal::item_not_found)?);
    out["@odata.context"] = json!(call.context("users/events/attachments/$entity"));
    Ok(Reply::json(201, out))
}

/// Adds it to an event, or to what a series has on one day.
pub fn attach(calendars: &mut Calendars, holder: Holder, attachment: Attachment, now: i64) -> Option<u32> {
    let Holder::Event { item, day } = holder else { return None };
    let mut number = None;
    calendars.shelf.update(item, |event| {
        event.change(day, now, |event| number = Some(event.attach(attachment)));
    });
    number
}

pub fn delete(call: &Call) -> Answer {
    let user = call.user()?;
    let found = writable(call, user)?;
    let number = pick(call, &found)?.number;
    if is_told(&found.instance.event) {
        tell(call, user, "update", &found.instance.event);
    }
    let now = call.app.clock.now();
    write(&user.calendars).shelf.update(found.entry.item, |event| {
        event.change(found.instance.day, now, |event| event.attachments.retain(|a| a.number != number));
    });
    Ok(Reply::empty(204))
}

pub fn create_session(call: &Call) -> Answer {
    let user = call.user()?;
    let found = writable(call, user)?;
    if is_told(&found.instance.event) {
        tell(call, user, "update", &found.instance.event);
    }
    open_session(call, user, Holder::Event { item: found.entry.item, day: found.instance.day })
}

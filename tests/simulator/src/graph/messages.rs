//! Messages: lists, one message, its MIME, and what changes or moves it.

use super::Call;
use super::filter::Filter;
use super::folders::{self, own_path};
use super::input::{self, Purpose};
use super::view::{MESSAGE_PROPERTIES, Shown};
use crate::app::User;
use crate::faults::FaultKind;
use crate::locks::{read, write};
use crate::mime;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::Found;
use crate::store::ids::{self, Id, IdKind};
use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    Soft,
    Hard,
}

/// The item that the path names, if its id is of the kind this request works with.
pub fn wanted(call: &Call, user: &User) -> Result<Found, Refusal> {
    let text = call.target.message.as_deref().unwrap_or_default();
    let mailbox = read(&user.mailbox);
    let (kind, item, incarnation) = match ids::decode(&mailbox.guid, text) {
        Some(Id::Item { kind, item, incarnation }) => (kind, item, incarnation),
        Some(Id::Folder(_) | Id::Attachment { .. }) | None => return Err(Refusal::bad_id()),
    };
    check_kind(call, kind)?;
    let found = mailbox.item(item).ok_or_else(Refusal::item_not_found)?;
    if kind == IdKind::Mutable && found.incarnation != incarnation {
        return Err(Refusal::item_not_found());
    }
    if let Some(folder) = &call.target.folder
        && folders::find(&mailbox, folder)? != found.folder
    {
        return Err(Refusal::item_not_found());
    }
    drop(mailbox);
    item_faults(call, &found.internet_id())?;
    Ok(found)
}

/// An id works only in requests that prefer its kind.
pub fn check_kind(call: &Call, kind: IdKind) -> Result<(), Refusal> {
    if kind == call.request.prefer.kind() {
        return Ok(());
    }
    let reason = match kind {
        IdKind::Immutable => "an immutable id without Prefer: IdType=\"ImmutableId\"",
        IdKind::Mutable => "a mutable id with Prefer: IdType=\"ImmutableId\"",
    };
    call.violation("wrong_id_kind", reason);
    Err(Refusal::item_not_found())
}

/// Faults that the plan has for one item, by the name that the plan knows it by.
pub fn item_faults(call: &Call, id: &str) -> Result<(), Refusal> {
    let faults = call.app.faults();
    if faults.is_empty() || call.request.method != "GET" {
        return Ok(());
    }
    let (method, path) = (&call.request.method, &call.request.path);
    if faults.strike_item(FaultKind::Vanish, method, path, id).is_some() {
        call.app.watch.fault("vanish");
        return Err(Refusal::item_not_found());
    }
    if let Some(rule) = faults.strike_item(FaultKind::Poison, method, path, id) {
        call.app.watch.fault("poison");
        let by_path = if path.ends_with("$value") { "ErrorMimeContentConversionFailed" } else { "ErrorCorruptData" };
        let code = rule.code.as_deref().unwrap_or(by_path);
        return Err(Refusal::new(rule.status.unwrap_or(500), code, "Data is corrupt., Invalid global object ID"));
    }
    Ok(())
}

pub fn show(call: &Call, user: &User, found: &Found) -> Map<String, Value> {
    let guid = read(&user.mailbox).guid.clone();
    let message = found.message();
    Shown { mailbox: &guid, found, message: &message, prefer: &call.request.prefer }.json(&call.query)
}

/// The message as it is now, after a change.
pub fn answer_with(call: &Call, user: &User, item: u64, status: u16) -> Answer {
    let found = read(&user.mailbox).item(item).ok_or_else(Refusal::item_not_found)?;
    let mut out = show(call, user, &found);
    out.insert("@odata.context".into(), json!(call.context("users/messages/$entity")));
    Ok(Reply::json(status, Value::Object(out)))
}

pub fn list(call: &Call) -> Answer {
    let query = &call.query;
    query.check_select(&MESSAGE_PROPERTIES, "message")?;
    if query.top.is_some() && call.request.prefer.page_size.is_some() {
        call.violation("top_and_page_size", "$top together with odata.maxpagesize");
    }
    let user = call.user()?;
    let filter = query.filter.as_deref().map(Filter::parse).transpose()?;
    let max = call.app.limits().page_size_max;
    let size = call.request.prefer.page_size.unwrap_or(10).min(max);
    // $top bounds the whole listing; alone it is also the page.
    let left = query.top.map_or(usize::MAX, |top| top.saturating_sub(query.skip));
    let page = match call.request.prefer.page_size {
        Some(_) => size.min(left),
        None => query.top.map_or(size, |top| top.min(max)).min(left),
    };
    let (found, more) = collect(call, user, filter.as_ref(), page)?;
    let value: Vec<Value> = found.iter().map(|found| Value::Object(show(call, user, found))).collect();
    let mut out = json!({"@odata.context": call.context("users/messages"), "value": value});
    if more && left > page {
        let rest = query.without(&["$skip"]);
        let joint = if rest.is_empty() { String::new() } else { format!("{rest}&") };
        out["@odata.nextLink"] = json!(call.url(&format!("{}?{joint}$skip={}", own_path(call), query.skip + page)));
    }
    Ok(Reply::ok(out))
}

fn collect(call: &Call, user: &User, filter: Option<&Filter>, page: usize) -> Result<(Vec<Found>, bool), Refusal> {
    let mailbox = read(&user.mailbox);
    let folder = match &call.target.folder {
        Some(name) => Some(folders::find(&mailbox, name)?),
        None => None,
    };
    let search = folder.and_then(|id| mailbox.folder(id)).is_some_and(|f| f.search);
    let skip = call.query.skip;
    let mut all: Vec<Found> = match (filter, folder) {
        (Some(filter), _) if filter.only_internet_ids().is_some() => {
            let ids = filter.only_internet_ids().unwrap_or_default();
            ids.into_iter().flat_map(|id| mailbox.by_internet_id(id)).filter_map(|item| mailbox.item(item)).collect()
        }
        (Some(filter), _) if filter.needs_property() => mailbox.held_items().collect(),
        (None, Some(id)) if !search => mailbox.newest_items(id, skip, page + 1),
        (_, Some(id)) if !search => mailbox.newest_items(id, 0, usize::MAX),
        (_, Some(_)) => {
            mailbox.well_known("inbox").map(|id| mailbox.newest_items(id, 0, usize::MAX)).unwrap_or_default()
        }
        (_, None) => {
            // Without a filter each folder can give no more to the page than its newest.
            let enough = filter.map_or(skip.saturating_add(page + 1), |_| usize::MAX);
            mailbox.folders().flat_map(|f| mailbox.newest_items(f.id, 0, enough)).collect()
        }
    };
    let paged = filter.is_none() && folder.is_some() && !search;
    if !paged {
        all.retain(|found| match folder {
            None => mailbox.is_visible(found.folder),
            Some(id) => search || found.folder == id,
        });
    }
    drop(mailbox);
    if !paged {
        if let Some(filter) = filter {
            all.retain(|found| filter.accepts(&found.message()));
        }
        if search {
            all.retain(|found| !found.message().is_read);
        }
        all.sort_by_key(|found| (-found.received(), found.item));
        all.drain(..skip.min(all.len()));
    }
    let more = all.len() > page;
    all.truncate(page);
    Ok((all, more))
}

pub fn one(call: &Call) -> Answer {
    call.query.check_select(&MESSAGE_PROPERTIES, "message")?;
    let user = call.user()?;
    let found = wanted(call, user)?;
    answer_with(call, user, found.item, 200)
}

pub fn value(call: &Call) -> Answer {
    if call.target.folder.is_some() {
        call.violation("unsupported_path", "$value below a folder; only /users/{id}/messages/{id}/$value works");
        return Err(Refusal::method());
    }
    let user = call.user()?;
    let found = wanted(call, user)?;
    Ok(Reply::raw("text/plain", mime::write(&found.message())))
}

pub fn patch(call: &Call) -> Answer {
    let user = call.user()?;
    let found = wanted(call, user)?;
    let body = input::object(call)?;
    let mut trial = (*found.message()).clone();
    let purpose = if trial.is_draft { Purpose::EditDraft } else { Purpose::EditSent };
    let changed = input::apply(call, &mut trial, &body, purpose)?;
    let now = call.app.clock.now();
    // Applied again on the current state: another request may have changed the message meanwhile.
    let mut refused = None;
    write(&user.mailbox).update(found.item, changed, |message| {
        let purpose = if message.is_draft { Purpose::EditDraft } else { Purpose::EditSent };
        refused = input::apply(call, message, &body, purpose).err();
        message.modified = now;
    });
    match refused {
        Some(refused) => Err(refused),
        None => answer_with(call, user, found.item, 200),
    }
}

pub fn delete(call: &Call, deletion: Deletion) -> Answer {
    let user = call.user()?;
    let found = wanted(call, user)?;
    let mut mailbox = write(&user.mailbox);
    let bin = mailbox.well_known("recoverableitemsdeletions").unwrap_or_default();
    match deletion {
        Deletion::Soft if found.folder != bin => mailbox.move_item(found.item, bin),
        Deletion::Soft | Deletion::Hard => mailbox.remove(found.item),
    };
    Ok(Reply::empty(204))
}

fn destination(call: &Call, user: &User) -> Result<u32, Refusal> {
    let body = input::object(call)?;
    let name = body.get("destinationId").and_then(Value::as_str).unwrap_or_default();
    let mailbox = read(&user.mailbox);
    let id = folders::find(&mailbox, name)?;
    if mailbox.folder(id).is_some_and(|f| f.search) {
        return Err(Refusal::bad_request("A search folder holds no items."));
    }
    Ok(id)
}

pub fn relocate(call: &Call) -> Answer {
    let user = call.user()?;
    let found = wanted(call, user)?;
    let to = destination(call, user)?;
    write(&user.mailbox).move_item(found.item, to);
    answer_with(call, user, found.item, 201)
}

pub fn copy(call: &Call) -> Answer {
    let user = call.user()?;
    let found = wanted(call, user)?;
    let to = destination(call, user)?;
    let made = write(&user.mailbox).add(to, (*found.message()).clone());
    answer_with(call, user, made, 201)
}

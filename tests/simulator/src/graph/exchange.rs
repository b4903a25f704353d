//! Exchange's own streams of items: the id of a mailbox, and the export of what it holds. Opaque, and read only.

use super::messages::check_kind;
use super::{Call, Target};
use crate::app::User;
use crate::clock::iso;
use crate::locks::read;
use crate::mime;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::Found;
use crate::store::ids::{self, Id};
use crate::store::message::FlagStatus;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Microsoft takes no more ids at once.
const ITEMS_MAX: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The ids of a user's mailboxes.
    Settings,
    Export,
}

pub const ROLES: [&str; 3] = ["MailboxItem.ImportExport.All", "MailboxItem.Read.All", "MailboxFolder.Read.All"];
pub const EXPORT_ROLES: [&str; 1] = ["MailboxItem.ImportExport.All"];

/// A path below `/admin/exchange/mailboxes`: the user is in the mailbox's id.
pub fn target(mut target: Target, words: &[&str], segments: &[String]) -> Option<Target> {
    match words {
        ["mailboxes", _, "exportitems"] => {
            target.route = super::Route::Exchange(Route::Export);
            target.template = "/admin/exchange/mailboxes/{id}/exportItems".into();
            target.user_name = owner(segments.get(1)?).unwrap_or("nobody").to_owned();
            Some(target)
        }
        _ => None,
    }
}

fn mailbox_id(call: &Call, user: &User) -> String {
    format!("MBX:{}@{}", user.id, call.app.tenant_id)
}

fn owner(mailbox: &str) -> Option<&str> {
    mailbox.strip_prefix("MBX:")?.split('@').next()
}

pub fn answer(call: &Call, route: Route) -> Answer {
    match (route, call.request.method.as_str()) {
        (Route::Settings, "GET") => settings(call),
        (Route::Export, "POST") => export(call),
        _ => {
            call.violation("method_not_allowed", "this route has no such method");
            Err(Refusal::method())
        }
    }
}

fn settings(call: &Call) -> Answer {
    let user = call.user()?;
    let context = call.context(&format!("users('{}')/settings/exchange/$entity", user.id));
    Ok(Reply::ok(json!({"@odata.context": context, "id": user.id, "primaryMailboxId": mailbox_id(call, user)})))
}

fn export(call: &Call) -> Answer {
    let user = call.user()?;
    let body = super::input::object(call)?;
    let named = body.iter().find(|(name, _)| name.eq_ignore_ascii_case("itemIds")).map(|(_, ids)| ids);
    let ids: Vec<&str> = named.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if ids.is_empty() || ids.len() > ITEMS_MAX {
        call.violation("export_count", format!("{} ids to export; 1 to {ITEMS_MAX} are allowed", ids.len()));
        return Err(Refusal::bad_request("The number of items to export must be between 1 and 20."));
    }
    let value: Vec<Value> = ids.into_iter().map(|id| exported(call, user, id)).collect();
    Ok(Reply::ok(
        json!({"@odata.context": call.context("Collection(microsoft.graph.exportItemResponse)"), "value": value}),
    ))
}

/// An item that cannot be exported costs itself alone.
fn exported(call: &Call, user: &User, id: &str) -> Value {
    match find(call, user, id) {
        Ok(found) => json!({
            "itemId": id,
            "changeKey": ids::change_key(found.item, found.change),
            "data": STANDARD.encode(stream(&found)),
        }),
        Err(refusal) => json!({"itemId": id, "error": {"code": refusal.code, "message": refusal.message}}),
    }
}

fn find(call: &Call, user: &User, id: &str) -> Result<Found, Refusal> {
    let mailbox = read(&user.mailbox);
    let Some(Id::Item { kind, item, .. }) = ids::decode(&mailbox.guid, id) else { return Err(Refusal::bad_id()) };
    check_kind(call, kind)?;
    mailbox.item(item).ok_or_else(Refusal::item_not_found)
}

/// Nobody but Exchange can read it. It holds what no MIME text does, such as flags and the time of a change.
pub fn stream(found: &Found) -> Vec<u8> {
    let message = found.message();
    let state = json!([
        message.is_read,
        message.categories,
        message.importance.name(),
        message.flag.status != FlagStatus::NotFlagged,
        iso(message.received),
        message.properties,
    ]);
    let mut out = b"\x01FTS\x00".to_vec();
    out.extend_from_slice(state.to_string().as_bytes());
    out.push(0);
    out.extend_from_slice(&mime::write(&message));
    out
}

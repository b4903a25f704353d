//! The small things of a mailbox: settings, master categories, inbox rules.

mod categories;
mod mailbox;
mod rules;

use super::Call;
use crate::app::User;
use crate::locks::read;
use crate::reply::{Answer, Refusal};
use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Mailbox,
    Categories,
    Category,
    Rules,
    Rule,
}

pub fn answer(call: &Call, route: Route) -> Answer {
    match (route, call.request.method.as_str()) {
        (Route::Mailbox, "GET") => mailbox::get(call),
        (Route::Mailbox, "PATCH") => mailbox::patch(call),
        (Route::Categories, "GET") => categories::list(call),
        (Route::Categories, "POST") => categories::create(call),
        (Route::Category, "PATCH") => categories::patch(call),
        (Route::Rules, "GET") => rules::list(call),
        (Route::Rules, "POST") => rules::create(call),
        (Route::Rule, "GET") => rules::one(call),
        (Route::Rule, "PATCH") => rules::patch(call),
        _ => {
            call.violation("method_not_allowed", "this route has no such method");
            Err(Refusal::method())
        }
    }
}

/// Everything that is told of the small things, for a fingerprint.
pub fn all(user: &User) -> Value {
    let guid = read(&user.mailbox).guid.clone();
    let settings = mailbox::settings_json(user);
    let held = read(&user.settings);
    json!({
        "mailboxSettings": settings,
        "categories": categories::all(&held),
        "rules": rules::all(&guid, &held),
    })
}

fn selected(call: &Call, mut one: Value) -> Value {
    if let Some(all) = one.as_object_mut() {
        all.retain(|name, _| name == "id" || call.query.wants(name));
    }
    one
}

/// Refuses what nobody can set, and what the type does not have.
fn check_names(call: &Call, body: &Map<String, Value>, known: &[&str], read_only: &[&str]) -> Result<(), Refusal> {
    for name in body.keys().map(String::as_str).filter(|name| *name != "@odata.type") {
        if read_only.contains(&name) || name.contains("@odata.") {
            call.violation("read_only_property", format!("'{name}' in the body of {}", call.target.template));
            return Err(Refusal::bad_request(&format!("The property '{name}' is read-only and cannot be set.")));
        }
        if !known.contains(&name) {
            return Err(Refusal::new(400, "RequestBodyRead", &format!("The property '{name}' does not exist.")));
        }
    }
    Ok(())
}

fn wrong_value(name: &str) -> Refusal {
    Refusal::new(400, "RequestBodyRead", &format!("Cannot read the value of the property '{name}'."))
}

//! The control API: what a test does to the tenant behind the client's back, and what it asks
//! about it afterwards. JSON, no authentication, never throttled.

pub mod calendar;
pub mod contacts;
pub mod drive;
pub mod edits;
pub mod fingerprint;
pub mod settings;
pub mod setup;

use self::edits::RandomEdits;
use self::fingerprint::Detail;
use crate::app::{App, User};
use crate::dice::Dice;
use crate::faults::{FaultPlan, Faults};
use crate::locks::{read, write};
use crate::options::Limits;
use crate::request::Request;
use crate::store::contact::DEFAULT_FOLDER;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a control call failed: a status and a sentence.
#[derive(Debug)]
pub struct ControlError(pub u16, pub String);

pub type Controlled = Result<Value, ControlError>;

pub fn bad(text: impl Into<String>) -> ControlError {
    ControlError(400, text.into())
}

fn not_found(what: &str) -> ControlError {
    ControlError(404, format!("{what} not found"))
}

pub fn answer(app: Arc<App>, request: &Request) -> HttpResponse {
    let words: Vec<&str> = request.segments.iter().skip(1).map(String::as_str).collect();
    if let ("GET", ["users", name, "mailbox", "fingerprint"]) = (request.method.as_str(), words.as_slice()) {
        let asked = |wanted: &str| request.raw_query.split('&').any(|option| option == wanted);
        let detail = match (asked("ids=1"), asked("restorable=1")) {
            (true, _) => Detail::WithIds,
            (false, true) => Detail::Restorable,
            (false, false) => Detail::Whole,
        };
        return match user(&app, name) {
            Ok(user) => fingerprint::stream(user, detail),
            Err(error) => failure(&error),
        };
    }
    if let ("GET", ["users", name, "drive", "fingerprint"]) = (request.method.as_str(), words.as_slice()) {
        return match user(&app, name) {
            Ok(user) => HttpResponse::Ok().content_type("application/json").body(drive::fingerprint::whole(&user)),
            Err(error) => failure(&error),
        };
    }
    match route(&app, request, &words) {
        Ok(value) => HttpResponse::Ok().json(value),
        Err(error) => failure(&error),
    }
}

fn failure(error: &ControlError) -> HttpResponse {
    let status = StatusCode::from_u16(error.0).unwrap_or(StatusCode::BAD_REQUEST);
    HttpResponse::build(status).json(json!({"error": error.1}))
}

fn route(app: &App, request: &Request, words: &[&str]) -> Controlled {
    match (request.method.as_str(), words) {
        ("GET", ["info"]) => Ok(info(app)),
        ("GET", ["users"]) => Ok(setup::users(app)),
        ("POST", ["users"]) => setup::add_user(app, body(request)?),
        ("PATCH", ["users", name]) => setup::change_user(app, &*user(app, name)?, body(request)?),
        ("DELETE", ["users", name]) => setup::remove_user(app, &*user(app, name)?),
        ("POST", ["apps"]) => setup::register(app, body(request)?),
        ("POST", ["users", name, "mailbox", "wipe"]) => Ok(wipe(&*user(app, name)?)),
        ("GET", ["users", name, "folders"]) => Ok(edits::folders(&*user(app, name)?)),
        ("POST", ["users", name, "folders"]) => edits::add_folder(&*user(app, name)?, body(request)?),
        ("PATCH", ["users", name, "folders"]) => edits::change_folder(&*user(app, name)?, body(request)?),
        ("DELETE", ["users", name, "folders"]) => edits::remove_folder(&*user(app, name)?, body(request)?),
        ("POST", ["users", name, "messages"]) => edits::arrive(app, &*user(app, name)?, body(request)?),
        ("POST", ["users", name, "edits"]) => edits::random(app, &*user(app, name)?, body(request)?),
        ("POST", ["users", name, "edit"]) => edits::single(app, &*user(app, name)?, body(request)?),
        (method, ["users", name, area @ ("calendar" | "contacts" | "settings"), what]) => {
            on_area(app, &*user(app, name)?, request, (method, area, what))
        }
        (_, ["users", name, "drive", rest @ ..]) => drive::route(app, &*user(app, name)?, request, rest),
        ("GET", ["faults"]) => Ok(json!(app.faults().plan())),
        ("POST", ["faults"]) => {
            app.set_faults(Faults::new(body::<FaultPlan>(request)?));
            Ok(json!({}))
        }
        ("DELETE", ["faults"]) => {
            app.set_faults(Faults::default());
            Ok(json!({}))
        }
        ("GET", ["limits"]) => Ok(json!(app.limits())),
        ("POST", ["limits"]) => {
            *write(&app.limits) = body::<Limits>(request)?;
            Ok(json!(app.limits()))
        }
        ("POST", ["delta", "expire"]) => expire_delta(app, &body::<Value>(request)?),
        ("POST", ["clock"]) => set_clock(app, &body::<Value>(request)?),
        ("POST", ["tokens", "expire"]) => {
            write(&app.tokens).clear();
            Ok(json!({}))
        }
        ("GET", ["log"]) => Ok(app.watch.log_json()),
        ("DELETE", ["log"]) => {
            app.watch.clear_log();
            Ok(json!({}))
        }
        ("GET", ["notices"]) => Ok(app.watch.notices.json()),
        ("DELETE", ["notices"]) => {
            app.watch.notices.clear();
            Ok(json!({}))
        }
        ("GET", ["stats"]) => Ok(stats(app)),
        ("DELETE", ["stats"]) => {
            app.watch.clear_stats();
            read(&app.directory).users.iter().for_each(|user| user.gates.reset());
            app.sharepoint.reset();
            app.directory_units.reset();
            Ok(json!({}))
        }
        _ => Err(not_found("control route")),
    }
}

/// What there is of a mailbox besides mail.
fn on_area(app: &App, user: &User, request: &Request, wanted: (&str, &str, &str)) -> Controlled {
    match wanted {
        ("GET", "calendar", "fingerprint") => Ok(calendar::fingerprint(user)),
        ("POST", "calendar", "edits") => calendar::random(app, user, &body(request)?),
        ("POST", "calendar", "edit") => calendar::single(app, user, body(request)?),
        ("POST", "calendar", "wipe") => {
            calendar::wipe(user);
            Ok(json!({}))
        }
        ("GET", "contacts", "fingerprint") => Ok(contacts::fingerprint(user)),
        ("POST", "contacts", "edits") => contacts::random(app, user, &body(request)?),
        ("POST", "contacts", "edit") => contacts::single(app, user, body(request)?),
        ("POST", "contacts", "wipe") => {
            write(&user.contacts).wipe(&[DEFAULT_FOLDER]);
            Ok(json!({}))
        }
        ("GET", "settings", "fingerprint") => Ok(crate::graph::settings::all(user)),
        ("POST", "settings", "edits") => settings::random(user, &body(request)?),
        ("POST", "settings", "edit") => settings::single(user, body(request)?),
        _ => Err(not_found("control route")),
    }
}

/// Does so many random edits and counts them by kind.
fn tally(wanted: &RandomEdits, salt: u64, mut edit: impl FnMut(&mut Dice) -> (&'static str, String)) -> Value {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut edits = Vec::new();
    for i in 0..wanted.count as u64 {
        let (kind, id) = edit(&mut Dice::of(&[wanted.seed, salt, i]));
        *counts.entry(kind).or_default() += 1;
        edits.push(json!({"kind": kind, "id": id}));
    }
    json!({"counts": counts, "edits": edits})
}

fn body<T: DeserializeOwned>(request: &Request) -> Result<T, ControlError> {
    let text: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    serde_json::from_slice(text).map_err(|error| bad(error.to_string()))
}

pub fn user(app: &App, name: &str) -> Result<Arc<User>, ControlError> {
    app.user(name).ok_or_else(|| not_found("user"))
}

pub fn info(app: &App) -> Value {
    json!({
        "base_url": format!("{}/v1.0", app.origin()),
        "login_url": app.origin(),
        "control_url": format!("{}/control", app.origin()),
        "tenant_id": app.tenant_id,
        "domain": app.world.domain,
        "client_id": crate::company::populate::client_id(app.options.seed),
        "client_secret": crate::company::populate::secret(app.options.seed),
        "seed": app.options.seed,
        "now": crate::clock::iso(app.clock.now()),
        "users": read(&app.directory).users.len(),
    })
}

pub fn wipe(user: &User) -> Value {
    write(&user.mailbox).wipe();
    json!({})
}

pub fn expire_delta(app: &App, wanted: &Value) -> Controlled {
    let users = match wanted.get("user").and_then(Value::as_str) {
        Some(name) => vec![user(app, name)?],
        None => read(&app.directory).users.clone(),
    };
    for user in &users {
        write(&user.mailbox).epoch += 1;
        write(&user.calendars).shelf.epoch += 1;
        write(&user.contacts).epoch += 1;
        write(&user.drive).epoch += 1;
    }
    Ok(json!({"mailboxes": users.len()}))
}

fn set_clock(app: &App, wanted: &Value) -> Controlled {
    if let Some(seconds) = wanted.get("advance_seconds").and_then(Value::as_i64) {
        app.clock.advance_seconds(seconds);
    } else if let Some(text) = wanted.get("set").and_then(Value::as_str) {
        let at = chrono::DateTime::parse_from_rfc3339(text).map_err(|error| bad(error.to_string()))?;
        app.clock.set(at.into());
    } else {
        return Err(bad("advance_seconds or set is needed"));
    }
    Ok(json!({"now": crate::clock::iso(app.clock.now())}))
}

pub fn stats(app: &App) -> Value {
    let mut out = app.watch.stats_json();
    let running: serde_json::Map<String, Value> = read(&app.directory)
        .users
        .iter()
        .filter(|user| user.gates.running_max() > 0)
        .map(|user| (user.profile().principal_name, json!(user.gates.running_max())))
        .collect();
    out["concurrency_max"] = Value::Object(running);
    let busy: std::time::Duration = read(&app.directory).users.iter().map(|user| user.gates.busy()).sum();
    out["mailbox_busy_s"] = json!(busy.as_secs_f64());
    out["sharepoint_units"] = json!(app.sharepoint.used());
    out
}

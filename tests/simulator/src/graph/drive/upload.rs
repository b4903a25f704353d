//! Upload sessions of files: fragments in their order, without Authorization, to another host. Of what is large only
//! hashes are kept.

use super::view::site_name;
use super::writes::{
    Dates, OnConflict, Spot, body, check_lock, check_room, name_taken, promote, put, shown, spot, stamp,
};
use super::{Place, Route, bad_request, item_not_found, owner};
use crate::app::{App, User};
use crate::clock::iso;
use crate::faults::FaultKind;
use crate::graph::odata::Query;
use crate::graph::{Call, Target};
use crate::locks::{lock, write};
use crate::reply::{Answer, Headers, Refusal, Reply};
use crate::request::{Request, decode};
use crate::store::drive::Drive;
use crate::store::drive::content::Content;
use crate::store::drive::quickxor::QuickXor;
use crate::store::message::Blob;
use crate::units;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

const LIFE_SECONDS: i64 = 15 * 60;
const FRAGMENT_UNIT: u64 = 320 * 1024;
const FRAGMENT_MAX: u64 = 60 * 1024 * 1024;
const FILE_MAX: u64 = 250 * 1024 * 1024 * 1024;
/// Above it a file is known by its hashes alone.
const HELD_MAX: u64 = 32 * 1024 * 1024;

#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<String, Arc<Mutex<Session>>>>);

#[derive(Debug)]
pub struct Session {
    key: String,
    pub client_id: String,
    user: Arc<User>,
    spot: Spot,
    on_conflict: OnConflict,
    dates: Dates,
    expires: i64,
    /// As the first fragment says.
    total: Option<u64>,
    received: u64,
    held: Vec<u8>,
    quick_xor: QuickXor,
    blake3: blake3::Hasher,
}

pub fn create(call: &Call) -> Answer {
    let user = owner(call)?;
    let body = body(call)?;
    let item = body.get("item").and_then(Value::as_object).cloned().unwrap_or_default();
    if body.get("deferCommit").and_then(Value::as_bool) == Some(true) {
        return Err(bad_request("Deferred commits are not part of this tenant."));
    }
    let on_conflict = OnConflict::of(&item, OnConflict::Replace)?;
    let drive = crate::locks::read(&user.drive);
    let spot = spot(call, &drive)?;
    check_start(call, &drive, &spot, &item, on_conflict)?;
    let now = call.app.clock.now();
    let session = Session {
        key: uuid::Uuid::new_v4().simple().to_string(),
        client_id: call.client_id.to_owned(),
        user: Arc::clone(user),
        spot,
        on_conflict,
        dates: Dates::of(&item)?,
        expires: now + LIFE_SECONDS,
        total: None,
        received: 0,
        held: Vec::new(),
        quick_xor: QuickXor::default(),
        blake3: blake3::Hasher::new(),
    };
    let (key, origin, site) = (session.key.clone(), call.app.download_origin(), site_name(user));
    let url = format!("{origin}/personal/{site}/_api/v2.0/drive/uploadSession?guid={key}&tempauth={key}");
    let mut answer = progress(&session);
    lock(&call.app.drive_sessions.0).insert(key, Arc::new(Mutex::new(session)));
    answer["@odata.context"] = json!(call.context("microsoft.graph.uploadSession"));
    answer["uploadUrl"] = json!(url);
    Ok(Reply::ok(answer))
}

fn check_start(
    call: &Call,
    drive: &Drive,
    spot: &Spot,
    item: &Map<String, Value>,
    on_conflict: OnConflict,
) -> Result<(), Refusal> {
    match spot {
        Spot::Named { parent, name } => {
            if item.get("name").and_then(Value::as_str).is_some_and(|told| told != name) {
                return Err(bad_request("The name of the item is not the one of the path."));
            }
            if on_conflict == OnConflict::Fail && drive.below(*parent, name).is_some() {
                return Err(name_taken());
            }
        }
        Spot::Over { item } => check_lock(drive.item(*item).ok_or_else(item_not_found)?)?,
    }
    let announced = item.get("fileSize").and_then(Value::as_u64).unwrap_or(0);
    check_room(call.app, drive, announced)
}

fn progress(session: &Session) -> Value {
    let next = format!("{}-", session.received);
    let next = if session.total == Some(session.received) { vec![] } else { vec![next] };
    json!({"expirationDateTime": iso(session.expires), "nextExpectedRanges": next})
}

/// Whether this path of the other host is an upload.
pub fn is_upload(request: &Request) -> bool {
    request.segments.last().is_some_and(|last| last == "uploadSession")
}

/// Everything that can be judged from the head of a request to an upload URL.
pub fn admit(app: &App, request: &Request) -> Result<(Arc<Mutex<Session>>, Headers), Refusal> {
    if request.header("authorization").is_some() {
        let reason = "the upload URL carries its own token";
        app.violation("authorization_on_upload_url", &request.method, &request.path, reason);
        return Err(Refusal::new(401, "unauthenticated", "Authorization must not be sent to an upload URL."));
    }
    let key = request.raw_query.split('&').find_map(|pair| pair.strip_prefix("guid=")).map(decode).unwrap_or_default();
    let found = lock(&app.drive_sessions.0).get(&key).cloned().ok_or_else(not_found)?;
    let (client, expires) = {
        let session = lock(&found);
        (session.client_id.clone(), session.expires)
    };
    let cost = if request.method == "GET" { 1 } else { 2 };
    let headers = units::charge_sharepoint(app, request, &client, cost)?;
    if expires <= app.clock.now() {
        lock(&app.drive_sessions.0).remove(&key);
        return Err(not_found());
    }
    Ok((found, headers))
}

fn not_found() -> Refusal {
    Refusal::new(404, "itemNotFound", "The upload session was not found.").inner("uploadSessionNotFound")
}

pub fn answer(app: &App, request: &Request, session: &Mutex<Session>) -> Answer {
    let mut session = lock(session);
    if app.faults().strike(&[FaultKind::ExpireSession], &request.method, &request.path).is_some() {
        app.watch.fault(FaultKind::ExpireSession.name());
        lock(&app.drive_sessions.0).remove(&session.key);
        return Err(not_found());
    }
    match request.method.as_str() {
        "GET" => Ok(Reply::ok(progress(&session))),
        "DELETE" => {
            lock(&app.drive_sessions.0).remove(&session.key);
            Ok(Reply::empty(204))
        }
        "PUT" => take(app, request, &mut session),
        method => {
            app.violation("method_not_allowed", method, &request.path, "an upload URL takes PUT, GET and DELETE");
            Err(Refusal::new(405, "notSupported", "The request is not supported by the system."))
        }
    }
}

fn take(app: &App, request: &Request, session: &mut Session) -> Answer {
    let total = check_fragment(app, request, session)?;
    {
        let drive = crate::locks::read(&session.user.drive);
        check_room(app, &drive, total)?;
    }
    session.total = Some(total);
    session.received += request.body.len() as u64;
    session.expires = app.clock.now() + LIFE_SECONDS;
    session.quick_xor.update(&request.body);
    session.blake3.update(&request.body);
    if total <= HELD_MAX {
        session.held.extend_from_slice(&request.body);
    }
    if session.received < total {
        return Ok(Reply::json(202, progress(session)));
    }
    commit(app, request, session, total)
}

/// The length of the whole, if the fragment is the next one.
fn check_fragment(app: &App, request: &Request, session: &Session) -> Result<u64, Refusal> {
    let rude = |status, code, text: &str| {
        app.violation("bad_range", &request.method, &request.path, text);
        Refusal::new(status, "invalidRequest", text).inner(code)
    };
    let bytes = request.body.len() as u64;
    let range = request.header("content-range").and_then(crate::upload::parse_range);
    let Some((first, last, total)) = range else {
        return Err(rude(400, "invalidRange", "Content-Range must be 'bytes first-last/total'."));
    };
    if last < first || last >= total || last - first + 1 != bytes {
        return Err(rude(400, "fragmentLengthMismatch", "The range does not fit the body."));
    }
    if session.total.is_some_and(|known| known != total) {
        return Err(rude(400, "invalidRange", "The length of the whole is another one now."));
    }
    if bytes >= FRAGMENT_MAX {
        return Err(rude(413, "maxFragmentLengthExceeded", "A fragment must be smaller than 60 MiB."));
    }
    if total > FILE_MAX {
        return Err(Refusal::new(413, "maxFileSizeExceeded", "The file is too large."));
    }
    if last + 1 < total && !bytes.is_multiple_of(FRAGMENT_UNIT) {
        return Err(rude(400, "fragmentLengthMismatch", "A fragment must be a multiple of 320 KiB."));
    }
    if first > session.received {
        return Err(rude(416, "fragmentOutOfOrder", "Fragments come in their order."));
    }
    // Whoever did not hear that it arrived sends it again.
    if first < session.received {
        return Err(Refusal::new(416, "invalidRange", "The fragment has arrived.").inner("fragmentOverlap"));
    }
    Ok(total)
}

fn commit(app: &App, request: &Request, session: &mut Session, total: u64) -> Answer {
    let content = if total <= HELD_MAX {
        Content::blob(Blob::Held(std::mem::take(&mut session.held).into()))
    } else {
        Content::digest(total, session.quick_xor.base64(), session.blake3.finalize().to_hex().to_string())
    };
    let at = stamp(app, &session.client_id);
    let mut drive = write(&session.user.drive);
    // A name that was taken meanwhile leaves the session as it is.
    let put = put(app, &mut drive, &session.spot, (content, session.dates), (session.on_conflict, &at))?;
    let target = Target {
        route: crate::graph::Route::Drive(Route::UploadSession),
        template: String::new(),
        user_name: String::new(),
        user: Some(Arc::clone(&session.user)),
        folder: None,
        message: None,
        attachment: None,
        drive: Place::default(),
    };
    let call = Call { app, client_id: &session.client_id, request, query: Query::default(), target: &target };
    let answer = shown(&call, &session.user, &drive, put.number)?;
    promote(app, &mut drive, put.number);
    lock(&app.drive_sessions.0).remove(&session.key);
    Ok(Reply::json(if put.is_new { 201 } else { 200 }, answer))
}

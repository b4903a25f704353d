//! Content of files: a redirect to another host, and what that host answers. Its URLs carry their
//! own permission and want no other.

use super::items::{version_number, wanted};
use super::{bad_request, check_state, item_not_found, owner, view};
use crate::app::{App, User};
use crate::faults::FaultKind;
use crate::graph::Call;
use crate::graph::token::{open, seal};
use crate::locks::read;
use crate::reply::{Answer, Headers, Payload, Refusal, Reply};
use crate::request::{Request, decode, encode};
use crate::store::drive::Drive;
use crate::store::drive::item::{File, Item};
use crate::units;
use serde::{Deserialize, Serialize};

/// What `tempauth` of a download URL stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ticket {
    pub client_id: String,
    drive: String,
    item: u64,
    /// None for whatever the file holds when it is read.
    version: Option<u32>,
    expires: i64,
}

impl Ticket {
    pub fn new(call: &Call, drive: &Drive, item: u64, version: Option<u32>) -> Self {
        let seconds = read(&call.app.limits).download_seconds;
        Self {
            client_id: call.client_id.to_owned(),
            drive: drive.id.clone(),
            item,
            version,
            expires: call.app.clock.now() + seconds,
        }
    }
}

pub fn url(app: &App, user: &User, drive: &Drive, ticket: &Ticket) -> String {
    format!(
        "{}/personal/{}/_layouts/15/download.aspx?UniqueId={}&Translate=false&tempauth={}&ApiVersion=2.0",
        app.download_origin(),
        view::site_name(user),
        drive.guid_of(ticket.item).to_lowercase(),
        seal(ticket),
    )
}

pub fn redirect(call: &Call) -> Answer {
    let user = owner(call)?;
    let drive = read(&user.drive);
    let item = wanted(call, &drive)?;
    downloadable(call, &drive, item)?;
    let ticket = Ticket::new(call, &drive, item.number, None);
    Ok(Reply::empty(302).with("Location", url(call.app, user, &drive, &ticket)))
}

pub fn redirect_version(call: &Call) -> Answer {
    let user = owner(call)?;
    let drive = read(&user.drive);
    let item = wanted(call, &drive)?;
    let file = downloadable(call, &drive, item)?;
    let number = version_number(call)?;
    if number == file.version {
        return Err(bad_request("You cannot get the content of the current version."));
    }
    if !file.older.iter().any(|version| version.number == number) {
        return Err(item_not_found());
    }
    let ticket = Ticket::new(call, &drive, item.number, Some(number));
    Ok(Reply::empty(302).with("Location", url(call.app, user, &drive, &ticket)))
}

fn downloadable<'a>(call: &Call, drive: &Drive, item: &'a Item) -> Result<&'a File, Refusal> {
    let file = item.file().ok_or_else(|| bad_request("The item has no content."))?;
    if file.malware.is_some() {
        let text = "Access denied. The file is infected with a virus.";
        return Err(Refusal::new(403, "malwareDetected", text)
            .inner("virusSuspicious")
            .with("X-Virus-Infected", "true".to_owned()));
    }
    // Not for want of patience: OneNote sections answer so for ever.
    if file.is_note() {
        return Err(Refusal::new(503, "serviceNotAvailable", "The service is not available. Try again later."));
    }
    let (method, path) = (&call.request.method, &call.request.path);
    let id = drive.id_of(item.number);
    if let Some(rule) = call.app.faults().strike_item(FaultKind::Poison, method, path, &id) {
        call.app.watch.fault("poison");
        let code = rule.code.as_deref().unwrap_or("generalException");
        return Err(Refusal::new(rule.status.unwrap_or(500), code, "An unspecified error has occurred."));
    }
    Ok(file)
}

/// Everything that can be judged from the head of a request to the download host.
pub fn admit(app: &App, request: &Request) -> Result<(Ticket, Headers), Refusal> {
    let violation = |kind, reason: &str| app.violation(kind, &request.method, &request.path, reason);
    if request.header("authorization").is_some() {
        violation("authorization_on_download_url", "the download URL carries its own token");
        let text = "Authorization must not be sent to a download URL.";
        return Err(Refusal::new(401, "unauthenticated", text));
    }
    let ticket = tempauth(request).and_then(|text| open::<Ticket>(&text)).ok_or_else(|| {
        violation("token_misused", "a download URL that was never handed out");
        Refusal::new(401, "unauthenticated", "The caller is not authenticated.")
    })?;
    let headers = units::charge_sharepoint(app, request, &ticket.client_id, 1)?;
    if ticket.expires <= app.clock.now() {
        return Err(Refusal::new(401, "unauthenticated", "The tempauth token has expired."));
    }
    if request.method != "GET" {
        violation("method_not_allowed", "a download URL takes GET");
        return Err(Refusal::new(405, "notSupported", "The request is not supported by the system."));
    }
    Ok((ticket, headers))
}

fn tempauth(request: &Request) -> Option<String> {
    request.raw_query.split('&').find_map(|pair| pair.strip_prefix("tempauth=")).map(decode)
}

pub fn answer(app: &App, request: &Request, ticket: &Ticket) -> Answer {
    let user = read(&app.directory).by_drive(&ticket.drive).ok_or_else(item_not_found)?;
    check_state(&user, true)?;
    let drive = read(&user.drive);
    let item = drive.item(ticket.item).ok_or_else(item_not_found)?;
    let file = item.file().ok_or_else(item_not_found)?;
    if !file.content.is_held() {
        app.violation("not_held", &request.method, &request.path, "this tenant does not hold uploads of this size");
        return Err(Refusal::new(500, "generalException", "The content is not held."));
    }
    let content = match ticket.version {
        None => &file.content,
        Some(number) => {
            let version = file.older.iter().find(|version| version.number == number);
            &version.ok_or_else(item_not_found)?.content
        }
    };
    let (faults, id) = (app.faults(), drive.id_of(item.number));
    let struck = |kind: FaultKind| {
        let hit = faults.strike_item(kind, &request.method, &request.path, &id).is_some();
        if hit {
            app.watch.fault(kind.name());
        }
        hit
    };
    let len = content.len();
    let range = match request.header("range") {
        Some(text) if !struck(FaultKind::IgnoreRange) => Some(wanted_range(request, text, len)?),
        _ => None,
    };
    let (from, mut until) = range.unwrap_or((0, len));
    let status = if range.is_some() { 206 } else { 200 };
    let mut reply = Reply::empty(status)
        .with("Accept-Ranges", "bytes")
        .with("ETag", view::e_tag(&drive.guid_of(item.number), item.revision))
        .with("Content-Disposition", format!("attachment; filename*=UTF-8''{}", encode(&item.name)));
    if range.is_some() {
        reply = reply.with("Content-Range", format!("bytes {from}-{}/{len}", until - 1));
    }
    if struck(FaultKind::ShortBody) {
        until -= (until - from).div_ceil(2);
    }
    let reader = content.read(from, until);
    let spoiled = struck(FaultKind::WrongBytes);
    reply.body = Payload::Pieces { content_type: file.mime.clone(), len: until - from, reader, spoiled };
    Ok(reply)
}

/// First byte, and the one after the last. Without `Accept` the host refuses ranges altogether.
fn wanted_range(request: &Request, text: &str, len: u64) -> Result<(u64, u64), Refusal> {
    let found = text.strip_prefix("bytes=").and_then(|spec| spec.split_once('-')).and_then(|(first, last)| {
        let range = match (first, last) {
            ("", suffix) => (len.saturating_sub(suffix.parse().ok()?), len),
            (first, "") => (first.parse().ok()?, len),
            (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.saturating_add(1).min(len)),
        };
        (range.0 < range.1).then_some(range)
    });
    found.filter(|_| request.header("accept").is_some()).ok_or_else(|| {
        Refusal::new(416, "invalidRange", "The requested range cannot be satisfied.")
            .with("Content-Range", format!("bytes */{len}"))
    })
}

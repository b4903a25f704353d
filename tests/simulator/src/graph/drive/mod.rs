//! OneDrive: which route of a drive a path is, what it costs, and who answers it.

pub mod delta;
pub mod download;
pub mod items;
mod names;
pub mod sharing;
pub mod token;
pub mod upload;
pub mod view;
mod writes;

use super::{Call, Target};
use crate::app::{App, User};
use crate::locks::read;
use crate::reply::{Answer, Headers, Refusal};
use crate::request::Request;
use crate::store::drive::DriveState;
use crate::units;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Drive,
    Drives,
    Item,
    Children,
    Delta,
    Content,
    Versions,
    Version,
    VersionContent,
    Permissions,
    UploadSession,
    Invite,
    /// Copies, links, old versions put back: known to Graph, not yet to this tenant.
    Write,
}

/// What of which drive a path names.
#[derive(Debug, Default)]
pub struct Place {
    /// None for the drive of the user in the path.
    pub drive: Option<String>,
    pub item: ItemAt,
    pub version: Option<String>,
    /// Of the form `delta(token='T')`.
    pub token: Option<String>,
}

#[derive(Debug, Default)]
pub enum ItemAt {
    #[default]
    Root,
    Id(String),
    Path(String),
    /// By names, from a folder on.
    Below {
        id: String,
        path: String,
    },
}

const WRITES: [&str; 4] = ["copy", "createlink", "restore", "permanentdelete"];
const TOKEN_FORM: &str = "delta(token='";

/// What this path below `/users/{id}/drive` or `/drives/{id}` is, if anything.
pub fn resolve(mut target: Target, words: &[&str], segments: &[String]) -> Option<Target> {
    let (rest, base, skipped) = match words {
        ["users", _, "drives"] => return Some(found(target, Route::Drives, "/users/{id}/drives")),
        ["users", _, "drive", rest @ ..] => (rest, "/users/{id}/drive", 3),
        ["drives", _, rest @ ..] => {
            target.user_name.clear();
            target.drive.drive = segments.get(1).cloned();
            (rest, "/drives/{id}", 2)
        }
        _ => return None,
    };
    let segments = segments.get(skipped..)?;
    let (tail, item) = match rest {
        [] => return Some(found(target, Route::Drive, base)),
        ["root", tail @ ..] => (tail, "/root"),
        ["root:", ..] => (by_path(&mut target.drive, rest, segments), "/root:/{path}"),
        ["items", id, ..] if id.ends_with(':') => {
            let (id, names) = (segments[1].trim_end_matches(':').to_owned(), &rest[1..]);
            let tail = by_path(&mut target.drive, names, &segments[1..]);
            if let ItemAt::Path(path) = std::mem::take(&mut target.drive.item) {
                target.drive.item = ItemAt::Below { id, path };
            }
            (tail, "/items/{id}:/{path}")
        }
        ["items", id, tail @ ..] => {
            if *id != "root" {
                target.drive.item = ItemAt::Id(segments[1].clone());
            }
            (tail, "/items/{id}")
        }
        _ => return None,
    };
    let (route, end) = match tail {
        [] => (Route::Item, ""),
        ["children"] => (Route::Children, "/children"),
        ["delta" | "microsoft.graph.delta"] => (Route::Delta, "/delta"),
        [form] if form.starts_with(TOKEN_FORM) => {
            let text = segments.last()?.get(TOKEN_FORM.len()..)?;
            target.drive.token = Some(text.strip_suffix("')")?.to_owned());
            (Route::Delta, "/delta")
        }
        ["content"] => (Route::Content, "/content"),
        ["permissions"] => (Route::Permissions, "/permissions"),
        ["createuploadsession"] => (Route::UploadSession, "/createUploadSession"),
        ["invite"] => (Route::Invite, "/invite"),
        ["versions"] => (Route::Versions, "/versions"),
        ["versions", _, rest @ ..] => {
            target.drive.version = segments.get(segments.len() - 1 - rest.len()).cloned();
            match rest {
                [] => (Route::Version, "/versions/{id}"),
                ["content"] => (Route::VersionContent, "/versions/{id}/content"),
                ["restoreversion"] => (Route::Write, "/versions/{id}/restoreVersion"),
                _ => return None,
            }
        }
        [last] if WRITES.contains(last) => (Route::Write, "/write"),
        _ => return None,
    };
    Some(found(target, route, &format!("{base}{item}{end}")))
}

fn found(mut target: Target, route: Route, template: &str) -> Target {
    target.route = super::Route::Drive(route);
    template.clone_into(&mut target.template);
    target
}

/// Takes `root:/a/b` or `root:/a/b:/tail` apart; what remains is the tail.
fn by_path<'a>(place: &mut Place, words: &'a [&'a str], segments: &[String]) -> &'a [&'a str] {
    let end = words.iter().skip(1).position(|word| word.ends_with(':')).map(|at| at + 2);
    let names = segments[1..end.unwrap_or(segments.len())].join("/");
    place.item = ItemAt::Path(names.trim_end_matches(':').to_owned());
    end.map_or(&[], |end| &words[end..])
}

pub fn needed_roles(method: &str) -> (&'static [&'static str], &'static str) {
    let roles: &[&str] = match method {
        "GET" => {
            &["Files.Read.All", "Files.ReadWrite.All", "Sites.Read.All", "Sites.ReadWrite.All", "Sites.FullControl.All"]
        }
        _ => &["Files.ReadWrite.All", "Sites.ReadWrite.All", "Sites.FullControl.All"],
    };
    (roles, "accessDenied")
}

/// Counts what the request costs, finds whose drive it is, and whether there is one.
pub fn admit(app: &App, request: &Request, client: &str, target: &mut Target) -> Result<Headers, Refusal> {
    let super::Route::Drive(route) = target.route else {
        return Ok(Headers::new());
    };
    let headers = units::charge_sharepoint(app, request, client, cost(route, request, &target.drive))?;
    if let Some(id) = &target.drive.drive {
        target.user = read(&app.directory).by_drive(id);
    }
    let user = target.user.as_ref().ok_or_else(item_not_found)?;
    check_state(user, target.drive.drive.is_some())?;
    Ok(headers)
}

/// In resource units of SharePoint.
fn cost(route: Route, request: &Request, place: &Place) -> u64 {
    match route {
        Route::Delta => {
            let has_token = place.token.is_some() || token::in_query(&request.raw_query);
            if has_token { 1 } else { 2 }
        }
        Route::Permissions | Route::Invite => 5,
        _ if request.method != "GET" => 2,
        Route::Drive | Route::Item | Route::Content | Route::Version | Route::VersionContent => 1,
        Route::Drives | Route::Children | Route::Versions | Route::UploadSession | Route::Write => 2,
    }
}

fn check_state(user: &User, by_drive_id: bool) -> Result<(), Refusal> {
    match read(&user.drive).state {
        DriveState::Ready => Ok(()),
        DriveState::Locked => {
            Err(Refusal::new(423, "notAllowed", "Access to this site has been blocked.").inner("resourceLocked"))
        }
        DriveState::Unlicensed => Err(Refusal::new(400, "BadRequest", "Tenant does not have a SPO license.")),
        DriveState::Unprovisioned if by_drive_id => Err(item_not_found()),
        DriveState::Unprovisioned => Err(Refusal::new(404, "ResourceNotFound", "User's mysite not found.")),
    }
}

pub fn answer(call: &Call, route: Route) -> Answer {
    match (route, call.request.method.as_str()) {
        (Route::Drive, "GET") => items::drive(call),
        (Route::Drives, "GET") => items::drives(call),
        (Route::Item, "GET") => items::one(call),
        (Route::Item, "PATCH") => writes::patch(call),
        (Route::Item, "DELETE") => writes::delete(call),
        (Route::Children, "GET") => items::children(call),
        (Route::Children, "POST") => writes::create_folder(call),
        (Route::Delta, "GET") => delta::page(call),
        (Route::Content, "GET") => download::redirect(call),
        (Route::Content, "PUT") => writes::put_content(call),
        (Route::UploadSession, "POST") => upload::create(call),
        (Route::Invite, "POST") => writes::invite(call),
        (Route::Versions, "GET") => items::versions(call),
        (Route::Version, "GET") => items::version(call),
        (Route::VersionContent, "GET") => download::redirect_version(call),
        (Route::Permissions, "GET") => sharing::list(call),
        (_, method) => {
            call.violation("method_not_allowed", format!("{method} of a drive is not part of this tenant yet"));
            Err(Refusal::new(405, "notSupported", "The request is not supported by the system."))
        }
    }
}

pub fn item_not_found() -> Refusal {
    Refusal::new(404, "itemNotFound", "The resource could not be found.")
}

pub fn bad_request(message: &str) -> Refusal {
    Refusal::new(400, "invalidRequest", message)
}

/// The user whose drive the path is about.
fn owner<'a>(call: &'a Call) -> Result<&'a Arc<User>, Refusal> {
    call.target.user.as_ref().ok_or_else(item_not_found)
}

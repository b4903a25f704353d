//! Contacts, their folders and photos.

mod delta;
mod folders;
mod input;
mod people;
pub mod view;
mod write;

use super::{Call, Target};
use crate::reply::{Answer, Refusal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Folders,
    FolderDelta,
    Folder,
    Contacts,
    ContactsDelta,
    Contact,
    Photo,
    PhotoValue,
}

/// True if this path below a user is one of ours.
pub fn owns(words: &[&str]) -> bool {
    matches!(words.first(), Some(&("contacts" | "contactfolders")))
}

pub fn target(mut target: Target, mut words: &[&str], mut segments: &[String]) -> Option<Target> {
    let mut base = "";
    while let ["contactfolders" | "childfolders", id, rest @ ..] = words {
        if matches!(*id, "delta" | "microsoft.graph.delta") {
            break;
        }
        target.folder = Some(segments[1].clone());
        (base, words, segments) = ("/contactFolders/{id}", rest, &segments[2..]);
    }
    let (route, tail) = match words {
        [] => (Route::Folder, ""),
        ["contactfolders"] => (Route::Folders, "/contactFolders"),
        ["childfolders"] => (Route::Folders, "/childFolders"),
        ["contactfolders", _] => (Route::FolderDelta, "/contactFolders/delta"),
        ["contacts"] => (Route::Contacts, "/contacts"),
        ["contacts", "delta" | "microsoft.graph.delta"] => (Route::ContactsDelta, "/contacts/delta"),
        ["contacts", _, rest @ ..] => {
            target.message = Some(segments[1].clone());
            match rest {
                [] => (Route::Contact, "/contacts/{id}"),
                ["photo"] => (Route::Photo, "/contacts/{id}/photo"),
                ["photo", "$value"] => (Route::PhotoValue, "/contacts/{id}/photo/$value"),
                _ => return None,
            }
        }
        _ => return None,
    };
    target.route = super::Route::Contacts(route);
    target.template.push_str(base);
    target.template.push_str(tail);
    Some(target)
}

pub fn answer(call: &Call, route: Route) -> Answer {
    match (route, call.request.method.as_str()) {
        (Route::Folders, "GET") => folders::list(call),
        (Route::Folders, "POST") => folders::create(call),
        (Route::FolderDelta, "GET") => delta::folders(call),
        (Route::Folder, "GET") => folders::one(call),
        (Route::Folder, "DELETE") => folders::delete(call),
        (Route::Contacts, "GET") => people::list(call),
        (Route::Contacts, "POST") => write::create(call),
        (Route::ContactsDelta, "GET") => delta::contacts(call),
        (Route::Contact, "GET") => people::one(call),
        (Route::Contact, "PATCH") => write::patch(call),
        (Route::Contact, "DELETE") => write::delete(call),
        (Route::Photo, "GET") => people::photo(call),
        (Route::PhotoValue, "GET") => people::photo_value(call),
        (Route::PhotoValue, "PUT") => write::put_photo(call),
        _ => {
            call.violation("method_not_allowed", "this route has no such method");
            Err(Refusal::method())
        }
    }
}

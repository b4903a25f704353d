//! Contacts, their folders and photos. Read only.

mod delta;
mod folders;
mod people;
pub mod view;

use super::{Call, Target};
use crate::reply::Answer;

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
    match route {
        Route::Folders => folders::list(call),
        Route::FolderDelta => delta::folders(call),
        Route::Folder => folders::one(call),
        Route::Contacts => people::list(call),
        Route::ContactsDelta => delta::contacts(call),
        Route::Contact => people::one(call),
        Route::Photo => people::photo(call),
        Route::PhotoValue => people::photo_value(call),
    }
}

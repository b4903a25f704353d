//! What a test does to a drive behind the client's back, and what it asks about it afterwards.

pub mod edits;
pub mod fingerprint;
mod random;

use super::{ControlError, Controlled, bad, body, not_found};
use crate::app::{App, User};
use crate::locks::write;
use crate::request::Request;
use crate::store::drive::{DriveRefusal, Stamp};
use crate::store::message::Person;

pub use random::random;

pub fn route(app: &App, user: &User, request: &Request, words: &[&str]) -> Controlled {
    match (request.method.as_str(), words) {
        ("POST", ["edits"]) => random(app, user, &body(request)?),
        ("POST", ["wipe"]) => {
            wipe(app, user);
            Ok(serde_json::json!({}))
        }
        ("POST", ["edit"]) => edits::single(app, user, body(request)?),
        _ => Err(not_found("control route")),
    }
}

/// Deletes everything in the drive.
pub fn wipe(app: &App, user: &User) {
    write(&user.drive).wipe(app.clock.now());
}

/// The owner, now.
fn stamp(app: &App, user: &User) -> Stamp {
    let profile = user.profile();
    Stamp { at: app.clock.now(), by: Person { name: profile.display_name, address: profile.principal_name } }
}

fn refused(path: &str, why: DriveRefusal) -> ControlError {
    match why {
        DriveRefusal::NameTaken => ControlError(409, format!("the name of '{path}' is taken")),
        DriveRefusal::NotFound => bad(format!("no such folder for '{path}'")),
        DriveRefusal::Protected => bad(format!("'{path}' cannot go there")),
    }
}

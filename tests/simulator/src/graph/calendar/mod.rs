//! Calendars and their events. Whoever writes here may write to somebody's colleagues: `notices` tells of it.

mod attachments;
mod calendars;
mod delta;
mod events;
mod filter;
mod input;
mod recurring;
pub mod view;
mod view_delta;
mod writes;

pub use attachments::attach;
pub use calendars::calendar_json;
pub use events::whole;

use super::{Call, Target};
use crate::reply::{Answer, Refusal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Calendars,
    Calendar,
    Groups,
    Group,
    GroupCalendars,
    Events,
    EventsDelta,
    View,
    ViewDelta,
    Event,
    Instances,
    Exceptions,
    Attachments,
    Attachment,
    AttachmentValue,
    UploadSession,
}

/// True if this path below a user is one of ours.
pub fn owns(words: &[&str]) -> bool {
    matches!(words.first(), Some(&("calendars" | "calendar" | "calendargroups" | "calendarview" | "events")))
}

pub fn target(mut target: Target, mut words: &[&str], mut segments: &[String]) -> Option<Target> {
    let mut base = "";
    match words {
        ["calendars", _, rest @ ..] => {
            target.folder = Some(segments[1].clone());
            (base, words, segments) = ("/calendars/{id}", rest, &segments[2..]);
        }
        ["calendar", rest @ ..] => (base, words, segments) = ("/calendar", rest, &segments[1..]),
        ["calendargroups", _, rest @ ..] => {
            target.folder = Some(segments[1].clone());
            (base, words, segments) = ("/calendarGroups/{id}", rest, &segments[2..]);
        }
        _ => {}
    }
    let (route, tail) = match words {
        [] if base == "/calendarGroups/{id}" => (Route::Group, ""),
        [] if !base.is_empty() => (Route::Calendar, ""),
        ["calendars"] if base.is_empty() => (Route::Calendars, "/calendars"),
        ["calendars"] if base == "/calendarGroups/{id}" => (Route::GroupCalendars, "/calendars"),
        ["calendargroups"] if base.is_empty() => (Route::Groups, "/calendarGroups"),
        _ if base == "/calendarGroups/{id}" => return None,
        ["calendarview"] => (Route::View, "/calendarView"),
        ["calendarview", "delta" | "microsoft.graph.delta"] => (Route::ViewDelta, "/calendarView/delta"),
        ["events"] => (Route::Events, "/events"),
        ["events", "delta" | "microsoft.graph.delta"] => (Route::EventsDelta, "/events/delta"),
        ["events", _, rest @ ..] => {
            target.message = Some(segments[1].clone());
            target.attachment = segments.get(3).cloned();
            event_route(rest)?
        }
        _ => return None,
    };
    target.route = super::Route::Calendar(route);
    target.template.push_str(base);
    target.template.push_str(tail);
    Some(target)
}

fn event_route(words: &[&str]) -> Option<(Route, &'static str)> {
    Some(match words {
        [] => (Route::Event, "/events/{id}"),
        ["instances"] => (Route::Instances, "/events/{id}/instances"),
        ["exceptionoccurrences"] => (Route::Exceptions, "/events/{id}/exceptionOccurrences"),
        ["attachments"] => (Route::Attachments, "/events/{id}/attachments"),
        ["attachments", "createuploadsession"] => {
            (Route::UploadSession, "/events/{id}/attachments/createUploadSession")
        }
        ["attachments", _] => (Route::Attachment, "/events/{id}/attachments/{id}"),
        ["attachments", _, "$value"] => (Route::AttachmentValue, "/events/{id}/attachments/{id}/$value"),
        _ => return None,
    })
}

pub fn answer(call: &Call, route: Route) -> Answer {
    match (route, call.request.method.as_str()) {
        (Route::Calendars, "GET") => calendars::list(call),
        (Route::Calendars, "POST") => calendars::create(call),
        (Route::Calendar, "GET") => calendars::one(call),
        (Route::Calendar, "DELETE") => calendars::delete(call),
        (Route::Groups, "GET") => calendars::groups(call),
        (Route::Group, "GET") => calendars::group(call),
        (Route::GroupCalendars, "GET") => calendars::list_of_group(call),
        (Route::Events, "GET") => events::list(call),
        (Route::Events, "POST") => writes::create(call),
        (Route::EventsDelta, "GET") => delta::page(call),
        (Route::View, "GET") => events::view(call),
        (Route::ViewDelta, "GET") => view_delta::page(call),
        (Route::Event, "GET") => events::one(call),
        (Route::Event, "PATCH") => writes::change(call),
        (Route::Event, "DELETE") => writes::delete(call),
        (Route::Instances, "GET") => events::instances(call),
        (Route::Exceptions, "GET") => events::exceptions(call),
        (Route::Attachments, "GET") => attachments::list(call),
        (Route::Attachments, "POST") => attachments::create(call),
        (Route::Attachment, "GET") => attachments::one(call),
        (Route::Attachment, "DELETE") => attachments::delete(call),
        (Route::AttachmentValue, "GET") => attachments::value(call),
        (Route::UploadSession, "POST") => attachments::create_session(call),
        _ => {
            call.violation("method_not_allowed", "this route has no such method");
            Err(Refusal::method())
        }
    }
}

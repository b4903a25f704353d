//! Calendars and their events. Read only: whoever writes here would write to somebody's colleagues.

mod attachments;
mod calendars;
mod delta;
mod events;
pub mod view;
mod view_delta;

pub use calendars::calendar_json;
pub use events::whole;

use super::{Call, Target};
use crate::reply::Answer;

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
        ["attachments", _] => (Route::Attachment, "/events/{id}/attachments/{id}"),
        ["attachments", _, "$value"] => (Route::AttachmentValue, "/events/{id}/attachments/{id}/$value"),
        _ => return None,
    })
}

pub fn answer(call: &Call, route: Route) -> Answer {
    match route {
        Route::Calendars => calendars::list(call),
        Route::Calendar => calendars::one(call),
        Route::Groups => calendars::groups(call),
        Route::Group => calendars::group(call),
        Route::GroupCalendars => calendars::list_of_group(call),
        Route::Events => events::list(call),
        Route::EventsDelta => delta::page(call),
        Route::View => events::view(call),
        Route::ViewDelta => view_delta::page(call),
        Route::Event => events::one(call),
        Route::Instances => events::instances(call),
        Route::Exceptions => events::exceptions(call),
        Route::Attachments => attachments::list(call),
        Route::Attachment => attachments::one(call),
        Route::AttachmentValue => attachments::value(call),
    }
}

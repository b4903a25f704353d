//! The calendars of one user and the groups they are shown in.

use super::event::Event;
use super::message::Person;
use super::shelf::Shelf;

/// Every mailbox has this one.
pub const DEFAULT_CALENDAR: u32 = 1;

pub const GROUPS: [(&str, &str); 3] = [
    ("My Calendars", "0006f0b7-0000-0000-c000-000000000046"),
    ("Other Calendars", "0006f0b8-0000-0000-c000-000000000046"),
    ("People's Calendars", "0006f0b9-0000-0000-c000-000000000046"),
];

#[derive(Clone, Debug)]
pub struct Calendar {
    pub name: String,
    /// One of the names of Outlook's colours, and what it looks like.
    pub color: (&'static str, &'static str),
    /// An index into `GROUPS`.
    pub group: usize,
    pub can_edit: bool,
    pub owner: Person,
}

impl Calendar {
    pub fn of(owner: &Person, name: &str) -> Self {
        Self { name: name.to_owned(), color: ("auto", ""), group: 0, can_edit: true, owner: owner.clone() }
    }
}

/// How the service takes a delta over all events of a calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventsDelta {
    #[default]
    Works,
    /// 400: the collection has none.
    Unsupported,
    /// 503 with nothing in it.
    Unavailable,
}

#[derive(Debug)]
pub struct Calendars {
    pub shelf: Shelf<Calendar, Event>,
    pub events_delta: EventsDelta,
    /// Pages up to this size are answered even where delta is unavailable.
    pub small_page: usize,
}

impl Calendars {
    pub fn new(guid: String, owner: &Person) -> Self {
        let mut shelf = Shelf::new(guid);
        shelf.add_container(0, Calendar::of(owner, "Calendar"));
        Self { shelf, events_delta: EventsDelta::default(), small_page: 0 }
    }

    pub fn by_name(&self, name: &str) -> Option<u32> {
        self.shelf.containers().find(|calendar| calendar.info.name == name).map(|calendar| calendar.id)
    }
}

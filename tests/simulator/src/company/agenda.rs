//! The calendars of one user: their own, the holidays, and one that a colleague shares.

use super::mail::file;
use super::{World, text};
use crate::dice::{Dice, hash};
use crate::store::calendar::{Calendar, Calendars, DEFAULT_CALENDAR};
use crate::store::event::{Attendee, Event, Online, Response, Role, Sensitivity, ShowAs};
use crate::store::message::{Attachment, AttachmentContent, Blob, Body, Charset, Importance, Message, Person};
use crate::store::recurrence::{Index, Pattern, Range, Recurrence};
use crate::store::zone::{Zone, midnight};
use chrono::{NaiveDate, Weekday};
use std::sync::Arc;

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// When the seeded events were made.
const MADE: i64 = 1_767_000_000;
/// Kinds of events that `furnish` goes through.
const KINDS: usize = 20;

pub fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default()
}

/// Fills the calendars of a user with so many events of their own, and a few that are not.
pub fn furnish(world: &World, salt: u64, owner: &Person, calendars: &mut Calendars, events: usize) {
    if events == 0 {
        return;
    }
    let colored = |name: &str, color, group, can_edit| Calendar { color, group, can_edit, ..Calendar::of(owner, name) };
    let shelf = &mut calendars.shelf;
    let projects = shelf.add_container(0, colored("Projects", ("lightBlue", "#0078d4"), 0, true));
    let holidays = shelf.add_container(0, colored("Holidays in Germany", ("lightGreen", "#5db300"), 1, false));
    let birthdays = shelf.add_container(0, colored("Birthdays", ("auto", ""), 1, false));
    let colleague = world.staff[(salt as usize + 1) % world.staff.len()].person.clone();
    let colleague = if colleague == *owner { world.outsiders[0].clone() } else { colleague };
    let name = colleague.name.clone();
    let shared = shelf.add_container(0, Calendar { group: 2, can_edit: false, ..Calendar::of(&colleague, &name) });
    for number in 0..events {
        let mut dice = Dice::of(&[world.seed, 110, salt, number as u64]);
        let event = make(world, &mut dice, owner, number);
        shelf.add(if number % 4 == 3 { projects } else { DEFAULT_CALENDAR }, event);
    }
    for (index, (title, month, date)) in HOLIDAYS.into_iter().enumerate() {
        let mut dice = Dice::of(&[world.seed, 111, salt, index as u64]);
        let base = plain(world, &mut dice, owner);
        let event = Event {
            subject: title.into(),
            show_as: ShowAs::Free,
            reminder: None,
            ..whole_day(base, day(2026, month, date), 1)
        };
        shelf.add(holidays, event);
    }
    for index in 0..3 {
        let mut dice = Dice::of(&[world.seed, 112, salt, index]);
        let who = dice.pick(&world.outsiders).clone();
        let date = day(2020, 1 + dice.below(12) as u32, 1 + dice.below(28) as u32);
        let base = Event { subject: format!("Birthday of {}", who.name), ..plain(world, &mut dice, owner) };
        shelf.add(birthdays, yearly(whole_day(base, date, 1), date));
        shelf.add(shared, plain(world, &mut dice, &colleague));
    }
}

/// (name, month, day)
const HOLIDAYS: [(&str, u32, u32); 4] = [
    ("Karfreitag", 4, 3),
    ("Tag der Arbeit", 5, 1),
    ("Tag der Deutschen Einheit", 10, 3),
    ("1. Weihnachtstag", 12, 25),
];

/// Of January 2026.
const FRIDAYS: [(Index, u32); 5] =
    [(Index::First, 2), (Index::Second, 9), (Index::Third, 16), (Index::Fourth, 23), (Index::Last, 30)];

/// An hour on a day of 2026, of which nothing is special.
pub fn plain(world: &World, dice: &mut Dice, owner: &Person) -> Event {
    let date = midnight(day(2026, 1, 5)) + dice.below(350) as i64 * DAY;
    let start = date + (8 + dice.below(9) as i64) * HOUR;
    let paragraphs = 1 + dice.below(3);
    let content = text::paragraphs(dice, Charset::Utf8, paragraphs);
    let uid = format!("040000008200E00074C5B7101A82E00800000000{:016X}{:016X}", dice.next_u64(), dice.next_u64());
    let categories = if dice.percent(20) { vec![dice.word(&text::CATEGORIES).to_owned()] } else { Vec::new() };
    Event {
        subject: text::subject(dice, Charset::Utf8),
        body: Body { html: true, content: format!("<html><body><p>{content}</p></body></html>") },
        start,
        end: start + HOUR,
        zone: Zone::WestEurope,
        location: if dice.percent(50) { format!("Room {}", dice.below(30)) } else { String::new() },
        organizer: Some(owner.clone()),
        own: true,
        response: Response::Organizer,
        categories,
        importance: if dice.percent(10) { Importance::High } else { Importance::Normal },
        reminder: Some(15),
        response_requested: true,
        ical_uid: uid,
        transaction_id: dice.percent(40).then(|| super::populate::guid(&[world.seed, dice.next_u64()])),
        created: MADE,
        modified: MADE + dice.below(1_000_000) as i64,
        ..Event::default()
    }
}

fn make(world: &World, dice: &mut Dice, owner: &Person, number: usize) -> Event {
    let base = plain(world, dice, owner);
    match number % KINDS {
        0 => team_meeting(base, dice),
        1 => standup(base),
        2 => monthly(base, dice),
        3 => {
            let (index, first) = *dice.pick(&FRIDAYS);
            let pattern = Pattern::RelativeMonthly { weekday: Weekday::Fri, index };
            series(base, pattern, day(2026, 1, first), Range::Numbered(12))
        }
        4 => yearly(whole_day(base, day(2026, 6, 14), 1), day(2026, 6, 14)),
        5 => {
            let pattern = Pattern::RelativeYearly { weekday: Weekday::Tue, index: Index::Second, month: 11 };
            let base = Event { zone: Zone::Eastern, ..base };
            series(base, pattern, day(2026, 11, 10), Range::EndDate(day(2031, 12, 31)))
        }
        6 => Event { sensitivity: Sensitivity::Personal, ..whole_day(base, day(2026, 3, 29), 1) },
        7 => Event { show_as: ShowAs::OutOfOffice, ..whole_day(base, day(2026, 8, 3), 12) },
        8 => online(with_guests(world, dice, base, 5), dice),
        9 => with_files(dice, base, 2),
        10 => with_item_and_link(dice, base, owner),
        11 => {
            let base = Event { zone: Zone::Custom, ..base };
            series(base, Pattern::Weekly { days: vec![Weekday::Thu] }, day(2026, 1, 8), Range::Numbered(20))
        }
        12 => {
            let content = "<html><body><p onclick=\"go()\">Agenda</p><script>track()</script></body></html>".into();
            Event { body: Body { html: true, content }, ..base }
        }
        13 => Event { is_draft: true, attendees: guests(world, dice, 2, false), ..base },
        14 => Event {
            is_cancelled: true,
            subject: format!("Canceled: {}", base.subject),
            ..with_guests(world, dice, base, 2)
        },
        15 => invited(world, dice, base, owner),
        16 => {
            Event { sensitivity: Sensitivity::Private, body: Body { html: false, content: "just me".into() }, ..base }
        }
        17 => Event { zone: Zone::Tokyo, show_as: ShowAs::WorkingElsewhere, ..base },
        18 => Event { sensitivity: Sensitivity::Confidential, reminder: None, ..with_guests(world, dice, base, 3) },
        _ => Event { show_as: ShowAs::Tentative, hide_attendees: true, ..with_guests(world, dice, base, 1) },
    }
}

fn whole_day(event: Event, date: NaiveDate, days: i64) -> Event {
    let start = midnight(date);
    Event { all_day: true, start, end: start + days * DAY, zone: Zone::WestEurope, ..event }
}

pub fn series(event: Event, pattern: Pattern, first: NaiveDate, range: Range) -> Event {
    let length = event.end - event.start;
    let start = midnight(first) + event.start.rem_euclid(DAY);
    let recurrence = Some(Recurrence::new(pattern, first, range, event.zone));
    Event { start, end: start + length, recurrence, ..event }
}

fn yearly(event: Event, first: NaiveDate) -> Event {
    use chrono::Datelike;
    let pattern = Pattern::AbsoluteYearly { day: first.day(), month: first.month() };
    series(event, pattern, first, Range::NoEnd)
}

// Goes on across both changes of summer time, with a date cancelled right behind the first.
fn team_meeting(base: Event, dice: &mut Dice) -> Event {
    let pattern = Pattern::Weekly { days: vec![Weekday::Mon, Weekday::Wed] };
    let mut event = series(base, pattern, day(2026, 1, 5), Range::NoEnd);
    event.cancelled.extend([day(2026, 3, 30), day(2026, 5, 6), day(2026, 10, 26)]);
    let moved = event.occurrence(day(2026, 2, 4));
    let mut moved = Event { start: moved.start + DAY, end: moved.end + DAY, ..moved };
    moved.attach(made_file(dice, "Minutes.docx"));
    let renamed = event.occurrence(day(2026, 4, 1));
    let renamed = Event { subject: format!("{} (with guests)", renamed.subject), ..renamed };
    event.exceptions.insert(day(2026, 2, 4), Arc::new(moved));
    event.exceptions.insert(day(2026, 4, 1), Arc::new(renamed));
    event
}

fn standup(base: Event) -> Event {
    let mut event = series(base, Pattern::Daily, day(2026, 3, 20), Range::Numbered(20));
    event.cancelled.insert(day(2026, 3, 28));
    event
}

fn monthly(base: Event, dice: &mut Dice) -> Event {
    let range = Range::EndDate(day(2026, 12, 31));
    let mut event = series(base, Pattern::AbsoluteMonthly { day: 15 }, day(2026, 1, 15), range);
    event.attach(made_file(dice, "Template.xlsx"));
    let mut changed = event.occurrence(day(2026, 7, 15));
    changed.location = "Garden".into();
    changed.attach(made_file(dice, "July.xlsx"));
    event.exceptions.insert(day(2026, 7, 15), Arc::new(changed));
    event
}

fn guests(world: &World, dice: &mut Dice, n: u64, answered: bool) -> Vec<Attendee> {
    (0..n)
        .map(|index| {
            let inside = dice.percent(60);
            let person =
                if inside { dice.pick(&world.staff).person.clone() } else { dice.pick(&world.outsiders).clone() };
            let at = MADE + 3600 * dice.below(100) as i64;
            let response = match dice.below(4) {
                _ if !answered => Response::None,
                0 => Response::Accepted(at),
                1 => Response::Tentative(at),
                2 => Response::Declined(at),
                _ => Response::NotResponded,
            };
            let role = if index == 1 { Role::Optional } else { Role::Required };
            Attendee { person, role, response }
        })
        .collect()
}

fn with_guests(world: &World, dice: &mut Dice, event: Event, n: u64) -> Event {
    let mut attendees = guests(world, dice, n, true);
    if n > 3 {
        let address = format!("room{}@{}", dice.below(9), world.domain);
        let person = Person { name: "Meeting room".into(), address };
        attendees.push(Attendee { person, role: Role::Resource, response: Response::Accepted(MADE) });
    }
    Event { attendees, ..event }
}

fn invited(world: &World, dice: &mut Dice, event: Event, owner: &Person) -> Event {
    let organizer = Some(dice.pick(&world.outsiders).clone());
    let response = Response::Tentative(MADE + 600);
    let mut attendees = guests(world, dice, 2, true);
    attendees.push(Attendee { person: owner.clone(), role: Role::Required, response });
    Event { organizer, own: false, response, attendees, transaction_id: None, ..event }
}

fn online(event: Event, dice: &mut Dice) -> Event {
    let online = Online {
        join_url: format!("https://teams.example/l/meetup-join/19%3ameeting_{:016x}%40thread.v2/0", dice.next_u64()),
        conference_id: format!("{:09}", dice.below(1_000_000_000)),
        toll_number: "+49 30 00000000".into(),
    };
    Event { online: Some(online), location: "Microsoft Teams Meeting".into(), ..event }
}

fn made_file(dice: &mut Dice, name: &str) -> Attachment {
    let number = dice.below(12);
    let len = 1500 + (hash(&[number, 13]) % 20_000) as usize;
    file(name, "application/octet-stream", Blob::Made { seed: hash(&[14, number]), len, text: false })
}

fn with_files(dice: &mut Dice, mut event: Event, n: usize) -> Event {
    for index in 0..n {
        event.attach(made_file(dice, &format!("Agenda {index}.pdf")));
    }
    event
}

fn with_item_and_link(dice: &mut Dice, mut event: Event, owner: &Person) -> Event {
    let nested = Message {
        subject: text::subject(dice, Charset::Utf8),
        body: Body { html: false, content: text::paragraphs(dice, Charset::Utf8, 1) },
        from: Some(owner.clone()),
        internet_message_id: format!("<{:016x}@nested.example>", dice.next_u64()),
        sent: MADE,
        received: MADE,
        ..Message::default()
    };
    let name = nested.subject.clone();
    let mail = Attachment { content: AttachmentContent::Item(Box::new(nested)), ..made_file(dice, &name) };
    event.attach(Attachment { content_type: "message/rfc822".into(), ..mail });
    let link = Attachment { content: AttachmentContent::Reference, ..made_file(dice, "Plan on the drive.docx") };
    event.attach(Attachment { content_type: String::new(), ..link });
    event
}

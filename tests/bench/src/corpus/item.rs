//! Calendar events and contacts as Microsoft Graph writes them.

use rand::Rng;
use serde_json::json;

use super::World;
use super::mail::token;

pub fn event(world: &mut World, user: &str) -> Vec<u8> {
    let (dice, prose) = (&mut world.dice, &world.prose);
    let (month, day, hour) = (dice.random_range(1..=12), dice.random_range(1..=28), dice.random_range(7..18));
    let attendees: Vec<_> = (0..dice.random_range(1..=14))
        .map(|_| {
            let (n, answer) = (dice.random_range(0..500), ["none", "accepted", "declined"][dice.random_range(0..3)]);
            json!({
                "type": "required", "status": { "response": answer, "time": "0001-01-01T00:00:00Z" },
                "emailAddress": { "name": format!("Person {n}"), "address": format!("person{n}@contoso.example") },
            })
        })
        .collect();
    let body = format!(
        "<html><head></head><body><p>{}</p><p>Microsoft Teams meeting</p>\
         <a href=\"https://teams.microsoft.com/l/meetup-join/19%3ameeting_{}\">Join</a></body></html>",
        prose.paragraph(dice, 1..=8),
        token(dice, 60)
    );
    let event = json!({
        "@odata.etag": format!("W/\"{}\"", token(dice, 32)),
        "id": format!("AAMkAG{}", token(dice, 140)),
        "changeKey": token(dice, 40),
        "iCalUId": format!("040000008200E00074C5B7101A82E008{}", token(dice, 80)),
        "createdDateTime": format!("2023-{month:02}-{day:02}T08:00:00Z"),
        "originalStartTimeZone": "W. Europe Standard Time", "reminderMinutesBeforeStart": 15, "isReminderOn": true,
        "hasAttachments": false, "importance": "normal", "sensitivity": "normal", "isAllDay": false,
        "isCancelled": false, "isOrganizer": true, "responseRequested": true, "showAs": "busy",
        "type": "singleInstance", "isOnlineMeeting": true, "onlineMeetingProvider": "teamsForBusiness",
        "subject": prose.sentence(dice, 2..=6),
        "bodyPreview": prose.sentence(dice, 6..=24),
        "body": { "contentType": "html", "content": body },
        "start": { "dateTime": format!("2023-{month:02}-{day:02}T{hour:02}:00:00.0000000"), "timeZone": "UTC" },
        "end": { "dateTime": format!("2023-{month:02}-{day:02}T{hour:02}:30:00.0000000"), "timeZone": "UTC" },
        "location": { "displayName": format!("Room {}", dice.random_range(1..=40)), "locationType": "default" },
        "attendees": attendees,
        "organizer": { "emailAddress": { "name": user, "address": format!("{user}@contoso.example") } },
    });
    event.to_string().into_bytes()
}

pub fn contact(world: &mut World) -> Vec<u8> {
    let (dice, prose) = (&mut world.dice, &world.prose);
    let contact = json!({
        "@odata.etag": format!("W/\"{}\"", token(dice, 32)),
        "id": format!("AAMkAG{}", token(dice, 140)),
        "changeKey": token(dice, 40),
        "parentFolderId": format!("AAMkAG{}", token(dice, 120)),
        "displayName": format!("{} {}", prose.name(dice), prose.name(dice)),
        "jobTitle": prose.sentence(dice, 1..=3),
        "companyName": prose.sentence(dice, 1..=3),
        "businessPhones": [format!("+49 {}", dice.random_range(100_000_000u64..9_999_999_999))],
        "personalNotes": prose.paragraph(dice, 0..=2),
        "emailAddresses": [{ "name": "x", "address": format!("p{}@partner.example", dice.random_range(0..9999)) }],
        "businessAddress": { "street": prose.sentence(dice, 1..=2), "city": "Berlin" },
    });
    contact.to_string().into_bytes()
}

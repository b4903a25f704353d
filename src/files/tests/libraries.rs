//! Calendars and cards as libraries read them that know nothing of kodo.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};

use crate::features::{Form, Label, Piece};
use crate::files::{calendar, contact};

const MODULES: &str = "import icalendar, vobject";

/// The Python that script/setup furnished, or any other that has the modules; `None`, with a word of it, without one.
fn python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python3");
    let has_modules = |python: &PathBuf| {
        Command::new(python).args(["-c", MODULES]).output().is_ok_and(|output| output.status.success())
    };
    let found = [own, PathBuf::from("python3")].into_iter().find(has_modules);
    if found.is_none() {
        println!("skipped: there is no python3 that can \"{MODULES}\" (script/setup installs them, given a network)");
    }
    found
}

/// What the libraries say of texts with these endings.
fn read(files: &[(&str, String)]) -> Option<Vec<Value>> {
    let python = python()?;
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> =
        files.iter().enumerate().map(|(at, (ending, _))| dir.path().join(format!("{at:04}.{ending}"))).collect();
    for (path, (_, text)) in paths.iter().zip(files) {
        std::fs::write(path, text).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/read_files.py");
    let output = Command::new(python).arg(script).args(&paths).output().unwrap();
    assert!(output.status.success(), "{}\n{files:?}", String::from_utf8_lossy(&output.stderr));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    Some(paths.iter().map(|path| all[path.to_str().unwrap()].clone()).collect())
}

fn series() -> Value {
    let at = |time: &str| json!({"dateTime": time, "timeZone": "W. Europe Standard Time"});
    json!({
        "id": "AAMk", "iCalUId": "040000008200E00074C5B7101A82E008", "type": "seriesMaster", "subject": "Jour fixe, täglich; \"neu\"",
        "body": {"contentType": "html", "content": "<html><body><p>Agenda:</p><p>1. Ziele &amp; Zahlen</p></body></html>"},
        "start": at("2026-03-16T09:00:00.0000000"), "end": at("2026-03-16T10:00:00.0000000"), "isAllDay": false,
        "createdDateTime": "2026-01-02T03:04:05Z", "lastModifiedDateTime": "2026-01-03T03:04:05Z",
        "organizer": {"emailAddress": {"name": "Ann Lee", "address": "ann@example.com"}},
        "attendees": [
            {"type": "required", "status": {"response": "accepted"}, "emailAddress": {"name": "Doe, Jo", "address": "jo@example.com"}},
            {"type": "optional", "status": {"response": "none"}, "emailAddress": {"name": "Ex", "address": "/O=EX/CN=RECIPIENTS/CN=X"}},
        ],
        "categories": ["Blau, hell", "Rot"], "isReminderOn": true, "reminderMinutesBeforeStart": 30,
        "onlineMeeting": {"joinUrl": "https://teams.example.com/l/meetup-join/19%3a?context=%7b%22Tid%22%3a%221%22%7d"},
        "recurrence": {
            "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "monday"},
            "range": {"type": "endDate", "startDate": "2026-03-16", "endDate": "2026-04-20"},
        },
        "cancelledOccurrences": ["OID.AAMk.x=.2026-03-23"],
        "exceptionOccurrences": [{
            "id": "o", "subject": "Verschoben", "originalStart": "2026-04-06T07:00:00Z", "isAllDay": false,
            "start": at("2026-04-07T11:00:00.0000000"), "end": at("2026-04-07T12:00:00.0000000"),
        }],
        "attachments": [{"id": "att1", "name": "Plan ä.txt"}, {"id": "att2", "name": "Fehlt.txt"}],
    })
}

fn attached() -> Piece {
    let label = Label {
        owner: "AAMk".into(),
        id: "att1".into(),
        form: Form::Content,
        name: "Plan ä.txt".into(),
        content_type: "text/plain".into(),
        inline: false,
    };
    Piece { label, content: Bytes::from_static(b"hello") }
}

#[test]
fn a_series_is_read_with_its_exceptions_its_cancelled_dates_and_summer_time() {
    let Some(read) = read(&[("ics", calendar::file(&series(), &[attached()]))]) else { return };

    let events = read[0].as_array().unwrap();
    let (master, exception) = (&events[0], &events[1]);
    assert_eq!(master["summary"], "Jour fixe, täglich; \"neu\"");
    assert_eq!(master["cancelled"], json!(["2026-03-23T08:00:00+00:00"]));
    // Without the cancelled one; by the clock of UTC an hour earlier since summer time began on 29 March.
    assert_eq!(
        master["occurrences"],
        json!([
            "2026-03-16T08:00:00+00:00",
            "2026-03-30T07:00:00+00:00",
            "2026-04-06T07:00:00+00:00",
            "2026-04-13T07:00:00+00:00",
            "2026-04-20T07:00:00+00:00",
        ])
    );
    assert_eq!(master["attendees"][0], json!(["mailto:jo@example.com", "Doe, Jo", "ACCEPTED"]));
    assert_eq!(master["categories"], json!(["Blau, hell", "Rot"]));
    assert!(master["description"].as_str().unwrap().contains("Ziele & Zahlen"), "{master}");
    assert_eq!(master["attached"], json!([["Plan ä.txt", "aGVsbG8="]]));
    assert_eq!(exception["uid"], master["uid"]);
    assert_eq!(exception["recurrence_id"], "2026-04-06T07:00:00+00:00");
    assert_eq!(exception["start"], "2026-04-07T09:00:00+00:00");
}

#[test]
fn whole_days_and_times_of_no_known_zone_are_read() {
    let at = |time: &str, zone: &str| json!({"dateTime": time, "timeZone": zone});
    let days = json!({
        "id": "d", "subject": "Urlaub", "isAllDay": true, "start": at("2026-08-03T00:00:00", "W. Europe Standard Time"),
        "end": at("2026-08-15T00:00:00", "W. Europe Standard Time"),
    });
    let custom = json!({
        "id": "c", "subject": "x", "start": at("2026-08-03T08:00:00", "Zone: \"9\""), "end": at("2026-08-03T09:00:00", "UTC"),
    });

    let Some(read) = read(&[("ics", calendar::file(&days, &[])), ("ics", calendar::file(&custom, &[]))]) else {
        return;
    };

    assert_eq!((&read[0][0]["start"], &read[0][0]["end"]), (&json!("2026-08-03"), &json!("2026-08-15")));
    assert_eq!(read[1][0]["start"], "2026-08-03T08:00:00");
    assert_eq!(read[1][0]["end"], "2026-08-03T09:00:00+00:00");
}

#[test]
fn a_calendar_of_many_items_defines_a_zone_once() {
    let mut calendar = calendar::Calendar::default();
    let items: String = (0..3).map(|_| calendar.item(&series(), &[])).collect();
    let text = [calendar::Calendar::begin(), &items, calendar::Calendar::end()].concat();
    assert_eq!(text.matches("BEGIN:VTIMEZONE").count(), 1);

    let Some(read) = read(&[("ics", text)]) else { return };

    assert_eq!(read[0].as_array().unwrap().len(), 6);
}

fn contact_of(words: &[String]) -> Value {
    let word = |at: usize| words.get(at).cloned().unwrap_or_default();
    json!({
        "id": "c", "displayName": word(0), "givenName": word(1), "surname": word(2), "companyName": word(3),
        "emailAddresses": [{"name": word(4), "address": "eva@example.com"}], "businessPhones": ["+49 228 1"],
        "homeAddress": {"street": word(5), "city": "Bonn"}, "categories": [word(6), "B"], "personalNotes": word(7),
        "birthday": "1980-02-29T11:59:00Z",
    })
}

#[test]
fn a_contact_is_read_with_its_photo() {
    let words = ["Eva Muster", "Eva", "Muster", "Contoso; AG", "Eva", "Weg 1\nHof", "A,1", "Zeile 1\r\nZeile 2"];
    let contact = contact_of(&words.map(str::to_owned));
    let photo = Bytes::from(vec![0xff_u8; 5000]);

    let Some(read) = read(&[("vcf", contact::card(&contact, Some(&photo)))]) else { return };

    assert_eq!(
        read[0][0],
        json!({
            "name": "Eva Muster", "family": "Muster", "given": "Eva", "emails": ["eva@example.com"],
            "phones": ["+49 228 1"], "addresses": ["Bonn"], "categories": ["A,1", "B"],
            "note": "Zeile 1\nZeile 2", "photo_bytes": 5000,
        })
    );
}

/// Texts that people write, and some that nobody should.
fn any_words() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        any::<String>(),
        Just("a\\,;:\"^n\r\n\tb".to_owned()),
        Just("BEGIN:VEVENT\r\nEND:VCARD\n".to_owned()),
        Just("ä".repeat(100)),
    ];
    prop::collection::vec(word, 8)
}

#[test]
fn whatever_people_wrote_the_libraries_read_all_files() {
    let mut runner = proptest::test_runner::TestRunner::default();
    let mut files = Vec::new();
    for _ in 0..60 {
        let words = any_words().new_tree(&mut runner).unwrap().current();
        let mut event = series();
        event["subject"] = json!(words[0]);
        event["body"]["content"] = json!(words[1]);
        event["location"] = json!({ "displayName": words[2] });
        event["categories"] = json!([words[3]]);
        event["attendees"][0]["emailAddress"] = json!({"name": words[4], "address": words[5]});
        event["attachments"][0]["name"] = json!(words[6]);
        files.push(("ics", calendar::file(&event, &[attached()])));
        files.push(("vcf", contact::card(&contact_of(&words), None)));
    }

    let Some(read) = read(&files) else { return };

    for (read, (ending, text)) in read.iter().zip(&files) {
        let expected = if *ending == "ics" { 2 } else { 1 };
        assert_eq!(read.as_array().unwrap().len(), expected, "{text}");
    }
}

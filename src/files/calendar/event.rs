//! One event, or one exception of a series, as a component of a calendar.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use mail_parser::decoders::html::html_to_text;
use serde_json::Value;

use super::moment::Moment;
use super::recurrence;
use crate::features::{Form, Piece};
use crate::files::json::{instant, text, texts};
use crate::files::lines::{Lines, escaped};

/// What exceptions take from their series.
pub(super) struct Master {
    uid: String,
    start: Option<Moment>,
}

impl Master {
    pub(super) fn of(item: &Value) -> Self {
        Self { uid: uid(item), start: Moment::of(&item["start"], item["isAllDay"] == true) }
    }
}

/// Whose event it is.
pub(super) enum Place<'a> {
    Alone,
    In(&'a Master),
}

pub(super) fn write(event: &Value, place: &Place<'_>, attached: &[Piece], zones: &mut Vec<Tz>, out: &mut Lines) {
    let all_day = event["isAllDay"] == true;
    let start = Moment::of(&event["start"], all_day);
    let end = Moment::of(&event["end"], all_day);
    zones.extend([&start, &end].into_iter().flatten().filter_map(Moment::zone));
    out.raw("BEGIN", "VEVENT");
    match place {
        Place::Alone => out.text("UID", &uid(event)),
        Place::In(master) => {
            out.text("UID", &master.uid);
            let original = instant(&event["originalStart"]);
            if let (Some(original), Some(begins)) = (original, master.start.as_ref()) {
                begins.at(original).write("RECURRENCE-ID", out);
            }
        }
    }
    times(event, start.as_ref(), end.as_ref(), out);
    words(event, out);
    standing(event, out);
    people(event, out);
    links(event, out);
    reminder(event, out);
    attachments(event, attached, out);
    out.raw("END", "VEVENT");
}

/// Graph's own id stands in for a name that an event has nowhere else.
fn uid(event: &Value) -> String {
    let uid = text(&event["iCalUId"]);
    if uid.is_empty() { text(&event["id"]).to_owned() } else { uid.to_owned() }
}

fn times(event: &Value, start: Option<&Moment>, end: Option<&Moment>, out: &mut Lines) {
    let modified = instant(&event["lastModifiedDateTime"]);
    let stamp = |time: DateTime<Utc>| time.format("%Y%m%dT%H%M%SZ").to_string();
    out.raw("DTSTAMP", &stamp(modified.unwrap_or_default()));
    if let Some(created) = instant(&event["createdDateTime"]) {
        out.raw("CREATED", &stamp(created));
    }
    if let Some(modified) = modified {
        out.raw("LAST-MODIFIED", &stamp(modified));
    }
    let Some(start) = start else { return };
    start.write("DTSTART", out);
    if let Some(end) = end {
        end.write("DTEND", out);
    }
    if event["recurrence"].is_object() {
        match recurrence::rule(&event["recurrence"], start) {
            Some(rule) => out.raw("RRULE", &rule),
            None => out.text("X-KODO-RECURRENCE", &event["recurrence"].to_string()),
        }
    }
    for cancelled in texts(&event["cancelledOccurrences"]) {
        // "OID.", the id of the series, which may have dots, and the day.
        let day = cancelled.rsplit('.').next().and_then(|day| day.parse::<NaiveDate>().ok());
        if let Some(day) = day {
            start.on(day).write("EXDATE", out);
        }
    }
}

fn words(event: &Value, out: &mut Lines) {
    out.text("SUMMARY", text(&event["subject"]));
    out.text_if_any("LOCATION", text(&event["location"]["displayName"]));
    let body = text(&event["body"]["content"]);
    if text(&event["body"]["contentType"]).eq_ignore_ascii_case("html") {
        out.text_if_any("DESCRIPTION", html_to_text(body).trim());
        if !body.trim().is_empty() {
            out.with("X-ALT-DESC", &[("FMTTYPE", "text/html")], &escaped(body));
        }
    } else {
        out.text_if_any("DESCRIPTION", body);
    }
    let categories: Vec<String> = texts(&event["categories"]).into_iter().map(escaped).collect();
    if !categories.is_empty() {
        out.raw("CATEGORIES", &categories.join(","));
    }
}

fn standing(event: &Value, out: &mut Lines) {
    match text(&event["importance"]) {
        "high" => out.raw("PRIORITY", "1"),
        "low" => out.raw("PRIORITY", "9"),
        _ => {}
    }
    let class = match text(&event["sensitivity"]) {
        "personal" | "private" => "PRIVATE",
        "confidential" => "CONFIDENTIAL",
        _ => "PUBLIC",
    };
    out.raw("CLASS", class);
    let shown = text(&event["showAs"]);
    out.raw("TRANSP", if shown == "free" { "TRANSPARENT" } else { "OPAQUE" });
    let status = match (event["isCancelled"] == true, shown) {
        (true, _) => "CANCELLED",
        (false, "tentative") => "TENTATIVE",
        (false, _) => "CONFIRMED",
    };
    out.raw("STATUS", status);
    let busy = match shown {
        "free" => "FREE",
        "tentative" => "TENTATIVE",
        "oof" => "OOF",
        "workingElsewhere" => "WORKINGELSEWHERE",
        _ => "BUSY",
    };
    out.raw("X-MICROSOFT-CDO-BUSYSTATUS", busy);
}

fn people(event: &Value, out: &mut Lines) {
    let organizer = &event["organizer"]["emailAddress"];
    if let Some(address) = mailto(organizer) {
        out.with("ORGANIZER", &[("CN", text(&organizer["name"]))], &address);
    }
    for attendee in event["attendees"].as_array().into_iter().flatten() {
        let person = &attendee["emailAddress"];
        let Some(address) = mailto(person) else { continue };
        let (kind, role) = match text(&attendee["type"]) {
            "resource" => ("RESOURCE", "NON-PARTICIPANT"),
            "optional" => ("INDIVIDUAL", "OPT-PARTICIPANT"),
            _ => ("INDIVIDUAL", "REQ-PARTICIPANT"),
        };
        let status = match text(&attendee["status"]["response"]) {
            "accepted" | "organizer" => "ACCEPTED",
            "declined" => "DECLINED",
            "tentativelyAccepted" => "TENTATIVE",
            _ => "NEEDS-ACTION",
        };
        let parameters = [("CN", text(&person["name"])), ("CUTYPE", kind), ("ROLE", role), ("PARTSTAT", status)];
        out.with("ATTENDEE", &parameters, &address);
    }
}

/// What is no address in the world, such as one of Exchange's own, is one of no scheme that anybody would write to.
fn mailto(person: &Value) -> Option<String> {
    let address: String = text(&person["address"]).chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    match address.as_str() {
        "" => (!text(&person["name"]).is_empty()).then(|| "invalid:nomail".to_owned()),
        _ if address.contains('@') => Some(format!("mailto:{address}")),
        _ => Some(format!("x500:{address}")),
    }
}

fn links(event: &Value, out: &mut Lines) {
    let told = [&event["onlineMeeting"]["joinUrl"], &event["onlineMeetingUrl"]];
    if let Some(join) = told.map(text).into_iter().find(|url| !url.is_empty()) {
        out.with("CONFERENCE", &[("VALUE", "URI"), ("FEATURE", "VIDEO")], join);
        out.raw("X-MICROSOFT-SKYPETEAMSMEETINGURL", join);
    }
    let link = text(&event["webLink"]);
    if !link.is_empty() {
        out.raw("URL", link);
    }
}

fn reminder(event: &Value, out: &mut Lines) {
    if event["isReminderOn"] != true {
        return;
    }
    let minutes = event["reminderMinutesBeforeStart"].as_i64().unwrap_or(15);
    out.raw("BEGIN", "VALARM");
    out.raw("ACTION", "DISPLAY");
    out.text("DESCRIPTION", text(&event["subject"]));
    let sign = if minutes < 0 { "" } else { "-" };
    out.raw("TRIGGER", &format!("{sign}PT{}M", minutes.unsigned_abs()));
    out.raw("END", "VALARM");
}

fn attachments(event: &Value, attached: &[Piece], out: &mut Lines) {
    for attachment in event["attachments"].as_array().into_iter().flatten() {
        let (id, name) = (text(&attachment["id"]), text(&attachment["name"]));
        let is_its = |piece: &&Piece| piece.label.id == id && piece.label.form == Form::Content;
        let address = [&attachment["sourceUrl"], &attachment["contentLocation"]].map(text);
        let address = address.into_iter().find(|address| address.contains("://"));
        match (attached.iter().find(is_its), address) {
            (Some(piece), _) => {
                let parameters = [
                    ("FMTTYPE", media_type(&piece.label.content_type)),
                    ("ENCODING", "BASE64"),
                    ("VALUE", "BINARY"),
                    ("X-FILENAME", name),
                ];
                out.with("ATTACH", &parameters, &STANDARD.encode(&piece.content));
            }
            (None, Some(address)) => out.with("ATTACH", &[("X-FILENAME", name)], address),
            (None, None) => out.text("X-KODO-ATTACHMENT-NOT-INCLUDED", name),
        }
    }
}

fn media_type(told: &str) -> &str {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+.".contains(&b));
    match told.split_once('/') {
        Some((kind, rest)) if plain(kind) && plain(rest) => told,
        Some(_) | None => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::files::calendar::file;

    fn lines(text: &str) -> Vec<String> {
        text.replace("\r\n ", "").split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn an_exception_carries_the_name_of_its_series_and_the_start_it_had() {
        let at = |time: &str| json!({"dateTime": time, "timeZone": "W. Europe Standard Time"});
        let series = json!({
            "id": "e", "iCalUId": "uid-1", "type": "seriesMaster", "subject": "Plan; daily",
            "start": at("2026-03-23T09:00:00"), "end": at("2026-03-23T10:00:00"), "isAllDay": false,
            "recurrence": {
                "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "monday"},
                "range": {"type": "noEnd"},
            },
            "cancelledOccurrences": ["OID.AAMk.x=.2026-04-13"],
            "exceptionOccurrences": [{
                "id": "o", "iCalUId": "uid-2", "subject": "Moved", "originalStart": "2026-03-30T07:00:00Z",
                "start": at("2026-03-31T09:00:00"), "end": at("2026-03-31T10:00:00"),
            }],
        });

        let written = file(&series, &[]);

        let lines = lines(&written);
        let has = |line: &str| assert!(lines.iter().any(|have| have == line), "{line} is not in {written}");
        assert_eq!(lines.iter().filter(|line| *line == "UID:uid-1").count(), 2);
        assert_eq!(lines.iter().filter(|line| *line == "BEGIN:VTIMEZONE").count(), 1);
        has("RRULE:FREQ=WEEKLY;INTERVAL=1;BYDAY=MO;WKST=MO");
        has("EXDATE;TZID=Europe/Berlin:20260413T090000");
        has("RECURRENCE-ID;TZID=Europe/Berlin:20260330T090000");
        has("SUMMARY:Plan\\; daily");
    }

    #[test]
    fn an_event_of_nothing_is_still_one() {
        let written = file(&json!({"id": "e"}), &[]);

        assert!(written.contains("UID:e\r\n") && written.ends_with("END:VEVENT\r\nEND:VCALENDAR\r\n"), "{written}");
    }
}

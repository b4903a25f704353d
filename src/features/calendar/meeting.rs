//! What is kept of a meeting in the text of the event that is made of it: who organised it, who was invited and what
//! they answered, and where it took place online. Pure.
//!
//! Microsoft mails an invitation to every attendee of an event that is created, and makes a new online meeting where one
//! is asked for. A restored event has neither; people find what was at the end of its text.

use serde_json::{Value, json};

use crate::features::exchange::text;

/// The element around what is kept. Outlook puts `x_` before it when it takes a text over into another one.
const ELEMENT: &str = "kodo-original-meeting\"";
const HEAD: &str = "Kept by KODO of the original meeting";
const FOOT: &str = "End of what KODO kept";

/// The body of the restored event. What an earlier restore kept of the same meeting is replaced.
pub(super) fn body(event: &Value) -> Value {
    let content = text(&event["body"]["content"]);
    let html = !text(&event["body"]["contentType"]).eq_ignore_ascii_case("text");
    let kept = lines(event);
    let content = match (kept.is_empty(), html) {
        (true, _) => content.to_owned(),
        (false, true) => inserted(&without_element(content), &element(&kept)),
        (false, false) => {
            format!("{}\r\n\r\n--- {HEAD} ---\r\n{}\r\n--- {FOOT} ---\r\n", without_lines(content), kept.join("\r\n"))
        }
    };
    json!({ "contentType": if html { "html" } else { "text" }, "content": content })
}

/// What a report says of attendees that do not come back as such.
pub(super) fn remarks(event: &Value) -> Vec<String> {
    let mut remarks = Vec::new();
    let n_attendees = event["attendees"].as_array().map_or(0, Vec::len);
    if n_attendees > 0 {
        remarks.push(format!("its {n_attendees} attendees are named in its text: Microsoft would invite them anew"));
    } else if event["isOrganizer"] == false {
        remarks.push("its organiser is named in its text".to_owned());
    }
    if join_url(event).is_some() {
        remarks.push("the link of its online meeting stands in its text; no new meeting is made".to_owned());
    }
    if event["isCancelled"] == true {
        remarks.push("Microsoft lets nobody mark an event as cancelled".to_owned());
    }
    remarks
}

fn join_url(event: &Value) -> Option<&str> {
    [&event["onlineMeeting"]["joinUrl"], &event["onlineMeetingUrl"]].into_iter().map(text).find(|url| !url.is_empty())
}

/// Empty for an event that is no meeting.
fn lines(event: &Value) -> Vec<String> {
    let attendees = event["attendees"].as_array().map(Vec::as_slice).unwrap_or_default();
    let invited = event["isOrganizer"] == false;
    let mut lines = Vec::new();
    if !attendees.is_empty() || invited {
        lines.push(format!("Organiser: {}", person(&event["organizer"])));
    }
    if invited {
        lines.push(format!("Answer from this calendar: {}", answer(&event["responseStatus"])));
    }
    for attendee in attendees {
        let role = Some(text(&attendee["type"])).filter(|role| !role.is_empty()).unwrap_or("required");
        lines.push(format!("Attendee ({role}): {}: {}", person(attendee), answer(&attendee["status"])));
    }
    if let Some(url) = join_url(event) {
        lines.push(format!("Online meeting: {url}"));
    }
    for (name, what) in [("conferenceId", "Conference id"), ("tollNumber", "Telephone")] {
        let value = text(&event["onlineMeeting"][name]);
        if !value.is_empty() {
            lines.push(format!("{what}: {value}"));
        }
    }
    lines
}

fn person(recipient: &Value) -> String {
    let (name, address) = (text(&recipient["emailAddress"]["name"]), text(&recipient["emailAddress"]["address"]));
    match (name.is_empty() || name == address, address.is_empty()) {
        (true, true) => "not known".to_owned(),
        (true, false) => address.to_owned(),
        (false, true) => name.to_owned(),
        (false, false) => format!("{name} <{address}>"),
    }
}

fn answer(status: &Value) -> String {
    let response = text(&status["response"]);
    let response = if response.is_empty() { "none" } else { response };
    match text(&status["time"]) {
        "" => response.to_owned(),
        // Exchange has no empty time: this one stands for it.
        never if never.starts_with("0001-") => response.to_owned(),
        time => format!("{response}, {time}"),
    }
}

fn element(lines: &[String]) -> String {
    let item = |line: &String| {
        let link = line.strip_prefix("Online meeting: ").filter(|url| url.starts_with("https://"));
        match link.map(escaped) {
            Some(url) => format!("<li>Online meeting: <a href=\"{url}\">{url}</a></li>"),
            None => format!("<li>{}</li>", escaped(line)),
        }
    };
    let items: String = lines.iter().map(item).collect();
    format!("<div id=\"{ELEMENT}><hr><p><b>{HEAD}</b></p><ul>{items}</ul></div>")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            sign => out.push(sign),
        }
    }
    out
}

/// Before the end of the body, or behind everything.
fn inserted(html: &str, element: &str) -> String {
    let end = html.to_ascii_lowercase().rfind("</body").unwrap_or(html.len());
    let (before, behind) = html.split_at(end);
    format!("{before}{element}{behind}")
}

/// An element that cannot be told from others is left where it is.
fn without_element(html: &str) -> String {
    let cut = || {
        let name = html.find(ELEMENT)?;
        let begin = html[..name].rfind("<div")?;
        let end = name + html[name..].find("</div>")? + "</div>".len();
        Some(format!("{}{}", &html[..begin], &html[end..]))
    };
    cut().unwrap_or_else(|| html.to_owned())
}

fn without_lines(plain: &str) -> String {
    let (head, foot) = (format!("--- {HEAD} ---"), format!("--- {FOOT} ---"));
    let cut = || {
        let begin = plain.find(&head)?;
        let end = begin + plain[begin..].find(&foot)? + foot.len();
        Some(format!("{}{}", &plain[..begin], &plain[end..]))
    };
    cut().unwrap_or_else(|| plain.to_owned()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting(kind: &str, content: &str) -> Value {
        json!({
            "body": {"contentType": kind, "content": content}, "isOrganizer": true,
            "organizer": {"emailAddress": {"name": "Ann", "address": "ann@x.y"}},
            "attendees": [
                {"type": "required", "status": {"response": "accepted", "time": "2026-01-02T03:04:05Z"},
                 "emailAddress": {"name": "Bob <b>", "address": "bob@x.y"}},
                {"type": "optional", "status": {"response": "none", "time": "0001-01-01T00:00:00Z"},
                 "emailAddress": {"name": "", "address": "cy@x.y"}},
            ],
            "onlineMeeting": {"joinUrl": "https://teams.example/l/1?a=b&c=\"d", "conferenceId": "77"},
        })
    }

    fn content(event: &Value) -> String {
        body(event)["content"].as_str().unwrap().to_owned()
    }

    #[test]
    fn who_was_invited_stands_at_the_end_and_can_do_no_harm() {
        let kept = content(&meeting("html", "<html><body><p>Agenda</p></body></html>"));

        assert!(kept.starts_with("<html><body><p>Agenda</p><div id=\"kodo-original-meeting\"><hr>"), "{kept}");
        assert!(kept.ends_with("</ul></div></body></html>"), "{kept}");
        assert!(
            kept.contains(
                "<li>Attendee (required): Bob &lt;b&gt; &lt;bob@x.y&gt;: accepted, 2026-01-02T03:04:05Z</li>"
            )
        );
        assert!(kept.contains("<li>Attendee (optional): cy@x.y: none</li>"), "{kept}");
        assert!(kept.contains("<a href=\"https://teams.example/l/1?a=b&amp;c=&quot;d\">"), "{kept}");
    }

    #[test]
    fn a_link_that_is_none_is_only_text() {
        let mut event = meeting("html", "");
        event["onlineMeeting"]["joinUrl"] = json!("javascript:alert(1)");

        assert!(content(&event).contains("<li>Online meeting: javascript:alert(1)</li>"));
    }

    #[test]
    fn what_is_no_meeting_keeps_its_body_to_the_byte() {
        for kept in ["<p onclick=\"x\">a</p>", "", "<div id=\"kodo-original-meeting\">old</div>"] {
            let event = json!({"body": {"contentType": "html", "content": kept}, "isOrganizer": true, "attendees": []});
            assert_eq!(content(&event), kept);
        }
    }

    #[test]
    fn restored_twice_it_is_kept_once() {
        for (kind, text) in [("html", "<body>Agenda</body>"), ("text", "Agenda"), ("html", "Agenda")] {
            let once = content(&meeting(kind, text));
            let twice = content(&meeting(kind, &once));
            let moved = content(&meeting(kind, &once.replace("id=\"kodo", "id=\"x_kodo")));

            assert_eq!((&twice, &moved), (&once, &once), "{kind}");
            assert_eq!(once.matches(HEAD).count(), 1);
        }
    }
}

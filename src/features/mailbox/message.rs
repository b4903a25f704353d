//! The JSON that creates a message again: never a draft unless it was one, with its dates, and without what Graph
//! does not let anybody set. Pure.

use serde_json::{Map, Value, json};

use super::fields::{is_draft, is_invitation, text, time};
use super::marker::Marker;
use super::mime::Letter;

/// How much is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Full,
    /// Without what Microsoft has been seen to refuse: a second try with it is better than no message.
    Bare,
}

const MESSAGE_FLAGS: &str = "Integer 0x0E07";
const SENT: &str = "SystemTime 0x0039";
const RECEIVED: &str = "SystemTime 0x0E06";
const MESSAGE_CLASS: &str = "String 0x001A";
const IN_REPLY_TO: &str = "String 0x1042";
const REFERENCES: &str = "String 0x1039";
const CONVERSATION_INDEX: &str = "Binary 0x0071";
const CONTENT_TYPE: &str = "String {00020386-0000-0000-C000-000000000046} Name Content-Type";
/// A longer chain of references is cut at its old end.
const REFERENCES_BYTES_MAX: usize = 16 << 10;

/// The body of the creating request, and what could not be taken over.
pub(super) fn creation(original: &Value, letter: &Letter, marker: &Marker, detail: Detail) -> (Value, Vec<String>) {
    let mut message = Map::new();
    let mut remarks = Vec::new();
    let mut put = |name: &str, value: Value| drop(message.insert(name.to_owned(), value));
    put("subject", json!(text(&original["subject"])));
    let content_type = if letter.body.html { "html" } else { "text" };
    put("body", json!({ "contentType": content_type, "content": letter.body.text }));
    let mut n_dropped = 0;
    for name in ["from", "sender"] {
        match (&original[name], recipient(&original[name])) {
            (Value::Null, _) => {}
            (_, Some(person)) => put(name, person),
            (_, None) => n_dropped += 1,
        }
    }
    for name in ["toRecipients", "ccRecipients", "bccRecipients", "replyTo"] {
        let all = original[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let valid: Vec<Value> = all.iter().filter_map(recipient).collect();
        n_dropped += all.len() - valid.len();
        if !valid.is_empty() && (detail == Detail::Full || name != "replyTo") {
            put(name, Value::Array(valid));
        }
    }
    if n_dropped > 0 {
        remarks.push(format!("{n_dropped} names without an internet address are left out"));
    }
    for name in ["importance", "internetMessageId"] {
        if !text(&original[name]).is_empty() {
            put(name, original[name].clone());
        }
    }
    put("isRead", json!(original["isRead"].as_bool().unwrap_or(false)));
    if original["categories"].as_array().is_some_and(|categories| !categories.is_empty()) {
        put("categories", original["categories"].clone());
    }
    match detail {
        Detail::Full => {
            if let Some(flag) = flag(&original["flag"]) {
                put("flag", flag);
            }
            if text(&original["inferenceClassification"]) == "other" {
                put("inferenceClassification", json!("other"));
            }
            // On received mail it would let a reader send a receipt to somebody who got one years ago.
            if is_draft(original) && original["isReadReceiptRequested"] == true {
                put("isReadReceiptRequested", json!(true));
            }
        }
        Detail::Bare => {
            remarks.push("flag, reply addresses and thread are left out: Microsoft refused them".to_owned())
        }
    }
    put("singleValueExtendedProperties", Value::Array(extended(original, letter, marker, detail)));
    if is_invitation(original) && !remarks.iter().chain(&letter.remarks).any(|remark| remark.contains("invitation")) {
        remarks.push("Microsoft lets nobody create an invitation: it is an ordinary message".to_owned());
    }
    (Value::Object(message), remarks)
}

/// What of a message can be changed that is no draft. What was not set is taken back.
pub(super) fn state_update(original: &Value) -> Value {
    let unflagged = json!({ "flagStatus": "notFlagged" });
    let importance = text(&original["importance"]);
    json!({
        "isRead": original["isRead"].as_bool().unwrap_or(false),
        "importance": if importance.is_empty() { "normal" } else { importance },
        "categories": original["categories"].as_array().cloned().unwrap_or_default(),
        "flag": flag(&original["flag"]).unwrap_or(unflagged),
    })
}

/// A draft can be rewritten whole, but for its attachments.
pub(super) fn draft_update(original: &Value, letter: &Letter) -> Value {
    let mut draft = state_update(original);
    let content_type = if letter.body.html { "html" } else { "text" };
    draft["subject"] = json!(text(&original["subject"]));
    draft["body"] = json!({ "contentType": content_type, "content": letter.body.text });
    for name in ["toRecipients", "ccRecipients", "bccRecipients", "replyTo"] {
        draft[name] = original[name].as_array().into_iter().flatten().filter_map(recipient).collect();
    }
    draft
}

fn extended(original: &Value, letter: &Letter, marker: &Marker, detail: Detail) -> Vec<Value> {
    let property = |id: &str, value: &str| json!({ "id": id, "value": value });
    let mut properties = vec![marker.property()];
    if !is_draft(original) {
        // The state of a new message is a draft's unless these bits, without MSGFLAG_UNSENT, are given at creation.
        let read = original["isRead"].as_bool().unwrap_or(false);
        properties.push(property(MESSAGE_FLAGS, if read { "1" } else { "0" }));
    }
    for (id, name) in [(SENT, "sentDateTime"), (RECEIVED, "receivedDateTime")] {
        if time(&original[name]).is_some() {
            properties.push(property(id, text(&original[name])));
        }
    }
    if let Some(class) = letter.class {
        properties.push(property(MESSAGE_CLASS, class));
    }
    if detail == Detail::Bare {
        return properties;
    }
    let references = letter.references.get(letter.references.len().saturating_sub(REFERENCES_BYTES_MAX)..);
    for (id, value) in [
        (IN_REPLY_TO, letter.in_reply_to.as_str()),
        (REFERENCES, references.unwrap_or_default()),
        (CONVERSATION_INDEX, text(&original["conversationIndex"])),
        (CONTENT_TYPE, letter.content_type.as_deref().unwrap_or_default()),
    ] {
        if !value.is_empty() {
            properties.push(property(id, value));
        }
    }
    properties
}

/// A recipient that Graph takes: with an internet address. Exchange also knows names and X.500 addresses, which it
/// does not take back.
pub(super) fn recipient(original: &Value) -> Option<Value> {
    let address = text(&original["emailAddress"]["address"]).trim();
    let (local, domain) = address.rsplit_once('@')?;
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';');
    if local.is_empty() || domain.is_empty() || address.len() > 320 || address.chars().any(bad) {
        return None;
    }
    let name = text(&original["emailAddress"]["name"]);
    Some(json!({ "emailAddress": { "name": name, "address": address } }))
}

/// The follow-up flag; `None` when there is none. Exchange refuses a due date without a start date.
fn flag(original: &Value) -> Option<Value> {
    let status = text(&original["flagStatus"]);
    if status.is_empty() || status.eq_ignore_ascii_case("notFlagged") {
        return None;
    }
    let mut flag = Map::from_iter([("flagStatus".to_owned(), json!(status))]);
    for name in ["startDateTime", "dueDateTime", "completedDateTime"] {
        if original[name]["dateTime"].is_string() {
            flag.insert(name.to_owned(), original[name].clone());
        }
    }
    if let (Some(due), false) = (flag.get("dueDateTime").cloned(), flag.contains_key("startDateTime")) {
        flag.insert("startDateTime".to_owned(), due);
    }
    Some(Value::Object(flag))
}

#[cfg(test)]
mod tests {
    use super::super::mime::Body;
    use super::*;
    use crate::ids::ItemKey;

    fn original() -> Value {
        let person = |name: &str, address: &str| json!({"emailAddress": {"name": name, "address": address}});
        json!({
            "id": "AAMk", "changeKey": "CQ", "parentFolderId": "f", "conversationId": "c", "hasAttachments": true,
            "subject": "Plan", "isRead": true, "isDraft": false, "importance": "high", "categories": ["Red"],
            "from": person("Ann", "ann@contoso.com"), "sender": person("Bob", "/O=EXCHANGELABS/CN=bob"),
            "toRecipients": [person("", "c@d.e"), person("Nobody", "")], "replyTo": [person("x", "not an address@")],
            "receivedDateTime": "2020-01-02T03:04:06Z", "sentDateTime": "2020-01-02T03:04:05Z",
            "flag": {"flagStatus": "flagged", "dueDateTime": {"dateTime": "2020-02-01T00:00:00", "timeZone": "UTC"}},
            "internetMessageId": "<1@contoso.com>", "isReadReceiptRequested": true,
        })
    }

    fn marker() -> Marker {
        Marker { key: ItemKey::of("AAMk"), n_attachments: 2 }
    }

    fn letter() -> Letter {
        Letter {
            body: Body { html: true, text: "<p>x</p>".into() },
            in_reply_to: "<0@contoso.com>".into(),
            ..Letter::default()
        }
    }

    fn property<'a>(message: &'a Value, id: &str) -> Option<&'a str> {
        let all = message["singleValueExtendedProperties"].as_array().unwrap();
        all.iter().find(|property| property["id"] == id).and_then(|property| property["value"].as_str())
    }

    #[test]
    fn a_read_message_comes_back_read_dated_and_not_as_a_draft() {
        let (message, remarks) = creation(&original(), &letter(), &marker(), Detail::Full);

        assert_eq!(property(&message, MESSAGE_FLAGS), Some("1"));
        assert_eq!(property(&message, SENT), Some("2020-01-02T03:04:05Z"));
        assert_eq!(property(&message, RECEIVED), Some("2020-01-02T03:04:06Z"));
        assert_eq!(property(&message, IN_REPLY_TO), Some("<0@contoso.com>"));
        assert_eq!(Marker::of(&message), Some(marker()));
        assert_eq!((&message["isRead"], &message["categories"]), (&json!(true), &json!(["Red"])));
        assert_eq!(message["body"], json!({"contentType": "html", "content": "<p>x</p>"}));
        assert_eq!(message["flag"]["startDateTime"], message["flag"]["dueDateTime"]);
        assert_eq!(remarks, ["3 names without an internet address are left out"]);
    }

    #[test]
    fn nothing_that_is_read_only_is_sent_and_no_receipt_is_asked_for() {
        let (message, _) = creation(&original(), &letter(), &marker(), Detail::Full);

        for name in [
            "id",
            "changeKey",
            "parentFolderId",
            "conversationId",
            "hasAttachments",
            "receivedDateTime",
            "sentDateTime",
            "isDraft",
            "isReadReceiptRequested",
            "sender",
            "replyTo",
        ] {
            assert!(message.get(name).is_none(), "{name}");
        }
        assert_eq!(message["toRecipients"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_draft_stays_a_draft() {
        let mut draft = original();
        draft["isDraft"] = json!(true);

        let (message, _) = creation(&draft, &letter(), &marker(), Detail::Full);

        assert_eq!(property(&message, MESSAGE_FLAGS), None);
        assert_eq!(property(&message, SENT), Some("2020-01-02T03:04:05Z"));
        assert_eq!(message["isReadReceiptRequested"], json!(true));
    }

    #[test]
    fn a_second_try_leaves_out_what_may_be_refused() {
        let (message, remarks) = creation(&original(), &letter(), &marker(), Detail::Bare);

        assert!(message.get("flag").is_none() && property(&message, IN_REPLY_TO).is_none());
        assert_eq!(property(&message, MESSAGE_FLAGS), Some("1"));
        assert_eq!(remarks.len(), 2);
    }
}

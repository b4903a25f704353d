//! What of a message must come back, and clearing a mailbox of a rehearsal.

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::Mailbox;
use super::fields::{is_draft, text, time};
use super::message::recipient;
use super::restore::letter;
use super::target::find_child;
use crate::features::attaching::Attachment;
use crate::features::rehearsing::{NotCounted, Portrait, Rehearsing, legible, legible_body, print_of};
use crate::features::{RestoreError, Source, StoredItem};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS};

const RECIPIENTS: [&str; 3] = ["toRecipients", "ccRecipients", "bccRecipients"];

const NOT_COUNTED: [NotCounted; 7] = [
    NotCounted { field: "transport headers (`Received:` …)", properties: &[] },
    NotCounted { field: "conversation", properties: &["conversationId", "conversationIndex"] },
    NotCounted { field: "meeting requests", properties: &[] },
    NotCounted { field: "links to cloud files as attachments", properties: &["hasAttachments"] },
    NotCounted {
        field: "receipts that were asked for",
        properties: &["isReadReceiptRequested", "isDeliveryReceiptRequested"],
    },
    NotCounted { field: "focused or other", properties: &["inferenceClassification"] },
    NotCounted {
        field: "ids, created and last modified time",
        properties: &["id", "changeKey", "parentFolderId", "createdDateTime", "lastModifiedDateTime"],
    },
];

impl Rehearsing for Mailbox {
    fn portrait(&self, item: &StoredItem) -> Result<Portrait, RestoreError> {
        portrait(item)
    }

    fn not_counted(&self) -> &'static [NotCounted] {
        &NOT_COUNTED
    }

    fn clear<'a>(
        &'a self,
        target: Source<'a>,
        top: &'a str,
    ) -> BoxFuture<'a, Result<Option<&'static str>, RestoreError>> {
        Box::pin(clear(target, top))
    }
}

fn portrait(item: &StoredItem) -> Result<Portrait, RestoreError> {
    let (message, letter) = (item.json()?, letter(item)?);
    let mut portrait = Portrait::default();
    portrait.note("subject", "", json!(text(&message["subject"])));
    portrait.note("sender", "", person(&message["from"]));
    for name in RECIPIENTS {
        portrait.note("recipients", name, people(&message[name]));
    }
    portrait.note("reply-to", "", people(&message["replyTo"]));
    for name in ["sentDateTime", "receivedDateTime"] {
        portrait.note("sent and received time", name, json!(time(&message[name]).map(|at| at.timestamp())));
    }
    portrait.note("read state", "", json!(message["isRead"] == true));
    portrait.note("flag", "", flag(&message["flag"]));
    let mut categories: Vec<&str> = message["categories"].as_array().into_iter().flatten().map(text).collect();
    categories.sort_unstable();
    portrait.note("categories", "", json!(categories));
    let importance = Some(text(&message["importance"])).filter(|importance| !importance.is_empty());
    portrait.note("importance", "", json!(importance.unwrap_or("normal").to_lowercase()));
    portrait.note("draft or not", "", json!(is_draft(&message)));
    portrait.note("internet message id", "", json!(text(&message["internetMessageId"])));
    portrait.note("S/MIME signed or encrypted mail", "", json!(letter.class));
    portrait.note("body", "", legible(letter.body.html, &letter.body.text));
    attachments(&mut portrait, &letter.attachments);
    Ok(portrait)
}

fn person(original: &Value) -> Value {
    let Some(person) = recipient(original) else { return Value::Null };
    let (name, address) = (text(&person["emailAddress"]["name"]), text(&person["emailAddress"]["address"]));
    // Exchange gives whoever has no name the address for one.
    json!([if name.is_empty() { address } else { name }, address.to_lowercase()])
}

fn people(all: &Value) -> Value {
    all.as_array().into_iter().flatten().map(person).filter(|person| !person.is_null()).collect()
}

/// Days are what Outlook shows of its moments.
fn flag(flag: &Value) -> Value {
    let status = text(&flag["flagStatus"]).to_lowercase();
    if status.is_empty() || status == "notflagged" {
        return Value::Null;
    }
    let day = |name: &str| text(&flag[name]["dateTime"]).chars().take(10).collect::<String>();
    json!([status, day("dueDateTime"), day("completedDateTime")])
}

fn attachments(portrait: &mut Portrait, all: &[Attachment]) {
    let (mut files, mut inline, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    for attachment in all {
        match attachment {
            Attachment::File(file) => match file.content_id.as_ref().filter(|_| file.inline) {
                Some(content_id) => inline.push(json!([content_id, print_of(&file.content)])),
                None => files.push(json!([file.name, print_of(&file.content)])),
            },
            Attachment::Message { item, .. } => {
                messages.push(json!([text(&item["subject"]), legible_body(&item["body"])]));
            }
        }
    }
    for (field, mut found) in
        [("attachments", files), ("inline images with their content ids", inline), ("attached messages", messages)]
    {
        found.sort_by_key(Value::to_string);
        portrait.note(field, "", Value::Array(found));
    }
}

/// For good: what lies in a bin would be copies of other people's mail.
async fn clear(target: Source<'_>, top: &str) -> Result<Option<&'static str>, RestoreError> {
    let Some(folder) = find_child(target, "msgfolderroot", top).await? else { return Ok(None) };
    let endpoint = Endpoint::MailFolderEnd { user: target.user, folder: &folder };
    match target.graph.post(endpoint).prefer(IMMUTABLE_IDS).done().await {
        Ok(()) | Err(GraphError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::StoredContent;
    use crate::features::mailbox::MESSAGE_PROPERTIES;
    use crate::ids::ItemKey;

    const COMPARED: [&str; 14] = [
        "subject",
        "from",
        "toRecipients",
        "ccRecipients",
        "bccRecipients",
        "replyTo",
        "importance",
        "categories",
        "flag",
        "isRead",
        "isDraft",
        "internetMessageId",
        "receivedDateTime",
        "sentDateTime",
    ];

    #[test]
    fn every_property_that_is_captured_is_compared_or_told_as_not_counted() {
        for property in MESSAGE_PROPERTIES.split(',').map(str::trim) {
            let passed_by = NOT_COUNTED.iter().any(|one| one.properties.contains(&property));
            // Exchange makes the sender of a message that is put into a mailbox.
            assert!(COMPARED.contains(&property) != (passed_by || property == "sender"), "{property}");
        }
    }

    #[test]
    fn another_category_and_another_text_are_two_differences() {
        let drawn = |categories: Value, body: &str| {
            let properties =
                json!({ "subject": "Plan", "categories": categories, "flag": {"flagStatus": "notFlagged"} });
            let mime = format!("Subject: Plan\r\nContent-Type: text/plain\r\n\r\n{body}\r\n");
            portrait(&StoredItem {
                key: ItemKey::of("m"),
                kind: super::super::KIND_MESSAGE,
                properties: properties.to_string().into(),
                content: StoredContent::Whole(mime.into()),
            })
            .unwrap()
        };

        let found = drawn(json!(["Red", "Blue"]), "Agenda").likeness(&drawn(json!(["Blue"]), "Other"));

        let fields: Vec<&str> = found.differences.iter().map(|one| one.field).collect();
        assert_eq!(fields, ["body", "categories"]);
        assert!(
            drawn(json!(["Red", "Blue"]), "a  b")
                .likeness(&drawn(json!(["Blue", "Red"]), "a b"))
                .differences
                .is_empty()
        );
    }
}

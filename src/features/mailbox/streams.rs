//! Exchange's own stream of each message, beside its MIME text, where a policy asks for it: everything that Exchange
//! knows of the message, in a form that only Exchange reads.
//!
//! Microsoft says that it is not meant for backups and offers it in the global cloud alone
//! (<https://learn.microsoft.com/graph/mailbox-import-export-concept-overview>), so nothing else depends on it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::fields::{text, time};
use super::{IMMUTABLE_IDS, KIND_STREAM, Mailbox};
use crate::features::exchange::Trouble;
use crate::features::{
    CaptureError, Captured, Content, FeatureOptions, KnownVersion, Need, OWN_CONTAINER, Parts, PassedOver,
    RemoteContainer, RemoteItem, SkipReason, Source, Summary, WalkError, change_tag,
};
use crate::graph::{Endpoint, Exchange, GraphError};
use crate::ids::ItemKey;

/// The id and the well-known name of the container; its items' ids begin with it.
pub(super) const CONTAINER: &str = "kodo:streams";
const NAME: &str = "Exchange streams";
const STREAM_NAME: &str = "Exchange stream";
/// Said before what Microsoft answered, which may be long.
const REMEDY: &str = "exporting takes the global cloud and the application permission MailboxItem.ImportExport.All";

/// The container, or why this mailbox has no streams to offer.
pub(super) async fn container(source: Source<'_>) -> Result<Result<RemoteContainer, PassedOver>, WalkError> {
    let refused = |why: String| Ok(Err(PassedOver { name: NAME.to_owned(), why: format!("{REMEDY}: {why}") }));
    match mailbox_id(source).await {
        Ok(_) => Ok(Ok(RemoteContainer {
            id: CONTAINER.to_owned(),
            parent: None,
            name: NAME.to_owned(),
            hidden: true,
            well_known: Some(CONTAINER.to_owned()),
            n_items: None,
        })),
        Err(
            error @ (GraphError::Forbidden { .. }
            | GraphError::NoService { .. }
            | GraphError::NotFound { .. }
            | GraphError::Refused { .. }
            | GraphError::Protocol { .. }),
        ) => refused(error.to_string()),
        Err(error) => Err(error.into()),
    }
}

async fn mailbox_id(source: Source<'_>) -> Result<String, GraphError> {
    let endpoint = Endpoint::Exchange { user: source.user, what: Exchange::Mailboxes };
    let answer = source.graph.get(endpoint).json().await?;
    let id = answer["primaryMailboxId"].as_str().map(str::to_owned);
    id.ok_or_else(|| GraphError::protocol(endpoint, "there is no primaryMailboxId"))
}

/// Whether this id is one of the container's items.
pub(super) fn is_stream(item: &str) -> bool {
    item.starts_with(CONTAINER)
}

impl Parts for Mailbox {
    fn container(&self) -> &'static str {
        CONTAINER
    }

    fn are_wanted(&self, options: &FeatureOptions) -> bool {
        options.mailbox.exchange_streams
    }

    fn may_have(&self, item: &RemoteItem) -> bool {
        !item.id.starts_with(OWN_CONTAINER)
    }

    /// There is one for each message, so nobody is asked.
    fn list<'a>(
        &'a self,
        _source: Source<'a>,
        item: &'a RemoteItem,
    ) -> BoxFuture<'a, Result<Vec<RemoteItem>, CaptureError>> {
        let told = |properties: &Value| {
            json!({
                "id": stream_id(&item.id),
                "changeKey": properties["changeKey"],
                "receivedDateTime": properties["receivedDateTime"],
            })
        };
        let stream = RemoteItem { id: stream_id(&item.id), properties: item.properties.as_ref().map(told) };
        Box::pin(std::future::ready(Ok(vec![stream])))
    }

    fn list_id(&self, item: &str) -> String {
        format!("{CONTAINER}-of:{item}")
    }

    fn listed_by<'a>(&self, id: &'a str) -> Option<&'a str> {
        id.strip_prefix(CONTAINER)?.strip_prefix("-of:")
    }
}

fn stream_id(message: &str) -> String {
    format!("{CONTAINER}:{message}")
}

fn message_of(stream: &str) -> Option<&str> {
    stream.strip_prefix(CONTAINER)?.strip_prefix(':')
}

pub(super) fn need(item: &RemoteItem, known: Option<&KnownVersion>) -> Need {
    let same = |known: &KnownVersion| {
        let key = item.properties.as_ref().and_then(|properties| properties["changeKey"].as_str());
        known.has_content && key.is_some_and(|key| known.change_tag == change_tag(key))
    };
    if known.is_some_and(same) { Need::Nothing } else { Need::Everything }
}

pub(super) async fn capture(source: Source<'_>, item: &RemoteItem) -> Result<Captured, CaptureError> {
    let message = message_of(&item.id).ok_or(CaptureError::Gone)?;
    let mailbox = mailbox_id(source).await.map_err(capture_error)?;
    let endpoint = Endpoint::Exchange { user: source.user, what: Exchange::ExportItems { mailbox: &mailbox } };
    let body = json!({ "ItemIds": [message] });
    let mut answer =
        source.graph.ask(endpoint).prefer(IMMUTABLE_IDS).body(&body).json().await.map_err(capture_error)?;
    let exported = answer["value"].get_mut(0).map(Value::take).unwrap_or_default();
    if let Some(code) = exported["error"]["code"].as_str() {
        return Err(refusal(code, text(&exported["error"]["message"])));
    }
    let stream = exported["data"].as_str().and_then(|data| STANDARD.decode(data).ok());
    let stream = stream
        .filter(|bytes| !bytes.is_empty())
        .ok_or_else(|| capture_error(GraphError::protocol(endpoint, "the answer has neither an error nor a stream")))?;
    let mut properties = item.properties.clone().unwrap_or_else(|| json!({ "id": item.id }));
    properties["changeKey"] = exported["changeKey"].clone();
    properties["mailbox"] = json!(mailbox);
    let summary = Summary {
        kind: KIND_STREAM,
        flags: 0,
        change_tag: change_tag(text(&exported["changeKey"])),
        // Whoever searches for the subject is to find the message.
        name: STREAM_NAME.to_owned(),
        party: String::new(),
        time: time(&properties["receivedDateTime"]).unwrap_or_default(),
        parent: Some(ItemKey::of(message)),
        words: String::new(),
    };
    Ok(Captured {
        summary,
        properties: Bytes::from(properties.to_string()),
        content: Some(Content::Raw(stream.into())),
    })
}

fn refusal(code: &str, message: &str) -> CaptureError {
    if code.eq_ignore_ascii_case("ErrorItemNotFound") {
        return CaptureError::Gone;
    }
    CaptureError::Item { reason: "not_exported", message: format!("Exchange does not export it: {code}: {message}") }
}

fn capture_error(error: GraphError) -> CaptureError {
    match error {
        GraphError::Forbidden { answer, .. } => {
            CaptureError::Skipped { reason: SkipReason::MissingRole, message: format!("{REMEDY}: {answer}") }
        }
        error => Trouble::of(error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_again_when_the_message_changes_in_any_way() {
        let item = RemoteItem { id: stream_id("m"), properties: Some(json!({ "changeKey": "2" })) };
        let known = |key: &str, has_content| KnownVersion { change_tag: change_tag(key), flags: 0, has_content };

        assert_eq!(need(&item, Some(&known("2", true))), Need::Nothing);
        assert_eq!(need(&item, Some(&known("1", true))), Need::Everything);
        assert_eq!(need(&item, Some(&known("2", false))), Need::Everything);
        assert_eq!(need(&RemoteItem { id: stream_id("m"), properties: None }, None), Need::Everything);
    }

    #[test]
    fn an_id_tells_the_message_of_a_stream() {
        assert_eq!(message_of(&stream_id("AAMk=")), Some("AAMk="));
        assert_eq!(Mailbox.listed_by(&Mailbox.list_id("AAMk=")), Some("AAMk="));
        assert_eq!(message_of(&Mailbox.list_id("AAMk=")), None);
        assert!(is_stream(&stream_id("m")) && !is_stream("m") && stream_id("m") != "m");
    }
}

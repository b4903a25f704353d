//! The attachments of an event and of its exceptions: what Graph says of each stays with the event, bytes go into a
//! bundle.
//!
//! An attached item is kept twice, as the file that Graph makes of it and as its JSON: the one shows, the other can be
//! attached again. A reference has nothing to read: it is what Graph says of it. What cannot be read costs itself alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::features::exchange::{PAGE_SIZE, Trouble, json_bytes, text, without_envelope};
use crate::features::{Bundle, CaptureError, Content, Form, Label, Lack, Source};
use crate::graph::{Body, Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

/// Bytes are never listed: a list with all of them can be too much for Exchange.
const LISTED: &str = "id,name,contentType,size,isInline,lastModifiedDateTime,microsoft.graph.fileAttachment/contentId";
/// A larger file is downloaded as such; a smaller one comes with what else there is to know, in one request.
const IN_JSON_BYTES_MAX: u64 = 1 << 20;
/// More than Exchange lets an item have.
const ATTACHMENTS_MAX: usize = 10_000;
const ATTACHED_ITEM: &str = "microsoft.graph.itemAttachment/item";
const UNREADABLE: &str = "attachment_unreadable";
/// Texts about unreadable attachments that an issue tells.
const LACKS_TOLD_MAX: usize = 5;

/// The attachments of one item on their way into a bundle.
pub(super) struct Gathering<'a> {
    source: Source<'a>,
    bundle: Bundle,
    n_attachments: usize,
    lacks: Vec<Lack>,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self { source, bundle: Bundle::new(), n_attachments: 0, lacks: Vec::new() }
    }

    /// Adds the attachments of an event, and lists them in it.
    pub(super) async fn attachments_of(&mut self, event: &mut Value) -> Result<(), CaptureError> {
        // Graph counts no inline attachments; what shows them names them.
        let shows_some = text(&event["body"]["content"]).contains("cid:");
        if event["hasAttachments"] != true && !shows_some {
            return Ok(());
        }
        let id = text(&event["id"]).to_owned();
        let endpoint = self.at(Outlook::EventAttachments { event: &id });
        let query = [("$select", LISTED)];
        let listed = self.source.graph.list(endpoint, ATTACHMENTS_MAX, &query, &[IMMUTABLE_IDS, PAGE_SIZE]).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => return self.miss(error),
        };
        let mut kept = Vec::with_capacity(listed.len());
        for attachment in listed {
            if let Some(attachment) = self.attachment(&id, without_envelope(attachment)).await? {
                kept.push(attachment);
            }
        }
        self.n_attachments += kept.len();
        if !kept.is_empty() {
            event["attachments"] = Value::Array(kept);
        }
        Ok(())
    }

    /// The content, how many attachments there are, and what of them is missing.
    pub(super) fn finish(self) -> Result<(Option<Content>, usize, Option<Lack>), CaptureError> {
        let content = self.bundle.finish().map_err(not_written)?;
        let may_pass = self.lacks.iter().any(|lack| lack.may_pass);
        let told: Vec<&str> = self.lacks.iter().take(LACKS_TOLD_MAX).map(|lack| lack.message.as_str()).collect();
        let message = format!("{} attachments could not be read: {}", self.lacks.len(), told.join("; "));
        let lack = (!self.lacks.is_empty()).then_some(Lack { reason: UNREADABLE, may_pass, message });
        Ok((content, self.n_attachments, lack))
    }

    fn at<'b>(&self, what: Outlook<'b>) -> Endpoint<'b>
    where
        'a: 'b,
    {
        Endpoint::Outlook { user: self.source.user, what }
    }

    /// Reads one. Returns what is known of it besides its bytes; `None` when it is there no more.
    async fn attachment(&mut self, event: &str, listed: Value) -> Result<Option<Value>, CaptureError> {
        let kind = text(&listed["@odata.type"]).to_ascii_lowercase();
        let id = text(&listed["id"]).to_owned();
        let small = listed["size"].as_u64().is_some_and(|bytes| bytes <= IN_JSON_BYTES_MAX);
        let outcome = match kind.strip_prefix("#microsoft.graph.").unwrap_or(&kind) {
            "itemattachment" => self.item(event, &id, &listed).await?,
            "referenceattachment" => self.json(event, &id, None).await.map(without_envelope),
            _ if small => self.small_file(event, &id, &listed).await?,
            _ => self.download(event, &id, &listed).await?.map(|()| listed.clone()),
        };
        match outcome {
            Ok(attachment) => Ok(Some(attachment)),
            Err(GraphError::NotFound { .. }) => Ok(None),
            Err(error) => {
                self.miss(error)?;
                let mut listed = listed;
                listed["unreadable"] = json!(true);
                Ok(Some(listed))
            }
        }
    }

    /// Notes that something could not be read; an error when nothing can.
    fn miss(&mut self, error: GraphError) -> Result<(), CaptureError> {
        self.lacks.extend(Trouble::of(error).lack(UNREADABLE)?);
        Ok(())
    }

    async fn json(&self, event: &str, attachment: &str, expand: Option<&str>) -> Result<Value, GraphError> {
        let mut call = self.source.graph.get(self.at(Outlook::EventAttachment { event, attachment }));
        if let Some(expand) = expand {
            call = call.query("$expand", expand);
        }
        call.prefer(IMMUTABLE_IDS).json().await
    }

    async fn small_file(&mut self, event: &str, id: &str, listed: &Value) -> Result<Got, CaptureError> {
        let mut attachment = match self.json(event, id, None).await {
            Ok(attachment) => without_envelope(attachment),
            Err(error) => return Ok(Err(error)),
        };
        let Some(bytes) = take_bytes(&mut attachment) else {
            let endpoint = self.at(Outlook::EventAttachment { event, attachment: id });
            return Ok(Err(GraphError::protocol(endpoint, "the file has no readable contentBytes")));
        };
        self.add(&label(event, listed, Form::Content), Body::Memory(bytes))?;
        Ok(Ok(attachment))
    }

    async fn download(
        &mut self,
        event: &str,
        id: &str,
        listed: &Value,
    ) -> Result<Result<(), GraphError>, CaptureError> {
        let endpoint = self.at(Outlook::EventAttachmentContent { event, attachment: id });
        match self.source.graph.get(endpoint).prefer(IMMUTABLE_IDS).download().await {
            Ok(body) => self.add(&label(event, listed, Form::Content), body).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Either of the two forms of an attached item is worth having.
    async fn item(&mut self, event: &str, id: &str, listed: &Value) -> Result<Got, CaptureError> {
        let expanded = match self.json(event, id, Some(ATTACHED_ITEM)).await {
            Ok(expanded) => expanded,
            Err(error) => return Ok(Err(error)),
        };
        let mut attachment = without_envelope(expanded);
        if let Some(item) = attachment.as_object_mut().and_then(|fields| fields.remove("item")) {
            self.add(&label(event, listed, Form::Json), Body::Memory(json_bytes(&item)))?;
        }
        if let Err(error) = self.download(event, id, listed).await? {
            self.miss(error)?;
            attachment["unreadable"] = json!(true);
        }
        Ok(Ok(attachment))
    }

    fn add(&mut self, label: &Label, content: Body) -> Result<(), CaptureError> {
        self.bundle.add(label, content).map_err(not_written)
    }
}

/// What is known of an attachment, or why it could not be read.
type Got = Result<Value, GraphError>;

fn label(event: &str, listed: &Value, form: Form) -> Label {
    Label {
        owner: event.to_owned(),
        id: text(&listed["id"]).to_owned(),
        form,
        name: text(&listed["name"]).to_owned(),
        content_type: text(&listed["contentType"]).to_owned(),
        inline: listed["isInline"] == true,
    }
}

/// Takes the bytes of a file out of its JSON.
fn take_bytes(attachment: &mut Value) -> Option<Bytes> {
    let encoded = attachment.as_object_mut()?.remove("contentBytes")?;
    STANDARD.decode(encoded.as_str()?).ok().map(Bytes::from)
}

fn not_written(error: std::io::Error) -> CaptureError {
    CaptureError::Item { reason: "not_written", message: format!("cannot write a temporary file: {error}") }
}

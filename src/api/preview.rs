//! `/items/…/preview`: what an item says, for people to recognise it by: text and facts, and nothing that a browser
//! would run or fetch.

use actix_web::web::{Data, Json};
use mail_parser::decoders::html::html_to_text;
use mail_parser::{MessageParser, MimeHeaders};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Shared;
use super::browse::ItemView;
use super::content_rules::{self, Asking};
use super::error::ApiResult;
use super::items::{self, ItemPath};
use super::readers::storage_error;
use crate::access::audit::Action;
use crate::catalog::VersionRow;
use crate::repository::{Reader, StoreError};

/// A message larger than this is told by its properties alone.
const MESSAGE_BYTES_MAX: u64 = 16 << 20;
/// Characters of a body that are shown.
const BODY_CHARS_MAX: usize = 100_000;
/// Attachments that are named.
const ATTACHMENTS_MAX: usize = 200;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Preview {
    #[serde(flatten)]
    pub item: ItemView,
    /// The facts of its feature, as Microsoft Graph calls them: recipients, attendees, addresses, dates, authors.
    pub facts: Map<String, Value>,
    /// The body as plain text: of HTML what a reader would see, without scripts, pictures and what is elsewhere.
    pub text: Option<String>,
    /// The body is longer than what is shown.
    pub text_is_cut: bool,
    pub attachments: Vec<AttachmentView>,
    /// Why something is not shown.
    pub remark: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttachmentView {
    pub name: String,
    pub content_type: Option<String>,
    pub bytes: Option<u64>,
}

/// What is told of an item besides its columns.
const FACTS: [&str; 46] = [
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
    "replyTo",
    "from",
    "sender",
    "sentDateTime",
    "receivedDateTime",
    "importance",
    "categories",
    "start",
    "end",
    "isAllDay",
    "location",
    "locations",
    "organizer",
    "attendees",
    "recurrence",
    "isCancelled",
    "isOnlineMeeting",
    "showAs",
    "sensitivity",
    "displayName",
    "givenName",
    "surname",
    "emailAddresses",
    "businessPhones",
    "homePhones",
    "mobilePhone",
    "companyName",
    "jobTitle",
    "department",
    "birthday",
    "homeAddress",
    "businessAddress",
    "otherAddress",
    "personalNotes",
    "size",
    "createdDateTime",
    "lastModifiedDateTime",
    "fileSystemInfo",
    "createdBy",
    "lastModifiedBy",
    "description",
    "file",
    "shared",
];

pub async fn show(app: Data<Shared>, asking: Asking, path: ItemPath) -> ApiResult<Json<Preview>> {
    let (chain, point, row) = items::find(&app, &path).await?;
    content_rules::check(&app, &chain).await?;
    let details = json!({ "chain": chain.id, "point": point, "item": row.version.key.to_string() });
    asking.note(&app, Action::PreviewItem, details).await?;
    let reader = app.readers.open(&app, chain.key.storage).await?;
    let properties = items::properties(&reader, &row).await?;
    let mut preview = Preview {
        facts: facts(&properties),
        text: None,
        text_is_cut: false,
        attachments: listed(&properties),
        remark: None,
        item: ItemView::new(chain.key.feature.as_str(), row.clone()),
    };
    match chain.key.feature.as_str() {
        "mailbox" => preview.read_message(&reader, &row).await?,
        _ => preview.take_body(&properties),
    }
    Ok(Json(preview))
}

fn facts(properties: &Value) -> Map<String, Value> {
    let known = FACTS.iter().filter_map(|name| Some((*name, properties.get(name)?)));
    let told = known.filter(|(_, value)| !value.is_null() && *value != &Value::Array(Vec::new()));
    told.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

/// The attachments that the properties name, as those of an event do.
fn listed(properties: &Value) -> Vec<AttachmentView> {
    let all = properties["attachments"].as_array().into_iter().flatten().take(ATTACHMENTS_MAX);
    let view = |one: &Value| AttachmentView {
        name: one["name"].as_str().unwrap_or_default().to_owned(),
        content_type: one["contentType"].as_str().map(str::to_owned),
        bytes: one["size"].as_u64(),
    };
    all.map(view).collect()
}

impl Preview {
    async fn read_message(&mut self, reader: &Reader, row: &VersionRow) -> ApiResult<()> {
        let Some(content) = row.version.content else { return Ok(()) };
        let mime = match reader.content(content.pack, content.blob, MESSAGE_BYTES_MAX).await {
            Ok(mime) => mime,
            Err(StoreError::TooLarge { bytes, .. }) => {
                self.remark = Some(format!("the message has {bytes} bytes: its content is not shown, only handed out"));
                return Ok(());
            }
            Err(err) => return Err(storage_error(err)),
        };
        let Some(message) = MessageParser::default().parse(&mime[..]) else {
            self.remark = Some("the message cannot be read as mail: its content is only handed out".to_owned());
            return Ok(());
        };
        let text = message.body_text(0).map(std::borrow::Cow::into_owned);
        self.set_text(text);
        let view = |part: &mail_parser::MessagePart<'_>| AttachmentView {
            name: part.attachment_name().unwrap_or_default().to_owned(),
            content_type: part.content_type().map(|kind| match kind.subtype() {
                Some(subtype) => format!("{}/{subtype}", kind.ctype()),
                None => kind.ctype().to_owned(),
            }),
            bytes: Some(part.contents().len() as u64),
        };
        self.attachments = message.attachments().take(ATTACHMENTS_MAX).map(view).collect();
        Ok(())
    }

    /// The body that stands among the properties, as that of an event does.
    fn take_body(&mut self, properties: &Value) {
        let body = &properties["body"];
        let is_html = body["contentType"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("html"));
        let text = body["content"].as_str();
        self.set_text(text.map(|text| if is_html { html_to_text(text) } else { text.to_owned() }));
    }

    fn set_text(&mut self, text: Option<String>) {
        let Some(text) = text else { return };
        let shown: String = text.chars().take(BODY_CHARS_MAX).collect();
        self.text_is_cut = shown.len() < text.len();
        self.text = Some(shown.trim().to_owned());
    }
}

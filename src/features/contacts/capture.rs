//! Reading one contact and its photo.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::Value;

use super::fields::summary;
use crate::features::exchange::{Trouble, json_bytes, without_envelope};
use crate::features::{CaptureError, Captured, Content, Lack, RemoteItem, Source};
use crate::graph::{Body, Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

/// Fields that Outlook shows and Graph has no name for ([MS-OXPROPS]): Graph tells only what it is asked for by id.
pub(super) const EXTENDED: [&str; 34] = [
    // Sensitivity, follow-up flag, private mark.
    "Integer 0x0036",
    "Integer 0x1090",
    "Boolean {00062008-0000-0000-C000-000000000046} Id 0x8506",
    // Telephones: callback, primary, second business, radio, car, other, pager, primary fax, business fax, home fax,
    // telex, ISDN, assistant, second home, TTY, company.
    "String 0x3A02",
    "String 0x3A1A",
    "String 0x3A1B",
    "String 0x3A1D",
    "String 0x3A1E",
    "String 0x3A1F",
    "String 0x3A21",
    "String 0x3A23",
    "String 0x3A24",
    "String 0x3A25",
    "String 0x3A2C",
    "String 0x3A2D",
    "String 0x3A2E",
    "String 0x3A2F",
    "String 0x3A4B",
    "String 0x3A57",
    // Account, government and organizational id, language, location, customer id, hobbies, referred by, FTP site.
    "String 0x3A00",
    "String 0x3A07",
    "String 0x3A10",
    "String 0x3A0C",
    "String 0x3A0D",
    "String 0x3A4A",
    "String 0x3A43",
    "String 0x3A47",
    "String 0x3A4C",
    // Gender, anniversary.
    "Integer 0x3A4D",
    "SystemTime 0x3A41",
    // The four fields for whatever a user wants.
    "String {00062004-0000-0000-C000-000000000046} Id 0x804F",
    "String {00062004-0000-0000-C000-000000000046} Id 0x8050",
    "String {00062004-0000-0000-C000-000000000046} Id 0x8051",
    "String {00062004-0000-0000-C000-000000000046} Id 0x8052",
];

static EXPAND: LazyLock<String> = LazyLock::new(|| {
    let wanted = EXTENDED.map(|id| format!("id eq '{id}'")).join(" or ");
    format!("singleValueExtendedProperties($filter={wanted})")
});

pub(super) async fn capture(source: Source<'_>, item: &RemoteItem) -> Result<Captured, CaptureError> {
    let contact = read_contact(source, &item.id).await?;
    let (content, lack) = if source.options.contacts.photos { photo(source, &item.id).await? } else { (None, None) };
    let summary = summary(&contact, &source.options.contacts);
    let captured = Captured { summary, properties: json_bytes(&contact), content };
    match lack {
        None => Ok(captured),
        Some(lack) => Err(CaptureError::Incomplete { captured: Box::new(captured), lack }),
    }
}

async fn read_contact(source: Source<'_>, contact: &str) -> Result<Value, CaptureError> {
    let endpoint = Endpoint::Outlook { user: source.user, what: Outlook::Contact { contact } };
    let call = source.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$expand", &EXPAND);
    let contact = without_envelope(call.json().await.map_err(Trouble::of)?);
    if contact["id"].is_string() && contact["changeKey"].is_string() {
        return Ok(contact);
    }
    Err(Trouble::of(GraphError::protocol(endpoint, "it has no id or no changeKey")).into())
}

/// The photo, if there is one. A contact without one answers as if it were gone; a moment ago it was there.
async fn photo(source: Source<'_>, contact: &str) -> Result<(Option<Content>, Option<Lack>), CaptureError> {
    let endpoint = Endpoint::Outlook { user: source.user, what: Outlook::ContactPhoto { contact } };
    match source.graph.get(endpoint).prefer(IMMUTABLE_IDS).download().await {
        Ok(Body::Memory(bytes)) if bytes.is_empty() => Ok((None, None)),
        Ok(Body::Memory(bytes)) => Ok((Some(Content::Raw(bytes)), None)),
        Ok(Body::Spooled { file, bytes }) => Ok((Some(Content::Spooled { file, bytes }), None)),
        Err(error) => Ok((None, Trouble::of(error).lack("photo_unreadable")?)),
    }
}

/// The photo as it is now, to compare with. One that does not fit into memory is none of ours.
pub(super) async fn read_photo(source: Source<'_>, contact: &str) -> Result<Option<Bytes>, GraphError> {
    let endpoint = Endpoint::Outlook { user: source.user, what: Outlook::ContactPhoto { contact } };
    match source.graph.get(endpoint).prefer(IMMUTABLE_IDS).download().await {
        Ok(Body::Memory(bytes)) if !bytes.is_empty() => Ok(Some(bytes)),
        Ok(Body::Memory(_) | Body::Spooled { .. }) | Err(GraphError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

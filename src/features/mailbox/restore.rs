//! Bringing one message back: create and attach, or bring what is there up to date.

use serde_json::{Value, json};

use super::fields::is_draft;
use super::marker::Marker;
use super::message::{Detail, creation, draft_update, state_update};
use super::mime::{self, Letter};
use super::target::identity;
use super::{IMMUTABLE_IDS, settings, streams};
use crate::features::attaching::{Holder, attach, is_refusal};
use crate::features::marking::find_marked;
use crate::features::{Action, Recognised, RestoreError, Restored, Source, StoredContent, StoredItem};
use crate::graph::{Endpoint, GraphError};

/// How often a creation with an unclear end is begun again after the message was not found.
const CREATIONS_MAX: u32 = 3;
const STREAMS_LEFT_OUT: &str =
    "this version of kodo does not import Exchange's own streams; the message itself comes back";
/// What one request of an upload carries, for an estimate.
const UPLOAD_PIECE_BYTES: u64 = 3 << 20;

pub(super) fn recognise(folder: &str, item: &StoredItem) -> Result<Recognised, RestoreError> {
    if streams::is_stream(folder) {
        return Ok(Recognised::LeftOut { why: STREAMS_LEFT_OUT });
    }
    if settings::is_own(folder) {
        return settings::recognise(folder, item);
    }
    Ok(Recognised::Item(identity(&item.json()?)))
}

pub(super) async fn carry_out(
    target: Source<'_>,
    folder: &str,
    item: &StoredItem,
    action: &Action,
) -> Result<Restored, RestoreError> {
    if settings::is_own(folder) {
        return settings::carry_out(target, item, action).await;
    }
    let original = item.json()?;
    match action {
        Action::Create | Action::CreateBeside => create_whole(target, folder, item, &original).await,
        Action::Update { id } => update(target, id, item, &original).await,
    }
}

/// One for the message, one for its attachments, and one for each piece of a large one.
pub(super) fn requests_to_create(item: &StoredItem, bytes: u64) -> u64 {
    let has_attachments = item.json().is_ok_and(|message| message["hasAttachments"] == true);
    if has_attachments { 2 + bytes / UPLOAD_PIECE_BYTES } else { 1 }
}

async fn create_whole(
    target: Source<'_>,
    folder: &str,
    item: &StoredItem,
    original: &Value,
) -> Result<Restored, RestoreError> {
    let letter = letter(item)?;
    let marker = Marker { key: item.key, n_attachments: letter.attachments.len() };
    let (id, mut remarks) = create(target, folder, original, &letter, &marker).await?;
    let attachments: Vec<_> = letter.attachments.iter().collect();
    let attached = attach(target, Holder::Message(&id), 0, &attachments).await.map_err(restore_error)?;
    if attached.count < letter.attachments.len() {
        // What can never be added must not make the next restore begin again.
        let marker = Marker { n_attachments: attached.count, ..marker };
        let message = Endpoint::Message { user: target.user, message: &id };
        let body = json!({ "singleValueExtendedProperties": [marker.property()] });
        target.graph.patch(message).prefer(IMMUTABLE_IDS).body(&body).done().await?;
    }
    remarks.extend(letter.remarks);
    remarks.extend(attached.remarks);
    remarks.sort();
    remarks.dedup();
    Ok(Restored::Created { remarks })
}

pub(super) fn letter(item: &StoredItem) -> Result<Letter, RestoreError> {
    match &item.content {
        StoredContent::Whole(content) => Ok(mime::read(content)),
        StoredContent::None | StoredContent::Large(_) => {
            Err(RestoreError::Item("the restore point holds no content of this message".to_owned()))
        }
    }
}

/// Exchange lets nobody change the text of a message that is no draft, so what can differ is its state.
async fn update(target: Source<'_>, id: &str, item: &StoredItem, original: &Value) -> Result<Restored, RestoreError> {
    let endpoint = Endpoint::Message { user: target.user, message: id };
    let mut remarks = Vec::new();
    let body = if is_draft(original) {
        let letter = letter(item)?;
        if !letter.attachments.is_empty() {
            remarks.push("the attachments of the draft are left as they are".to_owned());
        }
        draft_update(original, &letter)
    } else {
        state_update(original)
    };
    target.graph.patch(endpoint).prefer(IMMUTABLE_IDS).body(&body).done().await.map_err(restore_error)?;
    Ok(Restored::Updated { remarks })
}

/// Creates the message without its attachments. Says its id and what could not be taken over.
async fn create(
    target: Source<'_>,
    folder: &str,
    original: &Value,
    letter: &Letter,
    marker: &Marker,
) -> Result<(String, Vec<String>), RestoreError> {
    let endpoint = Endpoint::FolderMessages { user: target.user, folder };
    let mut detail = Detail::Full;
    let mut creations = 0;
    loop {
        let (body, remarks) = creation(original, letter, marker, detail);
        creations += 1;
        match target.graph.post(endpoint).prefer(IMMUTABLE_IDS).body(&body).json().await {
            Ok(created) => match created["id"].as_str() {
                Some(id) => return Ok((id.to_owned(), remarks)),
                None => return Err(GraphError::protocol(endpoint, "the created message has no id").into()),
            },
            Err(error @ GraphError::Ambiguous { .. }) => {
                let mark = marker.to_string();
                let found = find_marked(target, endpoint, &mark, "id").await?;
                if let Some(id) = found.as_ref().and_then(|message| message["id"].as_str()) {
                    return Ok((id.to_owned(), remarks));
                }
                if creations >= CREATIONS_MAX {
                    return Err(error.into());
                }
            }
            Err(GraphError::BadItem { .. } | GraphError::Refused { .. }) if detail == Detail::Full => {
                detail = Detail::Bare;
            }
            Err(error) => return Err(restore_error(error)),
        }
    }
}

/// What concerns this message alone must not end the restore of the others.
fn restore_error(error: GraphError) -> RestoreError {
    if is_refusal(&error) { RestoreError::Item(error.to_string()) } else { RestoreError::Graph(error) }
}

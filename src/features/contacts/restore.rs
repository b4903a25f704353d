//! Bringing one contact back: create and give it its photo, or bring what is there up to date.

use bytes::Bytes;
use serde_json::Value;

use super::capture::read_photo;
use super::marker::Marker;
use super::person::{Detail, creation, identity, marking, picture_type, update};
use super::target::{at, read};
use crate::features::marking::find_marked;
use crate::features::{Action, Recognised, RestoreError, Restored, Source, StoredContent, StoredItem};
use crate::graph::{GraphError, IMMUTABLE_IDS, Outlook};

/// How often a creation with an unclear end is begun again after the contact was not found.
const CREATIONS_MAX: u32 = 3;

pub(super) fn recognise(item: &StoredItem) -> Result<Recognised, RestoreError> {
    Ok(Recognised::Item(identity(&item.json()?, photo(item)?.is_some())))
}

pub(super) fn photo(item: &StoredItem) -> Result<Option<&Bytes>, RestoreError> {
    match &item.content {
        StoredContent::Whole(photo) => Ok(Some(photo).filter(|photo| !photo.is_empty())),
        StoredContent::None => Ok(None),
        StoredContent::Large(_) => {
            Err(RestoreError::Item("the photo is larger than any that Exchange takes".to_owned()))
        }
    }
}

/// One for the contact; for a photo it is put, looked at and noted.
pub(super) fn requests_to_create(bytes: u64) -> u64 {
    if bytes > 0 { 4 } else { 1 }
}

pub(super) async fn carry_out(
    target: Source<'_>,
    folder: &str,
    item: &StoredItem,
    action: &Action,
) -> Result<Restored, RestoreError> {
    let (original, photo) = (item.json()?, photo(item)?);
    match action {
        Action::Create | Action::CreateBeside => {
            let marker = Marker { key: item.key, is_partial: photo.is_some() };
            let (id, mut remarks) = create(target, folder, &original, &marker).await?;
            if let Some(photo) = photo {
                remarks.extend(put_photo(target, &id, photo).await?);
                let whole = marking(&original, &Marker { is_partial: false, ..marker });
                change(target, &id, &whole).await?;
            }
            Ok(Restored::Created { remarks })
        }
        Action::Update { id } => bring_up_to_date(target, id, &original, photo).await,
    }
}

/// Creates the contact without its photo. Says its id and what could not be taken over.
async fn create(
    target: Source<'_>,
    folder: &str,
    original: &Value,
    marker: &Marker,
) -> Result<(String, Vec<String>), RestoreError> {
    let endpoint = at(target, Outlook::Contacts { folder });
    let mut detail = Detail::Full;
    let mut creations = 0;
    loop {
        let (body, remarks) = creation(original, marker, detail);
        creations += 1;
        let found = match target.graph.post(endpoint).prefer(IMMUTABLE_IDS).body(&body).json().await {
            Ok(created) => created,
            Err(error @ GraphError::Ambiguous { .. }) => {
                match find_marked(target, endpoint, &marker.to_string(), "id").await? {
                    Some(found) => found,
                    None if creations >= CREATIONS_MAX => return Err(error.into()),
                    None => continue,
                }
            }
            Err(GraphError::BadItem { .. } | GraphError::Refused { .. }) if detail == Detail::Full => {
                detail = Detail::Bare;
                continue;
            }
            Err(error) => return Err(restore_error(error)),
        };
        return match found["id"].as_str() {
            Some(id) => Ok((id.to_owned(), remarks)),
            None => Err(GraphError::protocol(endpoint, "the created contact has no id").into()),
        };
    }
}

/// Changes what differs. A photo that the backup lacks stays: Microsoft lets nobody take it away.
async fn bring_up_to_date(
    target: Source<'_>,
    id: &str,
    original: &Value,
    photo: Option<&Bytes>,
) -> Result<Restored, RestoreError> {
    let Some(current) = read(target, id).await? else {
        return Err(RestoreError::Item("it was deleted while it was looked at: restore it once more".to_owned()));
    };
    let (body, mut remarks) = update(original, &current);
    let mut changed = false;
    if let Some(body) = &body {
        change(target, id, body).await?;
        changed = true;
    }
    if let Some(photo) = photo
        && photo_now(target, id).await?.as_ref() != Some(photo)
    {
        remarks.extend(put_photo(target, id, photo).await?);
        changed = true;
    }
    Ok(if changed { Restored::Updated { remarks } } else { Restored::AlreadyThere })
}

async fn change(target: Source<'_>, contact: &str, body: &Value) -> Result<(), RestoreError> {
    let endpoint = at(target, Outlook::Contact { contact });
    target.graph.patch(endpoint).prefer(IMMUTABLE_IDS).body(body).done().await.map_err(restore_error)
}

/// Puts the photo and looks whether it is there. What is wrong with it is a remark: the contact is worth more.
async fn put_photo(target: Source<'_>, contact: &str, photo: &Bytes) -> Result<Option<String>, RestoreError> {
    let endpoint = at(target, Outlook::ContactPhoto { contact });
    let put = target.graph.put(endpoint).prefer(IMMUTABLE_IDS).bytes(picture_type(photo), photo.clone());
    match put.done().await.map_err(restore_error) {
        Ok(()) => {}
        Err(RestoreError::Item(why)) => return Ok(Some(format!("the photo is left out: {why}"))),
        Err(error) => return Err(error),
    }
    Ok(match photo_now(target, contact).await? {
        Some(now) if now == *photo => None,
        Some(_) => Some("Microsoft keeps the photo in a form of its own".to_owned()),
        None => Some("Microsoft took the photo and does not show it".to_owned()),
    })
}

async fn photo_now(target: Source<'_>, contact: &str) -> Result<Option<Bytes>, RestoreError> {
    match read_photo(target, contact).await {
        Ok(photo) => Ok(photo),
        Err(error) => match restore_error(error) {
            // What cannot be read is not what is wanted.
            RestoreError::Item(_) => Ok(None),
            error => Err(error),
        },
    }
}

/// What concerns this contact alone must not end the restore of the others.
fn restore_error(error: GraphError) -> RestoreError {
    match error {
        GraphError::BadItem { .. }
        | GraphError::Refused { .. }
        | GraphError::TooLarge { .. }
        | GraphError::Conflict { .. }
        | GraphError::Protocol { .. } => RestoreError::Item(error.to_string()),
        GraphError::Throttled { .. }
        | GraphError::Transient { .. }
        | GraphError::Ambiguous { .. }
        | GraphError::Login { .. }
        | GraphError::Forbidden { .. }
        | GraphError::NoService { .. }
        | GraphError::NotFound { .. }
        | GraphError::Resync { .. }
        | GraphError::Quota { .. }
        | GraphError::Locked { .. } => RestoreError::Graph(error),
    }
}

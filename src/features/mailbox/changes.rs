//! The changes in one folder, page by page, and what each of them needs.

use serde_json::Value;

use super::fields::{flags, is_complete, is_draft, text, without_envelope};
use super::folder_requests::walk_error;
use super::folders::RECOVERABLE;
use super::settings;
use super::{IMMUTABLE_IDS, MESSAGE_PROPERTIES, PAGE_SIZE};
use crate::features::entries::{self, is_removed};
use crate::features::{
    Change, Cursor, KnownVersion, Need, Next, Page, RemoteItem, Source, Walk, WalkError, change_tag, flag,
};
use crate::graph::{Endpoint, GraphError, JsonPage};

pub(super) async fn page(source: Source<'_>, container: &str, walk: &Walk) -> Result<Page, WalkError> {
    match container {
        settings::CONTAINER => settings::page(source, walk).await,
        RECOVERABLE => listed(source, container, walk).await,
        folder => changed(source, folder, walk).await,
    }
}

async fn changed(source: Source<'_>, folder: &str, walk: &Walk) -> Result<Page, WalkError> {
    let endpoint = Endpoint::FolderMessagesDelta { user: source.user, folder };
    let call = match walk {
        Walk::Start => source.graph.get(endpoint).query("$select", MESSAGE_PROPERTIES),
        // A link of another service is one from before the configuration changed: it is worth nothing now.
        Walk::Since(Cursor(link)) | Walk::Resume(Cursor(link)) => {
            source.graph.follow(endpoint, link).map_err(|_| WalkError::Expired)?
        }
    };
    let JsonPage { value, next, delta } =
        call.prefer(IMMUTABLE_IDS).prefer(PAGE_SIZE).page().await.map_err(walk_error)?;
    let next = match (next, delta) {
        (Some(next), _) => Next::Page(Cursor(next)),
        (None, Some(delta)) => Next::Done(Cursor(delta)),
        (None, None) => {
            return Err(GraphError::protocol(endpoint, "the page has neither nextLink nor deltaLink").into());
        }
    };
    let changes = entries::read(value, change).ok_or_else(|| GraphError::protocol(endpoint, "an entry has no id"))?;
    Ok(Page { begins_full_walk: false, changes, next })
}

/// A page of a folder that is listed whole each time: of the recoverable items no changes are documented.
async fn listed(source: Source<'_>, folder: &str, walk: &Walk) -> Result<Page, WalkError> {
    let endpoint = Endpoint::FolderMessages { user: source.user, folder };
    let call = match walk {
        Walk::Start | Walk::Since(_) => source.graph.get(endpoint).query("$select", MESSAGE_PROPERTIES),
        Walk::Resume(Cursor(link)) => source.graph.follow(endpoint, link).map_err(|_| WalkError::Expired)?,
    };
    let JsonPage { value, next, .. } = call.prefer(IMMUTABLE_IDS).prefer(PAGE_SIZE).page().await.map_err(walk_error)?;
    let changes = entries::read(value, change).ok_or_else(|| GraphError::protocol(endpoint, "an entry has no id"))?;
    let next = next.map_or_else(|| Next::Done(Cursor("listed".to_owned())), |next| Next::Page(Cursor(next)));
    Ok(Page { begins_full_walk: !matches!(walk, Walk::Resume(_)), changes, next })
}

fn change(id: String, entry: Value) -> Option<Change> {
    if is_removed(&entry) {
        return Some(Change::Removed { id });
    }
    let properties = is_complete(&entry).then(|| without_envelope(entry));
    Some(Change::Present(RemoteItem { id, properties }))
}

/// Exchange changes the content of a message only while it is a draft; read state, flags, categories and the folder
/// are properties. Programs that take attachments out of old mail are noticed by the attachment flag. Where kodo itself
/// noted something in the properties, it is found out again.
pub(super) fn need(item: &RemoteItem, known: Option<&KnownVersion>) -> Need {
    if settings::is_own(&item.id) {
        return settings::need(item, known);
    }
    let Some(known) = known else { return Need::Everything };
    let is_settled = known.flags & (flag::DRAFT | flag::REFERENCES | flag::KEPT_AS_PARTS) == 0;
    let Some(properties) = &item.properties else {
        return if known.has_content && is_settled { Need::Properties } else { Need::Everything };
    };
    if known.has_content && known.change_tag == change_tag(text(&properties["changeKey"])) {
        return Need::Nothing;
    }
    let attachments_changed = (flags(properties) ^ known.flags) & flag::ATTACHMENTS != 0;
    if !known.has_content || !is_settled || is_draft(properties) || attachments_changed {
        return Need::Everything;
    }
    Need::Properties
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(id: &str, change_key: &str) -> Value {
        json!({"id": id, "changeKey": change_key, "isDraft": false, "parentFolderId": "f",
               "receivedDateTime": "2024-01-01T00:00:00Z", "subject": "s", "@odata.etag": "W/1"})
    }

    fn item(properties: Option<Value>) -> RemoteItem {
        RemoteItem { id: "m".into(), properties }
    }

    #[test]
    fn an_entry_of_a_few_properties_is_to_be_asked_for() {
        let properties = |entry: Value| match change("c".to_owned(), entry) {
            Some(Change::Present(item)) => item.properties,
            other => panic!("{other:?}"),
        };

        assert!(properties(message("c", "1")).is_some());
        assert_eq!(properties(json!({"id": "c", "isRead": true})), None);
    }

    #[test]
    fn only_what_can_have_changed_is_read_again() {
        let known = |change_key: &str, flags: u16, has_content: bool| KnownVersion {
            change_tag: change_tag(change_key),
            flags,
            has_content,
        };
        let complete = || item(Some(message("m", "k")));
        let mut draft = message("m", "k");
        draft["isDraft"] = json!(true);

        assert_eq!(need(&complete(), None), Need::Everything);
        assert_eq!(need(&complete(), Some(&known("k", 0, true))), Need::Nothing);
        assert_eq!(need(&complete(), Some(&known("k", 0, false))), Need::Everything);
        assert_eq!(need(&complete(), Some(&known("old", 0, true))), Need::Properties);
        assert_eq!(need(&complete(), Some(&known("old", flag::DRAFT, true))), Need::Everything);
        assert_eq!(need(&complete(), Some(&known("old", flag::ATTACHMENTS, true))), Need::Everything);
        assert_eq!(need(&complete(), Some(&known("old", flag::KEPT_AS_PARTS, true))), Need::Everything);
        assert_eq!(need(&complete(), Some(&known("k", flag::KEPT_AS_PARTS, true))), Need::Nothing);
        assert_eq!(need(&complete(), Some(&known("old", flag::REFERENCES, true))), Need::Everything);
        assert_eq!(need(&item(Some(draft)), Some(&known("old", 0, true))), Need::Everything);
        assert_eq!(need(&item(None), Some(&known("k", 0, true))), Need::Properties);
        assert_eq!(need(&item(None), Some(&known("k", flag::DRAFT, true))), Need::Everything);
        assert_eq!(need(&item(None), Some(&known("k", 0, false))), Need::Everything);
    }
}

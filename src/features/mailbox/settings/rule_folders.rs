//! The folders that a rule moves or copies to. Graph names them by id, which means nothing in another mailbox and nothing
//! here when the folder was made anew: a captured rule notes where they are.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::rule::folders;
use crate::features::entries::text;
use crate::features::mailbox::folder_requests::well_known_ids;
use crate::features::mailbox::{Mailbox, NOTES};
use crate::features::{Opening, PathStep, RestoreError, Restoring, Source, WalkError};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS};

/// In what kodo itself says of a rule: the steps to each of its folders, by id.
const FOLDERS: &str = "folders";
/// Exchange nests no deeper than 300.
const DEPTH_MAX: usize = 300;
/// Where rules put mail, whatever it is called there.
const WELL_KNOWN: [&str; 4] = ["inbox", "archive", "deleteditems", "junkemail"];

/// The steps to a folder, as they were noted when the rule was captured.
fn path(rule: &Value, folder: &str) -> Option<Vec<PathStep>> {
    Vec::<PathStep>::deserialize(&rule[NOTES][FOLDERS][folder]).ok()
}

/// For people.
pub(super) fn path_text(rule: &Value, folder: &str) -> Option<String> {
    let names: Vec<String> = path(rule, folder)?.into_iter().map(|step| step.name).collect();
    Some(format!("the folder \"{}\"", names.join("/")))
}

/// Whether it is known to be this default folder.
pub(super) fn is_well_known(rule: &Value, folder: &str, name: &str) -> bool {
    let steps = path(rule, folder).unwrap_or_default();
    steps.last().is_some_and(|step| step.well_known.as_deref() == Some(name))
}

/// The rule with a note of where its folders are, as far as that can be told.
pub(super) async fn noted(source: Source<'_>, mut rule: Value) -> Result<Value, GraphError> {
    let mut notes = Map::new();
    for folder in folders(&rule) {
        if let Some(steps) = steps_to(source, folder).await? {
            notes.insert(folder.to_owned(), json!(steps));
        }
    }
    if !notes.is_empty() {
        rule[NOTES] = json!({ FOLDERS: notes });
    }
    Ok(rule)
}

async fn steps_to(source: Source<'_>, folder: &str) -> Result<Option<Vec<PathStep>>, GraphError> {
    let Some(root) = read(source, "msgfolderroot").await? else { return Ok(None) };
    let known = match well_known_ids(source, &WELL_KNOWN).await {
        Ok(known) => known,
        Err(WalkError::Graph(error)) => return Err(error),
        Err(WalkError::Expired | WalkError::NotApplicable(_)) => return Ok(None),
    };
    let mut steps = Vec::new();
    let mut here = folder.to_owned();
    for _ in 0..DEPTH_MAX {
        if here == root["id"] {
            steps.reverse();
            return Ok(Some(steps).filter(|steps| !steps.is_empty()));
        }
        let Some(found) = read(source, &here).await? else { return Ok(None) };
        let well_known = known.iter().find(|(_, id)| **id == here).map(|(name, _)| name.clone());
        let hidden = found["isHidden"] == true;
        steps.push(PathStep { name: text(&found["displayName"]).to_owned(), well_known, hidden });
        here = text(&found["parentFolderId"]).to_owned();
    }
    Ok(None)
}

/// A folder; `None`: it is not in this mailbox, or may not be looked at.
async fn read(source: Source<'_>, folder: &str) -> Result<Option<Value>, GraphError> {
    let endpoint = Endpoint::MailFolder { user: source.user, folder };
    let select = "id,displayName,parentFolderId,isHidden";
    match source.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", select).json().await {
        Ok(found) => Ok(Some(found)),
        Err(
            GraphError::NotFound { .. }
            | GraphError::Refused { .. }
            | GraphError::BadItem { .. }
            | GraphError::Forbidden { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The target's folder for one that a stored rule names: the same, if it is there, else the one at its place.
pub(super) async fn find_folder(
    target: Source<'_>,
    rule: &Value,
    folder: &str,
) -> Result<Option<String>, RestoreError> {
    if let Some(found) = read(target, folder).await? {
        return Ok(found["id"].as_str().map(str::to_owned));
    }
    match path(rule, folder) {
        Some(steps) if !steps.is_empty() => Mailbox.open_container(target, &steps, Opening::Look).await,
        Some(_) | None => Ok(None),
    }
}

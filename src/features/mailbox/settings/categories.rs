//! Categories of the mailbox's list on their way back. What one is called never changes, so its colour can differ alone.

use serde_json::{Value, json};

use super::restore::{own_id, restore_error};
use super::{Area, ask, tag};
use crate::features::entries::text;
use crate::features::{Action, Identity, RestoreError, Restored, Source, change_tag};
use crate::graph::{Endpoint, GraphError, SettingsPart};
use crate::ids::ItemKey;

/// How often a creation with an unclear end is begun again after the category was not found.
const CREATIONS_MAX: u32 = 3;
const OTHER_COLOR: &str = "a category of this name and another color is there";

fn name(category: &Value) -> String {
    text(&category["displayName"]).to_lowercase()
}

pub(super) fn identity(category: &Value) -> Identity {
    let name = name(category);
    Identity {
        natural_key: Some(ItemKey::of(&format!("category\n{name}"))),
        change_tag: Some(tag(category)),
        state: Some(change_tag(&json!([name, text(&category["color"])]).to_string())),
        modified: None,
    }
}

pub(super) async fn carry_out(target: Source<'_>, stored: &Value, action: &Action) -> Result<Restored, RestoreError> {
    match action {
        Action::Create => create(target, stored).await,
        Action::CreateBeside => Ok(Restored::LeftAlone { why: OTHER_COLOR }),
        Action::Update { id } => {
            let what = SettingsPart::Category { category: own_id(Area::Categories, id) };
            let endpoint = Endpoint::SettingsPart { user: target.user, what };
            let body = json!({ "color": stored["color"] });
            target.graph.patch(endpoint).body(&body).done().await.map_err(restore_error)?;
            Ok(Restored::Updated { remarks: Vec::new() })
        }
    }
}

async fn create(target: Source<'_>, stored: &Value) -> Result<Restored, RestoreError> {
    let endpoint = Endpoint::MasterCategories { user: target.user };
    let mut body = json!({ "displayName": stored["displayName"] });
    if !stored["color"].is_null() {
        body["color"] = stored["color"].clone();
    }
    let mut creations = 0;
    loop {
        creations += 1;
        let error = match target.graph.post(endpoint).body(&body).json().await {
            Ok(_) => return Ok(Restored::Created { remarks: Vec::new() }),
            Err(error) => error,
        };
        let is_unclear = matches!(error, GraphError::Ambiguous { .. });
        if !is_unclear && !matches!(error, GraphError::Conflict { .. } | GraphError::Refused { .. }) {
            return Err(restore_error(error));
        }
        let all = ask(target, Area::Categories).await.map_err(restore_error)?;
        match all.iter().find(|one| name(one) == name(stored)) {
            Some(found) if text(&found["color"]) != text(&stored["color"]) => {
                return Ok(Restored::LeftAlone { why: OTHER_COLOR });
            }
            Some(_) if is_unclear => return Ok(Restored::Created { remarks: Vec::new() }),
            Some(_) => return Ok(Restored::AlreadyThere),
            None if is_unclear && creations < CREATIONS_MAX => {}
            None => return Err(restore_error(error)),
        }
    }
}

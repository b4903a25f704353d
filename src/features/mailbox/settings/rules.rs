//! Inbox rules on their way back. One that sends mail on or deletes it comes back turned off: whoever had it in the
//! mailbox, its owner or a thief, it must not work again unseen.

use serde_json::{Map, Value, json};

use super::restore::{Side, own_id, restore_error};
use super::rule::{self, Translated};
use super::rule_folders::find_folder;
use super::{Area, ask, tag};
use crate::features::entries::text;
use crate::features::{Action, Identity, RestoreError, Restored, Source, change_tag};
use crate::graph::{Endpoint, GraphError, SettingsPart};
use crate::ids::ItemKey;

/// How often a creation with an unclear end is begun again after the rule was not found.
const CREATIONS_MAX: u32 = 3;
const SAME: &str = "a rule of this name that does the same is there";

pub(super) fn identity(rule: &Value, side: Side) -> Identity {
    let essence = rule::essence(rule);
    let is_on = rule["isEnabled"] == true && (side == Side::Target || !rule::is_dangerous(rule));
    let state = json!([essence, is_on, rule::folders(rule)]).to_string();
    Identity {
        natural_key: Some(ItemKey::of(&format!("rule\n{essence}"))),
        change_tag: Some(tag(rule)),
        state: Some(change_tag(&state)),
        modified: None,
    }
}

pub(super) async fn carry_out(target: Source<'_>, stored: &Value, action: &Action) -> Result<Restored, RestoreError> {
    let all = ask(target, Area::Rules).await.map_err(restore_error)?;
    let same = same_rule(&all, stored);
    match action {
        Action::Create if same.is_some() => return Ok(Restored::AlreadyThere),
        Action::CreateBeside if same.is_some() => return Ok(Restored::LeftAlone { why: SAME }),
        Action::Create | Action::CreateBeside | Action::Update { .. } => {}
    }
    let Translated { rule, remarks } = translated(target, stored).await?;
    match action {
        Action::Create | Action::CreateBeside => {
            create(target, &rule).await?;
            Ok(Restored::Created { remarks })
        }
        Action::Update { id } => {
            let id = own_id(Area::Rules, id);
            let current = all.iter().find(|one| text(&one["id"]) == id);
            let current = current.ok_or_else(|| RestoreError::Item("the rule was deleted meanwhile".to_owned()))?;
            let changes = rule::changes(&rule, current);
            if changes.is_empty() {
                return Ok(Restored::AlreadyThere);
            }
            let endpoint = Endpoint::SettingsPart { user: target.user, what: SettingsPart::InboxRule { rule: id } };
            let body = Value::Object(changes);
            target.graph.patch(endpoint).body(&body).done().await.map_err(restore_error)?;
            Ok(Restored::Updated { remarks })
        }
    }
}

fn same_rule<'a>(all: &'a [Value], rule: &Value) -> Option<&'a Value> {
    let wanted = rule::essence(rule);
    all.iter().find(|one| rule::essence(one) == wanted)
}

/// The rule as this mailbox can have it: its folders are those of the target.
async fn translated(target: Source<'_>, stored: &Value) -> Result<Translated, RestoreError> {
    let mut folders = Map::new();
    for id in rule::folders(stored) {
        if let Some(found) = find_folder(target, stored, id).await? {
            folders.insert(id.to_owned(), json!(found));
        }
    }
    rule::translated(stored, &folders).map_err(RestoreError::Item)
}

async fn create(target: Source<'_>, rule: &Value) -> Result<(), RestoreError> {
    let endpoint = Endpoint::InboxRules { user: target.user };
    let mut creations = 0;
    loop {
        creations += 1;
        match target.graph.post(endpoint).body(rule).json().await {
            Ok(_) => return Ok(()),
            Err(error @ GraphError::Ambiguous { .. }) => {
                let all = ask(target, Area::Rules).await.map_err(restore_error)?;
                if same_rule(&all, rule).is_some() {
                    return Ok(());
                }
                if creations >= CREATIONS_MAX {
                    return Err(restore_error(error));
                }
            }
            Err(error) => return Err(restore_error(error)),
        }
    }
}

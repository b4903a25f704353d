//! Letting people in again: whom an item was shared with, who of them can be let in, and that nobody is told by mail.
//!
//! What a folder above grants comes with that folder, and the owner needs no grant. A link is not made anew: it would have
//! another address, which nobody has, and open the item to more people than those who were given the old one.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::PERMISSIONS;
use super::facets::is;
use super::target::item_error;
use crate::features::{RestoreError, Source, StoredItem, text};
use crate::graph::{DriveTarget, Endpoint, GraphError};

/// People who are let in by one request.
const RECIPIENTS_MAX: usize = 50;
/// How often a request is sent of which it is not known whether it was carried out. Twice is as good as once.
const SENDINGS_MAX: u32 = 3;
/// People who are named in one remark.
const NAMED_MAX: usize = 5;
/// How Graph writes that a grant does not end.
const NEVER_ENDS: &str = "0001-01-01";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Read,
    Write,
}

impl Role {
    const ALL: [Self; 2] = [Self::Read, Self::Write];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What the permissions of an item say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Grants {
    /// By the ids of people and groups; who has two roles has the one that allows more.
    people: BTreeMap<String, (Role, String)>,
    links: usize,
    /// Who cannot be let in again, and why.
    left_out: Vec<String>,
}

/// Those who can be let in again, by their ids.
pub(super) fn shared_with(item: &StoredItem) -> Vec<String> {
    item.json().map(|original| Grants::of(&original).people.into_keys().collect()).unwrap_or_default()
}

/// One for each role, and for each further batch of people.
pub(super) fn requests(item: &StoredItem) -> u64 {
    let Ok(original) = item.json() else { return 0 };
    let grants = Grants::of(&original);
    Role::ALL.into_iter().map(|role| grants.having(role).count().div_ceil(RECIPIENTS_MAX) as u64).sum()
}

/// Lets those in who stand for the people of the backup. Returns what is to be said of the others. Repeats safely: who
/// has a role already keeps it.
pub(super) async fn share(
    target: Source<'_>,
    (drive, item): (&str, &str),
    original: &Value,
    people: &HashMap<String, String>,
) -> Result<Vec<String>, RestoreError> {
    let mut grants = Grants::of(original);
    let mut refused = std::mem::take(&mut grants.left_out);
    let invitation = Invitation { target, drive, item };
    for role in Role::ALL {
        let mut there = Vec::new();
        for (id, name) in grants.having(role) {
            match people.get(id) {
                // Whose drive it is needs no grant.
                Some(own) if own == target.user => {}
                Some(own) => there.push((own.as_str(), name)),
                None => refused.push(format!("{name} (nobody in the directory of the target stands for them)")),
            }
        }
        for batch in there.chunks(RECIPIENTS_MAX) {
            refused.extend(invitation.to_all(role, batch).await?);
        }
    }
    Ok(remarks(refused, grants.links))
}

fn remarks(refused: Vec<String>, links: usize) -> Vec<String> {
    let mut remarks = Vec::new();
    if !refused.is_empty() {
        let more = refused.len().saturating_sub(NAMED_MAX);
        let and_more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let named = refused.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join(", ");
        remarks.push(format!("not shared again with {named}{and_more}"));
    }
    if links > 0 {
        remarks.push(format!("{links} sharing links are not made anew: they would have other addresses"));
    }
    remarks
}

/// An item that people are let in to.
#[derive(Clone, Copy)]
struct Invitation<'a> {
    target: Source<'a>,
    drive: &'a str,
    item: &'a str,
}

impl Invitation<'_> {
    /// Lets all of them in. Graph takes all or none, so that after a refusal each is asked for alone. Returns who was
    /// refused.
    async fn to_all(self, role: Role, people: &[(&str, &str)]) -> Result<Vec<String>, RestoreError> {
        let ids: Vec<&str> = people.iter().map(|(id, _)| *id).collect();
        match (self.send(role, &ids).await?, people) {
            (None, _) => return Ok(Vec::new()),
            (Some(why), [(_, name)]) => return Ok(vec![format!("{name} ({why})")]),
            (Some(_), _) => {}
        }
        let mut refused = Vec::new();
        for (id, name) in people {
            if let Some(why) = self.send(role, &[*id]).await? {
                refused.push(format!("{name} ({why})"));
            }
        }
        Ok(refused)
    }

    /// Why Microsoft does not let them in, if it does not.
    async fn send(self, role: Role, ids: &[&str]) -> Result<Option<String>, RestoreError> {
        let endpoint = Endpoint::DriveTarget(DriveTarget::Invite { drive: self.drive, item: self.item });
        let recipients: Vec<Value> = ids.iter().map(|id| json!({ "objectId": id })).collect();
        let body = json!({
            "requireSignIn": true, "sendInvitation": false, "roles": [role.as_str()], "recipients": recipients,
        });
        let mut sendings = 0;
        loop {
            sendings += 1;
            match self.target.graph.post(endpoint).body(&body).json().await {
                Ok(answer) => return Ok(refusal(&answer)),
                Err(GraphError::Ambiguous { .. }) if sendings < SENDINGS_MAX => {}
                // That one item may not be shared says nothing about the others.
                Err(
                    error @ (GraphError::BadItem { .. }
                    | GraphError::Refused { .. }
                    | GraphError::Conflict { .. }
                    | GraphError::Forbidden { .. }),
                ) => return Ok(Some(format!("Microsoft refuses it: {}", error.answer().code()))),
                Err(error) => return Err(item_error(error)),
            }
        }
    }
}

/// What Graph says of those whom it did not let in, in an answer that is otherwise a good one.
fn refusal(answer: &Value) -> Option<String> {
    let code = answer["value"].as_array()?.iter().find_map(|one| one["error"]["code"].as_str())?;
    Some(format!("Microsoft refuses it: {code}"))
}

impl Grants {
    fn of(original: &Value) -> Self {
        let mut grants = Self::default();
        match &original[PERMISSIONS] {
            Value::Array(all) => all.iter().for_each(|permission| grants.add(permission)),
            Value::Null => {}
            _ => {
                grants.left_out.push("those whom it was shared with: the backup could not read who they are".to_owned())
            }
        }
        grants
    }

    fn having(&self, role: Role) -> impl Iterator<Item = (&str, &str)> {
        let all = self.people.iter().filter(move |(_, (has, _))| *has == role);
        all.map(|(id, (_, name))| (id.as_str(), name.as_str()))
    }

    fn add(&mut self, permission: &Value) {
        let has = |role: &str| permission["roles"].as_array().is_some_and(|roles| roles.contains(&json!(role)));
        if is(permission, "inheritedFrom") || has("owner") {
            return;
        }
        if is(permission, "link") && text(&permission["link"]["scope"]) != "users" {
            self.links += 1;
            return;
        }
        let ends = text(&permission["expirationDateTime"]);
        let role = match (has("write"), has("read")) {
            _ if !ends.is_empty() && !ends.starts_with(NEVER_ENDS) => Err("it was for a limited time"),
            (true, _) => Ok(Role::Write),
            (false, true) => Ok(Role::Read),
            (false, false) => Err("Microsoft lets nobody grant what they could do"),
        };
        for identity in identities(permission) {
            self.add_one(identity, role);
        }
    }

    fn add_one(&mut self, identity: &Value, role: Result<Role, &str>) {
        let user = ["user", "group"].into_iter().map(|kind| &identity[kind]).find(|one| !one.is_null());
        let one = user.or_else(|| identity.as_object()?.values().find(|one| one.is_object())).unwrap_or(identity);
        let name =
            ["displayName", "email", "id"].into_iter().map(|name| text(&one[name])).find(|name| !name.is_empty());
        let name = name.unwrap_or("somebody without a name");
        let id = user.map(|user| text(&user["id"])).filter(|id| !id.is_empty());
        match (id, role) {
            (Some(id), Ok(role)) => {
                let known = self.people.entry(id.to_owned()).or_insert_with(|| (role, name.to_owned()));
                known.0 = known.0.max(role);
            }
            (None, Ok(_)) => self.left_out.push(format!("{name} (they are in no directory)")),
            (_, Err(why)) => self.left_out.push(format!("{name} ({why})")),
        }
    }
}

/// Who was let in: one, or those whom a link was made for. Graph says each twice, in an older form too.
fn identities(permission: &Value) -> Vec<&Value> {
    let many = ["grantedToIdentitiesV2", "grantedToIdentities"].into_iter().map(|name| permission[name].as_array());
    let one = ["grantedToV2", "grantedTo"].into_iter().map(|name| &permission[name]).find(|one| one.is_object());
    match many.flatten().find(|all| !all.is_empty()) {
        Some(all) => all.iter().collect(),
        None => one.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(roles: &[&str], to: Value) -> Value {
        json!({ "id": "p", "roles": roles, "grantedToV2": to, "grantedTo": {"user": {"id": "another form"}} })
    }

    fn user(id: &str) -> Value {
        json!({ "user": {"id": id, "displayName": id.to_uppercase()}, "siteUser": {"displayName": "site", "id": "7"} })
    }

    fn grants(permissions: Value) -> Grants {
        Grants::of(&json!({ PERMISSIONS: permissions }))
    }

    fn having(grants: &Grants, role: Role) -> Vec<&str> {
        grants.having(role).map(|(id, _)| id).collect()
    }

    #[test]
    fn people_and_groups_that_were_let_in_to_the_item_itself_are_let_in_again() {
        let mut inherited = granted(&["write"], user("from above"));
        inherited["inheritedFrom"] = json!({ "id": "folder" });
        let link = json!({ "roles": ["write"], "link": {"scope": "users", "type": "edit"},
            "grantedToIdentitiesV2": [user("dan"), user("bea")], "grantedToIdentities": [user("dan")] });

        let read = grants(json!([
            granted(&["owner"], user("ann")),
            granted(&["read"], user("bea")),
            granted(&["read"], json!({ "group": {"id": "team", "displayName": "Team"} })),
            inherited,
            link,
        ]));

        assert_eq!((having(&read, Role::Read), having(&read, Role::Write)), (vec!["team"], vec!["bea", "dan"]));
        assert_eq!((read.links, read.left_out.len()), (0, 0), "{read:?}");
    }

    #[test]
    fn what_nobody_can_or_should_grant_again_is_told() {
        let mut for_a_week = granted(&["write"], user("eve"));
        for_a_week["expirationDateTime"] = json!("2026-12-01T00:00:00Z");
        let mut for_ever = granted(&["write"], user("fay"));
        for_ever["expirationDateTime"] = json!("0001-01-01T00:00:00Z");
        let link = |scope: &str| json!({ "roles": ["read"], "link": {"scope": scope, "type": "view"} });

        let read = grants(json!([
            link("anonymous"),
            link("organization"),
            granted(&[], user("gil")),
            granted(&["read"], json!({ "siteGroup": {"displayName": "Visitors", "id": "4"} })),
            granted(&["read"], json!({ "user": {"displayName": "A guest"} })),
            for_a_week,
            for_ever,
        ]));

        assert_eq!((having(&read, Role::Write), having(&read, Role::Read)), (vec!["fay"], vec![]));
        assert_eq!(read.links, 2);
        for told in ["GIL (Microsoft lets nobody", "Visitors (they are in no", "A guest (they", "EVE (it was for"] {
            assert!(read.left_out.iter().any(|one| one.starts_with(told)), "{told}: {:?}", read.left_out);
        }
        assert_eq!(Grants::of(&json!({ "name": "a" })), Grants::default());
        assert_eq!(grants(json!({ "unavailable": "403" })).left_out.len(), 1);
    }

    #[test]
    fn a_remark_names_the_first_few() {
        let refused = |n: usize| (0..n).map(|i| format!("person {i}")).collect::<Vec<_>>();

        assert_eq!(remarks(Vec::new(), 0), [""; 0]);
        assert_eq!(remarks(refused(1), 0), ["not shared again with person 0"]);
        let both = remarks(refused(7), 2);
        assert!(both[0].ends_with("person 4 and 2 more") && both[1].starts_with("2 sharing links"), "{both:?}");
    }
}

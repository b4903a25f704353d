//! Who may see an item: what was granted on it, and what it has from the folders above.

use super::items::wanted;
use super::{owner, view};
use crate::graph::Call;
use crate::locks::read;
use crate::reply::{Answer, Reply};
use crate::store::drive::item::{Grant, Item, Permission};
use crate::store::drive::{Drive, ROOT};
use crate::store::message::Person;
use serde_json::{Value, json};

pub fn list(call: &Call) -> Answer {
    let user = owner(call)?;
    let profile = user.profile();
    let drive = read(&user.drive);
    let item = wanted(call, &drive)?;
    let person = Person { name: profile.display_name, address: profile.principal_name };
    let mut value = vec![granted_to(call, &drive, (ROOT, 0), &["owner"], &person)];
    value.extend(own(call, &drive, item));
    for above in drive.ancestors(item.number).into_iter().filter_map(|number| drive.item(number)) {
        value.extend(own(call, &drive, above).map(|mut permission| {
            permission["inheritedFrom"] = json!({
                "driveId": drive.id, "id": drive.id_of(above.number),
                "path": format!("/drives/{}/root:/{}", drive.id, drive.path(above.number)),
            });
            permission
        }));
    }
    Ok(Reply::ok(json!({"@odata.context": call.context("Collection(permission)"), "value": value})))
}

fn own<'a>(call: &'a Call, drive: &'a Drive, item: &'a Item) -> impl Iterator<Item = Value> + 'a {
    item.permissions.iter().enumerate().map(move |(index, permission)| {
        let role = if permission.may_write { "write" } else { "read" };
        match &permission.grant {
            Grant::Person(person) => granted_to(call, drive, (item.number, index as u64 + 1), &[role], person),
            Grant::Link { scope } => link(call, drive, item.number, index as u64 + 1, permission, scope),
        }
    })
}

fn granted_to(call: &Call, drive: &Drive, (item, index): (u64, u64), roles: &[&str], person: &Person) -> Value {
    let mut user = view::user(person);
    // Who is in the directory goes by the id there.
    if let Some(known) = call.app.user(&person.address) {
        user["id"] = json!(known.id);
    }
    json!({
        "id": permission_id(drive, item, index),
        "roles": roles,
        "grantedToV2": {
            "user": user,
            "siteUser": {
                "displayName": person.name, "email": person.address, "id": (index + 6).to_string(),
                "loginName": format!("i:0#.f|membership|{}", person.address),
            },
        },
        "grantedTo": {"user": user},
    })
}

fn link(call: &Call, drive: &Drive, item: u64, index: u64, permission: &Permission, scope: &str) -> Value {
    let (role, kind) = if permission.may_write { ("write", "edit") } else { ("read", "view") };
    let id = permission_id(drive, item, index);
    let host = call.app.world.domain.split('.').next().unwrap_or_default();
    json!({
        "id": id,
        "roles": [role],
        "shareId": format!("u!{id}"),
        "hasPassword": false,
        "grantedToIdentitiesV2": [],
        "link": {
            "scope": scope, "type": kind, "preventsDownload": false,
            "webUrl": format!("https://{host}-my.sharepoint.com/:u:/g/personal/{id}"),
        },
    })
}

fn permission_id(drive: &Drive, item: u64, index: u64) -> String {
    crate::company::populate::guid(&[drive.salt(), 63, item, index])
}

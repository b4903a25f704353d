//! Delta of the contacts of one folder, and of the contact folders.

use super::super::Call;
use super::super::odata::Query;
use super::super::token::{Area, Phase};
use super::super::walk::{self, Place, Walk, refuse_options, removed};
use super::folders::wanted;
use super::view::{FOLDER_PROPERTIES, contact_json, contact_name, contact_properties, folder_id, folder_json};
use crate::locks::read;
use crate::reply::Answer;
use crate::store::changes::Fold;
use crate::store::contact::{Contact, Contacts, DEFAULT_FOLDER};
use crate::store::shelf::Entry;
use serde_json::{Value, json};

const REFUSED: [&str; 4] = ["$expand", "$filter", "$orderby", "$search"];

enum Row {
    Present(Entry<Contact>),
    Removed(String),
}

fn place(contacts: &Contacts, area: Area, container: u32) -> Place<'_> {
    Place { guid: &contacts.guid, epoch: contacts.epoch, seq: contacts.seq(), area, container }
}

pub fn contacts(call: &Call) -> Answer {
    let prefer = &call.request.prefer;
    let user = call.user()?;
    let contacts = read(&user.contacts);
    let folder = wanted(call, &contacts)?;
    let place = place(&contacts, Area::Contacts, folder);
    let token = match walk::open(call, &place)? {
        Some(token) => token,
        None => {
            refuse_options(call, &REFUSED)?;
            call.query.check_select(&contact_properties(), "contact")?;
            walk::begin(call, &place)
        }
    };
    let guid = contacts.guid.clone();
    let rows: Vec<(u64, Row)> = match token.phase {
        Phase::Enumerate { .. } => {
            contacts.held_in(folder).into_iter().map(|entry| (entry.item, Row::Present(entry))).collect()
        }
        Phase::Changes { from, .. } => {
            let steps = contacts.changes(folder, from, token.upto, Fold::of(prefer.kind()));
            let gone = |item, incarnation| Row::Removed(contact_name(prefer, item, incarnation).write(&guid));
            steps
                .into_iter()
                .map(|step| (0, step.now.map_or_else(|| gone(step.item, step.incarnation), Row::Present)))
                .collect()
        }
    };
    drop(contacts);
    let query = Query { select: token.select.clone(), ..Query::default() };
    let path = format!("contactFolders('{}')/contacts/delta", folder_id(&guid, folder));
    let ghost = contact_name(prefer, u64::MAX >> 8, 1).write(&guid);
    Walk { token, type_name: "contact", path: &path, ghost }.page(call, rows, |row| match row {
        Row::Removed(id) => removed("contact", &id),
        Row::Present(entry) => {
            let mut out = contact_json(&guid, &entry, prefer, &query);
            out.insert("@odata.type".into(), json!("#microsoft.graph.contact"));
            Value::Object(out)
        }
    })
}

/// All levels flat, without the default folder.
pub fn folders(call: &Call) -> Answer {
    let user = call.user()?;
    let contacts = read(&user.contacts);
    let place = place(&contacts, Area::ContactFolders, 0);
    let token = match walk::open(call, &place)? {
        Some(token) => token,
        None => {
            refuse_options(call, &REFUSED)?;
            call.query.check_select(&FOLDER_PROPERTIES, "contactFolder")?;
            walk::begin(call, &place)
        }
    };
    let query = Query { select: token.select.clone(), ..Query::default() };
    let ids: Vec<u32> = match token.phase {
        Phase::Enumerate { .. } => contacts.containers().map(|folder| folder.id).collect(),
        Phase::Changes { from, .. } => {
            contacts.container_changes(from, token.upto).iter().map(|change| change.container).collect()
        }
    };
    let rows = ids.into_iter().filter(|id| *id != DEFAULT_FOLDER).map(|id| (id.into(), id)).collect();
    let ghost = folder_id(&contacts.guid, u32::MAX);
    Walk { token, type_name: "contactFolder", path: "contactFolders/delta", ghost }.page(call, rows, |id: u32| {
        match contacts.container(id) {
            None => removed("contactFolder", &folder_id(&contacts.guid, id)),
            Some(folder) => {
                let mut out = folder_json(&contacts, folder, &query);
                out.insert("@odata.type".into(), json!("#microsoft.graph.contactFolder"));
                Value::Object(out)
            }
        }
    })
}

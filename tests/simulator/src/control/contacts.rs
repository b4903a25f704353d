//! Contacts as one canonical document, and what their owner does to them.

use super::edits::RandomEdits;
use super::{ControlError, Controlled, bad, tally};
use crate::app::{App, User};
use crate::company::address_book;
use crate::dice::{Dice, hash_text};
use crate::graph::contacts::view::{contact_json, contact_name, folder_id};
use crate::graph::odata::Query;
use crate::locks::{read, write};
use crate::request::Prefer;
use crate::store::contact::{Contact, ContactFolder, Contacts, DEFAULT_FOLDER, TEXTS};
use crate::store::ids::{Name, What};
use crate::store::message::Person;
use crate::store::shelf::Entry;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn lasting() -> Prefer {
    Prefer { immutable: true, ..Prefer::default() }
}

/// Every contact with its immutable id, all its fields, and the hash of its photo.
pub fn fingerprint(user: &User) -> Value {
    let contacts = read(&user.contacts);
    let folders: Vec<Value> = contacts
        .containers()
        .map(|folder| json!({"id": folder_id(&contacts.guid, folder.id), "path": contacts.path(folder.id)}))
        .collect();
    let all: Vec<Value> = contacts.entries().map(|entry| line(&contacts, entry)).collect();
    json!({"folders": folders, "contacts": all})
}

fn line(contacts: &Contacts, entry: &Entry<Contact>) -> Value {
    let contact = &entry.content;
    let mut out = contact_json(&contacts.guid, entry, &lasting(), &Query::default());
    for volatile in ["@odata.etag", "changeKey"] {
        out.remove(volatile);
    }
    let hash = contact.photo.as_ref().map(|photo| blake3::hash(&photo.bytes()).to_hex().to_string());
    out.insert("photo".into(), json!(hash));
    out.insert("folder".into(), json!(contacts.path(entry.container)));
    out.insert("properties".into(), json!(contact.properties));
    Value::Object(out)
}

pub fn random(app: &App, user: &User, wanted: &RandomEdits) -> Controlled {
    Ok(tally(wanted, 150, |dice| one_edit(app, user, dice)))
}

fn one_edit(app: &App, user: &User, dice: &mut Dice) -> (&'static str, String) {
    let now = app.clock.now();
    let mut contacts = write(&user.contacts);
    let roll = dice.below(100);
    let folders: Vec<u32> = contacts.containers().map(|folder| folder.id).collect();
    let items: Vec<u64> = contacts.entries().map(|entry| entry.item).collect();
    if roll < 25 || items.is_empty() {
        let number = dice.below(1000);
        let contact = Contact { created: now, modified: now, ..address_book::make(&app.world, dice, number) };
        let item = contacts.add(*dice.pick(&folders), contact);
        return ("new_contact", id_of(&contacts, item));
    }
    let item = *dice.pick(&items);
    let id = id_of(&contacts, item);
    let mut change = |edit: &dyn Fn(&mut Contact)| {
        contacts.update(item, |contact| {
            edit(contact);
            contact.modified = now;
        });
    };
    let kind = match roll {
        25..=54 => {
            let phone = format!("+49 171 {:07}", dice.below(10_000_000));
            change(&|contact| {
                contact.texts.insert("mobilePhone", phone.clone());
            });
            "phone"
        }
        55..=69 => {
            let photo = dice.percent(70).then(|| address_book::photo(dice.next_u64(), 1));
            change(&|contact| contact.photo = photo.clone());
            "photo"
        }
        70..=82 => {
            let here = contacts.entry(item).map(|entry| entry.container);
            let others: Vec<u32> = folders.into_iter().filter(|id| Some(*id) != here).collect();
            if !others.is_empty() {
                contacts.move_item(item, *dice.pick(&others));
            }
            "move"
        }
        _ => {
            contacts.remove(item);
            "delete"
        }
    };
    (kind, id)
}

fn id_of(contacts: &Contacts, item: u64) -> String {
    contact_name(&lasting(), item, 0).write(&contacts.guid)
}

/// One declared change. Ids are immutable ones, folders are named by path (`Contacts`, `A/B`).
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum ContactEdit {
    Create {
        folder: Option<String>,
        name: String,
        email: Option<String>,
    },
    /// Sets plain text properties by their names.
    Change {
        id: String,
        texts: BTreeMap<String, String>,
    },
    /// A photo of this name, or none.
    Photo {
        id: String,
        seed: Option<String>,
    },
    Move {
        id: String,
        folder: String,
    },
    Delete {
        id: String,
    },
    AddFolder {
        parent: Option<String>,
        name: String,
    },
    RenameFolder {
        folder: String,
        name: String,
    },
    RemoveFolder {
        folder: String,
    },
    /// Only the default folder is left, empty.
    Wipe,
}

pub fn single(app: &App, user: &User, wanted: ContactEdit) -> Controlled {
    let now = app.clock.now();
    let mut contacts = write(&user.contacts);
    let item = match wanted {
        ContactEdit::Create { folder, name, email } => {
            let folder = folder.map_or(Ok(DEFAULT_FOLDER), |path| at(&contacts, &path))?;
            let mut contact = Contact { created: now, modified: now, ..Contact::default() };
            contact.emails.extend(email.map(|address| Person { name: name.clone(), address }));
            contact.texts.insert("displayName", name);
            contacts.add(folder, contact)
        }
        ContactEdit::Change { id, texts } => {
            let item = find(&contacts, &id)?;
            let known = texts.into_iter().map(|(name, text)| {
                let known = TEXTS.iter().find(|have| **have == name);
                known.map(|name| (*name, text)).ok_or_else(|| bad(format!("'{name}' is no text of a contact")))
            });
            let known = known.collect::<Result<Vec<_>, _>>()?;
            contacts.update(item, |contact| {
                contact.texts.extend(known);
                contact.modified = now;
            });
            item
        }
        ContactEdit::Photo { id, seed } => {
            let item = find(&contacts, &id)?;
            contacts.update(item, |contact| {
                contact.photo = seed.map(|seed| address_book::photo(hash_text(&seed), 1));
                contact.modified = now;
            });
            item
        }
        ContactEdit::Move { id, folder } => {
            let (item, to) = (find(&contacts, &id)?, at(&contacts, &folder)?);
            contacts.move_item(item, to);
            item
        }
        ContactEdit::Delete { id } => {
            let item = find(&contacts, &id)?;
            contacts.remove(item);
            item
        }
        other => return on_folder(&mut contacts, other),
    };
    Ok(json!({"id": id_of(&contacts, item)}))
}

fn on_folder(contacts: &mut Contacts, wanted: ContactEdit) -> Controlled {
    let id = match wanted {
        ContactEdit::AddFolder { parent, name } => {
            let parent = parent.map_or(Ok(0), |path| at(contacts, &path))?;
            contacts.add_container(parent, ContactFolder { name })
        }
        ContactEdit::RenameFolder { folder, name } => {
            let id = at(contacts, &folder)?;
            contacts.change_container(id, |folder| folder.name = name);
            id
        }
        ContactEdit::Wipe => {
            contacts.wipe(&[DEFAULT_FOLDER]);
            DEFAULT_FOLDER
        }
        ContactEdit::RemoveFolder { folder } => {
            let id = at(contacts, &folder)?;
            if id == DEFAULT_FOLDER {
                return Err(bad("the default folder stays"));
            }
            contacts.remove_container(id);
            id
        }
        _ => return Err(bad("not a change of a folder")),
    };
    Ok(json!({"id": folder_id(&contacts.guid, id)}))
}

fn at(contacts: &Contacts, path: &str) -> Result<u32, ControlError> {
    contacts.by_path(path).ok_or_else(|| bad(format!("no contact folder '{path}'")))
}

fn find(contacts: &Contacts, id: &str) -> Result<u64, ControlError> {
    let name = Name::read(&contacts.guid, id).filter(|name| name.what == What::Contact);
    let item = name.map(|name| name.item).ok_or_else(|| bad("no id of a contact"))?;
    contacts.entry(item).map(|entry| entry.item).ok_or_else(|| bad("no such contact"))
}

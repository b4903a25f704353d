//! Users and app registrations, made and changed by a test.

use super::{ControlError, Controlled, bad};
use crate::app::{App, Certificate, MailboxState, Registration, User, UserKind};
use crate::company::{mail, populate};
use crate::dice::{Dice, hash_text};
use crate::locks::{read, write};
use crate::login::thumbprint;
use crate::store::message::Person;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Arc, RwLock};

pub fn users(app: &App) -> Value {
    let all: Vec<Value> = read(&app.directory).users.iter().map(|user| describe(user)).collect();
    json!({"users": all})
}

fn describe(user: &User) -> Value {
    let p = user.profile();
    let mailbox = read(&user.mailbox);
    let messages: i64 = mailbox.folders().filter(|f| mailbox.is_visible(f.id)).map(|f| f.total).sum();
    json!({
        "id": user.id,
        "user_principal_name": p.principal_name,
        "display_name": p.display_name,
        "department": p.department,
        "kind": p.kind,
        "mailbox": p.mailbox,
        "messages": messages,
        "lazy": mailbox.is_lazy(),
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// `member` (default), `guest`, `shared`, `room`, or `lazy` for a computed mailbox.
    #[serde(default)]
    pub kind: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    /// Local part of the address.
    #[serde(default)]
    pub alias: Option<String>,
    #[serde(default)]
    pub messages: u64,
    #[serde(default)]
    pub mailbox: Option<MailboxState>,
    /// False leaves only the folders every mailbox has.
    #[serde(default)]
    pub furnished: Option<bool>,
}

pub fn add_user(app: &App, wanted: NewUser) -> Controlled {
    let number = read(&app.directory).users.len() as u64 + 1;
    if wanted.kind.as_deref() == Some("lazy") {
        let user = Arc::new(populate::lazy_user(&app.world, wanted.messages.max(1), number));
        write(&app.directory).insert(Arc::clone(&user));
        return Ok(describe(&user));
    }
    let kind = match wanted.kind.as_deref() {
        None | Some("member") => UserKind::Member,
        Some("guest") => UserKind::Guest,
        Some("shared") => UserKind::Shared,
        Some("room") => UserKind::Room,
        Some(other) => return Err(bad(format!("unknown kind '{other}'"))),
    };
    let alias = wanted.alias.unwrap_or_else(|| format!("user{number}"));
    let person = Person {
        name: wanted.name.unwrap_or_else(|| format!("User {number}")),
        address: format!("{alias}@{}", app.world.domain),
    };
    if app.user(&person.address).is_some() {
        return Err(ControlError(409, format!("{} exists", person.address)));
    }
    let default = if kind == UserKind::Guest { MailboxState::Unlicensed } else { MailboxState::Ready };
    let profile = populate::profile(&person, kind, wanted.mailbox.unwrap_or(default));
    let mut user = populate::new_user(app.options.seed, hash_text(&person.address), profile);
    if wanted.furnished.unwrap_or(true) {
        let guid = read(&user.mailbox).guid.clone();
        user.mailbox = RwLock::new(populate::furnish(&app.world, number, guid));
        populate::settle(&app.world, number, &person, &user, &app.options);
    }
    fill(app, &user, &person, wanted.messages);
    let user = Arc::new(user);
    write(&app.directory).insert(Arc::clone(&user));
    Ok(describe(&user))
}

fn fill(app: &App, user: &User, person: &Person, messages: u64) {
    let mut mailbox = write(&user.mailbox);
    let folders: Vec<u32> = mailbox
        .folders()
        .filter(|f| {
            mailbox.is_visible(f.id)
                && !f.search
                && f.well_known != Some("drafts")
                && f.well_known != Some("msgfolderroot")
        })
        .filter(|f| !f.hidden)
        .map(|f| f.id)
        .collect();
    for i in 0..messages {
        let number = hash_text(&person.address) % 1_000_000_000 * 1_000_000 + i;
        let mut dice = Dice::of(&[app.world.seed, 70, number]);
        let from = dice.pick(&app.world.outsiders).clone();
        let sent = 1_700_000_000 + i as i64 * 900;
        let mail = mail::write(&app.world, number, &from, std::slice::from_ref(person), sent);
        let folder = *dice.pick(&folders);
        mailbox.add(folder, mail::deliver(&app.world, &mail, person, number));
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserChange {
    pub name: Option<String>,
    pub kind: Option<UserKind>,
    pub mailbox: Option<MailboxState>,
}

pub fn change_user(app: &App, user: &User, wanted: UserChange) -> Controlled {
    {
        let mut profile = write(&user.profile);
        if let Some(name) = wanted.name {
            profile.display_name = name;
        }
        if let Some(kind) = wanted.kind {
            profile.kind = kind;
        }
        if let Some(mailbox) = wanted.mailbox {
            profile.mailbox = mailbox;
        }
    }
    write(&app.directory).note(&user.id, false);
    Ok(describe(user))
}

pub fn remove_user(app: &App, user: &User) -> Controlled {
    write(&app.directory).remove(user);
    Ok(json!({}))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewApp {
    pub client_id: Option<String>,
    pub secret: Option<String>,
    pub secret_expired: bool,
    pub disabled: bool,
    pub certificate_pem: Option<String>,
    /// All roles when absent.
    pub roles: Option<Vec<String>>,
}

/// Registers an app, or replaces the one with this client id.
pub fn register(app: &App, wanted: NewApp) -> Controlled {
    let client_id = wanted.client_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut certificates = Vec::new();
    if let Some(pem) = wanted.certificate_pem {
        let thumbprint = thumbprint(&pem).ok_or_else(|| bad("certificate_pem holds no certificate"))?;
        certificates.push(Certificate { pem, thumbprint });
    }
    let thumbprints: Vec<String> = certificates.iter().map(|c| c.thumbprint.clone()).collect();
    let roles = wanted.roles.unwrap_or_else(|| populate::ALL_ROLES.iter().map(|r| (*r).to_owned()).collect());
    let registration = Registration {
        client_id: client_id.clone(),
        secret: wanted.secret,
        secret_expired: wanted.secret_expired,
        disabled: wanted.disabled,
        certificates,
        roles,
    };
    write(&app.apps).insert(client_id.clone(), registration);
    Ok(json!({"client_id": client_id, "thumbprints": thumbprints}))
}

//! Everything one simulated tenant consists of, shared by all requests.

use crate::clock::{Clock, iso};
use crate::company::World;
use crate::faults::Faults;
use crate::graph::drive;
use crate::locks::{lock, read, write};
use crate::options::{Limits, Options};
use crate::store::Mailbox;
use crate::store::calendar::Calendars;
use crate::store::contact::Contacts;
use crate::store::drive::Drive;
use crate::store::settings::Settings;
use crate::throttle::Gates;
use crate::units::Meters;
use crate::upload::Sessions;
use crate::watch::{Violation, Watch};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

pub struct App {
    pub options: Options,
    pub world: Arc<World>,
    pub clock: Clock,
    pub tenant_id: String,
    pub apps: RwLock<HashMap<String, Registration>>,
    pub tokens: RwLock<HashMap<String, Arc<Grant>>>,
    /// `jti` of every assertion seen, until it expires.
    pub assertions: Mutex<HashMap<String, i64>>,
    pub directory: RwLock<Directory>,
    pub limits: RwLock<Limits>,
    pub faults: RwLock<Arc<Faults>>,
    pub watch: Watch,
    pub sessions: Sessions,
    /// Upload sessions of files.
    pub drive_sessions: drive::upload::Sessions,
    /// Resource units spent with SharePoint and with the directory.
    pub sharepoint: Meters,
    pub directory_units: Meters,
    /// `http://127.0.0.1:PORT`, known once the port is.
    pub origin: OnceLock<String>,
    /// Where content is downloaded from: another port, as it is another host with Microsoft.
    pub download_origin: OnceLock<String>,
}

/// An app registration.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    pub client_id: String,
    pub secret: Option<String>,
    pub secret_expired: bool,
    pub disabled: bool,
    pub certificates: Vec<Certificate>,
    pub roles: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Certificate {
    pub pem: String,
    /// base64url of SHA-256 of the DER.
    pub thumbprint: String,
}

/// What an access token stands for.
#[derive(Debug)]
pub struct Grant {
    pub client_id: String,
    pub roles: Vec<String>,
    pub expires: i64,
}

impl Grant {
    pub fn has_any(&self, wanted: &[&str]) -> bool {
        self.roles.iter().any(|role| wanted.contains(&role.as_str()))
    }
}

#[derive(Debug, Default)]
pub struct Directory {
    pub users: Vec<Arc<User>>,
    by_name: HashMap<String, Arc<User>>,
    by_drive: HashMap<String, Arc<User>>,
    pub seq: u64,
    pub log: Vec<UserChange>,
}

#[derive(Clone, Debug)]
pub struct UserChange {
    pub seq: u64,
    pub user_id: String,
    pub removed: bool,
}

#[derive(Debug)]
pub struct User {
    pub id: String,
    pub profile: RwLock<Profile>,
    pub mailbox: RwLock<Mailbox>,
    pub calendars: RwLock<Calendars>,
    pub contacts: RwLock<Contacts>,
    pub settings: RwLock<Settings>,
    pub drive: RwLock<Drive>,
    pub gates: Gates,
}

#[derive(Clone, Debug)]
pub struct Profile {
    pub display_name: String,
    pub given_name: String,
    pub surname: String,
    pub principal_name: String,
    pub department: String,
    pub job_title: String,
    pub kind: UserKind,
    pub mailbox: MailboxState,
    pub created: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserKind {
    Member,
    Guest,
    Shared,
    Room,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailboxState {
    Ready,
    /// No licence, hence no mailbox.
    Unlicensed,
    OnPremises,
    /// The app is not allowed in there (RBAC for Applications).
    Denied,
}

impl User {
    pub fn profile(&self) -> Profile {
        read(&self.profile).clone()
    }
}

impl Directory {
    pub fn find(&self, name: &str) -> Option<Arc<User>> {
        self.by_name.get(&name.to_lowercase()).cloned()
    }

    /// Ids of drives are case-sensitive, names of users are not.
    pub fn by_drive(&self, drive_id: &str) -> Option<Arc<User>> {
        self.by_drive.get(drive_id).cloned()
    }

    pub fn insert(&mut self, user: Arc<User>) {
        let drive_id = read(&user.drive).id.clone();
        self.by_drive.insert(drive_id, Arc::clone(&user));
        let principal = read(&user.profile).principal_name.to_lowercase();
        self.by_name.insert(principal, Arc::clone(&user));
        self.by_name.insert(user.id.clone(), Arc::clone(&user));
        self.note(&user.id, false);
        self.users.push(user);
    }

    pub fn remove(&mut self, user: &User) {
        self.users.retain(|have| have.id != user.id);
        self.by_name.retain(|_, have| have.id != user.id);
        self.by_drive.retain(|_, have| have.id != user.id);
        self.note(&user.id, true);
    }

    pub fn note(&mut self, user_id: &str, removed: bool) {
        self.seq += 1;
        self.log.push(UserChange { seq: self.seq, user_id: user_id.to_owned(), removed });
    }
}

impl App {
    pub fn origin(&self) -> &str {
        self.origin.get().map_or("", String::as_str)
    }

    pub fn download_origin(&self) -> &str {
        self.download_origin.get().map_or("", String::as_str)
    }

    pub fn user(&self, name: &str) -> Option<Arc<User>> {
        read(&self.directory).find(name)
    }

    pub fn limits(&self) -> Limits {
        read(&self.limits).clone()
    }

    pub fn faults(&self) -> Arc<Faults> {
        Arc::clone(&read(&self.faults))
    }

    pub fn set_faults(&self, faults: Faults) {
        *write(&self.faults) = Arc::new(faults);
    }

    pub fn violation(&self, kind: &'static str, method: &str, path: &str, reason: impl Into<String>) {
        self.watch.violation(Violation {
            at: iso(self.clock.now()),
            kind,
            method: method.to_owned(),
            path: path.to_owned(),
            reason: reason.into(),
        });
    }

    /// Forgets assertions that have expired anyway, and remembers this one; false if it is known.
    pub fn remember_assertion(&self, jti: &str, expires: i64) -> bool {
        let now = self.clock.now();
        let mut known = lock(&self.assertions);
        known.retain(|_, until| *until + 600 > now);
        known.insert(jti.to_owned(), expires).is_none()
    }
}

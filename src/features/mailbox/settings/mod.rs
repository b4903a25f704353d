//! The small things of a mailbox, as items of a container that kodo made up: the settings, the categories and the inbox
//! rules. They offer no changes, so each run lists them and compares.
//!
//! An area that cannot be read costs itself: what was captured of it stays, and one issue says why. What is restored of
//! them writes to nobody: automatic replies and rules that send or delete mail come back turned off.

mod categories;
mod preferences;
mod restore;
mod rule;
mod rule_folders;
mod rules;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(super) use restore::{carry_out, existing, open, recognise};

use super::fields::{text, without_envelope};
use super::{KIND_CATEGORY, KIND_RULE, KIND_SETTINGS, NOTES, PAGE_SIZE};
use crate::features::{
    CaptureError, Captured, Change, Cursor, KnownVersion, Need, Next, OWN_CONTAINER, Page, RemoteContainer, RemoteItem,
    SkipReason, Source, Summary, Walk, WalkError, change_tag,
};
use crate::graph::{Endpoint, GraphError};

/// The id and the well-known name of the container; its items' ids begin with it.
pub(super) const CONTAINER: &str = "kodo:settings";
const NAME: &str = "Mailbox settings";
/// Exchange keeps both lists within 256 KB.
const LISTED_MAX: usize = 10_000;
/// In an item's properties: why its area could not be read. It goes no further than to [`capture`].
const UNREADABLE: &str = "@kodo.unreadable";
const REMEDY: &str = "grant the app the application permission MailboxSettings.Read, with admin consent, or leave the \
    settings out in the policy's options";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Area {
    Mailbox,
    Categories,
    Rules,
}

/// Where the next walk begins: with what this one could not read, of which an issue tells already.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    unreadable: Vec<Area>,
}

/// What an area holds, or why it cannot be told.
enum Reading {
    Read(Vec<RemoteItem>),
    Unreadable(Unreadable),
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Unreadable {
    /// The app lacks the permission; anything else is tried again.
    role_is_missing: bool,
    message: String,
}

pub(super) fn container() -> RemoteContainer {
    RemoteContainer {
        id: CONTAINER.to_owned(),
        parent: None,
        name: NAME.to_owned(),
        hidden: true,
        well_known: Some(CONTAINER.to_owned()),
        n_items: None,
    }
}

/// Whether this id is one of the container's items.
pub(super) fn is_own(item: &str) -> bool {
    item.starts_with(OWN_CONTAINER)
}

/// Everything there is, on one page.
pub(super) async fn page(source: Source<'_>, walk: &Walk) -> Result<Page, WalkError> {
    let before = match walk {
        Walk::Start => State::default(),
        // What a cursor of another format says is said again by this walk.
        Walk::Since(Cursor(state)) | Walk::Resume(Cursor(state)) => serde_json::from_str(state).unwrap_or_default(),
    };
    let mut readings = Vec::with_capacity(Area::ALL.len());
    for area in Area::ALL {
        readings.push((area, read(source, area).await?));
    }
    Ok(told(readings, &before))
}

/// Pure.
fn told(readings: Vec<(Area, Reading)>, before: &State) -> Page {
    let mut now = State::default();
    let mut changes = Vec::new();
    for (area, reading) in readings {
        let was_unreadable = before.unreadable.contains(&area);
        match reading {
            Reading::Read(items) => {
                if was_unreadable {
                    changes.push(Change::Removed { id: area.id() });
                }
                changes.extend(items.into_iter().map(Change::Present));
            }
            Reading::Unreadable(why) => {
                now.unreadable.push(area);
                if !was_unreadable {
                    let properties = Some(json!({ UNREADABLE: why }));
                    changes.push(Change::Present(RemoteItem { id: area.id(), properties }));
                }
            }
        }
    }
    let cursor = Cursor(serde_json::to_string(&now).expect("a list of names is JSON"));
    // What an unreadable area holds is not met by this walk, and is not gone for that.
    Page { begins_full_walk: now.unreadable.is_empty(), changes, next: Next::Done(cursor) }
}

pub(super) fn need(item: &RemoteItem, known: Option<&KnownVersion>) -> Need {
    let same = |known: &KnownVersion| item.properties.as_ref().is_some_and(|all| known.change_tag == tag(all));
    if known.is_some_and(same) { Need::Nothing } else { Need::Everything }
}

/// One item. An area's own id stands for the issue that it could not be read.
pub(super) async fn capture(source: Source<'_>, item: &RemoteItem) -> Result<Captured, CaptureError> {
    let area = Area::of(&item.id).ok_or(CaptureError::Gone)?;
    if let Some(properties) = &item.properties {
        return match properties.get(UNREADABLE) {
            Some(why) => Err(issue(serde_json::from_value(why.clone()).unwrap_or_default())),
            None => whole(source, area, properties.clone()).await,
        };
    }
    match read(source, area).await.map_err(CaptureError::Graph)? {
        Reading::Unreadable(why) => Err(issue(why)),
        Reading::Read(items) => {
            let found = items.into_iter().find(|found| found.id == item.id).and_then(|found| found.properties);
            whole(source, area, found.ok_or(CaptureError::Gone)?).await
        }
    }
}

/// A rule is kept with a note of where its folders are.
async fn whole(source: Source<'_>, area: Area, properties: Value) -> Result<Captured, CaptureError> {
    let properties = match area {
        Area::Rules => rule_folders::noted(source, properties).await.map_err(CaptureError::Graph)?,
        Area::Mailbox | Area::Categories => properties,
    };
    Ok(captured(area, &properties))
}

/// Whether this is a kind of item that the container holds.
pub(super) fn is_small(kind: u8) -> bool {
    [KIND_SETTINGS, KIND_CATEGORY, KIND_RULE].contains(&kind)
}

fn issue(why: Unreadable) -> CaptureError {
    if why.role_is_missing {
        CaptureError::Skipped { reason: SkipReason::MissingRole, message: why.message }
    } else {
        CaptureError::Item { reason: "unreadable", message: why.message }
    }
}

fn captured(area: Area, properties: &Value) -> Captured {
    let name = match area {
        Area::Mailbox => "Settings",
        Area::Categories | Area::Rules => text(&properties["displayName"]),
    };
    let summary = Summary {
        kind: area.kind(),
        flags: 0,
        change_tag: tag(properties),
        name: name.to_owned(),
        party: String::new(),
        time: DateTime::<Utc>::UNIX_EPOCH,
        parent: None,
        words: String::new(),
    };
    Captured { summary, properties: Bytes::from(properties.to_string()), content: None }
}

/// None of them has a change key: what they say is compared.
fn tag(properties: &Value) -> u64 {
    let mut compared = properties.clone();
    if let Some(all) = compared.as_object_mut() {
        all.remove(NOTES);
    }
    if let Some(replies) = compared.get_mut("automaticRepliesSetting").and_then(Value::as_object_mut)
        && !replies.get("status").is_some_and(|status| text(status).eq_ignore_ascii_case("scheduled"))
    {
        // Without a schedule Exchange shows the current hour.
        replies.retain(|name, _| !name.starts_with("scheduled"));
    }
    change_tag(&compared.to_string())
}

async fn read(source: Source<'_>, area: Area) -> Result<Reading, GraphError> {
    match ask(source, area).await {
        Ok(all) => Ok(Reading::Read(all.into_iter().filter_map(|one| area.item(one)).collect())),
        Err(error) => unreadable(error).map(Reading::Unreadable),
    }
}

/// What an area holds, in Graph's own words.
async fn ask(source: Source<'_>, area: Area) -> Result<Vec<Value>, GraphError> {
    let user = source.user;
    let list = |endpoint| source.graph.list(endpoint, LISTED_MAX, &[], &[PAGE_SIZE]);
    match area {
        Area::Mailbox => source.graph.get(Endpoint::MailboxSettings { user }).json().await.map(|all| vec![all]),
        Area::Categories => list(Endpoint::MasterCategories { user }).await,
        Area::Rules => list(Endpoint::InboxRules { user }).await,
    }
}

/// What concerns these small things alone must not end the backup of the mail.
fn unreadable(error: GraphError) -> Result<Unreadable, GraphError> {
    let told = |role_is_missing, message| Ok(Unreadable { role_is_missing, message });
    match error {
        GraphError::Forbidden { answer, .. } => told(true, format!("{answer}: {REMEDY}")),
        // RBAC for Applications can give out the permissions for mail and for settings one by one.
        GraphError::NoService { answer, reason } => told(true, format!("{answer}: {reason}; {REMEDY}")),
        GraphError::NotFound { .. }
        | GraphError::Resync { .. }
        | GraphError::BadItem { .. }
        | GraphError::Conflict { .. }
        | GraphError::TooLarge { .. }
        | GraphError::Locked { .. }
        | GraphError::Refused { .. }
        | GraphError::Protocol { .. } => told(false, error.to_string()),
        GraphError::Throttled { .. }
        | GraphError::Transient { .. }
        | GraphError::Ambiguous { .. }
        | GraphError::Login { .. }
        | GraphError::Quota { .. } => Err(error),
    }
}

impl Default for Unreadable {
    fn default() -> Self {
        Self { role_is_missing: false, message: "the reason is not known".to_owned() }
    }
}

impl Area {
    const ALL: [Self; 3] = [Self::Mailbox, Self::Categories, Self::Rules];

    fn name(self) -> &'static str {
        match self {
            Self::Mailbox => "mailbox",
            Self::Categories => "categories",
            Self::Rules => "rules",
        }
    }

    fn kind(self) -> u8 {
        match self {
            Self::Mailbox => KIND_SETTINGS,
            Self::Categories => KIND_CATEGORY,
            Self::Rules => KIND_RULE,
        }
    }

    fn id(self) -> String {
        format!("{CONTAINER}:{}", self.name())
    }

    /// The area that an item, or the area itself, belongs to.
    fn of(id: &str) -> Option<Self> {
        let rest = id.strip_prefix(CONTAINER)?.strip_prefix(':')?;
        let name = rest.split(':').next()?;
        Self::ALL.into_iter().find(|area| area.name() == name)
    }

    /// `None`: an entry without an id cannot be told from others.
    fn item(self, properties: Value) -> Option<RemoteItem> {
        let own = match self {
            Self::Mailbox => "all",
            Self::Categories | Self::Rules => properties["id"].as_str()?,
        };
        Some(RemoteItem { id: format!("{}:{own}", self.id()), properties: Some(without_envelope(properties)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str) -> RemoteItem {
        Area::Rules.item(json!({ "@odata.etag": "W/1", "id": "r1", "displayName": name })).unwrap()
    }

    fn unreadable_rules() -> Vec<(Area, Reading)> {
        let why = Unreadable { role_is_missing: true, message: "no role".to_owned() };
        vec![(Area::Rules, Reading::Unreadable(why))]
    }

    fn state(page: &Page) -> State {
        let Next::Done(Cursor(cursor)) = &page.next else { panic!("there is one page") };
        serde_json::from_str(cursor).unwrap()
    }

    #[test]
    fn what_is_there_is_reported_and_what_is_missing_is_gone() {
        let page = told(vec![(Area::Rules, Reading::Read(vec![rule("a")]))], &State::default());

        assert!(page.begins_full_walk);
        assert!(matches!(&page.changes[..], [Change::Present(item)] if item.id == "kodo:settings:rules:r1"));
        assert_eq!(state(&page).unreadable, []);
    }

    #[test]
    fn an_area_that_cannot_be_read_is_told_once_and_takes_nothing_away() {
        let first = told(unreadable_rules(), &State::default());
        let second = told(unreadable_rules(), &state(&first));
        let healed = told(vec![(Area::Rules, Reading::Read(Vec::new()))], &state(&second));

        assert!(!first.begins_full_walk && !second.begins_full_walk && healed.begins_full_walk);
        assert!(matches!(&first.changes[..], [Change::Present(item)] if item.id == "kodo:settings:rules"));
        assert!(second.changes.is_empty());
        assert!(matches!(&healed.changes[..], [Change::Removed { id }] if id == "kodo:settings:rules"));
    }

    #[test]
    fn an_item_is_read_again_when_it_says_something_else() {
        let summary = captured(Area::Rules, rule("a").properties.as_ref().unwrap()).summary;
        let known = KnownVersion { change_tag: summary.change_tag, flags: summary.flags, has_content: false };

        assert_eq!((summary.kind, summary.name.as_str()), (KIND_RULE, "a"));
        assert_eq!(need(&rule("a"), Some(&known)), Need::Nothing);
        assert_eq!(need(&rule("b"), Some(&known)), Need::Everything);
        assert_eq!(need(&rule("a"), None), Need::Everything);
    }

    #[test]
    fn the_hour_that_exchange_shows_without_a_schedule_is_no_change() {
        let settings = |status: &str, hour: &str| json!({ "automaticRepliesSetting": { "status": status, "scheduledStartDateTime": { "dateTime": hour } } });

        assert_eq!(tag(&settings("disabled", "10:00")), tag(&settings("disabled", "11:00")));
        assert_ne!(tag(&settings("scheduled", "10:00")), tag(&settings("scheduled", "11:00")));
        assert_ne!(tag(&settings("disabled", "10:00")), tag(&settings("alwaysEnabled", "10:00")));
    }

    #[test]
    fn an_id_says_which_area_it_is_of() {
        assert_eq!(Area::of("kodo:settings:rules"), Some(Area::Rules));
        assert_eq!(Area::of("kodo:settings:categories:1f:2"), Some(Area::Categories));
        assert_eq!(Area::of("kodo:settings:mailbox:all"), Some(Area::Mailbox));
        assert_eq!(Area::of("kodo:settings:later"), None);
        assert_eq!(Area::of("AAMk"), None);
        assert!(is_own("kodo:settings:rules") && !is_own("AAMk"));
    }
}

//! The kinds of data that KODO protects, one Microsoft 365 feature a file (a larger one: a folder).
//!
//! Owns: what a feature's containers, items and changes look like on Graph, how an item is captured, and how it is
//! created again. Does not own: when to walk, what is stored where, what is committed; that is `workers`.
//!
//! Invariants: nothing here touches the database or a storage; every future is cancel-safe on the capture side
//! (dropping it loses only the answer); a restore looks for its own marker before it creates.

mod attaching;
mod bundle;
pub mod calendar;
pub mod contacts;
mod encoded;
mod entries;
mod exchange;
pub mod mailbox;
mod marking;
pub mod onedrive;
mod options;
mod parts;
mod rehearsing;
mod restoring;
mod stream;
mod words;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::graph::{GraphClient, GraphError, Scope};
use crate::ids::ItemKey;

pub use bundle::{Bundle, BundleError, Form, Label, Piece, read_bundle};
pub use entries::{instant, text};
pub use options::{CalendarOptions, ContactsOptions, FeatureOptions, MailboxOptions, OneDriveOptions};
pub use parts::Parts;
pub use rehearsing::{Likeness, NotCounted, Portrait, Rehearsing, Trait};
pub use restoring::{
    Action, Along, Existing, Identity, LargeContent, Noted, Noting, OnConflict, Opened, Opening, Origin, PathStep,
    Plan, Present, Recognised, RestoreError, Restored, Restoring, StoredContent, StoredItem, StoredParts, Verdict,
    Wish, bring_back, carry_out, plan,
};
pub use stream::{ContentStream, KnownPieces};

/// All features. A new one adds its line here and nothing elsewhere.
pub const REGISTRY: &[&dyn Feature] =
    &[&mailbox::Mailbox, &calendar::Calendar, &contacts::Contacts, &onedrive::OneDrive];

/// The feature of this name.
pub fn find(name: &str) -> Option<&'static dyn Feature> {
    REGISTRY.iter().copied().find(|feature| feature.name() == name)
}

/// Whether an item of this kind of a feature is a folder.
pub fn is_folder(feature: &str, kind: u8) -> bool {
    find(feature).is_some_and(|feature| feature.is_folder(kind))
}

/// Whether the items of this container of a feature are parts of other items, and no things of their own.
pub fn holds_parts(feature: &str, container: &str) -> bool {
    let parts = find(feature).and_then(|feature| feature.parts());
    parts.is_some_and(|parts| parts.container() == container)
}

/// The owner of the data on Graph: whose client, and which user.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub graph: &'a GraphClient,
    /// The user's object id.
    pub user: &'a str,
    /// What the policy wants captured.
    pub options: &'a FeatureOptions,
}

/// What one feature must be able to do.
pub trait Feature: Send + Sync {
    /// Lower-case, as in the API, the tables and the storage.
    fn name(&self) -> &'static str;

    /// The name of a lock that at most one task may hold anywhere: Exchange features share one per mailbox.
    fn exclusive_key(&self, resource: crate::ids::ResourceId) -> String;

    /// Whose limits its requests count against.
    fn scope(&self, user: &str) -> Scope {
        Scope::Mailbox(user.to_owned())
    }

    /// Whether an item of this kind is a folder among items: browsed into, and not a thing of its own.
    fn is_folder(&self, _kind: u8) -> bool {
        false
    }

    /// How parts of its items are found; `None`: its items have none.
    fn parts(&self) -> Option<&dyn Parts> {
        None
    }

    /// The containers, whole or as changes since the cursor that an earlier call returned.
    fn containers<'a>(
        &'a self,
        source: Source<'a>,
        since: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<ContainerChanges, WalkError>>;

    /// One page of the changes in a container. [`GraphError::NotFound`]: the container is gone. An item that moved is
    /// removed here and present elsewhere, under the same id: what is gone is known when all containers are walked.
    fn page<'a>(
        &'a self,
        source: Source<'a>,
        container: &'a str,
        walk: &'a Walk,
    ) -> BoxFuture<'a, Result<Page, WalkError>>;

    /// Whether a reported item shows that others came or went of which nothing is reported: then everything is walked.
    /// Pure.
    fn tells_of_more(&self, _item: &RemoteItem, _known: Option<&KnownVersion>) -> bool {
        false
    }

    /// What must be read of a reported item, given the version that the catalog holds. Pure.
    fn need(&self, item: &RemoteItem, known: Option<&KnownVersion>) -> Need;

    /// Reads what is needed of one item. `item` may be known by its id alone (a retry).
    fn capture<'a>(
        &'a self,
        source: Source<'a>,
        item: &'a RemoteItem,
        need: Need,
    ) -> BoxFuture<'a, Result<Captured, CaptureError>>;

    /// How its items are brought back; `None`: this version of kodo does not restore them yet.
    fn restoring(&self) -> Option<&dyn Restoring> {
        None
    }

    /// How a restore of its items is rehearsed; `None`: this version of kodo does not do that yet.
    fn rehearsing(&self) -> Option<&dyn Rehearsing> {
        None
    }
}

/// An opaque link or token that Graph gave out: where a walk continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// Where to begin reading the changes of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Everything, from the beginning.
    Start,
    /// What changed since a walk that ended with this token.
    Since(Cursor),
    /// The next page of a walk that was interrupted.
    Resume(Cursor),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteContainer {
    pub id: String,
    /// `None` at the top.
    pub parent: Option<String>,
    pub name: String,
    pub hidden: bool,
    /// The language-independent name of a default folder, such as `inbox`.
    pub well_known: Option<String>,
    /// How many items the service says it holds.
    pub n_items: Option<u64>,
}

#[derive(Debug, Default)]
pub struct ContainerChanges {
    /// `true`: `present` is everything there is, and what it lacks is gone.
    pub whole: bool,
    pub present: Vec<RemoteContainer>,
    pub removed: Vec<String>,
    pub cursor: Option<Cursor>,
    /// All that was left out, and why; `None`: it is as the last listing told.
    pub passed_over: Option<Vec<PassedOver>>,
}

/// What the owner has and a listing of containers leaves out, so that nobody takes it for covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    pub name: String,
    /// For people, such as "the policy excludes it".
    pub why: String,
}

#[derive(Debug)]
pub struct Page {
    /// It begins a walk over everything, whatever was asked for: what the walk does not meet is gone. So says a feature
    /// whose container offers no changes, only a listing.
    pub begins_full_walk: bool,
    pub changes: Vec<Change>,
    pub next: Next,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// More pages follow.
    Page(Cursor),
    /// The walk is over; the next one starts from here.
    Done(Cursor),
}

#[derive(Clone, Debug)]
pub enum Change {
    Present(RemoteItem),
    Removed {
        id: String,
    },
    /// It is there, holds others, and the policy leaves it out. If the catalog holds it, nobody reports what went with it:
    /// then everything is walked.
    LeftOut {
        id: String,
    },
}

/// An item as a walk reported it.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteItem {
    pub id: String,
    /// The properties, when the walk gave all of them; `None` when they must be asked for.
    pub properties: Option<serde_json::Value>,
}

/// What the catalog holds of an item, as far as it decides what to read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownVersion {
    pub change_tag: u64,
    pub flags: u16,
    pub has_content: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The catalog has this very state.
    Nothing,
    /// The properties changed; the content cannot have.
    Properties,
    Everything,
}

/// Bits of [`Summary::flags`], shared by the features.
pub mod flag {
    pub const READ: u16 = 1;
    pub const DRAFT: u16 = 1 << 1;
    pub const FLAGGED: u16 = 1 << 2;
    pub const ATTACHMENTS: u16 = 1 << 3;
    pub const HIGH_IMPORTANCE: u16 = 1 << 4;
    pub const LOW_IMPORTANCE: u16 = 1 << 5;
    /// It refers to files elsewhere, which are named in its properties.
    pub const REFERENCES: u16 = 1 << 14;
    /// The service could not hand out its content: kodo put it together from what could be read.
    pub const KEPT_AS_PARTS: u16 = 1 << 15;
}

/// How the ids and well-known names of containers begin that kodo made up: no restore creates them.
pub const OWN_CONTAINER: &str = "kodo:";

/// The columns that browse and search use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// A number of the feature's own: 1 message, 2 calendar invitation in a mailbox …
    pub kind: u8,
    pub flags: u16,
    /// See [`change_tag`].
    pub change_tag: u64,
    pub name: String,
    /// The other side: a sender's address, an organiser.
    pub party: String,
    pub time: chrono::DateTime<chrono::Utc>,
    /// The item that holds it, such as the folder of a file; `None`: it stands directly in its container.
    pub parent: Option<ItemKey>,
    /// What else is searched, a text a line: recipients behind `>`, names of attachments behind `+`. Empty: what was
    /// gathered of the version before still holds.
    pub words: String,
}

/// Folds Graph's change key to 64 bits: equal keys, equal tags.
pub fn change_tag(change_key: &str) -> u64 {
    let mut head = [0; 8];
    head.copy_from_slice(&blake3::hash(change_key.as_bytes()).as_bytes()[..8]);
    u64::from_le_bytes(head)
}

#[derive(Debug)]
pub struct Captured {
    pub summary: Summary,
    /// The properties as Graph returned them, JSON.
    pub properties: Bytes,
    /// `None` when only properties were needed, or when everything was and there is no content.
    pub content: Option<Content>,
}

/// An item's content on its way to the storage.
#[derive(Debug)]
pub enum Content {
    /// A message as RFC 5322 text or a [`Bundle`], small enough for memory.
    Mime(Bytes),
    /// Bytes of which nothing is known, small enough for memory.
    Raw(Bytes),
    /// Bytes too large for memory, spooled to an unnamed temporary file, positioned at its start.
    Spooled { file: std::fs::File, bytes: u64 },
    /// Bytes too large for memory, read while they are stored.
    Stream(ContentStream),
}

/// Why a walk cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The token is too old: start over and compare with the catalog.
    #[error("the delta token has expired")]
    Expired,
    /// The resource does not have this feature; the text says why. Never a failure.
    #[error("not applicable: {0}")]
    NotApplicable(String),
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Why one item could not be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It was deleted after the walk reported it.
    #[error("the item is gone")]
    Gone,
    /// This item fails and others will not: record it, go on, retry on the next run.
    #[error("{message}")]
    Item { reason: &'static str, message: String },
    /// It cannot be captured for a permanent, documented cause: record it, and do not ask for it again until the service
    /// reports it anew.
    #[error("{message}")]
    Skipped { reason: SkipReason, message: String },
    /// It was written to while it was read: read it anew.
    #[error("it changed while it was read: {message}")]
    Changed { message: String },
    /// It was captured but for a part of it: keep it, and record that the part is missing.
    #[error("{}", .lack.message)]
    Incomplete { captured: Box<Captured>, lack: Lack },
    /// Nothing else will work either: stop, keep what was committed, retry the task.
    #[error(transparent)]
    Graph(GraphError),
}

/// A part that a captured item lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    pub reason: &'static str,
    /// Asking again on the next run may bring it. Else it is asked for when the service reports the item anew.
    pub may_pass: bool,
    pub message: String,
}

/// A permanent, documented cause for which an item is not captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// A part of a OneNote notebook, which OneDrive does not hand out as a file.
    OneNote,
    /// Microsoft found malware in it and refuses the download.
    Malware,
    /// The app lacks the permission to read this kind of item.
    MissingRole,
}

impl SkipReason {
    /// As in the API, the tables and the storage.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneNote => "one_note",
            Self::Malware => "malware",
            Self::MissingRole => "missing_role",
        }
    }
}

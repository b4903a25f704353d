//! Folders of a mailbox and the names by which Exchange knows some of them.

use std::collections::BTreeSet;
use std::ops::Range;

/// The root above everything; never listed, `GET /mailFolders/root` is an unknown id.
pub const ROOT: u32 = 1;
/// "Top of Information Store": parent of all folders a user sees.
pub const TOP: u32 = 2;

/// (well-known name, display name, parent well-known name or "", hidden)
const WELL_KNOWN: [(&str, &str, &str, bool); 14] = [
    ("inbox", "Inbox", "", false),
    ("drafts", "Drafts", "", false),
    ("sentitems", "Sent Items", "", false),
    ("deleteditems", "Deleted Items", "", false),
    ("junkemail", "Junk Email", "", false),
    ("outbox", "Outbox", "", false),
    ("archive", "Archive", "", false),
    ("conversationhistory", "Conversation History", "", false),
    ("scheduled", "Scheduled", "", true),
    ("clutter", "Clutter", "", true),
    ("syncissues", "Sync Issues", "", true),
    ("conflicts", "Conflicts", "syncissues", true),
    ("localfailures", "Local Failures", "syncissues", true),
    ("serverfailures", "Server Failures", "syncissues", true),
];

#[derive(Clone, Debug)]
pub struct Folder {
    pub id: u32,
    pub parent: u32,
    pub name: String,
    pub hidden: bool,
    pub well_known: Option<&'static str>,
    /// A search folder shows what other folders hold and holds nothing itself.
    pub search: bool,
    /// Items held as entries, by number.
    pub members: BTreeSet<u64>,
    /// Items of a lazy mailbox that nobody touched yet.
    pub base: Range<u64>,
    pub total: i64,
    pub unread: i64,
    pub log: Vec<Change>,
}

#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub seq: u64,
    pub item: u64,
    pub incarnation: u32,
    pub kind: ChangeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Created,
    /// Carries the set of changed properties.
    Updated(Changed),
    Removed,
}

/// A set of properties; delta entries of an update carry only these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed(pub u16);

impl Changed {
    pub const READ: Self = Self(1);
    pub const FLAG: Self = Self(2);
    pub const CATEGORIES: Self = Self(4);
    pub const ALL: Self = Self(0x8000);

    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[derive(Clone, Copy, Debug)]
pub struct FolderChange {
    pub seq: u64,
    pub folder: u32,
    pub removed: bool,
}

impl Folder {
    pub fn new(id: u32, parent: u32, name: &str) -> Self {
        Self {
            id,
            parent,
            name: name.to_owned(),
            hidden: false,
            well_known: None,
            search: false,
            members: BTreeSet::new(),
            base: 0..0,
            total: 0,
            unread: 0,
            log: Vec::new(),
        }
    }
}

/// The folders every new mailbox has.
pub fn standard_folders() -> Vec<Folder> {
    let mut all = vec![Folder::new(ROOT, 0, "Root")];
    let mut add = |parent: u32, known: &'static str, name: &str, hidden: bool| {
        let id = all.len() as u32 + 1;
        let mut folder = Folder::new(id, parent, name);
        folder.well_known = Some(known);
        folder.hidden = hidden;
        all.push(folder);
        id
    };
    add(ROOT, "msgfolderroot", "Top of Information Store", false);
    let mut sync_issues = TOP;
    for (known, name, parent, hidden) in WELL_KNOWN {
        let under = if parent.is_empty() { TOP } else { sync_issues };
        let id = add(under, known, name, hidden);
        if known == "syncissues" {
            sync_issues = id;
        }
    }
    add(ROOT, "recoverableitemsdeletions", "Deletions", true);
    add(ROOT, "searchfolders", "Finder", false);
    all
}

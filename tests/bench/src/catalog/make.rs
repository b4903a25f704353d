//! What the catalog is about: users of very different size, and the histories of their items.
//!
//! Names are sentences of a made-up language in which words are as frequent as in real ones; people write to few often
//! and to many seldom. Most was there at the first backup; the rest came in between two later ones. Some of it was read,
//! moved or changed since, some is gone.

use chrono::{DateTime, TimeDelta, Utc};
use kodo::catalog::search::Text;
use kodo::catalog::{ContentRef, NewVersion};
use kodo::ids::{BlobId, ContainerId, ItemKey, PackId, PointNumber, WalkNumber};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::corpus::prose::Prose;

/// What the features of a user have, in hundredths of what the user has.
pub const FEATURES: [(&str, u32); 4] = [("mailbox", 84), ("calendar", 4), ("contacts", 2), ("onedrive", 10)];
pub const CONTAINERS: u32 = 25;
/// A backup a day.
pub const POINTS: u32 = 30;
pub const SECONDS_A_DAY: u32 = 24 * 3600;
/// How far back the items go that the first backup found.
pub const DAYS_BEFORE: u32 = 8 * 365;
const PEOPLE: usize = 4000;
/// Versions of the smallest user, about; the largest one has twenty times as many.
const SMALLEST: f64 = 12_000.0;
/// Files of a folder of a drive, on average.
const FILES_A_FOLDER: u32 = 25;
const PACKS: u32 = 5000;
/// What a folder of a drive is to the feature, and everything else.
const FOLDER: u8 = 1;
const PLAIN: u8 = 0;

/// When a point was sealed.
pub fn sealed_at(point: u32) -> DateTime<Utc> {
    let last = DateTime::from_timestamp(1_790_000_000, 0).unwrap_or_default();
    last - TimeDelta::seconds(i64::from(POINTS.saturating_sub(point)) * i64::from(SECONDS_A_DAY))
}

pub fn folder_key(user: u32, folder: u32) -> ItemKey {
    ItemKey::of(&format!("{user}/onedrive/folder {folder}"))
}

/// Folders of a drive with so many versions; the first one is the root.
pub fn n_folders(versions: u32) -> u32 {
    (versions / FILES_A_FOLDER).max(2)
}

/// How many versions each user has, until there are so many.
pub fn users(seed: u64, versions: u32) -> Vec<u32> {
    let mut dice = StdRng::seed_from_u64(seed);
    let (mut users, mut sum) = (Vec::new(), 0);
    while sum < versions {
        let rare: f64 = dice.random();
        let size = ((SMALLEST / (rare + 0.05)) as u32).min(versions - sum).max(100);
        users.push(size);
        sum += size;
    }
    users
}

/// What names are made of.
pub struct Language {
    pub prose: Prose,
    people: Vec<String>,
}

impl Language {
    pub fn new(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let prose = Prose::new(&mut dice);
        let person = |n: usize| {
            let (first, last) = (prose.name(&mut dice), prose.name(&mut dice));
            let house = ["contoso", "fabrikam", "adatum", "northwind"][n % 4];
            format!("{first}.{last}@{house}.example").to_lowercase()
        };
        let people = (0..PEOPLE).map(person).collect();
        Self { prose, people }
    }

    /// Few write often, many seldom.
    pub fn person(&self, dice: &mut StdRng) -> &str {
        let rank = (PEOPLE as f64).powf(dice.random::<f64>()) as usize;
        &self.people[rank.clamp(1, PEOPLE) - 1]
    }

    pub fn file(&self, dice: &mut StdRng) -> String {
        let name = self.prose.sentence(dice, 1..=3).replace([' ', ','], "_");
        format!("{name}_{}.{}", dice.random_range(1..100), ["pdf", "docx", "xlsx", "png"][dice.random_range(0..4)])
    }
}

/// An item, and what it was over `[from, to)`.
pub struct Item {
    pub text: Text,
    pub spans: Vec<(u32, u32, NewVersion)>,
}

/// Items of a chain with about so many versions, in the order in which backups meet them: point by point, folder by
/// folder, and there as they came. Containers are numbered from one.
pub fn items(language: &Language, seed: u64, (user, feature): (u32, &str), versions: u32) -> Vec<Item> {
    let mut dice = StdRng::seed_from_u64(seed ^ (u64::from(user) << 8) ^ feature.len() as u64);
    let (mut items, mut n_versions) = (Vec::new(), 0);
    if feature == "onedrive" {
        items.extend((0..n_folders(versions)).map(|folder| drive_folder(language, &mut dice, user, folder)));
    }
    while n_versions < versions {
        let (key, folders) = (ItemKey::of(&format!("{user}/{feature}/{}", items.len())), n_folders(versions));
        let mut item = item(language, &mut dice, feature, key);
        if feature == "onedrive" {
            let folder = folder_key(user, dice.random_range(0..folders));
            item.spans.iter_mut().for_each(|(_, _, version)| version.parent = Some(folder));
        }
        n_versions += item.spans.len() as u32;
        items.push(item);
    }
    items.sort_by_key(|item| {
        let (from, _, version) = &item.spans[0];
        (*from, version.container, version.time)
    });
    items
}

fn blob(dice: &mut StdRng) -> BlobId {
    BlobId::from_bytes(dice.random())
}

/// Nearly always what belongs to an item lies in one pack.
fn places(dice: &mut StdRng) -> (ContentRef, ContentRef) {
    let pack = dice.random_range(1..PACKS);
    let next = pack + u32::from(dice.random_bool(0.05));
    let properties = ContentRef { pack: PackId::new(pack), blob: blob(dice) };
    (properties, ContentRef { pack: PackId::new(next), blob: blob(dice) })
}

fn drive_folder(language: &Language, dice: &mut StdRng, user: u32, folder: u32) -> Item {
    let key = folder_key(user, folder);
    let above = folder.checked_sub(1).map(|below| folder_key(user, below / 8));
    let name = if folder == 0 { "root".to_owned() } else { language.prose.sentence(dice, 1..=3) };
    let version = NewVersion {
        key,
        container: ContainerId::new(1),
        parent: above,
        full_walk: WalkNumber::FIRST,
        kind: FOLDER,
        flags: 0,
        change_tag: dice.random(),
        name,
        party: String::new(),
        time: sealed_at(1),
        bytes: 0,
        properties: places(dice).0,
        content: None,
        refs: Vec::new(),
    };
    let text = Text::of(key, (&version.name, &version.party, version.time), "");
    Item { text, spans: vec![(1, PointNumber::OPEN.get(), version)] }
}

fn item(language: &Language, dice: &mut StdRng, feature: &str, key: ItemKey) -> Item {
    let born = if dice.random_bool(0.6) { 1 } else { dice.random_range(2..=POINTS) };
    let days = if born == 1 { DAYS_BEFORE } else { 1 };
    let mut time = sealed_at(born) - TimeDelta::seconds(i64::from(dice.random_range(0..days * SECONDS_A_DAY)));
    if feature == "calendar" {
        time += TimeDelta::days(dice.random_range(0..200));
    }
    let (is_mail, is_file) = (feature == "mailbox", feature == "onedrive");
    let name = match feature {
        "onedrive" => language.file(dice),
        "contacts" => format!("{} {}", language.prose.name(dice), language.prose.name(dice)),
        _ => language.prose.sentence(dice, 2..=9),
    };
    let (gathered, n_files) = gathered(language, dice, feature);
    let n_refs = n_files * 2 + usize::from(dice.random_bool(0.6));
    // The inbox holds many, other folders few.
    let rank = f64::from(CONTAINERS).powf(dice.random::<f64>()) as u32;
    let (properties, content) = places(dice);
    let version = NewVersion {
        key,
        container: ContainerId::new(if is_mail { rank.clamp(1, CONTAINERS) } else { 1 }),
        parent: None,
        full_walk: WalkNumber::FIRST,
        kind: PLAIN,
        flags: dice.random_range(0..64),
        change_tag: dice.random(),
        name,
        party: if is_file { language.people[0].clone() } else { language.person(dice).to_owned() },
        time,
        bytes: 1 << dice.random_range(10..24),
        properties,
        content: Some(content),
        refs: (0..n_refs).map(|_| blob(dice)).collect(),
    };
    let text = Text::of(key, (&version.name, &version.party, version.time), &gathered);
    Item { text, spans: history(dice, born, version, is_mail) }
}

/// What an item says besides its name, and how many files are attached to it.
fn gathered(language: &Language, dice: &mut StdRng, feature: &str) -> (String, usize) {
    let mut gathered = String::new();
    let n_people = if matches!(feature, "mailbox" | "calendar") { dice.random_range(1..4) } else { 0 };
    for _ in 0..n_people {
        gathered.push_str(&format!(">{}\n", language.person(dice)));
    }
    let has_file = feature == "mailbox" && dice.random_bool(0.15);
    if has_file {
        gathered.push_str(&format!("+{}\n", language.file(dice)));
    }
    (gathered, usize::from(has_file))
}

/// One in five becomes another version: read, changed, or moved to another folder. One in twelve goes.
fn history(dice: &mut StdRng, born: u32, version: NewVersion, moves: bool) -> Vec<(u32, u32, NewVersion)> {
    let open = PointNumber::OPEN.get();
    let mut later = |chance: f64| if dice.random_bool(chance) { dice.random_range(born..=POINTS) + 1 } else { open };
    let (changed, gone) = (later(0.2), later(0.08));
    let within = |point: u32| if point > POINTS { open } else { point };
    let (changed, gone) = (within(changed), within(gone));
    if changed >= gone {
        return vec![(born, gone, version)];
    }
    let mut next = version.clone();
    next.change_tag = dice.random();
    next.properties.blob = blob(dice);
    if moves && dice.random_bool(0.3) {
        next.container = ContainerId::new(dice.random_range(1..=CONTAINERS));
    } else {
        next.flags ^= 1;
    }
    vec![(born, changed, version), (changed, gone, next)]
}

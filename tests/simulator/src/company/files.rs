//! What people keep in OneDrive: folders in folders, documents, pictures, archives, and the odd
//! things every drive has one of. Content is computed when somebody asks for it.

use super::{World, extras, text};
use crate::app::User;
use crate::dice::{Dice, hash};
use crate::locks::write;
use crate::store::drive::content::Content;
use crate::store::drive::item::{File, Grant, Kind, Permission, Pointer};
use crate::store::drive::{Drive, DriveState, NOTE_MIME, ROOT, Stamp, ids};
use crate::store::message::{Blob, Person};
use std::sync::Arc;

/// The last seeded file is about this old at most: 2026-05-28.
const NEWEST: i64 = 1_780_000_000;
const SPAN: i64 = 3 * 365 * 86_400;

/// Path, and what the drive itself calls the folder.
const FOLDERS: [(&str, Option<&str>); 10] = [
    ("Documents", Some("documents")),
    ("Pictures", Some("photos")),
    ("Projects", None),
    ("Projects/Alpha", None),
    ("Projects/Alpha/2026", None),
    ("Projects/Alpha/2026/Minutes", None),
    ("Projects/Beta", None),
    ("Archive", None),
    ("Shared with the team", None),
    ("Nothing yet", None),
];
/// Allowed by SharePoint, and a trial for every client.
const ODD_NAMES: [&str; 8] = [
    "Bericht für Köln – Entwurf (2).txt",
    "# 100% done & checked!.txt",
    "会議の議事録.txt",
    "it's a; name=with, all+of [them] @{$}.txt",
    ".settings.txt",
    "Party 🎉 plan.txt",
    "Read%20me.txt",
    "two  spaces and a dot..txt",
];
const TYPES: [(&str, &str); 11] = [
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("csv", "text/csv"),
    ("jpg", "image/jpeg"),
    ("png", "image/png"),
    ("zip", "application/x-zip-compressed"),
    ("md", "application/octet-stream"),
    ("one", NOTE_MIME),
];

/// By the ending of a name, as SharePoint guesses.
pub fn mime_of(name: &str) -> &'static str {
    let ending = name.rsplit('.').next().unwrap_or_default().to_lowercase();
    if ending == "onetoc2" {
        return NOTE_MIME;
    }
    TYPES.iter().find(|(known, _)| *known == ending).map_or("application/octet-stream", |(_, mime)| mime)
}

/// Puts about so many items into the drive of a user who has one.
pub fn fill(world: &World, user: &User, wanted: usize) {
    let profile = user.profile();
    let mut drive = write(&user.drive);
    if drive.state != DriveState::Ready {
        return;
    }
    let owner = Person { name: profile.display_name, address: profile.principal_name };
    let dice = Dice::of(&[world.seed, 110, drive.salt()]);
    let mut filler = Filler { world, drive: &mut drive, owner, dice, wanted };
    filler.folders();
    filler.curiosities();
    filler.notebook();
    filler.plain_files();
    filler.history();
}

struct Filler<'a> {
    world: &'a World,
    drive: &'a mut Drive,
    owner: Person,
    dice: Dice,
    wanted: usize,
}

impl Filler<'_> {
    fn stamp(&mut self) -> Stamp {
        let by = match self.dice.below(10) {
            0 => self.dice.pick(&self.world.staff).person.clone(),
            _ => self.owner.clone(),
        };
        Stamp { at: NEWEST - SPAN + self.dice.below(SPAN as u64) as i64, by }
    }

    /// Nothing, once the drive is full or where the name is taken.
    fn put(&mut self, parent: &str, name: &str, kind: Kind) -> Option<u64> {
        if self.drive.count() >= self.wanted {
            return None;
        }
        let parent = self.drive.by_path(parent).map_or(ROOT, |item| item.number);
        let stamp = self.stamp();
        let later = stamp.at + self.dice.below(20 * 86_400) as i64;
        let number = self.drive.add(parent, name, kind, &stamp).ok()?;
        let changed = Stamp { at: later.min(NEWEST), ..stamp };
        self.drive.update(number, &changed, |item| item.modified = changed.at);
        Some(number)
    }

    fn put_file(&mut self, parent: &str, name: &str, content: Arc<Content>) -> Option<u64> {
        self.put(parent, name, Kind::File(File::new(mime_of(name), content)))
    }

    fn folders(&mut self) {
        // A drive for a handful of files does not get more folders than files.
        let some = FOLDERS.len().min(self.wanted / 3);
        for (path, special) in &FOLDERS[..some] {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            self.put(parent, name, Kind::Folder { special: *special });
        }
    }

    fn curiosities(&mut self) {
        if self.wanted < FOLDERS.len() * 3 {
            return;
        }
        self.put_file("Documents", "empty.txt", Content::computed(0, 0));
        for (index, name) in ODD_NAMES.into_iter().enumerate() {
            let blob =
                Blob::Made { seed: hash(&[self.world.seed, 111, index as u64]), len: 40 + index * 333, text: true };
            self.put_file("Documents", name, Content::blob(blob));
        }
        let mut infected = File::new(mime_of(".zip"), Content::computed(self.dice.next_u64(), 7_000));
        infected.malware = Some("Win32/Invented.A");
        self.put("Archive", "Overdue invoice.zip", Kind::File(infected));
        let colleague = self.dice.pick(&self.world.staff).person.clone();
        if let Some(folder) = self.drive.by_path("Shared with the team").map(|item| item.number) {
            let at = self.stamp();
            self.drive.share(folder, Permission { grant: Grant::Person(colleague.clone()), may_write: true }, &at);
        }
        if let Some(number) = self.put_file("Shared with the team", "Price list.xlsx", Content::computed(17, 24_000)) {
            let at = self.stamp();
            let everyone = Permission { grant: Grant::Link { scope: "organization" }, may_write: false };
            self.drive.share(number, everyone, &at);
        }
        let far = hash(&[self.world.seed, 112, self.dice.below(1000)]);
        let pointer = Pointer { drive: ids::drive_id(far), item: ids::item_id(far, ROOT + 5), owner: colleague };
        self.put("", "Team folder of a colleague", Kind::Shortcut(pointer));
    }

    fn notebook(&mut self) {
        if self.wanted < FOLDERS.len() * 3 {
            return;
        }
        let name = format!("{}'s Notebook", self.owner.name);
        if self.put("Documents", &name, Kind::Notebook).is_none() {
            return;
        }
        let path = format!("Documents/{name}");
        for (part, len) in [("Open Notebook.onetoc2", 6_000), ("Quick Notes.one", 31_000)] {
            let seed = self.dice.next_u64();
            self.put_file(&path, part, Content::computed(seed, len));
        }
    }

    fn plain_files(&mut self) {
        let folders = FOLDERS.len().min(self.wanted / 3).saturating_sub(1);
        // Names repeat; a drive that is nearly full of them must not search for ever.
        for _ in 0..self.wanted * 4 {
            if self.drive.count() >= self.wanted {
                return;
            }
            let folder = FOLDERS.get(self.dice.index(folders + 1)).filter(|_| folders > 0).map_or("", |(path, _)| path);
            let folder = if folder == "Nothing yet" { "" } else { folder };
            if self.dice.percent(15) {
                let number = self.dice.below(40);
                let (name, _, blob) = extras::circulating(self.world, number);
                self.put_file(folder, &name, Content::blob(blob));
                continue;
            }
            let (name, content) = invent(&mut self.dice);
            self.put_file(folder, &name, content);
        }
    }

    fn history(&mut self) {
        let files: Vec<u64> = self
            .drive
            .items()
            .filter(|item| item.file().is_some_and(|file| file.malware.is_none() && !file.is_note()))
            .map(|item| item.number)
            .collect();
        for number in files {
            if !self.dice.percent(15) {
                continue;
            }
            for _ in 0..1 + self.dice.below(3) {
                let at = NEWEST - self.dice.below(86_400 * 20) as i64;
                let stamp = Stamp { at, by: self.owner.clone() };
                let content = Content::computed(self.dice.next_u64(), 1_000 + self.dice.below(30_000));
                self.drive.overwrite(number, content, &stamp);
            }
            let stamp = self.stamp();
            self.drive.update(number, &stamp, |item| item.description = Some("The valid one, see mail".into()));
        }
    }
}

/// A name and what is in it.
pub fn invent(dice: &mut Dice) -> (String, Arc<Content>) {
    let (ending, _) = *dice.pick(&TYPES[..TYPES.len() - 1]);
    let word = text::thing(dice);
    let name = format!("{}{} {}.{ending}", word[..1].to_uppercase(), &word[1..], dice.below(500));
    let seed = dice.next_u64();
    let content = match ending {
        "txt" | "csv" | "md" => Content::blob(Blob::Made { seed, len: 200 + dice.below(12_000) as usize, text: true }),
        "zip" => Content::computed(seed, 40_000 + dice.below(200_000)),
        _ => Content::computed(seed, 3_000 + dice.below(60_000)),
    };
    (name, content)
}

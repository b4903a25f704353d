//! Changes as people make them in a day: they write, rename, move, throw away, and put back.

use super::stamp;
use crate::app::{App, User};
use crate::company::files::{invent, mime_of};
use crate::control::Controlled;
use crate::control::edits::RandomEdits;
use crate::dice::Dice;
use crate::locks::write;
use crate::store::drive::content::Content;
use crate::store::drive::item::{File, Grant, Item, Kind, Permission};
use crate::store::drive::{Drive, ROOT, Stamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What was done to which item.
type Done = (&'static str, u64);

pub fn random(app: &App, user: &User, wanted: &RandomEdits) -> Controlled {
    let at = stamp(app, user);
    let mut drive = write(&user.drive);
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut steps: Vec<Value> = Vec::new();
    for step in 0..wanted.count as u64 {
        let mut dice = Dice::of(&[wanted.seed, 120, step]);
        let (kind, number) = one_edit(app, &mut drive, &mut dice, &at);
        *counts.entry(kind).or_default() += 1;
        steps.push(json!({"kind": kind, "id": drive.id_of(number)}));
    }
    Ok(json!({"counts": counts, "edits": steps}))
}

fn one_edit(app: &App, drive: &mut Drive, dice: &mut Dice, at: &Stamp) -> Done {
    let files = numbers(drive, |item| item.file().is_some_and(|file| file.malware.is_none() && !file.is_note()));
    let folders = numbers(drive, |item| matches!(item.kind, Kind::Folder { special: None }) && item.number != ROOT);
    let roll = dice.below(100);
    let done = match roll {
        25..=59 | 75..=84 | 88.. if !files.is_empty() => {
            let file = *dice.pick(&files);
            edit_file(app, drive, dice, at, file, roll)
        }
        60..=69 if !files.is_empty() => {
            let (file, to) = (*dice.pick(&files), home(drive, dice, &folders));
            drive.relocate(file, to, at).is_ok().then_some(("move_file", file))
        }
        70..=87 if !folders.is_empty() => {
            let folder = *dice.pick(&folders);
            edit_folder(drive, dice, at, folder, &folders, roll)
        }
        _ => None,
    };
    done.unwrap_or_else(|| create(drive, dice, at, &folders))
}

fn numbers(drive: &Drive, keep: impl Fn(&Item) -> bool) -> Vec<u64> {
    drive.items().filter(|item| keep(item)).map(|item| item.number).collect()
}

fn home(drive: &Drive, dice: &mut Dice, folders: &[u64]) -> u64 {
    if folders.is_empty() || drive.child_count(ROOT) == 0 || dice.percent(20) { ROOT } else { *dice.pick(folders) }
}

fn create(drive: &mut Drive, dice: &mut Dice, at: &Stamp, folders: &[u64]) -> Done {
    let (name, content) = invent(dice);
    let parent = home(drive, dice, folders);
    // The log only grows, so no two of these names are alike.
    let name = format!("{} {name}", drive.seq());
    if dice.percent(15) {
        let name = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned();
        return ("create_folder", drive.add(parent, &name, Kind::Folder { special: None }, at).unwrap_or(ROOT));
    }
    let kind = Kind::File(File::new(mime_of(&name), content));
    ("create_file", drive.add(parent, &name, kind, at).unwrap_or(ROOT))
}

fn edit_file(app: &App, drive: &mut Drive, dice: &mut Dice, at: &Stamp, file: u64, roll: u64) -> Option<Done> {
    match roll {
        25..=46 => {
            let content = Content::computed(dice.next_u64(), 1 + dice.below(90_000));
            drive.overwrite(file, content, at).then_some(("overwrite", file))
        }
        47..=59 => {
            let name = format!("{} {}", drive.seq(), drive.item(file)?.name);
            let name: String = name.chars().take(120).collect();
            drive.rename(file, &name, at).ok()?;
            Some(("rename_file", file))
        }
        75..=84 => {
            drive.remove(file, at.at).ok()?;
            Some(("delete_file", file))
        }
        88..=91 => {
            // Thrown away and put back: the same name and content, another item.
            let (parent, name, kind) = {
                let item = drive.item(file)?;
                (item.parent, item.name.clone(), item.kind.clone())
            };
            drive.remove(file, at.at).ok()?;
            Some(("put_back", drive.add(parent, &name, kind, at).ok()?))
        }
        92..=95 => {
            let grant = Grant::Person(dice.pick(&app.world.staff).person.clone());
            let permission = Permission { grant, may_write: dice.percent(50) };
            drive.share(file, permission, at).then_some(("share", file))
        }
        _ => {
            let text = format!("Described at {}", drive.seq());
            drive.update(file, at, |item| item.description = Some(text)).then_some(("describe", file))
        }
    }
}

fn edit_folder(
    drive: &mut Drive,
    dice: &mut Dice,
    at: &Stamp,
    folder: u64,
    folders: &[u64],
    roll: u64,
) -> Option<Done> {
    match roll {
        70..=72 => {
            let name = format!("Renamed {}", drive.seq());
            drive.rename(folder, &name, at).ok()?;
            Some(("rename_folder", folder))
        }
        73..=74 => {
            let to = home(drive, dice, folders);
            drive.relocate(folder, to, at).ok()?;
            Some(("move_folder", folder))
        }
        // A drive that lost most of what it has is no test of anything.
        _ if drive.child_count(folder) < 6 && folders.len() > 3 => {
            drive.remove(folder, at.at).ok()?;
            Some(("delete_folder", folder))
        }
        _ => None,
    }
}

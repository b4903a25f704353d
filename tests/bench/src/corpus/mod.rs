//! A corpus like the data of a small company: mails, calendar and contact items, files; the same for the same seed.
//!
//! What decides every figure of a store is modelled: headers that no two copies of a mail share; one mail in several
//! mailboxes; threads that quote what went before; logos sent with every mail; attachments that lie in OneDrive too;
//! documents that are compressed in themselves; a video, a mailbox file, a disk image and a log. No text is shipped or
//! read: the language is made up, with word statistics that compress like prose.

mod file;
mod item;
mod mail;
pub mod prose;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use self::file::Pool;
use self::mail::Post;
use self::prose::Prose;

/// Of all bytes: mail as it lies in the mailboxes.
const MAIL_SHARE: f64 = 0.56;
/// Of all bytes: four large files.
const LARGE_SHARE: f64 = 0.21;
/// About the mean length of a mail, to know how many mailboxes there should be.
const MAIL_BYTES: u64 = 110_000;
const MAILS_PER_MAILBOX: u64 = 500;
const MAILBOXES_MIN: u64 = 8;
/// Mails for which there is one attachment in the pool.
const MAILS_PER_ATTACHMENT: u64 = 40;
const BYTES_MIN: u64 = 1_000_000;
const FOLDERS: [&str; 7] =
    ["Inbox", "Inbox", "Inbox", "Archive/2023", "Archive/2024", "Inbox/Projects", "Deleted Items"];

/// What every part of the corpus is made with.
struct World {
    dice: StdRng,
    prose: Prose,
    users: Vec<String>,
}

/// Files on their way to the disk.
struct Shelf {
    dir: PathBuf,
    n_files: u64,
    bytes: u64,
}

impl Shelf {
    fn put(&mut self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.dir.join(path);
        let folder = path.parent().context("a path of the corpus has a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        self.n_files += 1;
        self.bytes += content.len() as u64;
        Ok(())
    }
}

/// Writes about `bytes` of corpus into an empty or new directory.
pub fn write(dir: &Path, seed: u64, bytes: u64) -> anyhow::Result<Value> {
    ensure!(bytes >= BYTES_MIN, "a corpus has at least {BYTES_MIN} bytes");
    let empty = std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    ensure!(empty, "{} is not empty", dir.display());
    let mut dice = StdRng::seed_from_u64(seed);
    let prose = Prose::new(&mut dice);
    let n_mails = (bytes as f64 * MAIL_SHARE) as u64 / MAIL_BYTES;
    let n_users = (n_mails / MAILS_PER_MAILBOX).max(MAILBOXES_MIN);
    let users = (0..n_users).map(|n| format!("user{n:03}.{}", prose.name(&mut dice).to_lowercase())).collect();
    let mut world = World { dice, prose, users };
    let pool = Pool::new(&mut world, (n_mails / MAILS_PER_ATTACHMENT).max(40) as usize);
    let mut shelf = Shelf { dir: dir.to_owned(), n_files: 0, bytes: 0 };

    let n_mails = write_mail(&mut world, &pool, &mut shelf, (bytes as f64 * MAIL_SHARE) as u64)?;
    write_items(&mut world, &mut shelf, n_mails / n_users)?;
    let large = (bytes as f64 * LARGE_SHARE) as u64;
    write_files(&mut world, &pool, &mut shelf, bytes.saturating_sub(large))?;
    write_large(&mut world, &mut shelf, large / 4)?;
    Ok(json!({
        "seed": seed, "files": shelf.n_files, "bytes": shelf.bytes, "mails": n_mails, "mailboxes": n_users,
    }))
}

fn write_mail(world: &mut World, pool: &Pool, shelf: &mut Shelf, until: u64) -> anyhow::Result<u64> {
    let mut post = Post::new(world);
    let mut n_mails = 0;
    while shelf.bytes < until {
        let mail = post.mail(world, pool);
        for (user, folder) in &mail.copies {
            n_mails += 1;
            let text = [post.headers(world, user).as_bytes(), &mail.text].concat();
            shelf.put(&format!("mail/{user}/{folder}/{n_mails:06}.eml"), &text)?;
        }
    }
    Ok(n_mails)
}

fn write_items(world: &mut World, shelf: &mut Shelf, mails_per_user: u64) -> anyhow::Result<()> {
    for user in world.users.clone() {
        for n in 0..(mails_per_user / 8).max(3) {
            shelf.put(&format!("items/{user}/events/{n:05}.json"), &item::event(world, &user))?;
        }
        for n in 0..(mails_per_user / 12).max(3) {
            shelf.put(&format!("items/{user}/contacts/{n:05}.json"), &item::contact(world))?;
        }
    }
    Ok(())
}

/// Files of people: half of what is attached to mails, and documents of their own, some of them twice.
fn write_files(world: &mut World, pool: &Pool, shelf: &mut Shelf, until: u64) -> anyhow::Result<()> {
    for attachment in pool.files.iter().step_by(2) {
        let user = world.someone();
        shelf.put(&format!("onedrive/{user}/Shared/{}", attachment.name), &attachment.content)?;
    }
    let mut n = 0;
    while shelf.bytes < until {
        let file = file::own(world, n);
        let user = world.someone();
        let folder = ["Documents", "Documents/Projects", "Pictures", "Desktop"][world.dice.random_range(0..4)];
        shelf.put(&format!("onedrive/{user}/{folder}/{}", file.name), &file.content)?;
        if world.dice.random_bool(0.06) {
            let other = world.someone();
            shelf.put(&format!("onedrive/{other}/Documents/Copy of {}", file.name), &file.content)?;
        }
        n += 1;
    }
    Ok(())
}

fn write_large(world: &mut World, shelf: &mut Shelf, each: u64) -> anyhow::Result<()> {
    let each = each as usize;
    let owner = |n: usize| world.users[n % world.users.len()].clone();
    let owners = [owner(0), owner(1), owner(2), owner(3)];
    let [video, mailbox, log, image] = owners;
    shelf.put(&format!("onedrive/{video}/Videos/recording.mp4"), &file::noise(&mut world.dice, each))?;
    shelf.put(&format!("onedrive/{mailbox}/Documents/archive.pst"), &file::pages(&mut world.dice, each, 8 << 10))?;
    shelf.put(&format!("onedrive/{log}/Logs/app.log"), &file::log(world, each))?;
    shelf.put(&format!("onedrive/{image}/Documents/machine.vhdx"), &file::pages(&mut world.dice, each, 64 << 10))
}

impl World {
    fn someone(&mut self) -> String {
        let n = self.dice.random_range(0..self.users.len());
        self.users[n].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_of(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![dir.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let content = std::fs::read(&path).unwrap();
                    found.push((path.strip_prefix(dir).unwrap().to_owned(), content));
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn the_same_seed_makes_the_same_corpus_and_another_seed_another() {
        let dir = std::env::temp_dir().join(format!("kodo-corpus-{}", std::process::id()));
        let made = |seed: u64, name: &str| {
            write(&dir.join(name), seed, 4_000_000).unwrap();
            files_of(&dir.join(name))
        };

        let (first, again, other) = (made(1, "a"), made(1, "b"), made(2, "c"));

        std::fs::remove_dir_all(&dir).unwrap();
        assert!(first == again && first != other);
        let bytes: usize = first.iter().map(|(_, content)| content.len()).sum();
        // The last file may be a large one.
        assert!((3_500_000..20_000_000).contains(&bytes), "{bytes}");
        assert!(first.iter().any(|(path, _)| path.starts_with("mail")));
    }
}

//! Items as files: a folder for each folder, the content and beside it the properties; what was a file in a drive is a file
//! again, in its folders and with its time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use serde::Serialize;

use super::tree::{self, Tree};
use super::{Place, Selection};
use crate::catalog::items::VersionRow;
use crate::ids::PointNumber;
use crate::recovery::survey::ChainName;
use crate::recovery::{Hear, Step};

/// File systems take 255 bytes; the key, the time and the ending need some of them.
const NAME_BYTES_MAX: usize = 120;
/// The same for names that stand alone, and for those that a key and an ending follow.
const OWN_BYTES_MAX: usize = 250;
const STEM_BYTES_MAX: usize = 200;
/// What may be behind the last dot of a name and still be its ending.
const ENDING_BYTES_MAX: usize = 16;
/// Digits of an item's key in its file name.
const KEY_DIGITS: usize = 12;

/// What was written.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Extracted {
    pub items: u64,
    pub bytes: u64,
    pub failed: Vec<NotExtracted>,
}

/// An item that could not be read.
#[derive(Clone, Debug, Serialize)]
pub struct NotExtracted {
    pub key: String,
    pub folder: String,
    pub name: String,
    pub why: String,
}

impl Place {
    /// Writes the items of a point below `to`. Repeated, it replaces what it wrote before.
    pub async fn extract(
        &self,
        chain: &ChainName,
        point: PointNumber,
        selection: &Selection,
        to: &Path,
        hear: Hear<'_>,
    ) -> anyhow::Result<Extracted> {
        let mut done = Extracted::default();
        let of = self.survey.chains.get(chain).map_or(0, |chain| chain.n_items);
        let tree = self.tree(chain, point).await?;
        let mut times = FolderTimes::default();
        let named = if chain.feature == tree::FEATURE { own } else { safe };
        for unit in self.parts(chain) {
            let mut part = self.part(unit, chain, point).await?;
            let items: Vec<_> =
                part.take_items(&tree).filter(|(path, row)| selection.takes(path, row.version.key)).collect();
            for (path, row) in items {
                let folder = path.iter().fold(to.to_owned(), |below, name| below.join(named(name)));
                fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
                let written = match self.form(chain, &tree, &row) {
                    Form::Folder => times.make(&folder, &row).map(|()| 0).map_err(WriteError::Here),
                    Form::File => self.write_file(&folder, &row).await,
                    Form::Beside(ending) => self.write(ending, &folder, &row).await,
                };
                match written {
                    Ok(bytes) => {
                        done.items += 1;
                        done.bytes += bytes;
                    }
                    Err(WriteError::Unreadable(why)) => done.failed.push(NotExtracted {
                        key: row.version.key.to_string(),
                        folder: path.join("/"),
                        name: row.version.name,
                        why,
                    }),
                    Err(WriteError::Here(err)) => return Err(err),
                }
                hear(Step::Written { items: done.items, of });
            }
        }
        times.set()?;
        Ok(done)
    }

    fn form(&self, chain: &ChainName, tree: &Tree, row: &VersionRow) -> Form {
        match chain.feature.as_str() {
            tree::FEATURE if tree.is_folder(row.version.key) => Form::Folder,
            tree::FEATURE if row.version.content.is_some() => Form::File,
            "mailbox" => Form::Beside("eml"),
            // A bundle of what the service keeps in several pieces: programs for mail can open it.
            "calendar" => Form::Beside("eml"),
            "contacts" => Form::Beside("jpg"),
            _ => Form::Beside("bin"),
        }
    }

    /// A file of a drive under its own name, with the time when somebody changed it last.
    async fn write_file(&self, folder: &Path, row: &VersionRow) -> Result<u64, WriteError> {
        let version = &row.version;
        let target = folder.join(file_name(&version.name, &version.key.to_string()));
        let part = folder.join(format!(".{}.part", version.key));
        self.write_content(row, &part, &target, Some(version.time.into())).await?;
        Ok(version.bytes)
    }

    async fn write(&self, ending: &str, folder: &Path, row: &VersionRow) -> Result<u64, WriteError> {
        let version = &row.version;
        let time = version.time.format("%Y-%m-%d %H%M");
        let key = version.key.to_string();
        let stem = format!("{time} {} [{}]", safe(&version.name), &key[..KEY_DIGITS]);
        let properties = self.reader.read(version.properties.pack, version.properties.blob).await;
        // The content is worth having without them.
        let properties = properties.map_err(|err| err.to_string());
        let part = folder.join(format!("{stem}.part"));
        self.write_content(row, &part, &folder.join(format!("{stem}.{ending}")), None).await?;
        let properties = properties.map_err(WriteError::Unreadable)?;
        let target = folder.join(format!("{stem}.json"));
        fs::write(&target, &properties).with_context(|| format!("cannot write {}", target.display()))?;
        Ok(version.bytes)
    }

    /// Writes the content, if there is any, under another name first: what has the right name is whole.
    async fn write_content(
        &self,
        row: &VersionRow,
        part: &Path,
        target: &Path,
        modified: Option<SystemTime>,
    ) -> Result<(), WriteError> {
        let Some(content) = row.version.content else { return Ok(()) };
        let file = File::create(part).with_context(|| format!("cannot create {}", part.display()))?;
        match self.reader.stream(content.pack, content.blob, file).await {
            Ok(file) => Ok(settle(&file, part, target, modified)?),
            Err(err) => {
                fs::remove_file(part).with_context(|| format!("cannot remove {}", part.display()))?;
                Err(WriteError::Unreadable(err.to_string()))
            }
        }
    }
}

/// What an item becomes.
enum Form {
    /// A folder of its name.
    Folder,
    /// A file of its name.
    File,
    /// Its properties as .json and beside them its content with this ending; both names begin with the item's time.
    Beside(&'static str),
}

/// When folders were changed last: told to the file system at the end, because writing into a folder changes it.
#[derive(Default)]
struct FolderTimes(Vec<(PathBuf, SystemTime)>);

impl FolderTimes {
    fn make(&mut self, above: &Path, row: &VersionRow) -> anyhow::Result<()> {
        let version = &row.version;
        // The root of a drive is the folder of the drive itself.
        let folder = match version.parent {
            None => above.to_owned(),
            Some(_) => above.join(own(&version.name)),
        };
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        self.0.push((folder, version.time.into()));
        Ok(())
    }

    fn set(&self) -> anyhow::Result<()> {
        for (folder, time) in &self.0 {
            let set = File::open(folder).and_then(|open| open.set_modified(*time));
            set.with_context(|| format!("cannot set the time of {}", folder.display()))?;
        }
        Ok(())
    }
}

/// Why an item has no file.
enum WriteError {
    /// The storage does not give it.
    Unreadable(String),
    /// The files cannot be written.
    Here(anyhow::Error),
}

impl From<anyhow::Error> for WriteError {
    fn from(err: anyhow::Error) -> Self {
        Self::Here(err)
    }
}

fn settle(file: &File, part: &Path, target: &Path, modified: Option<SystemTime>) -> anyhow::Result<()> {
    let timed = modified.map_or(Ok(()), |time| file.set_modified(time));
    let done = timed.and_then(|()| file.sync_all()).and_then(|()| fs::rename(part, target));
    done.with_context(|| format!("cannot write {}", target.display()))
}

/// The name of a file of a drive: its own, unless a file system might refuse it. Then a part of its key stands before the
/// ending, so that two names which become one do not become one file.
fn file_name(name: &str, key: &str) -> String {
    let plain = own(name);
    if plain == name {
        return plain;
    }
    let key = &key[..KEY_DIGITS];
    let has_ending = |(stem, ending): &(&str, &str)| !stem.is_empty() && (1..=ENDING_BYTES_MAX).contains(&ending.len());
    match name.rsplit_once('.').filter(has_ending) {
        Some((stem, ending)) => format!("{} [{key}].{}", fitting(stem, STEM_BYTES_MAX), own(ending)),
        None => format!("{} [{key}]", fitting(name, STEM_BYTES_MAX)),
    }
}

/// The name of a thing that has one in a file system already.
fn own(name: &str) -> String {
    fitting(name, OWN_BYTES_MAX)
}

/// A name for a thing that has none in a file system yet.
fn safe(name: &str) -> String {
    fitting(name.trim_start_matches([' ', '.']), NAME_BYTES_MAX)
}

/// A name that every file system takes, and that cannot leave the folder.
fn fitting(name: &str, bytes_max: usize) -> String {
    let plain = |c: char| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c };
    let mut out = String::new();
    for c in name.chars().map(plain) {
        if out.len() + c.len_utf8() > bytes_max {
            break;
        }
        out.push(c);
    }
    // Windows takes no name that ends so; without this, "." and ".." would be left.
    let trimmed = out.trim_end_matches([' ', '.']);
    if trimmed.is_empty() { "_".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_items_cannot_leave_their_folder_or_be_refused_by_a_file_system() {
        for (name, file) in [
            ("../../etc/passwd", "_.._etc_passwd"),
            ("a:b*c?\u{7}", "a_b_c__"),
            ("..", "_"),
            ("", "_"),
            ("Grüße ", "Grüße"),
        ] {
            assert_eq!(safe(name), file, "{name}");
        }
        assert!(safe(&"ü".repeat(500)).len() <= NAME_BYTES_MAX);
    }

    #[test]
    fn a_file_keeps_its_name_unless_a_file_system_might_refuse_it() {
        let key = "0123456789abcdef0123456789abcdef";

        for (name, file) in [
            ("Plan 2026.xlsx", "Plan 2026.xlsx"),
            ("a:b.txt", "a_b [0123456789ab].txt"),
            (".gitignore", ".gitignore"),
            (".hidden:", ".hidden_ [0123456789ab]"),
            ("..", "_ [0123456789ab]"),
        ] {
            assert_eq!(file_name(name, key), file, "{name}");
        }
        assert_ne!(file_name("a:b.txt", key), file_name("a_b.txt", key));
        let long = file_name(&format!("{}.docx", "ü".repeat(250)), key);
        assert!(long.len() <= 255 && long.ends_with(".docx"), "{long}");
    }
}

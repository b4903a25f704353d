//! Items as files: a folder for each folder, the content and beside it the properties.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use super::{Place, Selection};
use crate::catalog::items::VersionRow;
use crate::ids::PointNumber;
use crate::recovery::survey::ChainName;
use crate::recovery::{Hear, Step};

/// File systems take 255 bytes; the key, the time and the ending need some of them.
const NAME_BYTES_MAX: usize = 120;
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
        for unit in self.parts(chain) {
            let mut part = self.part(unit, chain, point).await?;
            let items: Vec<_> =
                part.take_items().filter(|(path, row)| selection.takes(path, row.version.key)).collect();
            for (path, row) in items {
                let folder = path.iter().fold(to.to_owned(), |below, name| below.join(safe(name)));
                fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
                match self.write(&chain.feature, &folder, &row).await {
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
        Ok(done)
    }

    async fn write(&self, feature: &str, folder: &Path, row: &VersionRow) -> Result<u64, WriteError> {
        let version = &row.version;
        let time = version.time.format("%Y-%m-%d %H%M");
        let key = version.key.to_string();
        let stem = format!("{time} {} [{}]", safe(&version.name), &key[..KEY_DIGITS]);
        let properties = self.reader.read(version.properties.pack, version.properties.blob).await;
        // The content is worth having without them.
        let properties = properties.map_err(|err| err.to_string());
        if let Some(content) = version.content {
            let ending = match feature {
                // The attachments of an event are a bundle, which mail programs read.
                "mailbox" | "calendar" => "eml",
                "contacts" => "jpg",
                _ => "bin",
            };
            let target = folder.join(format!("{stem}.{ending}"));
            let part = folder.join(format!("{stem}.part"));
            let file = File::create(&part).with_context(|| format!("cannot create {}", part.display()))?;
            match self.reader.stream(content.pack, content.blob, file).await {
                Ok(file) => settle(&file, &part, &target)?,
                Err(err) => {
                    fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
                    return Err(WriteError::Unreadable(err.to_string()));
                }
            }
        }
        let properties = properties.map_err(WriteError::Unreadable)?;
        let target = folder.join(format!("{stem}.json"));
        fs::write(&target, &properties).with_context(|| format!("cannot write {}", target.display()))?;
        Ok(version.bytes)
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

fn settle(file: &File, part: &Path, target: &PathBuf) -> anyhow::Result<()> {
    let done = file.sync_all().and_then(|()| fs::rename(part, target));
    done.with_context(|| format!("cannot write {}", target.display()))
}

/// A name that every file system takes, and that cannot leave the folder.
fn safe(name: &str) -> String {
    let plain = |c: char| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c };
    let mut out = String::new();
    for c in name.chars().map(plain) {
        if out.len() + c.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        out.push(c);
    }
    let trimmed = out.trim_matches([' ', '.']);
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
}

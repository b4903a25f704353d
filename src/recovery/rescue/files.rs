//! Items as files in folders: what exports put into an archive, and beside it the properties. What was a file in a drive is
//! a file again, in its folders and with its time.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use serde::Serialize;

use super::tree;
use super::{Place, Selection};
use crate::catalog::items::VersionRow;
use crate::files::{FileOf, Properties, Source, names, render};
use crate::ids::PointNumber;
use crate::recovery::survey::ChainName;
use crate::recovery::{Hear, Step};

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
        let named = if chain.feature == tree::FEATURE { names::own } else { names::safe };
        for unit in self.parts(chain) {
            let mut part = self.part(unit, chain, point).await?;
            let items: Vec<_> =
                part.take_items(&tree).filter(|(path, row)| selection.takes(path, row.version.key)).collect();
            for (path, row) in items {
                let folder = path.iter().fold(to.to_owned(), |below, name| below.join(named(name)));
                fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
                let written = if tree.is_folder(row.version.key) {
                    times.make(&folder, &row).map(|()| 0).map_err(WriteError::Here)
                } else {
                    self.write(&chain.feature, &folder, &row).await
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

    async fn write(&self, feature: &str, folder: &Path, row: &VersionRow) -> Result<u64, WriteError> {
        let is_file = feature == tree::FEATURE && row.version.content.is_some();
        let properties = if is_file { Properties::LeftOut } else { Properties::Beside };
        let rendered = render(&self.reader, feature, row, properties).await;
        let rendered = rendered.map_err(|err| WriteError::Unreadable(err.to_string()))?;
        let mut unreadable = rendered.unreadable;
        for file in rendered.files {
            match self.write_file(folder, row, file).await {
                Ok(()) => {}
                // The other files are worth having without it.
                Err(WriteError::Unreadable(why)) => unreadable = unreadable.or(Some(why)),
                Err(err) => return Err(err),
            }
        }
        match unreadable {
            None => Ok(row.version.bytes),
            Some(why) => Err(WriteError::Unreadable(why)),
        }
    }

    /// Writes a file under another name first: what has the right name is whole.
    async fn write_file(&self, folder: &Path, row: &VersionRow, file: FileOf) -> Result<(), WriteError> {
        let part = folder.join(format!(".{}.part", row.version.key));
        let mut open = File::create(&part).with_context(|| format!("cannot create {}", part.display()))?;
        match file.source {
            Source::Made(bytes) => {
                open.write_all(&bytes).with_context(|| format!("cannot write {}", part.display()))?;
            }
            Source::Stored(content) => match self.reader.stream(content.pack, content.blob, open).await {
                Ok(written) => open = written,
                Err(err) => {
                    fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
                    return Err(WriteError::Unreadable(err.to_string()));
                }
            },
        }
        Ok(settle(&open, &part, &folder.join(file.name), file.modified)?)
    }
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
            Some(_) => above.join(names::own(&version.name)),
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

fn settle(file: &File, part: &Path, target: &Path, modified: SystemTime) -> anyhow::Result<()> {
    let done = file.set_modified(modified).and_then(|()| file.sync_all()).and_then(|()| fs::rename(part, target));
    done.with_context(|| format!("cannot write {}", target.display()))
}

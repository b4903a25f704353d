//! Content on its way into a drive, and the proof that what arrived is what was sent.

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt};
use serde_json::{Value, json};

use super::identity;
use super::target::{Folder, find, item_error};
use crate::features::{RestoreError, Source, StoredContent, StoredItem};
use crate::graph::{DriveTarget, Endpoint, GraphError};

/// How often a file is sent whose arrival is unclear and which is not there.
const SENDINGS_MAX: u32 = 3;
/// Of which OneDrive is told nothing more than the name.
const CONTENT_TYPE: &str = "application/octet-stream";
const DIFFERS: &str = "what OneDrive says it received is not what was sent";

/// A file that is to be in a drive.
pub(super) struct Sending<'a> {
    pub item: &'a StoredItem,
    /// Its properties, as they were captured.
    pub original: &'a Value,
    pub name: &'a str,
}

/// Where it is put.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot<'a> {
    /// A name that must be free.
    New(Folder<'a>),
    /// A name under which only an earlier attempt can have put something.
    Working(Folder<'a>),
    /// A file that becomes another.
    Over { drive: &'a str, item: &'a str },
    /// A file that is being made, whose next state it is: put there twice, it would be two.
    Next { drive: &'a str, item: &'a str },
}

impl Spot<'_> {
    fn on_conflict(self) -> &'static str {
        match self {
            Self::New(_) => "fail",
            Self::Working(_) | Self::Over { .. } | Self::Next { .. } => "replace",
        }
    }
}

impl Sending<'_> {
    pub(super) fn bytes(&self) -> u64 {
        match &self.item.content {
            StoredContent::None => 0,
            StoredContent::Whole(content) => content.len() as u64,
            StoredContent::Large(content) => content.bytes(),
        }
    }

    /// Puts the content there and says the file's id. `None`: its name is taken.
    pub(super) async fn put(&self, target: Source<'_>, spot: Spot<'_>) -> Result<Option<String>, RestoreError> {
        if self.original["size"].as_u64().is_some_and(|bytes| bytes != self.bytes()) {
            return Err(RestoreError::Item(
                "the restore point does not hold the whole content of this file".to_owned(),
            ));
        }
        let mut sendings = 0;
        let put = loop {
            sendings += 1;
            match self.send(target, spot).await {
                Ok(Some(put)) => break put,
                // It arrived, and what the service said of it did not.
                Ok(None) => match self.look(target, spot).await? {
                    Some(put) => break put,
                    None => return Err(RestoreError::Item("it is gone right after it was uploaded".to_owned())),
                },
                Err(RestoreError::Graph(GraphError::Conflict { .. })) => return Ok(None),
                Err(RestoreError::Graph(error @ GraphError::Ambiguous { .. }))
                    if !matches!(spot, Spot::Next { .. }) =>
                {
                    match self.look(target, spot).await?.filter(|found| self.is_in(found)) {
                        Some(put) => break put,
                        None if sendings < SENDINGS_MAX => {}
                        None => return Err(error.into()),
                    }
                }
                Err(RestoreError::Graph(error)) => return Err(item_error(error)),
                Err(error) => return Err(error),
            }
        };
        self.prove(target, spot, &put).await
    }

    async fn send(&self, target: Source<'_>, spot: Spot<'_>) -> Result<Option<Value>, RestoreError> {
        let names = self.name;
        if self.bytes() == 0 {
            // A session takes at least one byte.
            let to = match spot {
                Spot::New(Folder { drive, item }) | Spot::Working(Folder { drive, item }) => {
                    DriveTarget::NamedContent { drive, folder: item, names }
                }
                Spot::Over { drive, item } | Spot::Next { drive, item } => DriveTarget::Content { drive, item },
            };
            let mut call = target.graph.put(Endpoint::DriveTarget(to)).bytes(CONTENT_TYPE, Bytes::new());
            if matches!(spot, Spot::New(_) | Spot::Next { .. }) {
                call = call.once();
            }
            let put = call.json().await?;
            return Ok(put["id"].is_string().then_some(put));
        }
        let to = match spot {
            Spot::New(Folder { drive, item }) | Spot::Working(Folder { drive, item }) => {
                DriveTarget::NamedUpload { drive, folder: item, names }
            }
            Spot::Over { drive, item } | Spot::Next { drive, item } => DriveTarget::Upload { drive, item },
        };
        let mut item = json!({ "@microsoft.graph.conflictBehavior": spot.on_conflict() });
        item["fileSystemInfo"] = dates(self.original);
        if matches!(spot, Spot::New(_) | Spot::Working(_)) {
            item["name"] = json!(names);
        }
        let put = target.graph.upload_file(to, &item, self.bytes(), |from, bytes| self.read(from, bytes)).await?;
        Ok(put.filter(|put| put["id"].is_string()))
    }

    fn read(&self, from: u64, bytes: usize) -> BoxFuture<'_, Result<Bytes, RestoreError>> {
        match &self.item.content {
            StoredContent::None => future::ready(Ok(Bytes::new())).boxed(),
            StoredContent::Whole(content) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX).min(content.len());
                future::ready(Ok(content.slice(from..content.len().min(from + bytes)))).boxed()
            }
            StoredContent::Large(content) => content.read(from, bytes),
        }
    }

    /// What is there after an upload of which no answer was read.
    async fn look(&self, target: Source<'_>, spot: Spot<'_>) -> Result<Option<Value>, RestoreError> {
        match spot {
            Spot::New(folder) | Spot::Working(folder) => find(target, folder, self.name).await,
            Spot::Over { drive, item } | Spot::Next { drive, item } => {
                let endpoint = Endpoint::DriveTarget(DriveTarget::Item { drive, item });
                target.graph.get(endpoint).json().await.map(Some).map_err(item_error)
            }
        }
    }

    /// Whether a file that is there holds what was sent, as far as that can be seen.
    fn is_in(&self, found: &Value) -> bool {
        let here = identity::content(found);
        here.is_some() && here == identity::content(self.original) || identity::may_be_rewritten(self.name)
    }

    /// Compares what the service says it received. A file that it rewrote on arrival cannot be compared.
    async fn prove(&self, target: Source<'_>, spot: Spot<'_>, put: &Value) -> Result<Option<String>, RestoreError> {
        let id = put["id"].as_str().unwrap_or_default();
        let (here, sent) = (identity::content(put), identity::content(self.original));
        let same_length = put["size"].as_u64() == Some(self.bytes());
        // The hash may come later than the file.
        let proved = same_length && (here.is_none() || sent.is_none() || here == sent);
        // Nobody promises that SharePoint goes by the working name.
        let own_name = self.original["name"].as_str().unwrap_or(self.name);
        if proved || identity::may_be_rewritten(own_name) || identity::may_be_rewritten(self.name) {
            return Ok(Some(id.to_owned()));
        }
        if let Spot::New(Folder { drive, .. }) | Spot::Working(Folder { drive, .. }) = spot {
            super::target::delete(target, drive, id).await?;
        }
        Err(RestoreError::Item(DIFFERS.to_owned()))
    }
}

/// The dates that the file itself bears; others are Microsoft's.
pub(super) fn dates(original: &Value) -> Value {
    let mut dates = json!({});
    for name in ["createdDateTime", "lastModifiedDateTime"] {
        if let Some(date) = original["fileSystemInfo"][name].as_str() {
            dates[name] = json!(date);
        }
    }
    dates
}

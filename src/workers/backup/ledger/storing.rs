//! Hands the content of arrivals to the store, and gathers their rows.

use super::super::walk::Arrival;
use super::super::{End, TaskError};
use super::Ledger;
use super::failure::StoreFailure;
use super::gathered::Draft;
use super::large::{Cause, is_large};
use crate::features::Content;
use crate::ids::ItemKey;
use crate::repository::{Ingest, IngestContent, StoreError, Stored};

impl Ledger<'_> {
    /// Stores arrivals: small ones together, so that their blobs are looked up at once, each large one alone.
    pub(super) async fn store(&mut self, arrivals: Vec<Arrival>) -> Result<(), End> {
        let mut together = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            if !is_large(&arrival.captured) {
                together.push(arrival);
                continue;
            }
            self.store_group(std::mem::take(&mut together)).await.map_err(TaskError::from)?;
            Box::pin(self.store_alone(arrival)).await?;
        }
        Ok(self.store_group(together).await.map_err(TaskError::from)?)
    }

    pub(super) async fn store_group(&mut self, arrivals: Vec<Arrival>) -> Result<(), StoreFailure> {
        if arrivals.is_empty() {
            return Ok(());
        }
        let mut large = None;
        let mut cause = Cause::default();
        let mut batch = Vec::with_capacity(arrivals.len());
        let mut waiting = Vec::with_capacity(arrivals.len());
        for mut arrival in arrivals {
            self.gathered.counts.bytes_read += arrival.captured.properties.len() as u64;
            let content = match arrival.captured.content.take() {
                None => None,
                Some(Content::Mime(mime)) => Some(IngestContent::Mime(mime)),
                Some(Content::Raw(bytes)) => Some(IngestContent::Raw(bytes)),
                Some(Content::Spooled { file, bytes }) => {
                    let unspooled = self.backup.workshop.unspool(file, bytes).await?;
                    large = unspooled.large;
                    Some(unspooled.content)
                }
                Some(Content::Stream(stream)) => Some(IngestContent::Stream(cause.watch(stream))),
            };
            batch.push(Ingest { properties: arrival.captured.properties.clone(), content });
            waiting.push(arrival);
        }
        let stored = self.packer.store(batch).await.map_err(|err| cause.explain(err))?;
        drop(large);
        for (arrival, stored) in waiting.into_iter().zip(stored) {
            self.gathered.counts.bytes_read += stored.content.as_ref().map_or(0, |content| content.bytes);
            self.keep(arrival, stored).await?;
        }
        Ok(())
    }

    /// Gathers the row of an arrival that is stored, and what is to be told of it.
    pub(super) async fn keep(&mut self, arrival: Arrival, stored: Stored) -> Result<(), StoreError> {
        self.items_seen += 1;
        let lacking = arrival.issue();
        let Arrival { container, id, captured, known, lack: _ } = arrival;
        let Stored { properties, content, .. } = stored;
        let (key, place) = (ItemKey::of(&id), (container, self.walk(container)));
        let draft = Draft::captured(key, place, captured.summary, properties, content, known.as_deref());
        self.learn_packs(&draft).await?;
        self.recorder.item(&id, &draft);
        self.gathered.put(draft);
        if let Some(issue) = lacking {
            self.recorder.issue(&issue);
            self.gathered.issues.push(issue);
        }
        Ok(())
    }
}

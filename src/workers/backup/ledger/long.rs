//! Long content is stored in parts, each of which is committed. An attempt that is killed loses no more than the part it
//! was at: the next one takes what is stored from the storage, and only the rest from the service.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::super::TaskError;
use super::super::walk::Arrival;
use super::Ledger;
use super::failure::StoreFailure;
use super::large::Cause;
use crate::catalog::begun::{self, Begun, Part};
use crate::catalog::{PointCounts, points};
use crate::db::TxError;
use crate::features::{Captured, Content, ContentStream};
use crate::ids::ItemKey;
use crate::queue;
use crate::repository::{self, Reader};
use crate::workers::task::Refusal;

/// From this length on content is stored in parts of this length.
const PART_BYTES: u64 = 256 << 20;

/// Whether content takes so long that it is committed by itself: no interruption undoes it, nor it what came before.
pub fn is_long(captured: &Captured) -> bool {
    matches!(&captured.content, Some(Content::Stream(stream)) if stream.bytes >= PART_BYTES)
}

impl Ledger<'_> {
    /// Stores one arrival, whatever its length.
    pub(super) async fn store_one(&mut self, mut arrival: Arrival) -> Result<(), StoreFailure> {
        match arrival.captured.content.take() {
            Some(Content::Stream(stream)) if stream.bytes >= PART_BYTES => self.store_long(arrival, stream).await,
            content => {
                arrival.captured.content = content;
                self.store_group(vec![arrival]).await
            }
        }
    }

    async fn store_long(&mut self, arrival: Arrival, stream: ContentStream) -> Result<(), StoreFailure> {
        let Some(tag) = stream.tag() else {
            let captured = Captured { content: Some(Content::Stream(stream)), ..arrival.captured };
            return self.store_group(vec![Arrival { captured, ..arrival }]).await;
        };
        let begun = Begun { chain: self.backup.chain, key: ItemKey::of(&arrival.id), tag };
        let whole_bytes = stream.bytes;
        let db = &self.backup.workshop.db;
        let parts =
            db.run("read what was begun", move |conn| begun::parts(conn, begun)).await.map_err(TaskError::from)?;
        let mut n_parts = u32::try_from(parts.len()).expect("a part is 256 MiB");
        let mut n_blobs = parts.iter().map(Vec::len).sum::<usize>();
        let known_bytes: u64 = parts.iter().flatten().map(|(_, bytes)| u64::from(*bytes)).sum();
        if known_bytes > 0 {
            tracing::info!(known_bytes, "a file is read on behind the part that is stored");
        }
        let mut cause = Cause::default();
        let stream = if parts.is_empty() { stream } else { stream.behind(stored(self.reader.clone(), parts)) };
        let mut streaming = self.packer.begin_stream(cause.watch(stream));
        let mut counted = known_bytes;
        let phase = std::mem::take(&mut self.phase);
        while self.packer.store_part(&mut streaming, PART_BYTES).await.map_err(|err| cause.explain(err))? {
            let part = streaming.blobs_from(n_blobs);
            let bytes: u64 = part.iter().map(|(_, bytes)| u64::from(*bytes)).sum();
            if part.is_empty() {
                continue;
            }
            n_blobs += part.len();
            self.commit_part(begun, n_parts, part, bytes).await?;
            (n_parts, counted) = (n_parts + 1, counted + bytes);
            self.phase = format!("a large file, {} of {} MiB", counted >> 20, whole_bytes >> 20);
            self.backup.say_progress(self).await?;
        }
        self.phase = phase;
        let properties = arrival.captured.properties.clone();
        let stored = self.packer.end_stream(properties, streaming).await.map_err(|err| cause.explain(err))?;
        self.gathered.whole.push(begun.key);
        let rest = stored.content.as_ref().map_or(0, |content| content.bytes.saturating_sub(counted));
        self.gathered.counts.bytes_read += arrival.captured.properties.len() as u64 + rest;
        Ok(self.keep(arrival, stored).await?)
    }

    /// Makes a part durable and notes that it is there, in one transaction.
    async fn commit_part(&mut self, begun: Begun, n: u32, part: Part, bytes: u64) -> Result<(), TaskError> {
        let flushed = self.packer.flush().await?;
        let counts = PointCounts { bytes_read: bytes, bytes_stored: flushed.bytes_stored(), ..PointCounts::default() };
        let (lease, point) = (self.backup.control.lease(), self.backup.point);
        let (storage, writer) = (self.storage.id, self.storage.writer);
        let committed = self.backup.workshop.db.transaction::<_, Refusal, _>("commit a part", move |conn| {
            queue::assert_held(conn, &lease).map_err(TxError::widen)?;
            queue::made_progress_in(conn, &lease)?;
            let packs = repository::commit(conn, storage, writer, &flushed).map_err(TxError::widen)?;
            if packs.committed_before {
                return Ok(());
            }
            points::add_counts(conn, begun.chain, point, &counts)?;
            Ok(begun::add(conn, begun, point, n, &part)?)
        });
        committed.await.inspect_err(|err| self.forget_gone(err))?;
        self.total.add(&counts);
        Ok(())
    }

    /// Forgets what is known of content that turned out to be other content.
    pub(super) async fn forget_begun(&self, id: &str) -> Result<(), TaskError> {
        let (lease, chain, key) = (self.backup.control.lease(), self.backup.chain, ItemKey::of(id));
        let forgotten = self.backup.workshop.db.transaction::<_, queue::LeaseLost, _>("forget a part", move |conn| {
            queue::assert_held(conn, &lease)?;
            Ok(begun::forget(conn, chain, &[key])?)
        });
        Ok(forgotten.await?)
    }
}

/// The parts as the storage has them. Ends with the first blob that it does not give.
fn stored(reader: Reader, parts: Vec<Part>) -> BoxStream<'static, Result<Bytes, String>> {
    let blobs = stream::iter(parts.into_iter().flatten());
    let read = move |(blob, _)| {
        let reader = reader.clone();
        async move { reader.shared(blob).await.map_err(|err| err.to_string()) }
    };
    blobs.then(read).boxed()
}

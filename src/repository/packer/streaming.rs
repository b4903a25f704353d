//! Content that is read while it is stored. Long content is stored in parts, with a flush behind each, so that what is
//! durable need not be read again after an interruption.

use bytes::Bytes;
use futures_util::StreamExt;

use super::{Packer, Stored};
use crate::ids::BlobId;
use crate::repository::StoreError;
use crate::repository::door::blocking;
use crate::repository::streamed::{Incoming, Streamed};

/// Content on its way into the store.
pub struct Streaming {
    incoming: Incoming,
    /// Away while it is worked on behind the door.
    streamed: Option<Streamed>,
    /// Read, and not yet worked on.
    next: Option<Result<Bytes, String>>,
    begun: bool,
    added: u64,
}

impl Streaming {
    /// The blobs so far, in the order of the content, from this one on, with their lengths.
    pub fn blobs_from(&self, first: usize) -> Vec<(BlobId, u32)> {
        let all = self.streamed.as_ref().map(Streamed::ingredients).unwrap_or_default();
        all.iter().skip(first).map(|part| (part.blob, part.bytes)).collect()
    }
}

impl Packer {
    /// Begins to store content. Reads nothing yet.
    pub fn begin_stream(&self, incoming: Incoming) -> Streaming {
        let streamed = Some(Streamed::new(incoming.bytes, self.store.chunking()));
        Streaming { incoming, streamed, next: None, begun: false, added: 0 }
    }

    /// Cuts, looks up and keeps content piece by piece until this many more bytes are read; each piece is read while the
    /// one before is worked on. False: there is no more. Not cancel-safe: a dropped call spends the packer.
    pub async fn store_part(&mut self, streaming: &mut Streaming, bytes: u64) -> Result<bool, StoreError> {
        if !streaming.begun {
            streaming.begun = true;
            streaming.next = streaming.incoming.pieces.next().await;
        }
        let mut read = 0;
        while let Some(piece) = streaming.next.take() {
            let piece = piece.map_err(StoreError::Item)?;
            read += piece.len() as u64;
            let mut streamed = streaming.streamed.take().ok_or(StoreError::Interrupted)?;
            let keep = async {
                let (back, window) = blocking(move || {
                    let window = streamed.push(&piece);
                    (streamed, window)
                })
                .await;
                let window = window.map_err(StoreError::Item)?;
                Ok::<_, StoreError>((back, self.keep_window(window).await?))
            };
            let (kept, following) = tokio::join!(keep, streaming.incoming.pieces.next());
            let (back, added) = kept?;
            streaming.streamed = Some(back);
            streaming.next = following;
            streaming.added += added;
            if read >= bytes && streaming.next.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends content of which all parts were stored.
    pub async fn end_stream(&mut self, properties: Bytes, streaming: Streaming) -> Result<Stored, StoreError> {
        let streamed = streaming.streamed.ok_or(StoreError::Interrupted)?;
        let (last, recipe) = blocking(move || streamed.finish()).await.map_err(StoreError::Item)?;
        let added = streaming.added + self.keep_window(last).await?;
        // What an earlier flush stored is somebody else's by now: the commit of the item makes sure that it is there.
        self.build_on(&recipe)?;
        self.keep_recipe(properties, recipe, added).await
    }

    pub(super) async fn store_stream(&mut self, properties: Bytes, incoming: Incoming) -> Result<Stored, StoreError> {
        let mut streaming = self.begin_stream(incoming);
        while self.store_part(&mut streaming, u64::MAX).await? {}
        self.end_stream(properties, streaming).await
    }
}

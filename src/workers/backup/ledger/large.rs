//! What is stored alone: content that is large or read while it is stored, and what may turn out not to fit at all. When
//! it fails, its item alone is affected.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;

use super::super::End;
use super::super::walk::{Arrival, Event, told};
use super::Ledger;
use super::failure::StoreFailure;
use super::long::is_long;
use crate::features::{CaptureError, Captured, Content, ContentStream, Need, RemoteItem};
use crate::repository::{Incoming, StoreError};

/// Properties above this are stored alone: the packer refuses what is far larger, and then only this item is lost.
const PROPERTIES_TOGETHER_MAX: usize = 256 << 10;

/// Whether a version is stored alone: its content is large, or it may turn out not to fit at all.
pub fn is_large(captured: &Captured) -> bool {
    let large = matches!(captured.content, Some(Content::Spooled { .. } | Content::Stream(_)));
    large || captured.properties.len() > PROPERTIES_TOGETHER_MAX
}

impl Ledger<'_> {
    /// Stores one arrival, or notes why it cannot be. One that changed while it was read is read once more.
    pub(super) async fn store_alone(&mut self, arrival: Arrival) -> Result<(), End> {
        let (container, id) = (arrival.container, arrival.id.clone());
        let name = arrival.captured.summary.name.clone();
        let is_long = is_long(&arrival.captured);
        if is_long {
            self.flush().await?;
        }
        let mut stored = self.store_one(arrival).await;
        if let Err(StoreFailure::Capture(CaptureError::Changed { .. })) = stored {
            let item = RemoteItem { id: id.clone(), properties: None };
            let anew = self.backup.feature.capture(self.backup.subject.source(), &item, Need::Everything).await;
            match told(container, item, anew, (Need::Everything, None))? {
                Event::Captured(arrival) => stored = self.store_one(*arrival).await,
                event => return Ok(self.note(named(event, name)).await?),
            }
        }
        let error = match stored {
            Err(StoreFailure::Capture(error)) => {
                if is_long && matches!(error, CaptureError::Item { reason: "content_differs", .. }) {
                    self.forget_begun(&id).await?;
                }
                error
            }
            Err(StoreFailure::Item(message)) => CaptureError::Item { reason: "not_storable", message },
            Err(StoreFailure::Task(err)) => return Err(err.into()),
            Ok(()) if is_long => return Ok(self.flush().await?),
            Ok(()) => return Ok(()),
        };
        let event = told(container, RemoteItem { id, properties: None }, Err(error), (Need::Everything, None))?;
        Ok(self.note(named(event, name)).await?)
    }
}

/// What failed, by the name under which it arrived.
fn named(mut event: Event, name: String) -> Event {
    if let Event::Failed { name: noted, .. } = &mut event {
        *noted = name;
    }
    event
}

/// Why content that is read while it is stored could not be read: the store knows no more than a text.
#[derive(Clone, Default)]
pub struct Cause(Arc<Mutex<Option<CaptureError>>>);

impl Cause {
    /// The content for the store; its error stays here.
    pub fn watch(&mut self, stream: ContentStream) -> Incoming {
        let cause = self.clone();
        let pieces = stream.pieces.map(move |piece| {
            piece.map_err(|err| {
                let text = err.to_string();
                *cause.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(err);
                text
            })
        });
        Incoming { bytes: stream.bytes, pieces: pieces.boxed() }
    }

    pub fn explain(&self, err: StoreError) -> StoreFailure {
        let cause = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (err, cause) {
            (StoreError::Item(_), Some(cause)) => StoreFailure::Capture(cause),
            (err, _) => err.into(),
        }
    }
}

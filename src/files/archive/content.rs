//! One file of an item, put into an archive while it is read.

use bytes::Bytes;

use super::{Archive, ArchiveError, Part, SEND_BYTES, Sink};
use crate::catalog::{ContentRef, VersionRow};
use crate::files::render::{FileOf, Source};
use crate::repository::{Pieces, Reader, StoreError};

/// Content up to this size is read whole before its file begins: if it cannot be read, there is no file.
const WHOLE_BYTES_MAX: u64 = 4 << 20;
/// Bytes that are compressed before others get their turn.
const STRETCH_BYTES: usize = 128 << 10;

/// Content on its way out.
pub(super) enum Coming {
    Whole(Option<Bytes>),
    Pieces { first: Option<Bytes>, rest: Box<Pieces> },
}

impl Coming {
    /// Reads the first of it.
    pub(super) async fn of(reader: &Reader, content: ContentRef) -> Result<Self, StoreError> {
        match reader.content(content.pack, content.blob, WHOLE_BYTES_MAX).await {
            Ok(whole) => Ok(Self::Whole(Some(whole))),
            Err(StoreError::TooLarge { .. }) => {
                let mut rest = Box::new(reader.pieces(content.pack, content.blob).await?);
                Ok(Self::Pieces { first: rest.next().await?, rest })
            }
            Err(err) => Err(err),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        match self {
            Self::Whole(whole) => Ok(whole.take()),
            Self::Pieces { first, rest } => match first.take() {
                Some(first) => Ok(Some(first)),
                None => rest.next().await,
            },
        }
    }
}

impl<S: Sink> Archive<'_, S> {
    pub(super) async fn file(
        &mut self,
        part: &Part,
        folder: &str,
        row: &VersionRow,
        file: FileOf,
    ) -> Result<(), ArchiveError> {
        let path = format!("{folder}/{}", file.name);
        let mut coming = match file.source {
            Source::Made(bytes) => Coming::Whole(Some(bytes)),
            Source::Stored(content) => match Coming::of(&part.reader, content).await {
                Ok(coming) => coming,
                Err(err) => return self.not_written(folder, row, err),
            },
        };
        self.zip.begin(&path, file.modified.into(), &mut self.out)?;
        loop {
            match coming.next().await {
                Ok(Some(piece)) => self.bytes(&piece).await?,
                Ok(None) => break,
                // What was written cannot be taken back: the report says that it is not whole.
                Err(err) => {
                    self.not_written(folder, row, err)?;
                    break;
                }
            }
        }
        Ok(self.zip.end(&mut self.out)?)
    }

    /// More of the open file. Compressing takes the processor: others are let in between.
    pub(super) async fn bytes(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        for stretch in bytes.chunks(STRETCH_BYTES) {
            self.zip.write(stretch, &mut self.out)?;
            self.send(SEND_BYTES).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

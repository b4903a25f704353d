//! Reading answers: bounded in memory, and spooled to an unnamed temporary file above a size.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, pin_mut};
use reqwest::Response;
use tokio::io::AsyncWriteExt;

/// A downloaded body.
#[derive(Debug)]
pub enum Body {
    Memory(Bytes),
    /// An unnamed temporary file, positioned at its start.
    Spooled {
        file: File,
        bytes: u64,
    },
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The connection broke, or the body is shorter than announced: ask again.
    #[error("the body was cut short: {0}")]
    CutShort(String),
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("cannot write a temporary file: {0}")]
    Spool(std::io::Error),
}

/// Reads a whole body into memory, at most `bytes_max`.
pub(super) async fn read_bounded(response: Response, bytes_max: usize) -> Result<Bytes, ReadError> {
    let announced = response.content_length();
    let chunks = chunks(response);
    pin_mut!(chunks);
    let mut body = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if body.len() + chunk.len() > bytes_max {
            return Err(ReadError::TooLarge(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    check_length(announced, body.len() as u64)?;
    Ok(body.freeze())
}

/// Reads a whole body; above `memory_bytes_max` it goes to a temporary file.
pub(super) async fn read_spooled(response: Response, memory_bytes_max: u64) -> Result<Body, ReadError> {
    let announced = response.content_length();
    spool(chunks(response), announced, memory_bytes_max).await
}

/// The body as it arrives.
pub(super) fn chunks(response: Response) -> impl Stream<Item = Result<Bytes, ReadError>> + use<> {
    let cut = |error: reqwest::Error| ReadError::CutShort(super::outcome::causes(&error.without_url()));
    response.bytes_stream().map(move |chunk| chunk.map_err(cut))
}

async fn spool(
    chunks: impl Stream<Item = Result<Bytes, ReadError>>,
    announced: Option<u64>,
    memory_bytes_max: u64,
) -> Result<Body, ReadError> {
    pin_mut!(chunks);
    let mut head = BytesMut::new();
    let mut spooled: Option<tokio::fs::File> = None;
    let mut bytes = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        bytes += chunk.len() as u64;
        if let Some(file) = &mut spooled {
            file.write_all(&chunk).await.map_err(ReadError::Spool)?;
            continue;
        }
        head.extend_from_slice(&chunk);
        if bytes > memory_bytes_max {
            let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(ReadError::Spool)?);
            file.write_all(&head).await.map_err(ReadError::Spool)?;
            head = BytesMut::new();
            spooled = Some(file);
        }
    }
    check_length(announced, bytes)?;
    match spooled {
        None => Ok(Body::Memory(head.freeze())),
        Some(mut file) => {
            file.flush().await.map_err(ReadError::Spool)?;
            let mut file = file.into_std().await;
            file.seek(SeekFrom::Start(0)).map_err(ReadError::Spool)?;
            Ok(Body::Spooled { file, bytes })
        }
    }
}

/// A proxy may end a body early and close the connection in good order.
fn check_length(announced: Option<u64>, read: u64) -> Result<(), ReadError> {
    match announced {
        Some(announced) if announced != read => {
            Err(ReadError::CutShort(format!("{read} of {announced} bytes arrived")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const TEXT: &[u8] = b"From: a@b\r\n\r\nhello, hello, hello";

    async fn spooled(announced: u64, memory_bytes_max: u64) -> Result<Body, ReadError> {
        let chunks = TEXT.chunks(7).map(|chunk| Ok(Bytes::from_static(chunk)));
        spool(futures_util::stream::iter(chunks), Some(announced), memory_bytes_max).await
    }

    #[tokio::test]
    async fn a_small_body_stays_in_memory_and_a_large_one_is_spooled() {
        let length = TEXT.len() as u64;

        assert!(matches!(spooled(length, length).await, Ok(Body::Memory(body)) if body == TEXT));
        let Ok(Body::Spooled { mut file, bytes }) = spooled(length, 10).await else { panic!("it is above 10 bytes") };
        let mut back = Vec::new();
        file.read_to_end(&mut back).unwrap();
        assert_eq!((back.as_slice(), bytes), (TEXT, length));
    }

    #[tokio::test]
    async fn a_body_shorter_than_announced_is_an_error() {
        assert!(matches!(spooled(TEXT.len() as u64 + 1, 10).await, Err(ReadError::CutShort(_))));
    }
}

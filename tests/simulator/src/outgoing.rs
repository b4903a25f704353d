//! The body of an answer on its way out: whole, in pieces, or broken as the fault plan wants.

use crate::store::drive::content::Reader;
use crate::throttle::Running;
use actix_web::body::{BodySize, MessageBody};
use bytes::{Bytes, BytesMut};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    None,
    Cut,
    Reset,
}

/// What is to be sent.
pub struct Pieces {
    len: u64,
    rest: Box<dyn Iterator<Item = Bytes>>,
}

impl Pieces {
    pub fn whole(bytes: Bytes) -> Self {
        let len = bytes.len() as u64;
        Self { len, rest: Box::new(std::iter::once(bytes).filter(|bytes| !bytes.is_empty())) }
    }

    /// Made while it is sent; with `spoiled` the first byte is wrong.
    pub fn read(reader: Reader, len: u64, spoiled: bool) -> Self {
        let mut spoil = spoiled;
        let rest = reader.map(move |piece| if std::mem::take(&mut spoil) { with_wrong_byte(&piece) } else { piece });
        Self { len, rest: Box::new(rest) }
    }

    pub fn len(&self) -> u64 {
        self.len
    }
}

fn with_wrong_byte(piece: &[u8]) -> Bytes {
    let mut piece = BytesMut::from(piece);
    if let Some(first) = piece.first_mut() {
        *first ^= 0xFF;
    }
    piece.freeze()
}

/// A body that may break, and that holds the mailbox's place until it is written.
pub struct Outgoing {
    pieces: Pieces,
    sent: u64,
    size: u64,
    breakage: Breakage,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    _running: Option<Running>,
}

impl Outgoing {
    pub fn new(pieces: Pieces, breakage: Breakage, running: Option<Running>) -> Self {
        let size = match breakage {
            Breakage::Reset => 1,
            Breakage::None | Breakage::Cut => pieces.len,
        };
        Self { pieces, sent: 0, size, breakage, pause: None, _running: running }
    }
}

fn broken() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "broken by the fault plan")
}

impl MessageBody for Outgoing {
    type Error = std::io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.size)
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Some(pause) = &mut self.pause {
            return pause.as_mut().poll(cx).map(|()| Some(Err(broken())));
        }
        if self.breakage == Breakage::Reset {
            return Poll::Ready(Some(Err(broken())));
        }
        let Some(piece) = self.pieces.rest.next() else {
            return Poll::Ready(None);
        };
        let (half, before) = (self.size / 2, self.sent);
        self.sent += piece.len() as u64;
        if self.breakage == Breakage::Cut && self.sent >= half {
            // The pause lets the first half reach the client before the connection goes.
            self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(20))));
            return Poll::Ready(Some(Ok(piece.slice(..(half - before) as usize))));
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

//! Text that is being written, with base64 in even lines in it, which the storage can undo and make again to the byte.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Content;
use crate::graph::Body;

/// Bytes of one line of base64: 76 digits, as mail has them.
pub(super) const LINE_BYTES: usize = 57;
/// Bytes that are encoded at once: whole lines.
const STRETCH: usize = LINE_BYTES * 1024;
/// A longer text is written to an unnamed temporary file.
pub(super) const MEMORY_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct EncodedText {
    memory: Vec<u8>,
    file: Option<File>,
    bytes: u64,
}

impl EncodedText {
    /// The bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Text as it stands.
    pub(super) fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.bytes += text.len() as u64;
        if let Some(file) = &mut self.file {
            return file.write_all(text);
        }
        self.memory.extend_from_slice(text);
        if self.memory.len() > MEMORY_BYTES_MAX {
            let mut file = tempfile::tempfile()?;
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        Ok(())
    }

    /// Text as it stands, however long.
    pub(super) fn put_body(&mut self, body: Body) -> io::Result<()> {
        self.by_stretches(body, Self::put)
    }

    pub(super) fn encode(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(STRETCH).try_for_each(|stretch| self.encode_stretch(stretch))
    }

    pub(super) fn encode_body(&mut self, body: Body) -> io::Result<()> {
        self.by_stretches(body, Self::encode_stretch)
    }

    pub(super) fn finish(self) -> io::Result<Content> {
        match self.file {
            None => Ok(Content::Mime(self.memory.into())),
            Some(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                Ok(Content::Spooled { file, bytes: self.bytes })
            }
        }
    }

    fn by_stretches(&mut self, body: Body, mut put: impl FnMut(&mut Self, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let (mut file, mut left) = match body {
            Body::Memory(bytes) => return bytes.chunks(STRETCH).try_for_each(|stretch| put(self, stretch)),
            Body::Spooled { file, bytes } => (file, bytes),
        };
        let mut stretch = Vec::with_capacity(STRETCH);
        while left > 0 {
            stretch.clear();
            let read = (&mut file).take(left.min(STRETCH as u64)).read_to_end(&mut stretch)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= read as u64;
            put(self, &stretch)?;
        }
        Ok(())
    }

    fn encode_stretch(&mut self, stretch: &[u8]) -> io::Result<()> {
        let mut text = String::with_capacity(stretch.len().div_ceil(LINE_BYTES) * (LINE_BYTES / 3 * 4 + 2));
        for line in stretch.chunks(LINE_BYTES) {
            STANDARD.encode_string(line, &mut text);
            text.push_str("\r\n");
        }
        self.put(text.as_bytes())
    }
}

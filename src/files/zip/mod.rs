//! A ZIP archive that is written from its first byte to its last, and never read back: entries of any length, any number
//! of them, and memory for one piece at a time.
//!
//! Sizes stand behind each entry, because nobody knows them before it (APPNOTE 4.3.9); all lengths are those of ZIP64, so
//! that an entry may become longer than 4 GiB while it is written. What the directory at the end will say goes to an
//! unnamed file when there is much of it. Nothing here waits or asks: bytes are appended to what the caller gives.
//!
//! The crates for ZIP keep the whole directory in memory and want a `Write` of their own; with a sealed entry of unknown
//! length they want to seek.

mod directory;
mod layout;
mod sealing;

use std::io;

use chrono::{DateTime, Utc};
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use self::directory::Directory;
use self::layout::{Ended, Kind, Named};
use self::sealing::Sealing;
use crate::secret::Secret;

/// Most of what goes into archives is text or was compressed before: more effort makes it slower and hardly smaller.
const EFFORT: u32 = 3;
/// Compressed bytes that are made at once.
const STEP_BYTES: usize = 32 << 10;

pub use self::directory::Closing;

/// An archive that is being written.
pub struct Zip {
    /// Bytes written so far.
    at: u64,
    directory: Directory,
    passphrase: Option<Secret<String>>,
    open: Option<Open>,
}

/// The entry that is being written.
struct Open {
    named: Named,
    crc: Crc,
    deflate: Compress,
    sealing: Option<Sealing>,
    /// Bytes in the archive, with what sealing adds.
    stored: u64,
}

impl Zip {
    /// With a passphrase, what is in the files is sealed with AES-256 (WinZip's AE-2). Names are not: the format has no
    /// way to hide them that others read.
    pub fn new(passphrase: Option<Secret<String>>) -> Self {
        Self { at: 0, directory: Directory::default(), passphrase, open: None }
    }

    pub fn folder(&mut self, path: &str, modified: DateTime<Utc>, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let named = Named { path: format!("{path}/"), modified, kind: Kind::Folder, at: self.at };
        let before = out.len();
        layout::local_header(&named, out);
        self.at += (out.len() - before) as u64;
        Ok(self.directory.add(&named, &Ended::default())?)
    }

    /// Begins a file; its bytes follow.
    pub fn begin(&mut self, path: &str, modified: DateTime<Utc>, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let kind = if self.passphrase.is_some() { Kind::Sealed } else { Kind::Plain };
        let named = Named { path: path.to_owned(), modified, kind, at: self.at };
        let before = out.len();
        layout::local_header(&named, out);
        let header_bytes = (out.len() - before) as u64;
        let sealing = self.passphrase.as_ref().map(|passphrase| Sealing::begin(passphrase, out)).transpose()?;
        let stored = (out.len() - before) as u64 - header_bytes;
        self.at += header_bytes + stored;
        let deflate = Compress::new(Compression::new(EFFORT), false);
        self.open = Some(Open { named, crc: Crc::new(), deflate, sealing, stored });
        Ok(())
    }

    /// More of the file that was begun last.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> anyhow::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.crc.update(bytes);
        let written = open.deflate(bytes, FlushCompress::None, out)?;
        self.at += written;
        Ok(())
    }

    /// Ends the file.
    pub fn end(&mut self, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        self.at += open.deflate(&[], FlushCompress::Finish, out)?;
        let before = out.len();
        if let Some(sealing) = open.sealing.take() {
            sealing.end(out);
            open.stored += (out.len() - before) as u64;
        }
        // The check of what is sealed is its own: a CRC would tell something of the content (AE-2).
        let crc = if open.named.kind == Kind::Sealed { 0 } else { open.crc.sum() };
        let ended = Ended { crc, stored: open.stored, bytes: open.deflate.total_in() };
        layout::descriptor(&ended, out);
        self.at += (out.len() - before) as u64;
        Ok(self.directory.add(&open.named, &ended)?)
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.at
    }

    /// What stands behind all entries, piece by piece.
    pub fn finish(self) -> io::Result<Closing> {
        self.directory.close(self.at)
    }
}

impl Open {
    /// Compresses, seals and appends; returns how many bytes that made.
    fn deflate(&mut self, bytes: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> anyhow::Result<u64> {
        let mut rest = bytes;
        let mut made = 0;
        let mut step = vec![0; STEP_BYTES];
        loop {
            let (read_before, written_before) = (self.deflate.total_in(), self.deflate.total_out());
            let status = self.deflate.compress(rest, &mut step, flush)?;
            let read = usize::try_from(self.deflate.total_in() - read_before)?;
            let written = usize::try_from(self.deflate.total_out() - written_before)?;
            rest = &rest[read..];
            let made_now = &mut step[..written];
            if let Some(sealing) = &mut self.sealing {
                sealing.seal(made_now)?;
            }
            out.extend_from_slice(made_now);
            made += written as u64;
            let is_done = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                // A step that was not filled leaves nothing waiting.
                _ => rest.is_empty() && written < STEP_BYTES,
            };
            if is_done {
                self.stored += made;
                return Ok(made);
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! The directory of an archive while its entries are written, and when it follows behind them.

use std::io::{self, Read, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;

use super::layout::{self, Ended, Named};

/// A longer directory goes to an unnamed file.
const MEMORY_BYTES_MAX: usize = 1 << 20;
/// Bytes of the directory that are handed out at once.
const PIECE_BYTES: usize = 64 << 10;

pub(super) struct Directory {
    records: SpooledTempFile,
    n_entries: u64,
    bytes: u64,
}

impl Default for Directory {
    fn default() -> Self {
        Self { records: SpooledTempFile::new(MEMORY_BYTES_MAX), n_entries: 0, bytes: 0 }
    }
}

impl Directory {
    pub(super) fn add(&mut self, named: &Named, ended: &Ended) -> io::Result<()> {
        let mut record = Vec::new();
        layout::directory_header(named, ended, &mut record);
        self.records.write_all(&record)?;
        self.n_entries += 1;
        self.bytes += record.len() as u64;
        Ok(())
    }

    /// `at`: where the directory begins.
    pub(super) fn close(mut self, at: u64) -> io::Result<Closing> {
        self.records.seek(SeekFrom::Start(0))?;
        Ok(Closing { directory: Some(self), at })
    }
}

/// The end of an archive, piece by piece.
pub struct Closing {
    /// `None`: all was handed out.
    directory: Option<Directory>,
    at: u64,
}

impl Closing {
    pub fn next_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(mut directory) = self.directory.take() else { return Ok(None) };
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        (&mut directory.records).take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            layout::end(directory.n_entries, self.at, directory.bytes, &mut piece);
        } else {
            self.directory = Some(directory);
        }
        Ok(Some(piece))
    }
}

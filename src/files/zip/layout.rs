//! The records of an archive, byte by byte (PKWARE's APPNOTE 6.3.10; the extra field of sealed entries is WinZip's).

use chrono::{DateTime, Datelike, Timelike, Utc};

/// What a reader must be able to do: ZIP64.
const VERSION: u16 = 45;
/// The same for sealed entries.
const VERSION_SEALED: u16 = 51;
const MADE_ON_UNIX: u16 = 3 << 8;
/// Sizes follow behind the data; the name is UTF-8.
const FLAGS: u16 = 1 << 3 | 1 << 11;
const FLAGS_FOLDER: u16 = 1 << 11;
const SEALED: u16 = 1;
const METHOD_STORED: u16 = 0;
const METHOD_DEFLATED: u16 = 8;
const METHOD_SEALED: u16 = 99;
/// The field stands in the extra of ZIP64.
const ELSEWHERE: u32 = u32::MAX;
const ELSEWHERE_16: u16 = u16::MAX;
const FILE_MODE: u32 = 0o100_644 << 16;
const FOLDER_MODE: u32 = 0o040_755 << 16 | 0x10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    Plain,
    Sealed,
}

/// What is known of an entry when it begins.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// With slashes between; one at the end of a folder.
    pub path: String,
    pub modified: DateTime<Utc>,
    pub kind: Kind,
    /// Where its header begins.
    pub at: u64,
}

/// What is known of an entry when it ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ended {
    pub crc: u32,
    /// Bytes in the archive.
    pub stored: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Named {
    /// Version, flags, method, time and day: alike in both headers.
    fn common(&self, out: &mut Vec<u8>) {
        let (version, flags, method) = match self.kind {
            Kind::Folder => (VERSION, FLAGS_FOLDER, METHOD_STORED),
            Kind::Plain => (VERSION, FLAGS, METHOD_DEFLATED),
            Kind::Sealed => (VERSION_SEALED, FLAGS | SEALED, METHOD_SEALED),
        };
        let (time, day) = dos_time(self.modified);
        for field in [version, flags, method, time, day] {
            out.extend_from_slice(&field.to_le_bytes());
        }
    }

    /// The time as Unix counts it, and how the entry is sealed.
    fn extras(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0x55, 0x54, 5, 0, 1]);
        let seconds = u32::try_from(self.modified.timestamp().max(0)).unwrap_or(u32::MAX);
        out.extend_from_slice(&seconds.to_le_bytes());
        if self.kind == Kind::Sealed {
            // AE-2, 256 bits, deflated before it was sealed.
            out.extend_from_slice(&[0x01, 0x99, 7, 0, 2, 0, b'A', b'E', 3]);
            out.extend_from_slice(&METHOD_DEFLATED.to_le_bytes());
        }
    }

    fn path_length(&self) -> [u8; 2] {
        u16::try_from(self.path.len()).unwrap_or(u16::MAX).to_le_bytes()
    }

    fn path_bytes(&self) -> &[u8] {
        &self.path.as_bytes()[..self.path.len().min(usize::from(u16::MAX))]
    }
}

/// The header in front of an entry. Its extra of ZIP64 says that the lengths behind the entry are long ones.
pub(super) fn local_header(named: &Named, out: &mut Vec<u8>) {
    out.extend_from_slice(b"PK\x03\x04");
    named.common(out);
    let mut extras = Vec::new();
    if named.kind == Kind::Folder {
        out.extend_from_slice(&[0; 12]);
    } else {
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&ELSEWHERE.to_le_bytes());
        out.extend_from_slice(&ELSEWHERE.to_le_bytes());
        extras.extend_from_slice(&[1, 0, 16, 0]);
        extras.extend_from_slice(&[0; 16]);
    }
    named.extras(&mut extras);
    out.extend_from_slice(&named.path_length());
    out.extend_from_slice(&(extras.len() as u16).to_le_bytes());
    out.extend_from_slice(named.path_bytes());
    out.extend_from_slice(&extras);
}

/// What stands behind the data of a file.
pub(super) fn descriptor(ended: &Ended, out: &mut Vec<u8>) {
    out.extend_from_slice(b"PK\x07\x08");
    out.extend_from_slice(&ended.crc.to_le_bytes());
    out.extend_from_slice(&ended.stored.to_le_bytes());
    out.extend_from_slice(&ended.bytes.to_le_bytes());
}

/// What the directory says of an entry.
pub(super) fn directory_header(named: &Named, ended: &Ended, out: &mut Vec<u8>) {
    out.extend_from_slice(b"PK\x01\x02");
    out.extend_from_slice(&(MADE_ON_UNIX | VERSION).to_le_bytes());
    named.common(out);
    out.extend_from_slice(&ended.crc.to_le_bytes());
    let mut long = Vec::new();
    // In this order, and only those that do not fit.
    for length in [ended.bytes, ended.stored, named.at] {
        if length >= u64::from(ELSEWHERE) {
            long.extend_from_slice(&length.to_le_bytes());
        }
    }
    let short = |length: u64| u32::try_from(length).unwrap_or(ELSEWHERE).to_le_bytes();
    out.extend_from_slice(&short(ended.stored));
    out.extend_from_slice(&short(ended.bytes));
    let mut extras = Vec::new();
    if !long.is_empty() {
        extras.extend_from_slice(&[1, 0, long.len() as u8, 0]);
        extras.append(&mut long);
    }
    named.extras(&mut extras);
    out.extend_from_slice(&named.path_length());
    out.extend_from_slice(&(extras.len() as u16).to_le_bytes());
    // No comment, the first disk, no attributes of the inside.
    out.extend_from_slice(&[0; 6]);
    let mode = if named.kind == Kind::Folder { FOLDER_MODE } else { FILE_MODE };
    out.extend_from_slice(&mode.to_le_bytes());
    out.extend_from_slice(&short(named.at));
    out.extend_from_slice(named.path_bytes());
    out.extend_from_slice(&extras);
}

/// The end of the archive. Old readers find the short record, and in it what does not fit pointing to the long one.
pub(super) fn end(n_entries: u64, directory_at: u64, directory_bytes: u64, out: &mut Vec<u8>) {
    let end_at = directory_at + directory_bytes;
    let is_long = n_entries >= u64::from(ELSEWHERE_16)
        || directory_at >= u64::from(ELSEWHERE)
        || directory_bytes >= u64::from(ELSEWHERE);
    if is_long {
        out.extend_from_slice(b"PK\x06\x06");
        out.extend_from_slice(&44_u64.to_le_bytes());
        out.extend_from_slice(&(MADE_ON_UNIX | VERSION).to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        for field in [n_entries, n_entries, directory_bytes, directory_at] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(b"PK\x06\x07");
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&end_at.to_le_bytes());
        out.extend_from_slice(&1_u32.to_le_bytes());
    }
    out.extend_from_slice(b"PK\x05\x06");
    out.extend_from_slice(&[0; 4]);
    let n_short = u16::try_from(n_entries).unwrap_or(ELSEWHERE_16).to_le_bytes();
    out.extend_from_slice(&n_short);
    out.extend_from_slice(&n_short);
    out.extend_from_slice(&u32::try_from(directory_bytes).unwrap_or(ELSEWHERE).to_le_bytes());
    out.extend_from_slice(&u32::try_from(directory_at).unwrap_or(ELSEWHERE).to_le_bytes());
    out.extend_from_slice(&[0; 2]);
}

/// Time and day as DOS has them: from 1980 to 2107, in steps of two seconds.
fn dos_time(time: DateTime<Utc>) -> (u16, u16) {
    let year = time.year().clamp(1980, 2107);
    let day = (year - 1980) << 9 | (time.month() << 5 | time.day()).cast_signed();
    let clock = time.hour() << 11 | time.minute() << 5 | (time.second() / 2);
    (clock as u16, day as u16)
}

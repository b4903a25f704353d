//! Compression and encryption of frames and sections.
//!
//! Every pack has a key of its own, derived from the master key and the pack's random name, so the number of a frame
//! is a nonce that no other message under that key ever uses.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zstd::bulk::Decompressor;

use super::{Codec, Damage, FrameKind};
use crate::ids::PackUid;
use crate::secret::Secret;

/// The numbers of the two sections, far above any frame's.
const INDEX_NUMBER: u32 = u32::MAX - 1;
const RECORDS_NUMBER: u32 = u32::MAX;
/// What AES-GCM appends.
pub(super) const TAG_BYTES: usize = 16;
/// A block of zstd gives at most 128 KiB and takes at least 4 bytes, so nothing unpacks to more than this many times its
/// length: a few bytes that claim to be many are refused before room is made for them.
const ZSTD_RATIO_MAX: usize = (128 << 10) / 4;
/// How many [`Scratch`] wait for their next use at most, and how large each may be.
const SCRATCHES_MAX: usize = 8;
const SCRATCH_BYTES_MAX: usize = 4 << 20;
const PACK_KEY_CONTEXT: &str = "kodo format 1: pack key";

/// Where the keys of packs come from.
#[derive(Clone, Debug)]
pub enum PackKeys {
    /// Nothing is encrypted.
    None,
    Master(Secret<[u8; 32]>),
}

impl PackKeys {
    pub fn of(&self, pack: PackUid) -> PackCipher {
        let key = match self {
            Self::None => None,
            Self::Master(master) => {
                let mut deriving = blake3::Hasher::new_derive_key(PACK_KEY_CONTEXT);
                deriving.update(master.expose()).update(pack.as_bytes());
                let key = Secret::new(*deriving.finalize().as_bytes());
                let unbound = UnboundKey::new(&AES_256_GCM, key.expose()).expect("32 bytes are a key of AES-256");
                Some(LessSafeKey::new(unbound))
            }
        };
        PackCipher { pack, key }
    }
}

/// What a stored piece of a pack is: part of what its encryption is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    Frame(u32, FrameKind),
    Index,
    Records,
}

impl Piece {
    fn number(self) -> u32 {
        match self {
            Self::Frame(number, _) => number,
            Self::Index => INDEX_NUMBER,
            Self::Records => RECORDS_NUMBER,
        }
    }

    fn letter(self) -> u8 {
        match self {
            Self::Frame(_, kind) => kind.letter(),
            Self::Index => b'I',
            Self::Records => b'R',
        }
    }

    fn name(self) -> String {
        match self {
            Self::Frame(number, _) => format!("frame {number}"),
            Self::Index => "index".to_owned(),
            Self::Records => "records".to_owned(),
        }
    }
}

/// Seals and opens the pieces of one pack.
pub struct PackCipher {
    pack: PackUid,
    key: Option<LessSafeKey>,
}

impl PackCipher {
    /// Encrypts a piece in place, if the store is encrypted.
    pub(super) fn seal(&self, piece: Piece, body: &mut Vec<u8>) {
        if let Some(key) = &self.key {
            key.seal_in_place_append_tag(nonce(piece), Aad::from(self.associated(piece)), body)
                .expect("a piece is far smaller than the 64 GiB that AES-GCM can take");
        }
    }

    /// Decrypts and decompresses to exactly `plain_bytes`, which the caller has checked against its bound.
    pub(super) fn open(
        &self,
        piece: Piece,
        stored: &[u8],
        codec: Codec,
        plain_bytes: usize,
    ) -> Result<Vec<u8>, Damage> {
        Scratch::lend(|scratch| self.take_with(scratch, piece, stored, codec, plain_bytes))
    }

    /// As [`Self::open_with`], for a caller that keeps what was opened: the rest of the buffers is used again.
    pub(super) fn take_with(
        &self,
        scratch: &mut Scratch,
        piece: Piece,
        stored: &[u8],
        codec: Codec,
        plain_bytes: usize,
    ) -> Result<Vec<u8>, Damage> {
        let n_opened = self.open_with(scratch, piece, stored, codec, plain_bytes)?.len();
        Ok(match (codec, &self.key) {
            (Codec::Zstd, _) => std::mem::take(&mut scratch.plain),
            (Codec::Raw, Some(_)) => {
                let mut opened = std::mem::take(&mut scratch.opened);
                opened.truncate(n_opened);
                opened
            }
            (Codec::Raw, None) => stored.to_vec(),
        })
    }

    /// As [`Self::open`], into buffers that are used again: nothing is copied that need not be.
    pub(super) fn open_with<'a>(
        &self,
        scratch: &'a mut Scratch,
        piece: Piece,
        stored: &'a [u8],
        codec: Codec,
        plain_bytes: usize,
    ) -> Result<&'a [u8], Damage> {
        let damage = |what: &str| Damage::new(self.pack, piece.name(), what);
        let Scratch { window: _, opened, plain, zstd } = scratch;
        let body: &[u8] = match &self.key {
            None => stored,
            Some(key) => {
                let parts = stored.split_last_chunk::<TAG_BYTES>();
                let (sealed, tag) = parts.ok_or_else(|| damage("it is too short to be encrypted"))?;
                // Only ever grows: zeros that are about to be written over cost as much as half of the decryption.
                if opened.len() < sealed.len() {
                    opened.resize(sealed.len(), 0);
                }
                let opened = &mut opened[..sealed.len()];
                key.open_separate_gather(nonce(piece), Aad::from(self.associated(piece)), sealed, tag, opened)
                    .map_err(|_| damage("it does not decrypt"))?;
                opened
            }
        };
        let plain: &[u8] = match codec {
            Codec::Raw => body,
            Codec::Zstd if plain_bytes / ZSTD_RATIO_MAX > body.len() => {
                return Err(damage("it is too short for the length that it claims"));
            }
            Codec::Zstd => {
                plain.clear();
                plain.reserve(plain_bytes);
                zstd.decompress_to_buffer(body, plain).map_err(|_| damage("it does not decompress"))?;
                plain
            }
        };
        if plain.len() != plain_bytes {
            return Err(damage(&format!("it has {} bytes instead of {plain_bytes}", plain.len())));
        }
        Ok(plain)
    }

    fn associated(&self, piece: Piece) -> [u8; 21] {
        let mut out = [0; 21];
        out[..16].copy_from_slice(self.pack.as_bytes());
        out[16..20].copy_from_slice(&piece.number().to_le_bytes());
        out[20] = piece.letter();
        out
    }
}

/// What opening one piece after the other works in; as large as the largest of them.
pub struct Scratch {
    window: Vec<u8>,
    opened: Vec<u8>,
    plain: Vec<u8>,
    zstd: Decompressor<'static>,
}

impl Scratch {
    pub fn new() -> Self {
        let zstd = Decompressor::new().expect("a context without a dictionary needs memory only");
        Self { window: Vec::new(), opened: Vec::new(), plain: Vec::new(), zstd }
    }

    /// A buffer for what is stored, which holds whatever it held before. [`Self::put_window`] gives it back.
    pub fn take_window(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.window)
    }

    pub fn put_window(&mut self, window: Vec<u8>) {
        self.window = window;
    }

    fn bytes(&self) -> usize {
        self.window.capacity() + self.opened.capacity() + self.plain.capacity()
    }

    /// Lends one to `work`. To make the context of a decompression anew takes as long as to open a small frame.
    pub fn lend<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let mut scratch = waiting().pop().unwrap_or_else(Self::new);
        let result = work(&mut scratch);
        let mut waiting = waiting();
        if scratch.bytes() <= SCRATCH_BYTES_MAX && waiting.len() < SCRATCHES_MAX {
            waiting.push(scratch);
        }
        result
    }
}

/// Those that wait for their next use, of all packs that this process opens.
fn waiting() -> MutexGuard<'static, Vec<Scratch>> {
    static WAITING: Mutex<Vec<Scratch>> = Mutex::new(Vec::new());
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nonce(piece: Piece) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..4].copy_from_slice(&piece.number().to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

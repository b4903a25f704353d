//! Skip and delta tokens: opaque to the client, bound to what they were made for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WalkToken {
    pub mailbox: String,
    pub area: Area,
    pub folder: u32,
    pub epoch: u32,
    pub phase: Phase,
    /// The log position up to which this walk reads.
    pub upto: u64,
    /// True for a deltaLink, false for a nextLink.
    pub ends_round: bool,
    pub immutable: bool,
    pub had_page_size: bool,
    pub select: Option<Vec<String>>,
    pub change_type: Option<String>,
    pub filter: Option<String>,
    pub expand: Option<String>,
    pub include_hidden: bool,
    /// The page before this one was left empty by a fault; two in a row would never end.
    pub after_blank: bool,
    /// Of a calendar view, in seconds since 1970.
    pub window: Option<(i64, i64)>,
}

/// What a walk goes over; numbers of folders mean nothing without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Area {
    Mail,
    Events,
    CalendarView,
    ContactFolders,
    Contacts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Enumerate { cursor: u64 },
    Changes { from: u64, offset: usize },
}

const MASK: &[u8; 16] = b"\x5b\xc1\x19\x8e\x77\x02\xfa\x3d\x90\x6c\xe4\x2f\xb3\x58\xd7\x0a";

impl WalkToken {
    pub fn listing(cursor: u64) -> Self {
        Self {
            mailbox: String::new(),
            area: Area::Mail,
            folder: 0,
            epoch: 0,
            phase: Phase::Enumerate { cursor },
            upto: 0,
            ends_round: false,
            immutable: false,
            had_page_size: false,
            select: None,
            change_type: None,
            filter: None,
            expand: None,
            include_hidden: false,
            after_blank: false,
            window: None,
        }
    }

    pub fn encode(&self) -> String {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        let mut raw = blake3::hash(&plain).as_bytes()[..6].to_vec();
        raw.extend(plain.iter().enumerate().map(|(i, byte)| byte ^ MASK[i % MASK.len()]));
        URL_SAFE_NO_PAD.encode(raw)
    }

    pub fn decode(text: &str) -> Option<Self> {
        let raw = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (sum, masked) = raw.split_at_checked(6)?;
        let plain: Vec<u8> = masked.iter().enumerate().map(|(i, byte)| byte ^ MASK[i % MASK.len()]).collect();
        if &blake3::hash(&plain).as_bytes()[..6] != sum {
            return None;
        }
        serde_json::from_slice(&plain).ok()
    }
}

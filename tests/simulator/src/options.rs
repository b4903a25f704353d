//! What a simulated tenant is started with.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

#[derive(Clone, Debug)]
pub struct Options {
    /// Port 0 picks a free one.
    pub listen: SocketAddr,
    pub https: bool,
    pub workers: usize,
    /// Where content of drives is downloaded from; by default a free port beside `listen`.
    pub download_listen: Option<SocketAddr>,
    pub seed: u64,
    /// Ordinary licensed users with a mailbox; a shared mailbox, a guest, an unlicensed and an
    /// on-premises user come on top.
    pub users: usize,
    pub special_users: bool,
    /// Messages in each mailbox.
    pub messages: usize,
    /// Events of their own in each user's calendars; none leaves the empty default calendar.
    pub events: usize,
    /// Contacts of each user.
    pub contacts: usize,
    /// Lets some attachments be 3 to 12 MB.
    pub large_attachments: bool,
    /// Files and folders in each drive.
    pub files: usize,
    /// One more user whose mailbox has this many computed messages.
    pub lazy_mailbox: Option<u64>,
    pub token_seconds: i64,
    pub limits: Limits,
    /// Checks every request and answer against the published contract of Graph.
    pub contract: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            https: false,
            workers: 1,
            download_listen: None,
            seed: 7,
            users: 5,
            special_users: true,
            messages: 40,
            events: 25,
            contacts: 25,
            large_attachments: false,
            files: 40,
            lazy_mailbox: None,
            token_seconds: 3599,
            limits: Limits::default(),
            contract: true,
        }
    }
}

/// What Graph refuses for being too much. 0 means no limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Concurrent requests per app and mailbox.
    pub mailbox_concurrency: u32,
    /// Requests per app and mailbox in 10 minutes.
    pub mailbox_requests: u64,
    /// Bytes of POST, PUT and PATCH per app and mailbox in 5 minutes.
    pub mailbox_upload_bytes: u64,
    /// Seconds in `Retry-After` of a 429 for too many requests in a window.
    pub retry_after_seconds: u64,
    /// Seconds in `Retry-After` of a 429 for too many at once.
    pub concurrency_retry_after_seconds: u64,
    /// Added to every Graph request, within which it counts as running.
    pub latency_ms: u64,
    /// Largest page that `odata.maxpagesize` gets.
    pub page_size_max: usize,
    /// Delta entries of an update carry only the changed properties.
    pub partial_updates: bool,
    /// Resource units of SharePoint per app.
    pub sharepoint_units_per_minute: u64,
    pub sharepoint_units_per_day: u64,
    /// Resource units of the directory per app in 10 seconds.
    pub directory_units: u64,
    /// How long a download URL lives.
    pub download_seconds: i64,
    /// What fits into a drive; 0 is a terabyte.
    pub drive_quota_bytes: u64,
    /// SharePoint writes properties of the library into office files that were uploaded.
    pub rewrite_office: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mailbox_concurrency: 4,
            mailbox_requests: 0,
            mailbox_upload_bytes: 0,
            retry_after_seconds: 10,
            concurrency_retry_after_seconds: 1,
            latency_ms: 0,
            page_size_max: 1000,
            partial_updates: true,
            sharepoint_units_per_minute: 0,
            sharepoint_units_per_day: 0,
            directory_units: 0,
            download_seconds: 3600,
            drive_quota_bytes: 0,
            rewrite_office: true,
        }
    }
}

impl Limits {
    /// As PROTOCOL and the documentation of Graph state them.
    pub fn documented() -> Self {
        Self {
            mailbox_requests: 10_000,
            mailbox_upload_bytes: 150 * 1024 * 1024,
            sharepoint_units_per_minute: 1_250,
            sharepoint_units_per_day: 1_200_000,
            directory_units: 3_500,
            ..Self::default()
        }
    }

    pub fn off() -> Self {
        Self { mailbox_concurrency: 0, ..Self::default() }
    }
}

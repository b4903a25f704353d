//! HTTP only: what `/api/v1` understands and answers.
//!
//! Owns: the listener and its certificate, who may call what (one table of routes), requests and answers as JSON,
//! problem+json errors, paging. Does not own: any rule of the product and any query; a handler reads the request,
//! calls one function of a module below, and maps what it returns.
//!
//! Invariants: no route of `/api/v1` without an entry in [`ROUTES`], and so none without a token; a secret that came
//! in is never given out; unknown fields are refused; every listing is paged and bounded.

pub mod agents;
mod answer;
pub mod audit;
mod auth;
pub mod backups;
pub mod browse;
mod config;
mod content_rules;
pub mod coverage;
mod descent;
mod error;
mod export_download;
pub mod exports;
pub mod findings;
mod health;
pub mod issues;
mod item_file;
pub mod items;
pub mod keys;
mod moment;
pub mod organizations;
mod page;
pub mod points;
pub mod policies;
pub mod preview;
mod progress;
mod readers;
mod reference;
pub mod rehearsal_schedules;
pub mod rehearsals;
mod resolve;
pub mod resources;
pub mod restores;
mod routes;
pub mod runs;
pub mod schedules;
pub mod search;
mod server;
pub mod status;
pub mod storages;
pub mod tasks;
pub mod tenants;
mod tls;
pub mod upkeep;
pub mod versions;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::db::Db;
use crate::queue::Queue;
use crate::repository::SpaceMeter;
use crate::scheduler::{ExclusiveKey, Scheduler};
use crate::secret::Sealer;
use crate::workers::Workshop;

pub use config::ServerConfig;
pub use error::Problem;
pub use page::Page;
pub use reference::Ref;
pub use routes::{ROUTES, RouteRow};
pub use server::{Listening, Prepared, listen_file, prepare, serve};
pub use tls::generated_cert;

/// What the API is put together from.
pub struct App {
    pub db: Db,
    pub queue: Queue,
    pub scheduler: Scheduler,
    pub sealer: Sealer,
    pub workshop: Arc<Workshop>,
    /// The lock that tasks of a feature on a resource share.
    pub exclusive_key: ExclusiveKey,
}

/// What every handler can reach.
pub struct Shared {
    db: Db,
    queue: Queue,
    scheduler: Scheduler,
    sealer: Sealer,
    workshop: Arc<Workshop>,
    exclusive_key: ExclusiveKey,
    readers: readers::Readers,
    space: SpaceMeter,
    /// The right to download an export.
    downloads: Arc<Semaphore>,
    rows_max: u32,
}

impl Shared {
    fn new(app: App, config: &ServerConfig) -> Self {
        let App { db, queue, scheduler, sealer, workshop, exclusive_key } = app;
        Self {
            db,
            queue,
            scheduler,
            sealer,
            workshop,
            exclusive_key,
            readers: readers::Readers::default(),
            space: SpaceMeter::default(),
            downloads: Arc::new(Semaphore::new(export_download::DOWNLOADS_MAX)),
            rows_max: config.page_rows_max,
        }
    }
}

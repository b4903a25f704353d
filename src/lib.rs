//! KODO backs up and restores a company's Microsoft 365 data into storage that the company owns.
//!
//! One binary in several roles. `kodo serve` is scheduler, management API and one agent; `kodo worker` is an agent
//! alone. They meet in MariaDB (catalog and task queue) and on a storage (packs of content). The modules below stand
//! in reading order, and an arrow between them may only point up this list; `docs/ARCHITECTURE.md` walks one backup
//! and one restore through them, and `tests/suite/tidy.rs` holds the layers.

// Values that every layer shares.
pub mod clock;
pub mod ids;
pub mod secret;
pub mod telemetry;
pub mod timing;

// One outside system each: MariaDB, Microsoft Graph, file systems.
pub mod backends;
pub mod db;
pub mod graph;

// What the product knows, one concept a directory; siblings do not import each other.
pub mod access;
pub mod catalog;
pub mod features;
pub mod queue;
pub mod repository;
pub mod tenants;

// What it knows, as files that other programs open.
pub mod files;

// What the product does; these meet only in tables.
pub mod exports;
pub mod recovery;
pub mod restores;
pub mod scheduler;
pub mod workers;

// How it is reached, and how it is put together.
pub mod api;
pub mod app;
pub mod cli;
pub mod config;

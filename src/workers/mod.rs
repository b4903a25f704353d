//! What a leased task does, and the agent that leases them.
//!
//! Owns: the agent's pool of workers and its heartbeat; the one backup loop for every feature; restore; the sync of
//! resources. Does not own: any table, any Microsoft URL, any byte of the storage format; it composes the modules that
//! do.
//!
//! Invariants: content is durable before it is committed; every committing transaction asserts the lease; a worker
//! whose lease is lost, or that is told to stop, drops its work at the next await and commits nothing more.

mod agent;
mod backup;
mod collect;
mod connection;
mod export;
mod limits;
mod name;
mod prune;
mod restore;
mod sync;
mod task;
mod verify;
mod workshop;

use std::time::Duration;

use anyhow::ensure;
use serde::Deserialize;

pub use agent::run_agent;
pub use collect::CatalogItems;
pub use connection::{CheckError, TenantFindings};
pub use export::ExportsConfig;
pub use name::{AgentName, claim_name};
pub use verify::{Finding, findings};
pub use workshop::Workshop;

/// `[agent]`: how much this process works at once, and how carefully.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// How this agent is known; the host name unless given. Unique in an installation: on machines that share a state
    /// directory kodo sees to it (`-2`), elsewhere the administrator does.
    pub name: Option<String>,
    /// Tasks at once.
    pub workers: u32,
    /// How long a task is safe from other agents when this one falls silent, in seconds.
    pub lease_s: u64,
    /// The longest pause between two looks for work, in seconds.
    pub poll_s: u64,
    /// How long running tasks may go on after a stop was asked for, in seconds.
    pub drain_s: u64,
    /// Items in one commit.
    pub commit_items: usize,
    /// The longest time between two commits of a task, in seconds.
    pub commit_s: u64,
    /// Items of one task that are read from or written to Microsoft 365 at once. A mailbox takes four requests at once; with
    /// more items than that, one that needs several requests holds up none of the others.
    pub items_at_once: usize,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            name: None,
            workers: 4,
            lease_s: 60,
            poll_s: 5,
            drain_s: 20,
            commit_items: 1000,
            commit_s: 5,
            items_at_once: 8,
        }
    }
}

impl AgentConfig {
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!((1..=256).contains(&self.workers), "agent.workers must be 1 to 256");
        ensure!((3..=3600).contains(&self.lease_s), "agent.lease_s must be 3 to 3600");
        ensure!((1..=300).contains(&self.poll_s), "agent.poll_s must be 1 to 300");
        ensure!((1..=10_000).contains(&self.commit_items), "agent.commit_items must be 1 to 10000");
        ensure!((1..=300).contains(&self.commit_s), "agent.commit_s must be 1 to 300");
        ensure!((1..=64).contains(&self.items_at_once), "agent.items_at_once must be 1 to 64");
        Ok(())
    }

    fn lease_time(&self) -> Duration {
        Duration::from_secs(self.lease_s)
    }
}

//! The loop that calls [`Scheduler::tick`] for as long as the process serves.

use std::time::Duration;

use anyhow::ensure;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::Scheduler;

/// `[scheduler]`: how often it looks.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchedulerConfig {
    /// Seconds between two looks at what is due.
    pub tick_s: u64,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self { tick_s: 2 }
    }
}

impl SchedulerConfig {
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!((1..=60).contains(&self.tick_s), "scheduler.tick_s must be 1 to 60");
        Ok(())
    }
}

impl Scheduler {
    /// Ticks until `stop`. A tick that fails is logged; the next one finds the same work.
    pub async fn keep_ticking(self, config: SchedulerConfig, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(Duration::from_secs(config.tick_s));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(err) = self.tick().await {
                tracing::warn!(error = %err, "the scheduler cannot reach the database");
            }
        }
    }
}

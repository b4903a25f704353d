//! Free space: when a storage is low, when nothing more is put on it, and who is told.
//!
//! Backups stop at a reserve, before the storage is full: prune and compaction must write a little before they free
//! much, and a volume that runs full below its file system may not mount again. Where space cannot be measured nothing
//! is refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::door::blocking;
use crate::backends::{BackendError, Space};
use crate::ids::StorageId;

/// Of a small storage no more than this part is kept in reserve, whatever the setting.
const RESERVE_PERCENT_MAX: u64 = 3;
/// A share that does not answer must not keep a listing waiting.
const MEASURE_TIME_MAX: Duration = Duration::from_secs(2);

/// `[space]`: how much of a storage is to stay free.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpaceConfig {
    /// Below this part of its total a storage is low, which is warned of.
    pub free_warn_percent: u64,
    /// Below this backups rest, in MiB; on a small storage below 3 percent of it.
    pub free_reserve_mb: u64,
}

impl Default for SpaceConfig {
    fn default() -> Self {
        Self { free_warn_percent: 10, free_reserve_mb: 1024 }
    }
}

/// What free space means for a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpaceState {
    Ok,
    Low,
    /// Backups rest.
    Full,
    /// It cannot be measured, and so nothing is refused.
    Unknown,
}

impl SpaceState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Low => "low",
            Self::Full => "full",
            Self::Unknown => "unknown",
        }
    }
}

impl SpaceConfig {
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.free_warn_percent <= 90, "space.free_warn_percent must be 0 to 90");
        ensure!(self.free_reserve_mb <= 1 << 30, "space.free_reserve_mb must be at most {}", 1 << 30);
        Ok(())
    }

    pub fn state(&self, space: Option<Space>) -> SpaceState {
        let Some(Space { free_bytes, total_bytes }) = space else { return SpaceState::Unknown };
        let warn_bytes = part(total_bytes, self.free_warn_percent);
        if free_bytes < self.reserve_bytes(total_bytes) {
            SpaceState::Full
        } else if free_bytes < warn_bytes {
            SpaceState::Low
        } else {
            SpaceState::Ok
        }
    }

    fn reserve_bytes(&self, total_bytes: u64) -> u64 {
        self.free_reserve_mb.saturating_mul(1 << 20).min(part(total_bytes, RESERVE_PERCENT_MAX))
    }
}

/// So many percent, without losing small totals or overflowing large ones.
fn part(total: u64, percent: u64) -> u64 {
    (u128::from(total) * u128::from(percent) / 100).try_into().unwrap_or(u64::MAX)
}

/// What one agent saw last on each storage, so that a change is logged once.
#[derive(Debug, Default)]
pub struct SpaceWatch {
    config: SpaceConfig,
    seen: Mutex<HashMap<StorageId, SpaceState>>,
}

impl SpaceWatch {
    pub fn new(config: SpaceConfig) -> Arc<Self> {
        Arc::new(Self { config, seen: Mutex::default() })
    }

    pub fn config(&self) -> &SpaceConfig {
        &self.config
    }

    /// A guard for one storage, by the name that people know.
    pub fn guard(self: &Arc<Self>, storage: StorageId, name: String) -> Arc<SpaceGuard> {
        Arc::new(SpaceGuard { watch: Arc::clone(self), storage, name })
    }

    /// Whether the state is another than before. A storage that was never looked at is taken for well.
    fn note(&self, storage: StorageId, state: SpaceState) -> bool {
        lock(&self.seen).insert(storage, state).unwrap_or(SpaceState::Ok) != state
    }
}

/// Stops work on one storage before it is full.
#[derive(Debug)]
pub struct SpaceGuard {
    watch: Arc<SpaceWatch>,
    storage: StorageId,
    name: String,
}

impl SpaceGuard {
    pub(super) fn look(&self, space: Option<Space>) -> Result<(), StoreError> {
        let config = &self.watch.config;
        let state = config.state(space);
        if self.watch.note(self.storage, state) {
            self.tell(state, space);
        }
        let Some(Space { free_bytes, total_bytes }) = space.filter(|_| state == SpaceState::Full) else {
            return Ok(());
        };
        let reserve_bytes = config.reserve_bytes(total_bytes);
        Err(StoreError::SpaceShort { storage: self.name.clone(), free_bytes, reserve_bytes })
    }

    fn tell(&self, state: SpaceState, space: Option<Space>) {
        let (free, total) = space.map_or((0, 0), |space| (space.free_bytes, space.total_bytes));
        let (id, name) = (self.storage, &self.name);
        match state {
            SpaceState::Ok => {
                tracing::info!(storage.id = %id, storage.name = name, free, total, "the storage has enough space again");
            }
            SpaceState::Low => {
                tracing::warn!(storage.id = %id, storage.name = name, free, total, "the storage is low on space");
            }
            SpaceState::Full => tracing::warn!(
                storage.id = %id, storage.name = name, free, total,
                "the storage has less space than its reserve; backups to it rest"
            ),
            SpaceState::Unknown => tracing::warn!(
                storage.id = %id, storage.name = name,
                "the free space of the storage cannot be measured, so it is not watched"
            ),
        }
    }
}

/// Measures storages for listings, one measurement of a storage at a time: when a share hangs, the one that hangs
/// with it is the last, and the others get what was known before.
#[derive(Debug, Default)]
pub struct SpaceMeter {
    readings: Arc<Mutex<HashMap<StorageId, Reading>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    space: Option<Space>,
    under_way: bool,
}

impl SpaceMeter {
    pub(super) async fn measure(
        &self,
        storage: StorageId,
        measure: impl FnOnce() -> Result<Option<Space>, BackendError> + Send + 'static,
    ) -> Option<Space> {
        {
            let mut readings = lock(&self.readings);
            let reading = readings.entry(storage).or_default();
            if reading.under_way {
                return reading.space;
            }
            reading.under_way = true;
        }
        let readings = Arc::clone(&self.readings);
        let measured = tokio::spawn(blocking(move || {
            let space = measure().unwrap_or_else(|err| {
                tracing::debug!(storage.id = %storage, error = %err, "free space cannot be measured");
                None
            });
            lock(&readings).insert(storage, Reading { space, under_way: false });
            space
        }));
        tokio::time::timeout(MEASURE_TIME_MAX, measured).await.ok()?.ok()?
    }
}

fn lock<T>(map: &Mutex<HashMap<StorageId, T>>) -> MutexGuard<'_, HashMap<StorageId, T>> {
    // A panic while a map was held leaves it whole: every change to it is one insert.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;
    const DISK: StorageId = StorageId::new(1);

    fn space(free_bytes: u64, total_bytes: u64) -> Option<Space> {
        Some(Space { free_bytes, total_bytes })
    }

    #[test]
    fn a_storage_is_low_by_its_share_and_full_by_its_reserve() {
        let config = SpaceConfig::default();
        let table = [
            (space(500 * GB, 1000 * GB), SpaceState::Ok),
            (space(100 * GB, 1000 * GB), SpaceState::Ok),
            (space(100 * GB - 1, 1000 * GB), SpaceState::Low),
            (space(GB, 1000 * GB), SpaceState::Low),
            (space(GB - 1, 1000 * GB), SpaceState::Full),
            // Small ones keep three percent, so that they are of any use.
            (space(5 * GB / 100, GB), SpaceState::Low),
            (space(2 * GB / 100, GB), SpaceState::Full),
            (space(0, 1), SpaceState::Ok),
            (space(0, 0), SpaceState::Ok),
            (space(u64::MAX, u64::MAX), SpaceState::Ok),
            (None, SpaceState::Unknown),
        ];
        for (space, wanted) in table {
            assert_eq!(config.state(space), wanted, "{space:?}");
        }
        let off = SpaceConfig { free_warn_percent: 0, free_reserve_mb: 0 };
        assert_eq!(off.state(space(0, GB)), SpaceState::Ok);
    }

    #[test]
    fn only_a_change_of_state_is_told() {
        let watch = SpaceWatch::new(SpaceConfig::default());
        use SpaceState::{Full, Low, Ok};

        let told: Vec<bool> = [Ok, Low, Low, Full, Full, Low, Ok, Ok].map(|state| watch.note(DISK, state)).into();

        assert_eq!(told, [false, true, false, true, false, true, true, false]);
        assert!(watch.note(StorageId::new(2), Full), "another storage has a state of its own");
    }

    #[test]
    fn below_the_reserve_work_is_refused_and_goes_on_when_space_returns() {
        let guard = SpaceWatch::new(SpaceConfig::default()).guard(DISK, "disk".into());

        assert!(matches!(guard.look(space(GB / 2, 1000 * GB)), Err(StoreError::SpaceShort { .. })));
        guard.look(space(2 * GB, 1000 * GB)).unwrap();
        guard.look(None).unwrap();
    }

    #[tokio::test]
    async fn a_share_that_hangs_is_asked_once_and_others_get_what_was_known() {
        let meter = SpaceMeter::default();
        assert_eq!(meter.measure(DISK, || Ok(space(7, 9))).await, space(7, 9));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let hanging = meter.measure(DISK, move || {
            held.recv().ok();
            Ok(space(1, 9))
        });
        let mut hanging = std::pin::pin!(hanging);
        assert!(futures_util::poll!(hanging.as_mut()).is_pending());

        let meanwhile = meter.measure(DISK, || panic!("a second measurement would hang as well")).await;

        assert_eq!(meanwhile, space(7, 9));
        release.send(()).unwrap();
        assert_eq!(hanging.await, space(1, 9));
    }
}

//! The bounded door for work that blocks: hashing, compressing, and every call of a backend.

use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;

/// Blocking calls at once, of all stores of this process together: enough to keep the cores busy while some wait for
/// a disk or a share, and few enough that memory stays bounded.
const CALLS_MIN: usize = 4;
const CALLS_MAX: usize = 32;

static PERMITS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new((cores * 2).clamp(CALLS_MIN, CALLS_MAX)))
});

/// Runs `work` on a thread where it may block. It runs to its end even if the caller's future is dropped.
#[expect(clippy::disallowed_methods, reason = "the repository's bounded door that the lint points to")]
pub(super) async fn blocking<T, F>(work: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let permit = Arc::clone(&PERMITS).acquire_owned().await.expect("the semaphore is never closed");
    let guarded = move || {
        let result = work();
        drop(permit);
        result
    };
    match tokio::task::spawn_blocking(guarded).await {
        Ok(result) => result,
        Err(join) => std::panic::resume_unwind(join.into_panic()),
    }
}

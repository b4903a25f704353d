//! Proves that a storage holds what was stored in it.

use super::task::{Control, Done, TaskError};
use super::workshop::Workshop;
use crate::queue::work::VerifyWork;

pub async fn run(_workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: VerifyWork = control.work()?;
    Err(TaskError::permanent(format!("verify of storage {} is being built", work.storage)))
}

//! Frees the space of a storage that no restore point needs.

use super::task::{Control, Done, TaskError};
use super::workshop::Workshop;
use crate::queue::work::CollectWork;

pub async fn run(_workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: CollectWork = control.work()?;
    Err(TaskError::permanent(format!("collect of storage {} is being built", work.storage)))
}

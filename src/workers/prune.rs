//! Gives up restore points that retention no longer keeps.

use super::task::{Control, Done, TaskError};
use super::workshop::Workshop;
use crate::queue::work::PruneWork;

pub async fn run(_workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: PruneWork = control.work()?;
    Err(TaskError::permanent(format!("prune of storage {} is being built", work.storage)))
}

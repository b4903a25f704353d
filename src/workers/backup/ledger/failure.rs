//! Why content could not be stored: because of this one item, or because of something that stops the task.

use crate::repository::StoreError;
use crate::workers::task::TaskError;

/// Why content could not be stored.
pub enum StoreFailure {
    /// This item alone is affected.
    Item(String),
    Task(TaskError),
}

impl From<StoreError> for StoreFailure {
    fn from(err: StoreError) -> Self {
        match err {
            StoreError::Item(message) => Self::Item(message),
            other => Self::Task(other.into()),
        }
    }
}

impl From<TaskError> for StoreFailure {
    fn from(err: TaskError) -> Self {
        Self::Task(err)
    }
}

impl From<StoreFailure> for TaskError {
    fn from(failure: StoreFailure) -> Self {
        match failure {
            StoreFailure::Item(message) => Self::Retry(message),
            StoreFailure::Task(err) => err,
        }
    }
}

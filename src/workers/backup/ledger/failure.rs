//! Why content could not be stored: because of this one item, or because of something that stops the task.

use crate::features::CaptureError;
use crate::repository::StoreError;
use crate::workers::task::TaskError;

/// Why content could not be stored.
pub enum StoreFailure {
    /// This item alone is affected.
    Item(String),
    /// Content that is read while it is stored could not be read.
    Capture(CaptureError),
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
            StoreFailure::Capture(CaptureError::Graph(err)) => err.into(),
            StoreFailure::Capture(err) => Self::Retry(err.to_string()),
            StoreFailure::Task(err) => err,
        }
    }
}

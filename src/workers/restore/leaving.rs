//! Folders among items that this restore created: each of them is finished when all is back that lies in it, while the
//! walk goes on.

use std::convert::Infallible;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use super::place::{Place, State, item_error};
use super::{Restoration, TaskError};
use crate::catalog::{Outcome, VersionRow};
use crate::features::Along;

/// Folders that wait for what lies in them. The walk leaves a folder after those in it, so that the first of them never
/// waits for one that is not among them.
const LEFT_MAX: usize = 500;

/// While one of these is held, something is on its way to a folder.
pub(super) type Hold = mpsc::Sender<Infallible>;
pub(super) type Holds = mpsc::Receiver<Infallible>;

pub(super) fn hold() -> (Hold, Holds) {
    mpsc::channel(1)
}

/// A folder that the walk is through with.
pub(super) struct Left {
    pub place: Place,
    pub row: VersionRow,
    pub within: Holds,
    /// The folder above is finished after this one.
    pub _above: Option<Hold>,
}

impl Restoration<'_> {
    /// Finishes the folders that the walk left, until it leaves no other.
    pub(super) async fn finish_folders(&self, mut left: mpsc::Receiver<Left>) -> Result<(), TaskError> {
        let left = stream::poll_fn(move |context| left.poll_recv(context));
        left.map(|left| self.leave(left)).buffer_unordered(LEFT_MAX).try_collect().await
    }

    /// All that a folder held was brought back: the folder itself gets what is left.
    async fn leave(&self, mut left: Left) -> Result<(), TaskError> {
        // Nothing is ever sent: it ends when nobody holds it any more.
        while left.within.recv().await.is_some() {}
        if self.halt.is_cancelled() {
            // What was on its way did not arrive. The next attempt finishes it.
            return Ok(());
        }
        let Left { place, row, .. } = &mut left;
        self.open(place).await?;
        let folder = match &place.state {
            State::Found { target: Some(folder), .. } => &folder.id,
            State::Refused(why) => return self.refuse_folder(row, why.clone()).await,
            State::Found { target: None, .. } | State::NotYet => return Ok(()),
        };
        let remarks = match self.properties(row).await {
            Ok(item) => {
                let people = self.people(&item).await?;
                let along = Along { people: people.as_ref(), ..Along::default() };
                match self.restoring.finish_folder(self.target.source(), folder, &item, along).await {
                    Ok(remarks) => remarks,
                    Err(err) => vec![item_error(err)?],
                }
            }
            Err(err) if err.is_damage() => vec![err.to_string()],
            Err(err) => return Err(err.into()),
        };
        if remarks.is_empty() {
            return Ok(());
        }
        self.record(vec![self.outcome(row.version.key, Outcome::Created, Some(remarks.join("; ")), 0)]).await
    }

    /// It was to be created, and cannot be.
    pub(super) async fn refuse_folder(&self, row: &VersionRow, why: String) -> Result<(), TaskError> {
        self.record(vec![self.outcome(row.version.key, Outcome::Failed, Some(why), 0)]).await
    }
}

//! Where items come back: a container of the target, or a folder among its items. It is opened when the first of them
//! does, so that what is settled already costs no request.

use std::sync::Arc;

use super::flow::{Ahead, Ground};
use super::{Restoration, TaskError};
use crate::features::{Opening, PathStep, RestoreError};

pub(super) struct Place {
    pub path: Vec<PathStep>,
    pub state: Opened,
}

pub(super) enum Opened {
    NotYet,
    /// Its Graph id; `None`: a dry run found that it is missing.
    Found {
        target: Option<String>,
        /// `None`: it is not listed yet.
        ground: Option<Arc<Ground>>,
    },
    /// The target does not take the folder; the text says why.
    Refused(String),
}

impl Opened {
    /// A dry run found that it is missing, and so is all that could be in it.
    fn nowhere() -> Self {
        Self::Found { target: None, ground: Some(Arc::default()) }
    }
}

impl Place {
    pub fn new(path: Vec<PathStep>) -> Self {
        Self { path, state: Opened::NotYet }
    }

    /// Nobody can say where it is.
    pub fn unknown() -> Self {
        let why = "the restore point does not say where it was".to_owned();
        Self { path: Vec::new(), state: Opened::Refused(why) }
    }

    /// A folder in it. What is in a folder that the target does not take is not taken either.
    pub fn folder(&self, name: Option<&str>) -> Self {
        let mut path = self.path.clone();
        path.extend(name.map(PathStep::folder));
        let state = match &self.state {
            Opened::Refused(why) => Opened::Refused(why.clone()),
            Opened::Found { target: None, .. } if name.is_some() => Opened::nowhere(),
            Opened::NotYet | Opened::Found { .. } => Opened::NotYet,
        };
        Self { path, state }
    }
}

impl Restoration<'_> {
    pub(super) fn opening(&self) -> Opening {
        if self.work.dry_run { Opening::Look } else { Opening::Create }
    }

    /// Whether the target has the place already.
    pub(super) async fn is_there(&self, place: &Place) -> Result<bool, RestoreError> {
        let found = self.restoring.open_container(self.target.source(), &place.path, Opening::Look).await?;
        Ok(found.is_some())
    }

    /// Finds the place or creates it.
    pub(super) async fn open(&self, place: &mut Place) -> Result<(), TaskError> {
        if !matches!(place.state, Opened::NotYet) {
            return Ok(());
        }
        let opening = self.opening();
        place.state = match self.restoring.open_container(self.target.source(), &place.path, opening).await {
            Ok(None) if opening == Opening::Create => Opened::Refused("the folder cannot be created".to_owned()),
            Ok(None) => Opened::nowhere(),
            Ok(target) => Opened::Found { target, ground: None },
            Err(err) => Opened::Refused(item_error(err)?),
        };
        Ok(())
    }

    /// The same, and lists what it holds.
    pub(super) async fn open_and_list(&self, ahead: &mut Ahead, place: &mut Place) -> Result<(), TaskError> {
        self.open(place).await?;
        let Opened::Found { target: Some(target), ground: ground @ None } = &mut place.state else {
            return Ok(());
        };
        ahead.ready_to_list(target).await;
        match self.restoring.existing(self.target.source(), target, self.opening()).await {
            Ok(mut existing) => {
                self.recognise(&mut existing).await?;
                *ground = Some(ahead.ground(target.clone(), existing));
            }
            Err(err) => place.state = Opened::Refused(item_error(err)?),
        }
        Ok(())
    }
}

/// What concerns one item or folder alone, as text; anything else ends the attempt.
pub(super) fn item_error(err: RestoreError) -> Result<String, TaskError> {
    match err {
        RestoreError::Item(why) => Ok(why),
        RestoreError::Graph(err) => Err(err.into()),
        RestoreError::Storage(why) => Err(TaskError::Retry(why)),
    }
}

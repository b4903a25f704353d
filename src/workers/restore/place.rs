//! Where items come back: a container of the target, or a folder among its items. It is opened when the first of them
//! does, so that what is settled already costs no request.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::claims::Claim;
use super::flow::{Ahead, Ground};
use super::leaving::Hold;
use super::openings::Told;
use super::{Restoration, TaskError};
use crate::catalog::items;
use crate::db::Conn;
use crate::features::{Existing, Noted, Noting, Opened, Opening, Origin, PathStep, RestoreError};
use crate::ids::ItemKey;

pub(super) struct Place {
    pub path: Vec<PathStep>,
    pub state: State,
    /// The target does not have it.
    pub is_missing: bool,
    /// Of the folder that is finished when all is back that lies in it: this place, or one above it.
    pub hold: Option<Hold>,
}

pub(super) enum State {
    NotYet,
    /// `None`: a dry run found that it is missing.
    Found {
        target: Option<Opened>,
        /// `None`: it is not listed yet.
        ground: Option<Arc<Ground>>,
    },
    /// The target does not take the folder; the text says why.
    Refused(String),
}

impl State {
    /// A dry run found that it is missing, and so is all that could be in it.
    fn nowhere() -> Self {
        Self::Found { target: None, ground: Some(Arc::default()) }
    }
}

impl Place {
    pub fn new(path: Vec<PathStep>) -> Self {
        Self { path, state: State::NotYet, is_missing: false, hold: None }
    }

    /// Nobody can say where it is.
    pub fn unknown() -> Self {
        let why = "the restore point does not say where it was".to_owned();
        Self { state: State::Refused(why), ..Self::new(Vec::new()) }
    }

    /// A folder in it. What is in a folder that the target does not take is not taken either.
    pub fn folder(&self, name: Option<&str>) -> Self {
        let mut path = self.path.clone();
        path.extend(name.map(PathStep::folder));
        let state = match &self.state {
            State::Refused(why) => State::Refused(why.clone()),
            State::Found { target: None, .. } if name.is_some() => State::nowhere(),
            State::NotYet | State::Found { .. } => State::NotYet,
        };
        Self { path, state, is_missing: false, hold: self.hold.clone() }
    }

    /// No other item is put into it. Those on their way keep what is known of it.
    pub fn is_through(&mut self) {
        if let State::Found { target: Some(_), ground } = &mut self.state {
            *ground = None;
        }
    }
}

impl Restoration<'_> {
    pub(super) fn opening(&self) -> Opening {
        if self.work.dry_run { Opening::Look } else { Opening::Create }
    }

    /// Finds the place or creates it.
    pub(super) async fn open(&self, place: &mut Place) -> Result<(), TaskError> {
        if !matches!(place.state, State::NotYet) {
            return Ok(());
        }
        place.state = match self.opened(&place.path, place.is_missing).await? {
            Told::At(target) => State::Found { target: Some(target), ground: None },
            Told::Nowhere => State::nowhere(),
            Told::Refused(why) => State::Refused(why),
        };
        Ok(())
    }

    /// The same, and lists what it holds, unless that is nothing because it was just created.
    pub(super) async fn open_and_list(&self, ahead: &Ahead, place: &mut Place) -> Result<(), TaskError> {
        self.open(place).await?;
        let State::Found { target: Some(target), ground: ground @ None } = &mut place.state else {
            return Ok(());
        };
        let existing = Existing::for_restore(self.restoring.keys_are_unique(), self.on_conflict);
        let mut listing = Listing { restoration: self, existing, claim: ahead.claim(&target.id).await };
        if !self.openings.take_empty(&target.id) {
            let listed = self.restoring.list(self.target.source(), &target.id, self.opening(), &mut listing).await;
            if let Err(err) = listed {
                place.state = State::Refused(item_error(err)?);
                return Ok(());
            }
        }
        let Listing { existing, claim, .. } = listing;
        let (container, hold) = (target.id.clone(), place.hold.clone());
        *ground = Some(Arc::new(Ground { container, existing, _claim: Some(claim), _hold: hold }));
        Ok(())
    }
}

/// What is found in a place.
struct Listing<'a> {
    restoration: &'a Restoration<'a>,
    existing: Existing,
    claim: Claim,
}

impl Noting for Listing<'_> {
    /// Finds out which of the items on the target are themselves items of the backup, so that they stand for no other.
    fn note(&mut self, page: Vec<Noted>) -> BoxFuture<'_, Result<(), RestoreError>> {
        Box::pin(async move {
            let (db, chain) = (&self.restoration.workshop.db, self.restoration.work.chain);
            let keys: Vec<ItemKey> = page.iter().map(|noted| ItemKey::of(&noted.present.id)).collect();
            let read = move |conn: &mut Conn| items::known(conn, chain, &keys);
            let known = db.run("look up originals", read).await;
            let known = known.map_err(|err| RestoreError::Storage(err.to_string()))?;
            for noted in page {
                let is_known = known.contains(&ItemKey::of(&noted.present.id));
                self.existing.add(&noted, if is_known { Origin::Original } else { Origin::Foreign })?;
            }
            self.claim.holds(self.existing.len()).await;
            Ok(())
        })
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

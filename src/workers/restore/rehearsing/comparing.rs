//! The sample of one chain, item by item: what the backup holds beside what the service has of it now.

use std::io::Read;

use anyhow::Context;
use bytes::BytesMut;
use futures_util::StreamExt;

use super::{Rehearsing, lasting, not_known};
use crate::catalog::VersionRow;
use crate::catalog::rehearsals::{Compared, Difference};
use crate::features::{
    self, CaptureError, Content, Need, OnConflict, Opened, Portrait, Recognised, RemoteItem, StoredContent, StoredItem,
};
use crate::ids::ItemKey;
use crate::queue::work::{RehearsePart, RestoreAlong, RestoreSelection, RestoreWork};
use crate::repository::StoreError;
use crate::workers::restore::choice::Choice;
use crate::workers::restore::content::CONTENT_BYTES_MAX;
use crate::workers::restore::place::{State, item_error};
use crate::workers::restore::{Restoration, flow, prepare};
use crate::workers::task::TaskError;

/// What is missing of an item that did not come back at all.
const WHOLE: &str = "the whole item";

/// How the sample came back; `None`: the rehearsal was cancelled meanwhile. What can never be compared is told in a remark,
/// and its items as missing.
pub(super) async fn compare(
    rehearsing: &Rehearsing<'_>,
    part: &RehearsePart,
) -> Result<Option<(Compared, Vec<Difference>)>, TaskError> {
    let mut tally = Tally::of(part);
    match compare_part(rehearsing, &mut tally).await {
        Ok(Reached::End) => {}
        Ok(Reached::Cancellation) => return Ok(None),
        Err(err) => {
            let remark = lasting(Err(err))?;
            tally = Tally::of(part);
            part.items.iter().for_each(|key| tally.lost(*key, 1));
            tally.compared.remark = Some(remark);
        }
    }
    Ok(Some((tally.compared, tally.differences)))
}

/// The comparison of one chain while it is made.
struct Tally<'a> {
    part: &'a RehearsePart,
    compared: Compared,
    differences: Vec<Difference>,
}

enum Reached {
    End,
    Cancellation,
}

impl<'a> Tally<'a> {
    fn of(part: &'a RehearsePart) -> Self {
        Self { part, compared: Compared::default(), differences: Vec::new() }
    }

    /// None of so many fields came back.
    fn lost(&mut self, key: ItemKey, n_fields: u64) {
        self.compared.n_missing += 1;
        self.compared.n_fields += n_fields;
        self.differs(key, WHOLE.to_owned(), String::new());
    }

    fn compare(&mut self, key: ItemKey, stored: &Portrait, back: &Portrait) {
        let likeness = stored.likeness(back);
        self.compared.n_compared += 1;
        self.compared.n_fields += likeness.n_fields;
        self.compared.n_back += likeness.n_fields - likeness.differences.len() as u64;
        for one in likeness.differences {
            self.differs(key, one.field.to_owned(), one.part);
        }
    }

    fn differs(&mut self, key: ItemKey, field: String, part: String) {
        self.differences.push(Difference { chain: self.part.chain, key, field, part });
    }
}

async fn compare_part(rehearsing: &Rehearsing<'_>, tally: &mut Tally<'_>) -> Result<Reached, TaskError> {
    let part = tally.part;
    let selection = RestoreSelection { items: part.items.clone(), ..RestoreSelection::default() };
    let work = RestoreWork {
        restore: rehearsing.work.restore,
        chain: part.chain,
        point: part.point,
        target_resource: rehearsing.work.sandbox,
        target_folder: Some(part.folder.clone()),
        selection: Some(selection),
        // Copies are read back, and whoever may replace them knows their ids.
        on_conflict: Some(OnConflict::Replace.as_str().to_owned()),
        // Whoever only looks changes nothing.
        dry_run: true,
        along: RestoreAlong::default(),
    };
    let restoration = prepare(rehearsing.workshop, rehearsing.control, work).await?;
    let choice = Choice::of(restoration.work.selection.as_ref(), &restoration.shelf).await?;
    // Nothing is put on its way.
    let (ahead, ..) = flow::channel();
    for ((container, parent), keys) in &choice.items {
        if rehearsing.is_cancelled().await? {
            return Ok(Reached::Cancellation);
        }
        let mut place = restoration.place_of(&choice, *container, *parent);
        restoration.open_and_list(&ahead, &mut place).await?;
        for row in restoration.shelf.versions(keys).await? {
            // The item of the backup and the one that came back.
            let _right = rehearsing.workshop.room_to_restore(row.version.bytes.saturating_mul(2)).await?;
            compare_item(&restoration, &place.state, &row, tally).await?;
        }
    }
    choice.missing.iter().for_each(|key| tally.lost(*key, 1));
    Ok(Reached::End)
}

async fn compare_item(
    restoration: &Restoration<'_>,
    place: &State,
    row: &VersionRow,
    tally: &mut Tally<'_>,
) -> Result<(), TaskError> {
    let key = row.version.key;
    let Some(stored) = stored(restoration, row).await? else {
        tally.lost(key, 1);
        return Ok(());
    };
    let State::Found { target: Some(Opened { id: container, .. }), ground: Some(ground) } = place else {
        let expected = portrait(restoration, &stored)?;
        tally.lost(key, expected.map_or(1, |portrait| portrait.n_fields()));
        return Ok(());
    };
    let identity = match restoration.restoring.recognise(container, &stored) {
        Ok(Recognised::Item(identity)) => Some(identity),
        Ok(Recognised::LeftOut { .. }) => {
            tally.compared.n_left_out += 1;
            return Ok(());
        }
        Err(err) => item_error(err).map(|_| None)?,
    };
    let Some(expected) = portrait(restoration, &stored)? else {
        tally.lost(key, 1);
        return Ok(());
    };
    let copy = identity.and_then(|identity| ground.existing.copy_of(key, &identity));
    let back = match copy {
        Some(copy) => read_back(restoration, &copy.id, &stored).await?,
        None => None,
    };
    match back.map(|back| portrait(restoration, &back)).transpose()?.flatten() {
        Some(back) => tally.compare(key, &expected, &back),
        None => tally.lost(key, expected.n_fields()),
    }
    Ok(())
}

/// `None`: nobody can say what must come back of it.
fn portrait(restoration: &Restoration<'_>, item: &StoredItem) -> Result<Option<Portrait>, TaskError> {
    let feature = restoration.shelf.feature;
    let rehearsing = feature.rehearsing().ok_or_else(|| TaskError::Permanent(not_known(&restoration.shelf.chain)))?;
    match rehearsing.portrait(item) {
        Ok(portrait) => Ok(Some(portrait)),
        Err(err) => item_error(err).map(|_| None),
    }
}

/// The item of the backup, whole. `None`: it is damaged.
async fn stored(restoration: &Restoration<'_>, row: &VersionRow) -> Result<Option<StoredItem>, TaskError> {
    match read_stored(restoration, row).await {
        Ok(stored) => Ok(Some(stored)),
        Err(err) if err.is_damage() => Ok(None),
        Err(err) => Err(err.into()),
    }
}

async fn read_stored(restoration: &Restoration<'_>, row: &VersionRow) -> Result<StoredItem, StoreError> {
    let mut stored = restoration.properties(row).await?;
    if let Some(content) = row.version.content {
        let whole = restoration.reader.content(content.pack, content.blob, CONTENT_BYTES_MAX).await?;
        stored.content = StoredContent::Whole(whole);
    }
    Ok(stored)
}

/// What the service has of an item now, captured as a backup would. `None`: it cannot be had.
async fn read_back(
    restoration: &Restoration<'_>,
    id: &str,
    stored: &StoredItem,
) -> Result<Option<StoredItem>, TaskError> {
    let feature: &dyn features::Feature = restoration.shelf.feature;
    let item = RemoteItem { id: id.to_owned(), properties: None };
    let captured = match feature.capture(restoration.target.source(), &item, Need::Everything).await {
        Ok(captured) => captured,
        Err(CaptureError::Incomplete { captured, .. }) => *captured,
        Err(err) => return unreadable(err).map(|()| None),
    };
    let content = match captured.content {
        None => StoredContent::None,
        Some(content) => match in_memory(content).await? {
            Some(content) => content,
            None => return Ok(None),
        },
    };
    let properties = captured.properties;
    Ok(Some(StoredItem { key: stored.key, kind: captured.summary.kind, properties, content }))
}

/// An error that concerns one item alone is none of the task.
fn unreadable(err: CaptureError) -> Result<(), TaskError> {
    match err {
        CaptureError::Graph(err) => Err(err.into()),
        CaptureError::Gone
        | CaptureError::Item { .. }
        | CaptureError::Skipped { .. }
        | CaptureError::Changed { .. }
        | CaptureError::Incomplete { .. } => Ok(()),
    }
}

async fn in_memory(content: Content) -> Result<Option<StoredContent>, TaskError> {
    let whole = match content {
        Content::Mime(bytes) | Content::Raw(bytes) => bytes,
        Content::Spooled { mut file, bytes } => {
            let mut whole = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
            file.read_to_end(&mut whole).context("cannot read a spooled item back")?;
            whole.into()
        }
        Content::Stream(mut stream) => {
            let mut whole = BytesMut::new();
            while let Some(piece) = stream.pieces.next().await {
                match piece {
                    Ok(piece) => whole.extend_from_slice(&piece),
                    Err(err) => return unreadable(err).map(|()| None),
                }
            }
            whole.freeze()
        }
    };
    Ok(Some(StoredContent::Whole(whole)))
}

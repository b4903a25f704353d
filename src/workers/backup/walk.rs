//! From containers to a stream of captured items, in the order in which the service reported them.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream, StreamExt};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::parts::{OfItem, PartsPlace};
use super::{Backup, End};
use crate::catalog::{self, Container, CursorUpdate, ItemIssue, VersionRow};
use crate::db::Conn;
use crate::features::{
    CaptureError, Captured, Change, Cursor, KnownVersion, Lack, Need, Next, Page, RemoteItem, Walk, WalkError,
};
use crate::graph::GraphError;
use crate::ids::{ContainerId, ItemKey, PointNumber};

/// Containers whose first page is asked for ahead of their turn: as many as a mailbox takes requests at once. Of the one
/// whose turn it is, one page is.
const CONTAINERS_AHEAD: usize = 4;
/// How often one attempt begins a walk, or the listing of containers, anew because the service took back its token.
pub(super) const ANEW_MAX: u32 = 4;
/// Issues of earlier runs that one page of retries takes up.
const ISSUES_PAGE: u32 = 200;

/// One thing that the walk found out, ready to be stored.
pub enum Event {
    /// A full walk of this container begins.
    FullWalk {
        container: ContainerId,
    },
    Captured(Box<Arrival>),
    /// Nothing about the item was read: it is as it was, or only moved here.
    Unchanged {
        container: ContainerId,
        id: String,
        known: Box<VersionRow>,
    },
    Removed {
        container: ContainerId,
        key: ItemKey,
    },
    /// Gone between the report and the read: removed from wherever it was.
    Gone {
        key: ItemKey,
    },
    /// An item has these parts and no other.
    Parts {
        of: ItemKey,
        keep: Vec<ItemKey>,
    },
    Failed {
        container: ContainerId,
        id: String,
        name: String,
        reason: &'static str,
        /// See [`catalog::ItemIssue::skipped`].
        skipped: bool,
        message: String,
    },
    /// Everything before this cursor stands before this event.
    PageEnd {
        container: ContainerId,
        name: Arc<str>,
        cursor: CursorUpdate,
    },
    /// The container vanished in mid-walk; the next listing of containers will say so.
    Abandoned,
}

/// A version that was read anew.
pub struct Arrival {
    pub container: ContainerId,
    pub id: String,
    pub captured: Captured,
    /// The version whose content it shares, when only its properties were read.
    pub known: Option<Box<VersionRow>>,
    pub lack: Option<Lack>,
}

impl Arrival {
    /// What is to be told of the part that it lacks.
    pub fn issue(&self) -> Option<ItemIssue> {
        let Lack { reason, may_pass, message } = self.lack.clone()?;
        let name = self.captured.summary.name.clone();
        let (graph_id, reason) = (self.id.clone(), reason.to_owned());
        Some(ItemIssue { graph_id, container: self.container, name, reason, skipped: !may_pass, message })
    }
}

/// Work that keeps its place in the order while captures overlap.
pub(super) enum Step {
    Say(Event),
    Capture { container: ContainerId, item: RemoteItem, need: Need, known: Option<Box<VersionRow>> },
    Parts(OfItem),
}

/// Whether the changes of a page are all that there is to plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plan {
    Made,
    /// They show that more changed than they tell.
    WalkEverything,
}

pub struct Walker<'a> {
    pub(super) backup: &'a Backup<'a>,
    containers: Vec<Container>,
    pub(super) parts: Option<PartsPlace<'a>>,
}

/// A container on its way through the walk, and its page that was asked for.
struct Turn {
    container: Container,
    walk: Walk,
    page: Asked,
    /// How often it was begun anew.
    begun_anew: u32,
}

type Asked = BoxFuture<'static, Result<Page, WalkError>>;
type Steps = Result<Vec<Step>, End>;

impl<'a> Walker<'a> {
    pub fn new(backup: &'a Backup<'a>, mut containers: Vec<Container>) -> Self {
        let parts = PartsPlace::among(backup.feature, &containers);
        // Parts are found through the items that they belong to.
        containers.retain(|container| parts.is_none_or(|parts| parts.container != container.id));
        Self { backup, containers, parts }
    }

    /// The events of a whole backup; nothing that comes after an error is worth anything. While items are read, the next
    /// pages are asked for: a mailbox is never left with fewer requests than it takes because of an answer to come.
    pub fn events(&self) -> impl Stream<Item = Result<Event, End>> + '_ {
        let at_once = self.backup.workshop.agent.items_at_once;
        let pages = stream::iter(self.containers.iter().cloned())
            .map(|container| self.turn(container))
            .buffered(CONTAINERS_AHEAD)
            .flat_map(|turn| self.pages(turn));
        self.issue_retries()
            .chain(pages)
            .flat_map(|steps| match steps {
                Ok(steps) => stream::iter(steps.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(end) => stream::iter(vec![Err(end)]),
            })
            .map(move |step| self.expand(step))
            .buffered(at_once)
            .flat_map(stream::iter)
            .map(move |step| self.begin(step))
            .buffered(at_once)
    }

    /// Asks for the first page of a container; returns when it is there.
    async fn turn(&self, container: Container) -> Turn {
        let walk = first_walk(&container);
        let page = self.ask(&container, &walk).await;
        Turn { container, walk, page: Box::pin(ready(page)), begun_anew: 0 }
    }

    /// What is to be done for each page of a container.
    fn pages(&self, turn: Turn) -> impl Stream<Item = Steps> + '_ {
        stream::unfold(Some(turn), move |turn| async move {
            let Turn { container, walk, page, begun_anew } = turn?;
            let after = |walk: Walk, begun_anew| {
                let page = self.ask(&container, &walk);
                Turn { page, container: container.clone(), walk, begun_anew }
            };
            match page.await {
                Ok(page) => {
                    let next_page = match &page.next {
                        Next::Page(cursor) => Some(after(Walk::Resume(cursor.clone()), begun_anew)),
                        Next::Done(_) => None,
                    };
                    match self.steps(&container, &walk, page).await {
                        Ok(Some(steps)) => Some((Ok(steps), next_page)),
                        Ok(None) => {
                            tracing::info!(container = %container.id, "more changed than is reported; the container is walked whole");
                            Some((Ok(Vec::new()), Some(after(Walk::Start, begun_anew))))
                        }
                        Err(end) => Some((Err(end), None)),
                    }
                }
                Err(WalkError::Expired) if begun_anew < ANEW_MAX => {
                    tracing::info!(container = %container.id, "the delta token has expired; the container is walked whole");
                    Some((Ok(Vec::new()), Some(after(Walk::Start, begun_anew + 1))))
                }
                Err(WalkError::Graph(GraphError::NotFound { .. })) => {
                    Some((Ok(vec![Step::Say(Event::Abandoned)]), None))
                }
                Err(err) => Some((Err(End::of(err)), None)),
            }
        })
    }

    /// `None`: the page shows that more changed than it tells.
    async fn steps(&self, container: &Container, walk: &Walk, page: Page) -> Result<Option<Vec<Step>>, End> {
        let mut steps = Vec::with_capacity(page.changes.len() + 2);
        if *walk == Walk::Start || page.begins_full_walk {
            steps.push(Step::Say(Event::FullWalk { container: container.id }));
        }
        if self.plan(container, page.changes, &mut steps).await? == Plan::WalkEverything {
            return Ok(None);
        }
        let cursor = match page.next {
            Next::Page(cursor) => CursorUpdate::Resume(cursor.0),
            Next::Done(cursor) => CursorUpdate::Done(cursor.0),
        };
        let name = container.name.as_str().into();
        steps.push(Step::Say(Event::PageEnd { container: container.id, name, cursor }));
        Ok(Some(steps))
    }

    /// Decides what must be read of each change, against what the catalog holds.
    async fn plan(&self, container: &Container, changes: Vec<Change>, steps: &mut Vec<Step>) -> Result<Plan, End> {
        let keys: Vec<ItemKey> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Present(RemoteItem { id, .. }) | Change::LeftOut { id } => Some(ItemKey::of(id)),
                Change::Removed { .. } => None,
            })
            .collect();
        let mut known = self.known(keys).await?;
        for change in changes {
            match change {
                Change::Removed { id } => {
                    steps.push(Step::Say(Event::Removed { container: container.id, key: ItemKey::of(&id) }));
                }
                Change::LeftOut { id } => match known.get(&ItemKey::of(&id)) {
                    Some(held) if held.to == PointNumber::OPEN => return Ok(Plan::WalkEverything),
                    Some(_) | None => {}
                },
                Change::Present(item) => {
                    let known = known.remove(&ItemKey::of(&item.id));
                    if self.backup.feature.tells_of_more(&item, known.as_ref().map(before).as_ref()) {
                        return Ok(Plan::WalkEverything);
                    }
                    let whole = self.parts.filter(|place| place.may_have(&item)).map(|_| OfItem::reported(&item));
                    let step = self.decide(container.id, item, known);
                    let whole = whole.filter(|_| matches!(step, Step::Capture { .. }));
                    steps.push(step);
                    steps.extend(whole.map(Step::Parts));
                }
            }
        }
        Ok(Plan::Made)
    }

    pub(super) fn decide(&self, container: ContainerId, item: RemoteItem, known: Option<VersionRow>) -> Step {
        match (self.backup.feature.need(&item, known.as_ref().map(before).as_ref()), known) {
            (Need::Nothing, Some(known)) => {
                Step::Say(Event::Unchanged { container, id: item.id, known: Box::new(known) })
            }
            (Need::Properties, Some(known)) => {
                Step::Capture { container, item, need: Need::Properties, known: Some(Box::new(known)) }
            }
            (_, known) => Step::Capture { container, item, need: Need::Everything, known: known.map(Box::new) },
        }
    }

    pub(super) async fn known(&self, keys: Vec<ItemKey>) -> Result<HashMap<ItemKey, VersionRow>, End> {
        let (chain, point) = (self.backup.chain, self.backup.point);
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.backup.workshop.db.run("look up items", move |conn| {
            let mut newest = catalog::items::newest(conn, chain, point, &keys)?;
            // What lost its bytes on the storage counts as unknown: it is read anew, changed or not.
            catalog::damage::withhold(conn, chain, &mut newest)?;
            Ok(newest)
        });
        Ok(found.await?)
    }

    /// Items that failed in an earlier run and are due: no delta token will report them again.
    fn issue_retries(&self) -> impl Stream<Item = Steps> + '_ {
        stream::unfold(Some(None), move |after| async move {
            match self.issues_after(after?).await {
                Ok((steps, last)) => Some((Ok(steps), last.map(Some))),
                Err(end) => Some((Err(end), None)),
            }
        })
    }

    async fn issues_after(&self, after: Option<ItemKey>) -> Result<(Vec<Step>, Option<ItemKey>), End> {
        let (chain, point) = (self.backup.chain, self.backup.point);
        let db = &self.backup.workshop.db;
        let read = move |conn: &mut Conn| catalog::issues::to_retry(conn, chain, point, after, ISSUES_PAGE);
        let open = db.run("read issues", read).await?;
        let last = (open.len() == ISSUES_PAGE as usize).then(|| open.last().map(|issue| issue.key)).flatten();
        // One without a Graph id is met by the full walk of its container.
        let nameable = open.into_iter().filter(|open| !open.issue.graph_id.is_empty());
        let steps = nameable.map(|open| match self.parts.and_then(|place| place.listed_by(&open.issue)) {
            Some(whole) => Step::Parts(whole),
            None => Step::Capture {
                container: open.issue.container,
                item: RemoteItem { id: open.issue.graph_id, properties: None },
                need: Need::Everything,
                known: None,
            },
        });
        Ok((steps.collect(), last))
    }

    /// Asks for a page at once, in a task of its own: while the ledger is busy an answer must not lie unread, since it may
    /// be one that asks for patience.
    fn ask(&self, container: &Container, walk: &Walk) -> Asked {
        let (feature, subject) = (self.backup.feature, Arc::clone(&self.backup.subject));
        let (container, walk) = (container.graph_id.clone(), walk.clone());
        Box::pin(apart(async move { feature.page(subject.source(), &container, &walk).await }))
    }

    /// Begins a step at once, whoever waits for its end: a capture is a task of its own, as [`Walker::ask`] tells.
    fn begin(&self, step: Result<Step, End>) -> BoxFuture<'static, Result<Event, End>> {
        let Step::Capture { container, item, need, known } = (match step {
            Ok(Step::Say(event)) => return Box::pin(ready(Ok(event))),
            Err(end) => return Box::pin(ready(Err(end))),
            Ok(capture) => capture,
        }) else {
            unreachable!("a step is said or captured: parts are steps of their own by now")
        };
        let (feature, subject) = (self.backup.feature, Arc::clone(&self.backup.subject));
        let captured = apart(async move {
            let captured = feature.capture(subject.source(), &item, need).await;
            (item, captured)
        });
        Box::pin(async move {
            let (item, captured) = captured.await;
            told(container, item, captured, (need, known))
        })
    }
}

/// What decides what must be read again.
fn before(row: &VersionRow) -> KnownVersion {
    KnownVersion {
        change_tag: row.version.change_tag,
        flags: row.version.flags,
        has_content: row.version.content.is_some(),
    }
}

/// Runs on its own until its end, or until nobody waits for it any more.
pub(super) fn apart<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let task = AbortOnDropHandle::new(tokio::spawn(work.in_current_span()));
    async move {
        match task.await {
            Ok(done) => done,
            Err(err) if err.is_panic() => std::panic::resume_unwind(err.into_panic()),
            // Only the runtime's end cancels what somebody waits for.
            Err(_) => std::future::pending().await,
        }
    }
}

/// What became of a capture.
pub fn told(
    container: ContainerId,
    item: RemoteItem,
    captured: Result<Captured, CaptureError>,
    (need, known): (Need, Option<Box<VersionRow>>),
) -> Result<Event, End> {
    let reported = item.properties.as_ref().and_then(|properties| properties["name"].as_str());
    let reported = reported.unwrap_or_default().to_owned();
    let id = item.id;
    let failed = |reason, skipped, message| {
        let name = known.as_ref().map_or_else(|| reported.clone(), |known| known.version.name.clone());
        Ok(Event::Failed { container, id: id.clone(), name, reason, skipped, message })
    };
    let arrived = |captured, lack| {
        // Everything was read: content that is not there now was taken away.
        let known = if need == Need::Properties { known.clone() } else { None };
        Ok(Event::Captured(Box::new(Arrival { container, id: id.clone(), captured, known, lack })))
    };
    match captured {
        Ok(captured) => arrived(captured, None),
        Err(CaptureError::Incomplete { captured, lack }) => arrived(*captured, Some(lack)),
        Err(CaptureError::Gone) => Ok(Event::Gone { key: ItemKey::of(&id) }),
        Err(CaptureError::Item { reason, message }) => failed(reason, false, message),
        Err(err @ CaptureError::Changed { .. }) => failed("changed_meanwhile", false, err.to_string()),
        Err(CaptureError::Skipped { reason, message }) => failed(reason.name(), true, message),
        Err(CaptureError::Graph(err)) => Err(End::of(WalkError::Graph(err))),
    }
}

fn first_walk(container: &Container) -> Walk {
    match (&container.cursors.resume, &container.cursors.since) {
        (Some(page), _) => Walk::Resume(Cursor(page.clone())),
        (None, Some(token)) => Walk::Since(Cursor(token.clone())),
        (None, None) => Walk::Start,
    }
}

//! The one backup loop, for every feature.
//!
//! A walk (`walk`) turns containers and their changes into a stream of events; items are captured concurrently but
//! their events keep the order of the walk. The ledger (`ledger`) stores content, gathers what belongs into one commit
//! and commits it with the cursor that stands behind it. Interrupted at any point, the next attempt continues from the
//! last committed page.

mod ahead;
mod containers;
mod ledger;
mod parts;
mod records;
mod walk;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;

use self::ahead::Waiting;
use self::ledger::Ledger;
use self::walk::{Event, Walker};
use super::task::{Control, Done, TaskError};
use super::workshop::{Subject, Workshop};
use crate::catalog::{self, Container};
use crate::features::{self, Feature, FeatureOptions, WalkError};
use crate::graph::GraphError;
use crate::ids::{ChainId, PointNumber};
use crate::queue::Progress;
use crate::queue::work::{BackupWork, Keeping, NOT_APPLICABLE};

const REPORT_EVERY: Duration = Duration::from_millis(500);
const WAITS_EVERY: Duration = Duration::from_secs(1);
/// Events that the ledger stores together: enough for one look-up of many blobs, few enough for memory.
const STORED_TOGETHER: usize = 32;

/// What one attempt at a backup works on.
struct Backup<'a> {
    workshop: &'a Workshop,
    control: &'a Control,
    feature: &'static dyn Feature,
    subject: Arc<Subject>,
    chain: ChainId,
    point: PointNumber,
}

/// Backs up one feature of one resource: brings its open point up to now and seals it.
pub async fn run(workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: BackupWork = control.work()?;
    let feature = features::find(work.feature.as_str())
        .ok_or_else(|| TaskError::permanent(format!("this version of kodo has no feature \"{}\"", work.feature)))?;
    let storage = workshop.storage_to_fill(work.storage).await?;
    let chosen = match &work.options {
        Some(json) => Some(FeatureOptions::parse(json).map_err(TaskError::permanent)?.of(feature.name())),
        None => None,
    };
    let (chain, point, options) = open(workshop, control, &work, chosen).await?;
    let options = FeatureOptions::only(feature.name(), &options).map_err(TaskError::permanent)?;
    let subject = Arc::new(workshop.subject(work.resource).await?.capturing(options));
    let backup = Backup { workshop, control, feature, subject, chain, point };
    let mut ledger = Ledger::open(&backup, &storage, work.feature.as_str()).await?;
    let driven = tokio::select! {
        driven = backup.drive(&mut ledger) => driven,
        never = backup.say_waits() => match never {},
    };
    match driven {
        Ok(()) => {
            // Sealing ends the task: from then on another agent may send to the mailbox.
            backup.subject.graph.told().await;
            ledger.seal().await
        }
        Err(End::NotApplicable(reason)) => {
            ledger.flush().await?;
            workshop.not_applicable(control.lease(), chain, reason.clone()).await?;
            Ok(Done::new(json!({ NOT_APPLICABLE: reason }), 0))
        }
        Err(End::Task(err)) => {
            // What was captured so far is worth keeping: the next attempt continues behind it.
            if let Err(late) = ledger.flush().await {
                tracing::debug!(error = %late, "the last pages of an interrupted backup were not committed");
            }
            Err(err)
        }
    }
}

/// Why the walk ended early.
enum End {
    NotApplicable(String),
    Task(TaskError),
}

impl<E: Into<TaskError>> From<E> for End {
    fn from(err: E) -> Self {
        Self::Task(err.into())
    }
}

impl End {
    fn of(err: WalkError) -> Self {
        match err {
            WalkError::NotApplicable(reason) => Self::NotApplicable(reason),
            // A licence may be taken away in the middle of a walk.
            WalkError::Graph(err @ GraphError::NoService { .. }) => Self::NotApplicable(err.to_string()),
            other => Self::Task(other.into()),
        }
    }
}

async fn open(
    workshop: &Workshop,
    control: &Control,
    work: &BackupWork,
    options: Option<String>,
) -> Result<(ChainId, PointNumber, String), TaskError> {
    let key = catalog::ChainKey { resource: work.resource, feature: work.feature.clone(), storage: work.storage };
    let (lease, run, task, keeping) = (control.lease(), control.task.run, control.task.id, work.keeping);
    let opened = workshop.db.transaction("open a restore point", move |conn| {
        crate::queue::assert_held(conn, &lease)?;
        let chain = catalog::chains::open(conn, &key)?;
        if chain.state == catalog::rebuild::REBUILDING {
            return Ok(Err(chain.state_detail));
        }
        match (keeping, chain.policy) {
            (Keeping::Under(policy), _) | (Keeping::FirstUnder(policy), None) => {
                catalog::chains::set_policy(conn, chain.id, policy)?;
            }
            (Keeping::AsBefore, _) | (Keeping::FirstUnder(_), Some(_)) => {}
        }
        let options = options.clone().unwrap_or(chain.options);
        if catalog::chains::set_options(conn, chain.id, &options)? {
            // What is wanted now may be among what was passed over, and the other way round.
            catalog::containers::forget_all_cursors(conn, chain.id)?;
        }
        Ok(Ok((chain.id, catalog::points::open_point(conn, chain.id, run, task)?, options)))
    });
    opened.await?.map_err(|why| TaskError::permanent(format!("the catalog is not whole: {}", why.unwrap_or_default())))
}

impl Backup<'_> {
    async fn drive(&self, ledger: &mut Ledger<'_>) -> Result<(), End> {
        self.say("listing folders", 0, None).await?;
        let containers = containers::refresh(self, ledger).await?;
        ledger.expect(containers::expected_items(&containers));
        let walker = Walker::new(self, containers.iter().map(|(container, _)| container.clone()).collect());
        let (ahead, mut arriving) = ahead::channel();
        let producer = async {
            let mut stream = std::pin::pin!(walker.events());
            while let Some(event) = stream.next().await {
                let failed = event.is_err();
                if !ahead.put(event).await || failed {
                    break;
                }
            }
            drop(ahead);
        };
        let consumer = async {
            let mut reported = tokio::time::Instant::now();
            let mut batch = Vec::with_capacity(STORED_TOGETHER);
            while arriving.recv_many(&mut batch, STORED_TOGETHER).await > 0 {
                let (events, shares): (Vec<_>, Vec<_>) =
                    batch.drain(..).map(|Waiting { event, share }| (event, share)).unzip();
                ledger.take(events.into_iter().collect::<Result<Vec<Event>, End>>()?).await?;
                drop(shares);
                if reported.elapsed() >= REPORT_EVERY {
                    reported = tokio::time::Instant::now();
                    self.say_progress(ledger).await?;
                }
            }
            ledger.flush().await?;
            self.say_progress(ledger).await?;
            Ok(())
        };
        let mut consumer = std::pin::pin!(consumer);
        // The consumer may end first, with an error: then the producer, and every request it has in flight, is dropped.
        tokio::select! {
            biased;
            ended = &mut consumer => ended,
            () = producer => consumer.await,
        }
    }

    /// Tells what the task waits for while it waits, when there is no progress to tell of.
    async fn say_waits(&self) -> Infallible {
        let scope = self.feature.scope(&self.subject.graph_id);
        loop {
            tokio::time::sleep(WAITS_EVERY).await;
            if let Some(waits_for) = self.subject.waits_for(&scope)
                && let Err(err) = self.control.queue.waits(self.control.lease(), waits_for).await
            {
                tracing::debug!(error = %err, "what a task waits for could not be told");
            }
        }
    }

    async fn say_progress(&self, ledger: &Ledger<'_>) -> Result<(), TaskError> {
        let progress = Progress {
            phase: ledger.phase().to_owned(),
            items_done: ledger.items_seen(),
            items_total: ledger.expected(),
            bytes_done: ledger.bytes_read(),
            waits_for: self.subject.waits_for(&self.feature.scope(&self.subject.graph_id)),
        };
        self.control.report(progress).await
    }

    async fn say(&self, phase: &str, items_done: u64, items_total: Option<u64>) -> Result<(), TaskError> {
        let progress = Progress { phase: phase.to_owned(), items_done, items_total, ..Progress::default() };
        self.control.report(progress).await
    }
}

/// A container with the number of items the service counts in it.
type Counted = (Container, Option<u64>);

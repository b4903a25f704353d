//! A backup of any feature that is kept in memory: what a walk, a catalog and a storage do, in short.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use kodo::features::{
    CaptureError, Captured, Change, Cursor, Feature, KnownVersion, Need, Next, RemoteContainer, RemoteItem, Source,
    Summary, Walk, WalkError,
};
use serde_json::Value;

use super::tenant::in_memory;

/// A walk that does not end is a fault of its own.
const PAGES_MAX: usize = 2_000;

#[derive(Default)]
pub struct Collected {
    pub containers: BTreeMap<String, RemoteContainer>,
    pub cursors: BTreeMap<String, Cursor>,
    pub items: BTreeMap<String, Item>,
    pub issues: BTreeMap<String, &'static str>,
    /// Since the last run began.
    pub captured: BTreeSet<String>,
    pub n_pages: usize,
    pub n_full_walks: usize,
}

pub struct Item {
    pub container: String,
    pub summary: Summary,
    pub properties: Value,
    pub content: Option<Bytes>,
}

impl Collected {
    /// One run: the containers, then the changes of each to their end.
    pub async fn run(&mut self, feature: &dyn Feature, source: Source<'_>) -> Result<(), WalkError> {
        self.captured.clear();
        (self.n_pages, self.n_full_walks) = (0, 0);
        let changes = feature.containers(source, None).await?;
        assert!(changes.whole, "these features list their containers whole");
        self.containers = changes.present.into_iter().map(|found| (found.id.clone(), found)).collect();
        let here = &self.containers;
        self.cursors.retain(|id, _| here.contains_key(id));
        self.items.retain(|_, item| here.contains_key(&item.container));
        let mut gone = BTreeSet::new();
        for container in self.containers.keys().cloned().collect::<Vec<_>>() {
            self.walk(feature, source, &container, &mut gone).await?;
        }
        self.items.retain(|id, _| !gone.contains(id));
        Ok(())
    }

    async fn walk(
        &mut self,
        feature: &dyn Feature,
        source: Source<'_>,
        container: &str,
        gone: &mut BTreeSet<String>,
    ) -> Result<(), WalkError> {
        let mut walk = self.cursors.get(container).cloned().map_or(Walk::Start, Walk::Since);
        let mut met: Option<BTreeSet<String>> = None;
        for _ in 0..PAGES_MAX {
            let page = match feature.page(source, container, &walk).await {
                Err(WalkError::Expired) if walk != Walk::Start => {
                    walk = Walk::Start;
                    continue;
                }
                page => page?,
            };
            self.n_pages += 1;
            if walk == Walk::Start || page.begins_full_walk {
                met = Some(BTreeSet::new());
                self.n_full_walks += 1;
            }
            let mut present = Vec::new();
            for change in page.changes {
                match change {
                    Change::Present(item) => {
                        gone.remove(&item.id);
                        if let Some(met) = &mut met {
                            met.insert(item.id.clone());
                        }
                        present.push(item);
                    }
                    // A move shows as a removal here and a new entry elsewhere, in whatever order.
                    Change::Removed { id } if self.items.get(&id).is_some_and(|item| item.container == container) => {
                        gone.insert(id);
                    }
                    Change::Removed { .. } | Change::LeftOut { .. } => {}
                }
            }
            self.take(feature, source, container, present).await;
            match page.next {
                Next::Page(cursor) => walk = Walk::Resume(cursor),
                Next::Done(cursor) => {
                    self.cursors.insert(container.to_owned(), cursor);
                    if let Some(met) = met {
                        self.items.retain(|id, item| item.container != container || met.contains(id));
                    }
                    return Ok(());
                }
            }
        }
        panic!("the walk of {container} does not end");
    }

    async fn take(&mut self, feature: &dyn Feature, source: Source<'_>, container: &str, items: Vec<RemoteItem>) {
        let mut wanted = Vec::new();
        for item in items {
            let known = self.items.get_mut(&item.id);
            let version = known.as_ref().map(|known| KnownVersion {
                change_tag: known.summary.change_tag,
                flags: known.summary.flags,
                has_content: known.content.is_some(),
            });
            match (feature.need(&item, version.as_ref()), known) {
                (Need::Nothing, Some(known)) => known.container = container.to_owned(),
                (need, _) => wanted.push((item, need)),
            }
        }
        let captures = stream::iter(wanted).map(|(item, need)| async move {
            let outcome = feature.capture(source, &item, need).await;
            (item.id, outcome)
        });
        let outcomes: Vec<_> = captures.buffer_unordered(6).collect().await;
        for (id, outcome) in outcomes {
            let Captured { summary, properties, content } = match outcome {
                Ok(captured) => {
                    self.issues.remove(&id);
                    captured
                }
                Err(CaptureError::Incomplete { captured, lack }) => {
                    self.issues.insert(id.clone(), lack.reason);
                    *captured
                }
                Err(CaptureError::Gone) => {
                    self.items.remove(&id);
                    continue;
                }
                Err(CaptureError::Item { reason, .. }) => {
                    self.issues.insert(id, reason);
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            self.captured.insert(id.clone());
            let properties = serde_json::from_slice(&properties).unwrap();
            let content = content.map(in_memory);
            self.items.insert(id, Item { container: container.to_owned(), summary, properties, content });
        }
    }

    /// What a later run does with items that failed.
    pub async fn retry_issues(&mut self, feature: &dyn Feature, source: Source<'_>, container: &str) {
        let failed = self.issues.keys().map(|id| RemoteItem { id: id.clone(), properties: None });
        let failed: Vec<RemoteItem> = failed.collect();
        self.take(feature, source, container, failed).await;
    }

    /// The names of containers from the top, joined by `/`, as the simulator writes paths.
    pub fn path(&self, container: &str) -> String {
        let found = &self.containers[container];
        let name = found.name.replace('/', "\\/");
        match &found.parent {
            Some(parent) => format!("{}/{name}", self.path(parent)),
            None => name,
        }
    }
}

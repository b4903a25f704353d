//! Parts of items: listed when the item that they belong to is captured, and decided one by one like any other item.

use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::End;
use super::walk::{Event, Step, Walker, apart, told};
use crate::catalog::{Container, ItemIssue};
use crate::features::{CaptureError, Feature, Need, Parts, RemoteItem, holds_parts};
use crate::ids::{ContainerId, ItemKey};

/// Where parts of items lie, and how they are found.
#[derive(Clone, Copy)]
pub struct PartsPlace<'a> {
    pub container: ContainerId,
    parts: &'a dyn Parts,
}

/// The item whose parts are to be listed.
pub struct OfItem {
    item: RemoteItem,
    /// An earlier run could not list them.
    again: bool,
}

impl<'a> PartsPlace<'a> {
    /// `None`: the policy wants none.
    pub fn among(feature: &'a dyn Feature, containers: &[Container]) -> Option<Self> {
        let parts = feature.parts()?;
        let own = containers.iter().find(|container| holds_parts(feature.name(), &container.graph_id))?;
        Some(Self { container: own.id, parts })
    }

    pub fn may_have(&self, item: &RemoteItem) -> bool {
        self.parts.may_have(item)
    }

    /// The item whose parts could not be listed, if that is what this issue says.
    pub fn listed_by(&self, issue: &ItemIssue) -> Option<OfItem> {
        let id = self.parts.listed_by(&issue.graph_id).filter(|_| issue.container == self.container)?;
        Some(OfItem { item: RemoteItem { id: id.to_owned(), properties: None }, again: true })
    }
}

impl OfItem {
    pub fn reported(item: &RemoteItem) -> Self {
        Self { item: item.clone(), again: false }
    }
}

impl<'a> Walker<'a> {
    /// Puts what is to be done about an item's parts in the place of looking for them.
    pub(super) fn expand(&self, step: Result<Step, End>) -> BoxFuture<'_, Vec<Result<Step, End>>> {
        let (whole, place) = match (step, self.parts) {
            (Ok(Step::Parts(whole)), Some(place)) => (whole, place),
            (other, _) => return Box::pin(ready(vec![other])),
        };
        Box::pin(async move {
            match self.parts_of(whole, place).await {
                Ok(steps) => steps.into_iter().map(Ok).collect(),
                Err(end) => vec![Err(end)],
            }
        })
    }

    async fn parts_of(&self, OfItem { item, again }: OfItem, place: PartsPlace<'a>) -> Result<Vec<Step>, End> {
        let of = ItemKey::of(&item.id);
        let list_id = place.parts.list_id(&item.id);
        let listed = self.list(item.clone()).await;
        let mut steps = Vec::new();
        let parts = match listed {
            Ok(parts) => parts,
            Err(CaptureError::Gone) => Vec::new(),
            Err(error) => {
                let list = RemoteItem { id: list_id, ..item };
                let event = told(place.container, list, Err(error), (Need::Everything, None))?;
                return Ok(vec![Step::Say(event)]);
            }
        };
        if again {
            // Nothing is called so but the trouble that is over now.
            steps.push(Step::Say(Event::Gone { key: ItemKey::of(&list_id) }));
        }
        let keep: Vec<ItemKey> = parts.iter().map(|part| ItemKey::of(&part.id)).collect();
        let mut known = self.known(keep.clone()).await?;
        steps.push(Step::Say(Event::Parts { of, keep }));
        for part in parts {
            let before = known.remove(&ItemKey::of(&part.id));
            steps.push(self.decide(place.container, part, before));
        }
        Ok(steps)
    }

    async fn list(&self, item: RemoteItem) -> Result<Vec<RemoteItem>, CaptureError> {
        let (feature, subject) = (self.backup.feature, Arc::clone(&self.backup.subject));
        apart(async move {
            match feature.parts() {
                Some(parts) => parts.list(subject.source(), &item).await,
                None => Ok(Vec::new()),
            }
        })
        .await
    }
}

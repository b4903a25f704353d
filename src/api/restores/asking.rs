//! What a request to restore says, and the chains that it means.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::api::Shared;
use crate::api::error::{ApiError, ApiResult};
use crate::api::issues::parse_key;
use crate::api::reference::Ref;
use crate::api::resolve::{self, ChainWanted};
use crate::catalog::Chain;
use crate::features::OnConflict;
use crate::ids::{ChainId, ContainerId, FeatureName, PointNumber, ResourceId};
use crate::queue::work::{RestoreAlong, RestoreSelection};
use crate::restores::{Folder, Moment, NewPart, NewRestore, PARTS_MAX};

/// Chains of one user: features times storages.
const CHAINS_OF_USER_MAX: u32 = 1_000;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewRestoreBody {
    /// Either the chain, or `resource` and `feature`, or one of the lists below.
    pub chain: Option<ChainId>,
    /// Without `feature`: all features of the user.
    pub resource: Option<Ref>,
    pub feature: Option<FeatureName>,
    pub chains: Option<Vec<ChainId>>,
    /// Several users: all their features, or those of `features`.
    pub resources: Option<Vec<Ref>>,
    pub features: Option<Vec<FeatureName>>,
    /// Left out: the newest restore point. Of one chain alone.
    pub point: Option<PointNumber>,
    /// Instead: as everything was at this moment.
    pub as_of: Option<DateTime<Utc>>,
    /// Instead: only what was there at the first moment and gone at the second.
    pub deleted_between: Option<Between>,
    /// Left out: where the data came from.
    pub target_resource: Option<Ref>,
    /// Of several users: where the data of each goes.
    pub targets: Option<Vec<TargetPair>>,
    /// A new folder at the top that receives everything; left out: each item in its own place.
    pub target_folder: Option<String>,
    /// The same, called after the moment of the restore point, such as `Restored 2026-11-25 14:30`.
    pub into_new_folder: bool,
    /// Restores all that is directly in these; together with `items`: the union. Both left out: everything.
    pub containers: Option<Vec<ContainerId>>,
    /// Keys of items; one that is a folder stands for all that it holds.
    pub items: Option<Vec<String>>,
    /// What is done when the target holds another state of an item: `skip` (left out: this), `keep_both`, `replace` or
    /// `replace_if_older`.
    pub on_conflict: Option<OnConflict>,
    /// Nothing is written: the report says what would be done.
    pub dry_run: bool,
    /// Files come back with their older versions, where the point holds them. Each is an upload of its own.
    pub with_versions: bool,
    /// Those whom files and folders were shared with are let in again, where the point knows them. Nobody is told by
    /// mail; links are not made anew.
    pub with_permissions: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Between {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetPair {
    pub from: Ref,
    pub to: Ref,
}

impl NewRestoreBody {
    pub(super) async fn request(self, app: &Shared) -> ApiResult<NewRestore> {
        let (chains, may_be_left_out) = self.chains(app).await?;
        let point = self.moment(chains.len())?;
        let targets = self.targets(app, &chains).await?;
        let part = |chain: &Chain| NewPart {
            chain: chain.id,
            point,
            target: targets.get(&chain.key.resource).copied(),
            may_be_left_out,
        };
        let folder = match (self.target_folder, self.into_new_folder) {
            (None, false) => Folder::InPlace,
            (Some(name), false) => Folder::Named(name),
            (None, true) => Folder::OfPoint,
            (Some(_), true) => return Err(bad("give one of target_folder and into_new_folder")),
        };
        Ok(NewRestore {
            parts: chains.iter().map(part).collect(),
            folder,
            selection: selection(self.containers, self.items)?,
            deleted_between: self.deleted_between.map(|between| (between.from, between.to)),
            on_conflict: self.on_conflict.map(|mode| mode.as_str().to_owned()),
            dry_run: self.dry_run,
            along: RestoreAlong { versions: self.with_versions, permissions: self.with_permissions },
        })
    }

    fn moment(&self, n_chains: usize) -> ApiResult<Moment> {
        match (self.point, self.as_of, self.deleted_between) {
            (None, None, _) => Ok(Moment::Newest),
            (Some(_), None, None) if n_chains > 1 => {
                Err(bad("a point is one of one chain: give as_of for several users or features"))
            }
            (Some(point), None, None) => Ok(Moment::Point(point)),
            (None, Some(at), None) => Ok(Moment::At(at)),
            _ => Err(bad("give one of point, as_of and deleted_between")),
        }
    }

    /// The chains that are meant, each once, and whether one of them may be left out because nobody named it.
    async fn chains(&self, app: &Shared) -> ApiResult<(Vec<Chain>, bool)> {
        let single = self.chain.is_some() || self.resource.is_some() || self.feature.is_some();
        match (single, &self.chains, &self.resources) {
            (true, None, None) if self.features.is_none() => match (self.chain, &self.resource, &self.feature) {
                (None, Some(resource), None) => Ok((self.of_users(app, std::slice::from_ref(resource)).await?, true)),
                (chain, resource, feature) => {
                    let wanted = ChainWanted { chain, resource: resource.as_ref(), feature: feature.as_ref() };
                    Ok((vec![resolve::chain(app, wanted).await?], false))
                }
            },
            (false, Some(ids), None) if self.features.is_none() => {
                let ids: HashSet<ChainId> = ids.iter().copied().take(PARTS_MAX + 1).collect();
                let mut chains = Vec::with_capacity(ids.len());
                for id in ids {
                    let wanted = ChainWanted { chain: Some(id), resource: None, feature: None };
                    chains.push(resolve::chain(app, wanted).await?);
                }
                chains.sort_by_key(|chain| chain.id);
                Ok((chains, false))
            }
            (false, None, Some(resources)) => Ok((self.of_users(app, resources).await?, true)),
            _ => Err(bad(
                "name a chain, or a resource and a feature, or a resource alone for all its features, or chains, or \
                 resources with or without features",
            )),
        }
    }

    /// The chains of these users: of each feature, the one that was backed up last.
    async fn of_users(&self, app: &Shared, users: &[Ref]) -> ApiResult<Vec<Chain>> {
        if let Some(features) = &self.features {
            resolve::check_features(features)?;
        }
        if users.len() > PARTS_MAX {
            return Err(ApiError::Unprocessable(format!("a restore is about {PARTS_MAX} users at most")));
        }
        let mut found: BTreeMap<(ResourceId, FeatureName), Chain> = BTreeMap::new();
        for user in users {
            let resource = resolve::resource(app, user).await?.id;
            for chain in resolve::chains(app, Some(resource), ChainId::new(0), CHAINS_OF_USER_MAX).await? {
                if self.features.as_ref().is_some_and(|wanted| !wanted.contains(&chain.key.feature)) {
                    continue;
                }
                let newer = |known: &Chain| known.sealed_at >= chain.sealed_at;
                let key = (resource, chain.key.feature.clone());
                if !found.get(&key).is_some_and(newer) {
                    found.insert(key, chain);
                }
            }
            if !found.keys().any(|(of, _)| *of == resource) {
                return Err(ApiError::NotFound(format!("nothing of resource {user} was ever backed up")));
            }
        }
        Ok(found.into_values().collect())
    }

    /// Where the data of each resource goes; what is not named goes where it came from.
    async fn targets(&self, app: &Shared, chains: &[Chain]) -> ApiResult<HashMap<ResourceId, ResourceId>> {
        let sources: HashSet<ResourceId> = chains.iter().map(|chain| chain.key.resource).collect();
        let mut targets = HashMap::new();
        match (&self.target_resource, &self.targets) {
            (None, None) => {}
            (Some(to), None) => {
                let to = resolve::resource(app, to).await?.id;
                targets.extend(sources.into_iter().map(|from| (from, to)));
            }
            (None, Some(pairs)) => {
                for TargetPair { from, to } in pairs {
                    let source = resolve::resource(app, from).await?.id;
                    if !sources.contains(&source) {
                        return Err(ApiError::Unprocessable(format!("nothing of resource {from} is to be restored")));
                    }
                    targets.insert(source, resolve::resource(app, to).await?.id);
                }
                if let Some(missing) = sources.iter().find(|source| !targets.contains_key(source)) {
                    let why = format!("the table of targets has none for resource {missing}: name one for each");
                    return Err(ApiError::Unprocessable(why));
                }
            }
            (Some(_), Some(_)) => return Err(bad("give one of target_resource and targets")),
        }
        Ok(targets)
    }
}

fn bad(why: &str) -> ApiError {
    ApiError::BadRequest(why.to_owned())
}

fn selection(containers: Option<Vec<ContainerId>>, items: Option<Vec<String>>) -> ApiResult<Option<RestoreSelection>> {
    if containers.is_none() && items.is_none() {
        return Ok(None);
    }
    let items = items.unwrap_or_default().iter().map(|key| parse_key(key)).collect::<ApiResult<_>>()?;
    Ok(Some(RestoreSelection { containers: containers.unwrap_or_default(), items, gone_at: None }))
}

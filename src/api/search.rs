//! `/search`: items of all resources of an organization, by what they say.

use std::collections::{BTreeSet, HashMap};

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::browse::ItemView;
use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve;
use crate::catalog::search::{self, ASKED_MAX, Filter, Hit, Moment, Position};
use crate::catalog::{self, Chain, rebuild};
use crate::db::Conn;
use crate::ids::{ChainId, FeatureName, OrganizationId, PointNumber, ResourceId};
use crate::tenants;

/// Chains that one question looks into.
const CHAINS_MAX: usize = 200_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    organization: Option<Ref>,
    resource: Option<Ref>,
    feature: Option<FeatureName>,
    /// Words that must all be there: in the name, the sender, organiser or recipients, in names of attachments.
    q: Option<String>,
    /// A part of the sender's address, the organiser's, a contact's.
    from: Option<String>,
    to: Option<String>,
    attachment: Option<String>,
    /// What a file's name ends with.
    extension: Option<String>,
    /// A part of the path of its folder.
    folder: Option<String>,
    /// The item's own time: when a message was received, when an event begins, when a file was changed.
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    bytes_min: Option<u64>,
    bytes_max: Option<u64>,
    /// As of the newest restore points that were sealed by then.
    as_of: Option<DateTime<Utc>>,
    /// What was there before and is not any more.
    deleted_only: Option<bool>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SearchHit {
    pub chain_id: ChainId,
    pub resource_id: ResourceId,
    /// Whose it is.
    pub address: String,
    pub feature: FeatureName,
    /// The point as of which it is told; of what is gone, the last one that holds it.
    pub point: PointNumber,
    /// The names of its folders, with slashes between.
    pub folder: String,
    pub deleted: bool,
    #[serde(flatten)]
    pub item: ItemView,
}

/// A page of hits, those of the newest days first. A page may be short, and even empty, before the last one: it is the
/// absence of `next` that tells the end.
pub async fn search(app: Data<Shared>, query: Query<SearchQuery>) -> ApiResult<Json<Page<SearchHit>>> {
    let query = query.into_inner();
    let page = PageQuery::new(query.limit, query.cursor.clone());
    let (rows, behind) = (page.rows(app.rows_max)?, page.after::<Position>()?);
    let chains = chains(&app, &query).await?;
    let filter = filter(query)?;
    let ids: Vec<ChainId> = chains.keys().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let look = move |conn: &mut Conn| search::find(conn, &ids, &filter, behind, rows as usize);
    let found = app.db.run("search", look).await?;
    let owners: BTreeSet<ResourceId> =
        found.hits.iter().filter_map(|hit| Some(chains.get(&hit.chain)?.key.resource)).collect();
    let addresses: HashMap<ResourceId, String> =
        tenants::addresses(&app.db, owners.into_iter().collect()).await?.into_iter().collect();
    let view = |hit: Hit| {
        let chain = chains.get(&hit.chain)?;
        let address = addresses.get(&chain.key.resource).cloned().unwrap_or_default();
        Some(SearchHit::new(chain, address, hit))
    };
    let mut page = Page::leading_to(found.hits.into_iter().filter_map(view).collect(), found.next.as_ref());
    let n_unsearched = chains.values().filter(|chain| chain.unsearched).count() as u64;
    page.notes.extend(unsearched(n_unsearched));
    Ok(Json(page))
}

/// What a search does not look at of so many chains, and what to do about it; of none, there is nothing to say.
pub fn unsearched(n_chains: u64) -> Option<String> {
    let told = format!(
        "of {n_chains} chains, what was backed up before an upgrade is not searched: \"kodo rebuild-catalog\" mends that"
    );
    (n_chains > 0).then_some(told)
}

impl SearchHit {
    fn new(chain: &Chain, address: String, hit: Hit) -> Self {
        Self {
            chain_id: chain.id,
            resource_id: chain.key.resource,
            address,
            feature: chain.key.feature.clone(),
            point: hit.point,
            folder: hit.folder,
            deleted: hit.deleted,
            item: ItemView::new(chain.key.feature.as_str(), hit.row),
        }
    }
}

/// The chains that are looked into: of one resource, or of all that an organization ever had.
async fn chains(app: &Shared, query: &SearchQuery) -> ApiResult<HashMap<ChainId, Chain>> {
    if let Some(feature) = &query.feature {
        resolve::check_features(std::slice::from_ref(feature))?;
    }
    let resources = match (&query.resource, &query.organization) {
        (Some(_), Some(_)) => {
            return Err(ApiError::BadRequest("give either organization or resource".to_owned()));
        }
        (Some(resource), None) => vec![resolve::resource(app, resource).await?.id],
        (None, organization) => {
            let organization: OrganizationId = resolve::organization(app, organization.as_ref()).await?;
            tenants::resources_of_organization(&app.db, organization).await?
        }
    };
    let read = move |conn: &mut Conn| catalog::chains::of_resources(conn, &resources);
    let mut chains = app.db.run("list the chains to search", read).await?;
    chains.retain(|chain| {
        let wanted = query.feature.as_ref().is_none_or(|feature| chain.key.feature == *feature);
        wanted && chain.last_point > 0 && chain.state != rebuild::REBUILDING
    });
    if chains.len() > CHAINS_MAX {
        return Err(ApiError::Unprocessable(format!(
            "there are {} chains to look into, more than {CHAINS_MAX}: name a resource or a feature",
            chains.len()
        )));
    }
    Ok(chains.into_iter().map(|chain| (chain.id, chain)).collect())
}

fn filter(query: SearchQuery) -> ApiResult<Filter> {
    let filter = Filter {
        text: query.q.unwrap_or_default(),
        from: query.from.unwrap_or_default(),
        to: query.to.unwrap_or_default(),
        attachment: query.attachment.unwrap_or_default(),
        extension: query.extension.unwrap_or_default(),
        folder: query.folder.unwrap_or_default(),
        since: query.since,
        until: query.until,
        bytes_min: query.bytes_min,
        bytes_max: query.bytes_max,
        moment: query.as_of.map_or(Moment::Newest, Moment::At),
        deleted_only: query.deleted_only.unwrap_or_default(),
    };
    let mut n_words = 0;
    for (name, text) in [
        ("q", &filter.text),
        ("from", &filter.from),
        ("to", &filter.to),
        ("attachment", &filter.attachment),
        ("extension", &filter.extension),
    ] {
        let words = search::asked(text).len();
        if words == 0 && !text.is_empty() {
            return Err(ApiError::Unprocessable(format!("{name} has no word in it: give letters or digits")));
        }
        n_words += words;
    }
    if n_words > ASKED_MAX {
        return Err(ApiError::Unprocessable(format!("these are {n_words} words; give at most {ASKED_MAX}")));
    }
    if filter.since.zip(filter.until).is_some_and(|(since, until)| since > until) {
        return Err(ApiError::Unprocessable("since is later than until: nothing lies between".to_owned()));
    }
    if filter.bytes_min.zip(filter.bytes_max).is_some_and(|(min, max)| min > max) {
        return Err(ApiError::Unprocessable("bytes_min is more than bytes_max: nothing lies between".to_owned()));
    }
    Ok(filter)
}

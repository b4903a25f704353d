//! `/rehearsals`: restores for practice, and how faithful they were over time.

use std::collections::BTreeMap;

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::Accepted;
use super::auth::Admin;
use super::content_rules::Asking;
use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::{Shared, resolve};
use crate::access::audit::Action;
use crate::catalog::rehearsals::{self as kept, Compared, Difference, Rehearsal, Score};
use crate::db::Conn;
use crate::features;
use crate::ids::{ChainId, FeatureName, OrganizationId, PointNumber, RehearsalId, ResourceId, RestoreId, TaskId};
use crate::restores;
use crate::restores::rehearsals::{self, NewRehearsal, PER_FEATURE_DEFAULT, SandboxRule};
use crate::scheduler::{Enabled, Who};
use crate::tenants::ResourceView;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewRehearsalBody {
    /// Left out: the only one there is.
    pub organization: Option<Ref>,
    /// The sandbox: a user of the organization whose data do not matter. Must be given.
    pub into: Option<Ref>,
    /// Whose data; left out: anybody's of the organization.
    pub resources: Option<Vec<Ref>>,
    /// Left out: all of them.
    pub features: Option<Vec<FeatureName>>,
    /// Items of each feature at most; 25 unless given.
    pub sample: Option<u32>,
    /// Draws the sample of an earlier rehearsal again, as long as nothing newer was backed up.
    pub seed: Option<u32>,
    /// The sandbox may be a user who is backed up.
    pub although_protected: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RehearsalView {
    pub id: RehearsalId,
    pub organization_id: OrganizationId,
    pub sandbox_resource_id: ResourceId,
    /// The restore that made the copies; its report tells what became of each item.
    pub restore_id: RestoreId,
    /// The task that compares and clears the sandbox.
    pub task_id: TaskId,
    pub seed: u64,
    pub sample: u32,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// `queued`, `restoring`, `comparing`, `finished`, `cancelled` or `failed`.
    pub state: String,
    #[serde(flatten)]
    pub total: ScoreView,
    /// Why it failed or what it waits for.
    pub last_error: Option<String>,
    /// What of the copies stays in the sandbox.
    pub stays: Vec<String>,
}

/// How faithful copies were.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ScoreView {
    /// Fields that came back by fields that should have, 0 to 1; `null` before anything was compared.
    pub score: Option<f64>,
    pub fields: u64,
    pub fields_back: u64,
    /// Items of the sample.
    pub items: u64,
    pub compared: u64,
    /// Items that did not come back, or cannot be read.
    pub missing: u64,
    /// Items that Microsoft lets nobody bring back: they count for nothing.
    pub left_out: u64,
}

/// One rehearsal, with a page of differences.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RehearsalDetail {
    #[serde(flatten)]
    pub rehearsal: RehearsalView,
    pub features: Vec<FeatureScoreView>,
    pub parts: Vec<PartScoreView>,
    /// At most a thousand are kept of a rehearsal.
    pub differences: Page<DifferenceView>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeatureScoreView {
    pub feature: FeatureName,
    #[serde(flatten)]
    pub score: ScoreView,
    /// What nobody can bring back, or not as it was, and what is therefore no loss.
    pub not_counted: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartScoreView {
    pub chain_id: ChainId,
    pub point: PointNumber,
    pub feature: FeatureName,
    #[serde(flatten)]
    pub score: ScoreView,
    /// Why it could not be compared.
    pub remark: Option<String>,
    pub cleared: bool,
    pub stays: Option<String>,
}

/// A field of an item that came back otherwise or not at all, never what is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DifferenceView {
    pub chain_id: ChainId,
    pub key: String,
    pub field: String,
    /// Which property of the field, where it has several.
    pub part: Option<String>,
}

impl ScoreView {
    fn of(score: &Score) -> Self {
        let Compared { n_compared, n_missing, n_left_out, n_fields, n_back, remark: _ } =
            score.compared.clone().unwrap_or_default();
        let mut view = Self {
            score: None,
            fields: n_fields,
            fields_back: n_back,
            items: score.n_sampled.into(),
            compared: n_compared.into(),
            missing: n_missing.into(),
            left_out: n_left_out.into(),
        };
        view.divide();
        view
    }

    fn add(&mut self, more: &Self) {
        self.fields += more.fields;
        self.fields_back += more.fields_back;
        self.items += more.items;
        self.compared += more.compared;
        self.missing += more.missing;
        self.left_out += more.left_out;
        self.divide();
    }

    /// To four places, and 1 only when nothing is missing.
    fn divide(&mut self) {
        self.score = (self.fields > 0).then(|| (self.fields_back as f64 / self.fields as f64 * 1e4).floor() / 1e4);
    }

    pub fn sum<'a>(scores: impl IntoIterator<Item = &'a Score>) -> Self {
        scores.into_iter().fold(Self::default(), |mut sum, score| {
            sum.add(&Self::of(score));
            sum
        })
    }
}

impl From<&Score> for PartScoreView {
    fn from(score: &Score) -> Self {
        Self {
            chain_id: score.chain,
            point: score.point,
            feature: score.feature.clone(),
            score: ScoreView::of(score),
            remark: score.compared.as_ref().and_then(|compared| compared.remark.clone()),
            cleared: score.is_cleared,
            stays: score.stays.clone(),
        }
    }
}

impl From<(u64, Difference)> for DifferenceView {
    fn from((_, difference): (u64, Difference)) -> Self {
        let Difference { chain, key, field, part } = difference;
        Self { chain_id: chain, key: key.to_string(), field, part: Some(part).filter(|part| !part.is_empty()) }
    }
}

pub async fn start(
    app: Data<Shared>,
    admin: Admin,
    asking: Asking,
    body: Json<NewRehearsalBody>,
) -> ApiResult<Accepted<RehearsalView>> {
    let body = body.into_inner();
    let organization = resolve::organization(&app, body.organization.as_ref()).await?;
    let sandbox = sandbox(&app, body.into.as_ref()).await?;
    let rule = rule(&app, &sandbox, body.although_protected).await?;
    let resources = match &body.resources {
        None => None,
        Some(named) => Some(resolve::resource_ids(&app, None, named).await?),
    };
    if let Some(features) = &body.features {
        resolve::check_features(features)?;
    }
    let details = json!({ "organization": organization, "sandbox": sandbox.id });
    asking.note(&app, Action::StartRehearsal, details).await?;
    let new = NewRehearsal {
        organization,
        sandbox: sandbox.id,
        rule,
        resources,
        features: body.features,
        per_feature: body.sample.unwrap_or(PER_FEATURE_DEFAULT),
        seed: body.seed,
    };
    let caller = restores::Caller { name: admin.0.name, exclusive_key: app.exclusive_key };
    let id = rehearsals::start(&app.db, &app.queue, new, caller).await?;
    let (found, scores) = find(&app, id).await?;
    Ok(Accepted(view(&app, found, &scores).await?))
}

/// The resource that is to be a sandbox.
pub(super) async fn sandbox(app: &Shared, named: Option<&Ref>) -> ApiResult<ResourceView> {
    match named {
        Some(named) => resolve::resource(app, named).await,
        None => Err(ApiError::BadRequest("say into whose data: name a sandbox in \"into\"".to_owned())),
    }
}

/// Refuses somebody whom a schedule backs up, unless that was said to be all right.
pub(super) async fn rule(app: &Shared, sandbox: &ResourceView, although_protected: bool) -> ApiResult<SandboxRule> {
    if although_protected {
        return Ok(SandboxRule::AlthoughProtected);
    }
    let is_meant = |who: &Who| match who {
        Who::Everyone => true,
        Who::Resources(named) => named.contains(&sandbox.id),
    };
    let mut schedules = app.scheduler.schedules(None).await?.into_iter();
    let backing_up = schedules.find(|one| {
        one.enabled == Enabled::Yes && one.selection.tenant == sandbox.tenant && is_meant(&one.selection.who)
    });
    match backing_up {
        None => Ok(SandboxRule::Unprotected),
        Some(schedule) => {
            let why = format!("is backed up by schedule \"{}\"", schedule.name);
            Err(ApiError::Unprocessable(rehearsals::protected(&sandbox.address, &why)))
        }
    }
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<RehearsalView>>> {
    let (rows, before) = (query.rows(app.rows_max)?, query.after()?);
    let read = move |conn: &mut Conn| {
        let found = kept::list(conn, None, before, rows + 1)?;
        found.into_iter().map(|one| Ok((kept::scores(conn, one.id)?, one))).collect::<Result<Vec<_>, _>>()
    };
    let read: Vec<(Vec<Score>, Rehearsal)> = app.db.run("list rehearsals", read).await?;
    let page = Page::cut(read, rows, |(_, one)| one.id, |both| both);
    let mut items = Vec::with_capacity(page.items.len());
    for (scores, rehearsal) in page.items {
        items.push(view(&app, rehearsal, &scores).await?);
    }
    Ok(Json(Page { items, next: page.next, notes: page.notes }))
}

/// One rehearsal, with a page of differences.
pub async fn show(
    app: Data<Shared>,
    rehearsal: Path<RehearsalId>,
    query: Query<PageQuery>,
) -> ApiResult<Json<RehearsalDetail>> {
    let id = *rehearsal;
    let (rows, after) = (query.rows(app.rows_max)?, query.after()?);
    let (found, scores) = find(&app, id).await?;
    let read = move |conn: &mut Conn| kept::differences(conn, id, after, rows + 1);
    let differences = app.db.run("list differences of a rehearsal", read).await?;
    let differences = Page::cut(differences, rows, |(number, _)| *number, DifferenceView::from);
    let features = by_feature(&scores);
    let parts = scores.iter().map(PartScoreView::from).collect();
    let rehearsal = view(&app, found, &scores).await?;
    Ok(Json(RehearsalDetail { rehearsal, features, parts, differences }))
}

/// Stops what is under way; the copies are deleted. Doing it again does no harm.
pub async fn cancel(app: Data<Shared>, asking: Asking, rehearsal: Path<RehearsalId>) -> ApiResult<Json<RehearsalView>> {
    let (found, _) = find(&app, *rehearsal).await?;
    asking.note(&app, Action::CancelRehearsal, json!({ "rehearsal": found.id })).await?;
    rehearsals::cancel(&app.db, &app.queue, &found).await?;
    let (found, scores) = find(&app, *rehearsal).await?;
    Ok(Json(view(&app, found, &scores).await?))
}

async fn find(app: &Shared, id: RehearsalId) -> ApiResult<(Rehearsal, Vec<Score>)> {
    let read = move |conn: &mut Conn| Ok((kept::get(conn, id)?, kept::scores(conn, id)?));
    let (found, scores) = app.db.run("read a rehearsal", read).await?;
    Ok((found.ok_or_else(|| ApiError::not_found("rehearsal", id))?, scores))
}

fn by_feature(scores: &[Score]) -> Vec<FeatureScoreView> {
    let mut sums: BTreeMap<&FeatureName, ScoreView> = BTreeMap::new();
    for score in scores {
        sums.entry(&score.feature).or_default().add(&ScoreView::of(score));
    }
    let not_counted = |feature: &FeatureName| {
        let known = features::find(feature.as_str()).and_then(|feature| feature.rehearsing());
        let all = known.map(|feature| feature.not_counted()).unwrap_or_default();
        all.iter().map(|one| one.field.to_owned()).collect()
    };
    let view = |(feature, score): (&FeatureName, ScoreView)| FeatureScoreView {
        feature: feature.clone(),
        score,
        not_counted: not_counted(feature),
    };
    sums.into_iter().map(view).collect()
}

async fn view(app: &Shared, rehearsal: Rehearsal, scores: &[Score]) -> ApiResult<RehearsalView> {
    let task = app.queue.get(rehearsal.task).await?;
    let counts = app.queue.restore_progress(rehearsal.restore).await?;
    let state = rehearsals::state(&rehearsal, task.as_ref(), &counts);
    let mut stays: Vec<String> = scores.iter().filter_map(|score| score.stays.clone()).collect();
    stays.sort();
    stays.dedup();
    Ok(RehearsalView {
        id: rehearsal.id,
        organization_id: rehearsal.organization,
        sandbox_resource_id: rehearsal.sandbox,
        restore_id: rehearsal.restore,
        task_id: rehearsal.task,
        seed: rehearsal.seed,
        sample: rehearsal.per_feature,
        requested_by: rehearsal.requested_by,
        created_at: rehearsal.created_at,
        finished_at: rehearsal.finished_at,
        state: state.as_str().to_owned(),
        total: ScoreView::sum(scores),
        last_error: task.and_then(|task| task.last_error).filter(|_| rehearsal.finished_at.is_none()),
        stays,
    })
}

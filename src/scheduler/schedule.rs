//! Policies and schedules: what an administrator sets, checked before it is stored.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::catalog::retention::{self, Keep};
use crate::db::{Conn, DbError, TxError};
use crate::ids::{FeatureName, OrganizationId, PolicyId, ScheduleId, StorageId};
use crate::tenants;
use crate::timing::{BadTiming, Timing};

use super::{Scheduler, Selection, sql};

/// Policies or schedules that a list shows at most.
const ROWS_MAX: i64 = 10_000;
const NAME_CHARS_MAX: usize = 190;

/// Why a policy or schedule was not stored.
#[derive(Debug, thiserror::Error)]
pub enum Unacceptable {
    /// Correct the request.
    #[error(transparent)]
    Timing(#[from] BadTiming),
    /// Correct the request; the text says what.
    #[error("{0}")]
    Invalid(String),
    /// Choose another name.
    #[error("the name \"{0}\" is taken")]
    NameTaken(String),
    /// There is no such thing, or it belongs to another organization.
    #[error("there is no {0}")]
    Missing(String),
    #[error(transparent)]
    Db(#[from] DbError),
}

#[derive(Clone, Debug)]
pub struct PolicyView {
    pub id: PolicyId,
    pub organization: OrganizationId,
    pub name: String,
    pub storage: StorageId,
    /// For how long restore points are kept.
    pub keep: Keep,
    /// What of each feature is captured: JSON that `features` reads.
    pub options: String,
    pub content_download: ContentDownload,
    pub created_at: DateTime<Utc>,
}

/// Whether anybody is handed out content of chains under a policy, as files or to look at. Restores are not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentDownload {
    Allowed,
    Forbidden,
}

/// A policy as an administrator sets it.
#[derive(Clone, Debug)]
pub struct NewPolicy {
    pub organization: OrganizationId,
    pub name: String,
    /// The caller has checked that it exists.
    pub storage: StorageId,
    pub keep: Keep,
    /// The caller has checked that `features` can read them.
    pub options: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enabled {
    Yes,
    No,
}

/// A schedule as an administrator sets it.
#[derive(Clone, Debug)]
pub struct NewSchedule {
    pub organization: OrganizationId,
    pub policy: PolicyId,
    pub name: String,
    pub selection: Selection,
    pub features: Vec<FeatureName>,
    /// See [`Timing`].
    pub cron: String,
    pub time_zone: String,
    pub enabled: Enabled,
}

#[derive(Clone, Debug)]
pub struct ScheduleView {
    pub id: ScheduleId,
    pub organization: OrganizationId,
    pub policy: PolicyId,
    pub name: String,
    pub selection: Selection,
    pub features: Vec<FeatureName>,
    pub cron: String,
    pub time_zone: String,
    pub enabled: Enabled,
    /// `None` while it is disabled.
    pub next_fire_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

impl Scheduler {
    pub async fn add_policy(&self, new: NewPolicy) -> Result<PolicyId, Unacceptable> {
        check_name(&new.name)?;
        check_keep(&new.keep)?;
        let name = new.name.clone();
        let work = move |conn: &mut Conn| {
            let policy = sql::insert_policy(conn, &new)?;
            retention::set(conn, policy, &new.keep)?;
            Ok(policy)
        };
        self.db.transaction("add a policy", work).await.map_err(|err| unacceptable(err, &name))
    }

    /// Changes what of each feature a policy wants captured. `change` makes the new JSON of the one there is, or says
    /// why it cannot. Backups that are planned from now on go by it.
    pub async fn change_options(
        &self,
        id: PolicyId,
        change: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static,
    ) -> Result<(), Unacceptable> {
        let work = move |conn: &mut Conn| {
            let before = sql::lock_policy(conn, id).map_err(|err| missing(err.into(), format!("policy {id}")))?;
            let options = change(&before.options).map_err(|why| invalid(&why))?;
            sql::set_options(conn, id, &options)?;
            Ok(())
        };
        self.db.transaction("change the options of a policy", work).await.map_err(TxError::joined)
    }

    /// Says whether content of chains under a policy is handed out.
    pub async fn set_content_download(&self, id: PolicyId, to: ContentDownload) -> Result<(), Unacceptable> {
        let work = move |conn: &mut Conn| {
            sql::find_policy(conn, id).map_err(|err| missing(err.into(), format!("policy {id}")))?;
            sql::set_content_download(conn, id, to == ContentDownload::Allowed)?;
            Ok(())
        };
        self.db.transaction("change whether content is handed out", work).await.map_err(TxError::joined)
    }

    /// Replaces for how long a policy keeps restore points. The next prune of the storage goes by it.
    pub async fn set_keep(&self, id: PolicyId, keep: Keep) -> Result<(), Unacceptable> {
        check_keep(&keep)?;
        let work = move |conn: &mut Conn| {
            sql::find_policy(conn, id).map_err(|err| missing(err.into(), format!("policy {id}")))?;
            Ok(retention::set(conn, id, &keep)?)
        };
        self.db.transaction("change a retention", work).await.map_err(TxError::joined)
    }

    /// [`DbError::NotFound`]: there is none of this id.
    pub async fn policy(&self, id: PolicyId) -> Result<PolicyView, DbError> {
        let read = move |conn: &mut Conn| {
            let row = sql::find_policy(conn, id)?;
            Ok(policy_view(row, &retention::of_policies(conn, &[id])?))
        };
        self.db.run("read a policy", read).await
    }

    /// All policies by name, or those of one organization.
    pub async fn policies(&self, organization: Option<OrganizationId>) -> Result<Vec<PolicyView>, DbError> {
        let read = move |conn: &mut Conn| {
            let rows = sql::list_policies(conn, organization, ROWS_MAX)?;
            let ids: Vec<PolicyId> = rows.iter().map(|row| PolicyId::new(row.id)).collect();
            let keeps = retention::of_policies(conn, &ids)?;
            Ok(rows.into_iter().map(|row| policy_view(row, &keeps)).collect())
        };
        self.db.run("list policies", read).await
    }

    pub async fn add_schedule(&self, new: NewSchedule) -> Result<ScheduleId, Unacceptable> {
        let name = new.name.clone();
        let work = move |conn: &mut Conn| {
            let columns = checked(conn, &new)?;
            Ok(sql::insert_schedule(conn, &columns)?)
        };
        self.db.transaction("add a schedule", work).await.map_err(|err| unacceptable(err, &name))
    }

    /// Replaces everything that an administrator sets. The next firing is computed from now.
    pub async fn update_schedule(&self, id: ScheduleId, new: NewSchedule) -> Result<(), Unacceptable> {
        let name = new.name.clone();
        let work = move |conn: &mut Conn| {
            let columns = checked(conn, &new)?;
            match sql::update_schedule(conn, id, &columns)? {
                0 => Err(TxError::Refused(Unacceptable::Missing(format!("schedule {id}")))),
                _ => Ok(()),
            }
        };
        self.db.transaction("update a schedule", work).await.map_err(|err| unacceptable(err, &name))
    }

    /// Its runs and what they backed up stay. [`DbError::NotFound`]: there is none of this id.
    pub async fn delete_schedule(&self, id: ScheduleId) -> Result<(), DbError> {
        match self.db.run("delete a schedule", move |conn| sql::delete_schedule(conn, id)).await? {
            0 => Err(DbError::NotFound),
            _ => Ok(()),
        }
    }

    /// [`DbError::NotFound`]: there is none of this id.
    pub async fn schedule(&self, id: ScheduleId) -> Result<ScheduleView, DbError> {
        view(self.db.run("read a schedule", move |conn| sql::find_schedule(conn, id)).await?)
    }

    /// All schedules by name, or those of one organization.
    pub async fn schedules(&self, organization: Option<OrganizationId>) -> Result<Vec<ScheduleView>, DbError> {
        let list = move |conn: &mut Conn| sql::list_schedules(conn, organization, ROWS_MAX);
        let rows = self.db.run("list schedules", list).await?;
        rows.into_iter().map(view).collect()
    }
}

fn checked(conn: &mut Conn, new: &NewSchedule) -> Result<sql::ScheduleColumns, TxError<Unacceptable>> {
    check_name(&new.name).map_err(TxError::Refused)?;
    if new.features.is_empty() {
        return Err(invalid("a schedule needs at least one feature"));
    }
    let policy =
        sql::find_policy(conn, new.policy).map_err(|err| missing(err.into(), format!("policy {}", new.policy)))?;
    if policy.organization_id != new.organization.get() {
        return Err(TxError::Refused(Unacceptable::Missing(format!("policy {} in this organization", new.policy))));
    }
    let tenant = new.selection.tenant;
    let owner = tenants::organization_of(conn, tenant).map_err(|err| missing(err, format!("tenant {tenant}")))?;
    if owner != new.organization {
        return Err(TxError::Refused(Unacceptable::Missing(format!("tenant {tenant} in this organization"))));
    }
    let timing = Timing::parse(&new.cron, &new.time_zone).map_err(|bad| TxError::Refused(bad.into()))?;
    let now = sql::now(conn)?.and_utc();
    Ok(sql::ScheduleColumns {
        organization_id: new.organization.get(),
        policy_id: new.policy.get(),
        name: new.name.clone(),
        selection: serde_json::to_string(&new.selection).expect("ids are always JSON"),
        features: joined(&new.features),
        cron: new.cron.clone(),
        time_zone: new.time_zone.clone(),
        enabled: new.enabled == Enabled::Yes,
        next_fire_at: match new.enabled {
            Enabled::Yes => timing.next_after(now).map(|time| time.naive_utc()),
            Enabled::No => None,
        },
    })
}

fn check_name(name: &str) -> Result<(), Unacceptable> {
    let n_chars = name.chars().count();
    if n_chars == 0 || n_chars > NAME_CHARS_MAX || name.trim() != name {
        let problem = format!("a name has 1 to {NAME_CHARS_MAX} characters and no space around it, unlike \"{name}\"");
        return Err(Unacceptable::Invalid(problem));
    }
    Ok(())
}

fn check_keep(keep: &Keep) -> Result<(), Unacceptable> {
    match keep.unlikely() {
        None => Ok(()),
        Some((rule, number)) => Err(Unacceptable::Invalid(format!(
            "keep {rule} {number} cannot be meant: a rule keeps at most {}; leave it out to keep everything",
            Keep::NUMBER_MAX
        ))),
    }
}

fn invalid(problem: &str) -> TxError<Unacceptable> {
    TxError::Refused(Unacceptable::Invalid(problem.to_owned()))
}

fn missing(err: TxError<Unacceptable>, what: String) -> TxError<Unacceptable> {
    match err {
        TxError::Db(DbError::NotFound) => TxError::Refused(Unacceptable::Missing(what)),
        other => other,
    }
}

fn unacceptable(err: TxError<Unacceptable>, name: &str) -> Unacceptable {
    match err {
        TxError::Db(err) => taken_or_db(err, name),
        TxError::Refused(why) => why,
    }
}

fn taken_or_db(err: DbError, name: &str) -> Unacceptable {
    match err {
        DbError::Duplicate(_) => Unacceptable::NameTaken(name.to_owned()),
        other => Unacceptable::Db(other),
    }
}

/// In the order given, each once.
fn joined(features: &[FeatureName]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for feature in features {
        if !names.contains(&feature.as_str()) {
            names.push(feature.as_str());
        }
    }
    names.join(",")
}

fn policy_view(row: sql::PolicyRow, keeps: &HashMap<PolicyId, Keep>) -> PolicyView {
    let id = PolicyId::new(row.id);
    PolicyView {
        id,
        organization: OrganizationId::new(row.organization_id),
        name: row.name,
        storage: StorageId::new(row.storage_id),
        keep: keeps.get(&id).copied().unwrap_or(Keep::EVERYTHING),
        options: row.options,
        content_download: if row.content_download { ContentDownload::Allowed } else { ContentDownload::Forbidden },
        created_at: row.created_at.and_utc(),
    }
}

pub(super) fn view(row: sql::ScheduleRow) -> Result<ScheduleView, DbError> {
    let unreadable = |what: &str| DbError::Query(format!("schedule {} has no readable {what}", row.id));
    let features = row.features.split(',').map(str::parse).collect::<Result<Vec<FeatureName>, _>>();
    Ok(ScheduleView {
        id: ScheduleId::new(row.id),
        organization: OrganizationId::new(row.organization_id),
        policy: PolicyId::new(row.policy_id),
        selection: serde_json::from_str(&row.selection).map_err(|_| unreadable("selection"))?,
        features: features.map_err(|_| unreadable("list of features"))?,
        name: row.name,
        cron: row.cron,
        time_zone: row.time_zone,
        enabled: if row.enabled { Enabled::Yes } else { Enabled::No },
        next_fire_at: row.next_fire_at.map(|time| time.and_utc()),
        created_at: row.created_at.and_utc(),
    })
}

//! Chains: this feature of this resource in this storage, where tokens, items and restore points belong together.

pub(super) mod sql;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, FeatureName, PointNumber, PolicyId, ResourceId, StorageId};

/// What a chain is about: this feature of this resource, kept in this storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainKey {
    pub resource: ResourceId,
    pub feature: FeatureName,
    pub storage: StorageId,
}

#[derive(Clone, Debug)]
pub struct Chain {
    pub id: ChainId,
    pub key: ChainKey,
    /// `unprotected`, `protected`, `not_applicable` or `rebuilding`.
    pub state: String,
    pub state_detail: Option<String>,
    /// The newest sealed point; 0 before the first.
    pub last_point: u32,
    pub sealed_at: Option<DateTime<Utc>>,
    /// The policy that says for how long its points are kept; `None`: all are kept.
    pub policy: Option<PolicyId>,
    /// What of the feature its last backup was to capture: JSON that `features` reads; empty: the default.
    pub options: String,
    /// What was backed up before the index of words was made anew is not in it, until the catalog is rebuilt.
    pub unsearched: bool,
}

/// What the owner has and the chain leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    pub name: String,
    pub why: String,
}

/// As many are named; a mailbox with more has them counted nowhere, but its chain has a row of bounded length.
const PASSED_OVER_MAX: usize = 1000;

/// The chain of this key; made at first use.
pub fn open(conn: &mut Conn, key: &ChainKey) -> QueryResult<Chain> {
    sql::insert(conn, key, clock::now())?;
    sql::by_key(conn, key)
}

/// The chain of this key, if there is one.
pub fn find(conn: &mut Conn, key: &ChainKey) -> QueryResult<Option<Chain>> {
    sql::find(conn, key)
}

pub fn get(conn: &mut Conn, id: ChainId) -> QueryResult<Option<Chain>> {
    sql::by_id(conn, id)
}

/// The chains of these resources, or all, in the order of their ids.
pub fn list(conn: &mut Conn, resource: Option<ResourceId>, after: ChainId, limit: u32) -> QueryResult<Vec<Chain>> {
    sql::list(conn, resource, None, after, limit)
}

/// How many chains are in each state.
pub fn counts_by_state(conn: &mut Conn) -> QueryResult<Vec<(String, u64)>> {
    sql::counts_by_state(conn)
}

/// The newest sealed point of each of these chains; `None`: it has none.
pub fn last_points(conn: &mut Conn, ids: &[ChainId]) -> QueryResult<Vec<(ChainId, Option<PointNumber>)>> {
    sql::last_points(conn, ids)
}

/// How many chains hold something that a search does not look at.
pub fn n_unsearched(conn: &mut Conn) -> QueryResult<u64> {
    sql::n_unsearched(conn)
}

/// Notes that the resource does not have the feature (now); earlier points stay.
pub fn set_not_applicable(conn: &mut Conn, chain: ChainId, reason: &str) -> QueryResult<()> {
    sql::set_not_applicable(conn, chain, &super::fit(reason, 1000))
}

/// Puts a chain under a policy: from now on that says for how long its points are kept.
pub fn set_policy(conn: &mut Conn, chain: ChainId, policy: PolicyId) -> QueryResult<()> {
    sql::set_policy(conn, chain, policy)
}

/// Notes what the policy wants captured from now on; whether that is something else than before.
pub fn set_options(conn: &mut Conn, chain: ChainId, options: &str) -> QueryResult<bool> {
    sql::set_options(conn, chain, options)
}

/// Notes what the last listing of containers left out.
pub fn set_passed_over(conn: &mut Conn, chain: ChainId, passed_over: &[PassedOver]) -> QueryResult<()> {
    let fit = |one: &PassedOver| PassedOver { name: super::fit(&one.name, 255), why: super::fit(&one.why, 255) };
    let mut named: Vec<PassedOver> = passed_over.iter().take(PASSED_OVER_MAX).map(fit).collect();
    named.sort_by(|a, b| a.name.cmp(&b.name));
    let json = match named.as_slice() {
        [] => String::new(),
        named => serde_json::to_string(named).expect("texts are always JSON"),
    };
    sql::set_passed_over(conn, chain, &json)
}

/// What the last listing of containers left out. Names that cannot be read are no names.
pub fn passed_over(conn: &mut Conn, chain: ChainId) -> QueryResult<Vec<PassedOver>> {
    Ok(serde_json::from_str(&sql::passed_over(conn, chain)?).unwrap_or_default())
}

/// The chains of these resources, in the order of their ids.
pub fn of_resources(conn: &mut Conn, resources: &[ResourceId]) -> QueryResult<Vec<Chain>> {
    let mut found = Vec::new();
    for batch in resources.chunks(super::BATCH_ROWS) {
        found.extend(sql::of_resources(conn, batch)?);
    }
    Ok(found)
}

/// The chains of a storage, in the order of their ids.
pub fn of_storage(conn: &mut Conn, storage: StorageId, after: ChainId, limit: u32) -> QueryResult<Vec<Chain>> {
    sql::list(conn, None, Some(storage), after, limit)
}

//! How much of what the service holds a chain holds: counts beside counts, what was left out, and what failed.

use super::Chain;
use super::chains::{self, PassedOver};
use super::containers::{self, Container};
use super::issues::{self, IssueCounts};
use super::tallies::{self, Holding};
use crate::db::{Conn, QueryResult};
use crate::ids::{ContainerId, PointNumber};

/// What a chain covers as of its newest sealed point.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    pub containers: Vec<Covered>,
    pub passed_over: Vec<PassedOver>,
    pub issues: IssueCounts,
}

/// One container of the newest sealed point.
#[derive(Clone, Debug)]
pub struct Covered {
    pub container: Container,
    /// What is directly in it.
    pub held: Holding,
    /// How many items the service counted in it when the last backup began; `None`: it does not count them.
    pub n_service: Option<u64>,
    /// Its items that have open issues.
    pub n_issues: u64,
}

impl Covered {
    /// Whether the service counts other than what is held and what failed. Items that came or went while the backup
    /// ran make a difference too.
    pub fn differs(&self) -> bool {
        self.n_service.is_some_and(|counted| counted != self.held.items + self.n_issues)
    }
}

/// All containers, in the order of their ids.
pub fn of_chain(conn: &mut Conn, chain: &Chain) -> QueryResult<Coverage> {
    let point = PointNumber::new(chain.last_point);
    let all = containers::as_of(conn, chain.id, point)?;
    let ids: Vec<ContainerId> = all.iter().map(|container| container.id).collect();
    let mut held = tallies::as_of(conn, point, &ids)?;
    let counted = containers::service_counts(conn, chain.id)?;
    let failed = issues::counts_by_container(conn, chain.id)?;
    let covered = |container: Container| Covered {
        held: held.remove(&container.id).unwrap_or_default(),
        n_service: counted.get(&container.id).copied(),
        n_issues: failed.get(&container.id).copied().unwrap_or(0),
        container,
    };
    Ok(Coverage {
        containers: all.into_iter().map(covered).collect(),
        passed_over: chains::passed_over(conn, chain.id)?,
        issues: issues::counts_of(conn, &[chain.id])?.remove(&chain.id).unwrap_or_default(),
    })
}

//! Lanes, and whose task is next.
//!
//! A lane is the queued tasks that share organization, tenant, priority and kind, oldest first. Owns the table `lanes`
//! and the choice among them, which is pure: lanes and load go in, shares come out.
//!
//! The organization with the least load goes first, then the more urgent lane, then the tenant with the least load.
//! Load counts only leased tasks at least as urgent as the lane: a restore overtakes the backups of a busy
//! organization, and yet an organization with ten thousand restores shares evenly with the others.

mod sql;

use std::collections::{BTreeMap, HashMap};

use super::NewTask;
use crate::ids::TenantId;

pub(super) use sql::{ready, remember};

/// Tasks that are alike to the queue. `priority` and `kind` are as in the columns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Lane {
    pub organization: u32,
    pub tenant: Option<u32>,
    pub priority: u8,
    pub kind: String,
}

impl Lane {
    fn of(task: &NewTask) -> Self {
        Self {
            organization: task.organization.get(),
            tenant: task.tenant.map(TenantId::get),
            priority: task.priority.number(),
            kind: task.kind.as_str().to_owned(),
        }
    }
}

/// How many tasks are leased now: by priority, for each organization and for each tenant of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    organizations: HashMap<u32, BTreeMap<u8, u64>>,
    tenants: HashMap<(u32, Option<u32>), BTreeMap<u8, u64>>,
}

impl Load {
    pub fn add(&mut self, organization: u32, tenant: Option<u32>, priority: u8, n: u64) {
        *self.organizations.entry(organization).or_default().entry(priority).or_default() += n;
        *self.tenants.entry((organization, tenant)).or_default().entry(priority).or_default() += n;
    }

    /// The lane with the lowest standing is served first.
    fn standing(&self, lane: &Lane) -> (u64, u8, u64) {
        let counted = |by_priority: Option<&BTreeMap<u8, u64>>| {
            by_priority.map_or(0, |by_priority| by_priority.range(..=lane.priority).map(|(_, n)| n).sum())
        };
        let organization = counted(self.organizations.get(&lane.organization));
        let tenant = counted(self.tenants.get(&(lane.organization, lane.tenant)));
        (organization, lane.priority, tenant)
    }
}

/// Deals `wanted` tasks to the lanes, one by one, as if none of them ran out: the lanes in the order of their first
/// task, each with its share.
pub(super) fn deal(lanes: &[Lane], load: &Load, wanted: usize) -> Vec<(Lane, usize)> {
    let mut load = load.clone();
    let mut dealt: Vec<(usize, usize)> = Vec::new();
    for _ in 0..wanted {
        let Some(next) = (0..lanes.len()).min_by_key(|&index| load.standing(&lanes[index])) else { break };
        load.add(lanes[next].organization, lanes[next].tenant, lanes[next].priority, 1);
        match dealt.iter_mut().find(|(lane, _)| *lane == next) {
            Some((_, share)) => *share += 1,
            None => dealt.push((next, 1)),
        }
    }
    dealt.into_iter().map(|(lane, share)| (lanes[lane].clone(), share)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(organization: u32, tenant: u32, priority: u8) -> Lane {
        Lane { organization, tenant: Some(tenant), priority, kind: "backup".to_owned() }
    }

    /// What each lane gets, in the order of `lanes`.
    fn shares(lanes: &[Lane], load: &Load, n: usize) -> Vec<usize> {
        let dealt = deal(lanes, load, n);
        let share = |lane: &Lane| dealt.iter().find(|(other, _)| other == lane).map_or(0, |(_, share)| *share);
        lanes.iter().map(share).collect()
    }

    #[test]
    fn organizations_share_evenly_however_many_tenants_they_have() {
        let lanes = [lane(1, 1, 30), lane(1, 2, 30), lane(1, 3, 30), lane(2, 4, 30)];

        assert_eq!(shares(&lanes, &Load::default(), 12), [2, 2, 2, 6]);
    }

    #[test]
    fn an_organization_that_has_much_waits_for_the_others() {
        let mut load = Load::default();
        load.add(1, Some(1), 30, 5);

        assert_eq!(shares(&[lane(1, 1, 30), lane(2, 2, 30)], &load, 5), [0, 5]);
    }

    #[test]
    fn a_restore_overtakes_the_backups_of_everybody() {
        let mut load = Load::default();
        load.add(1, Some(1), 30, 100);

        let lanes = [lane(1, 1, 30), lane(1, 1, 10), lane(2, 2, 30)];

        assert_eq!(shares(&lanes, &load, 1), [0, 1, 0]);
    }

    #[test]
    fn many_restores_of_one_organization_do_not_shut_the_others_out() {
        let lanes = [lane(1, 1, 10), lane(2, 2, 30)];

        assert_eq!(shares(&lanes, &Load::default(), 10), [5, 5]);
    }

    #[test]
    fn without_lanes_nobody_is_next() {
        assert_eq!(deal(&[], &Load::default(), 3), []);
    }
}

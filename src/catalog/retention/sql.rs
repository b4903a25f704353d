//! Table `retentions`.

use diesel::prelude::*;

use super::Keep;
use crate::db::schema::retentions;
use crate::db::{Conn, QueryResult};
use crate::ids::PolicyId;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = retentions)]
struct KeepRecord {
    policy_id: u32,
    keep_last: u32,
    keep_days: u32,
    keep_daily: u32,
    keep_weekly: u32,
    keep_monthly: u32,
    keep_yearly: u32,
}

pub(super) fn of_policies(conn: &mut Conn, policies: &[PolicyId]) -> QueryResult<Vec<(PolicyId, Keep)>> {
    let ids = policies.iter().map(|policy| policy.get());
    let records: Vec<KeepRecord> =
        retentions::table.filter(retentions::policy_id.eq_any(ids)).select(KeepRecord::as_select()).load(conn)?;
    let keep = |record: KeepRecord| Keep {
        last: record.keep_last,
        days: record.keep_days,
        daily: record.keep_daily,
        weekly: record.keep_weekly,
        monthly: record.keep_monthly,
        yearly: record.keep_yearly,
    };
    Ok(records.into_iter().map(|record| (PolicyId::new(record.policy_id), keep(record))).collect())
}

pub(super) fn replace(conn: &mut Conn, policy: PolicyId, keep: &Keep) -> QueryResult<()> {
    let Keep { last, days, daily, weekly, monthly, yearly } = *keep;
    let record = KeepRecord {
        policy_id: policy.get(),
        keep_last: last,
        keep_days: days,
        keep_daily: daily,
        keep_weekly: weekly,
        keep_monthly: monthly,
        keep_yearly: yearly,
    };
    diesel::replace_into(retentions::table).values(record).execute(conn).map(drop)
}

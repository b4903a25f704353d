//! Statements that stay prepared: to prepare one takes the server as long as to carry it out, and two more round trips.
//!
//! diesel prepares a statement anew each time unless its text follows from its type. [`among`] and [`Kept`] are for two
//! kinds of which it cannot know that they have few texts.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Binary, Bool};
use diesel::{QueryResult, RunQueryDsl};

/// So many values at most are named in a statement that stays prepared.
const FEW: usize = 128;

/// `column IN (…)`, for few values in one of few forms, one for each power of two: the last value is named until the form
/// is full.
pub fn among<'a, C: Expression<SqlType = Binary>>(column: C, values: Vec<&'a [u8]>) -> Among<'a, C> {
    Among { column, values }
}

/// See [`among`].
#[derive(Clone, Debug)]
pub struct Among<'a, C> {
    column: C,
    values: Vec<&'a [u8]>,
}

impl<C: Expression> Expression for Among<'_, C> {
    type SqlType = Bool;
}

impl<C: SelectableExpression<T>, T> SelectableExpression<T> for Among<'_, C> {}

impl<C: AppearsOnTable<T>, T> AppearsOnTable<T> for Among<'_, C> {}

impl<C> ValidGrouping<()> for Among<'_, C> {
    type IsAggregate = is_aggregate::No;
}

/// The text depends on the number of values.
impl<C> QueryId for Among<'_, C> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C: QueryFragment<Mysql>> QueryFragment<Mysql> for Among<'_, C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        let Some(last) = self.values.last() else {
            out.push_sql("FALSE");
            return Ok(());
        };
        self.column.walk_ast(out.reborrow())?;
        let n_form = form(self.values.len());
        if n_form > FEW {
            out.unsafe_to_cache_prepared();
        }
        for (number, value) in self.values.iter().chain(std::iter::repeat(last)).take(n_form).enumerate() {
            out.push_sql(if number == 0 { " IN (" } else { "," });
            out.push_bind_param::<Binary, &[u8]>(value)?;
        }
        out.push_sql(")");
        Ok(())
    }
}

/// How many values are named for so many.
pub fn form(n_values: usize) -> usize {
    if n_values > FEW { n_values } else { n_values.next_power_of_two() }
}

/// A query with one text, or few. Only for what is loaded: diesel looks past this at what it executes.
#[derive(Clone, Debug)]
pub struct Kept<Q>(pub Q);

impl<Q> QueryId for Kept<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Kept<Q> {
    type SqlType = Q::SqlType;
}

impl<Q, C> RunQueryDsl<C> for Kept<Q> {}

impl<Q: QueryFragment<Mysql>> QueryFragment<Mysql> for Kept<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Mysql) -> QueryResult<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use diesel::debug_query;
    use diesel::prelude::*;

    use super::*;
    use crate::db::schema::blobs;

    fn text(n_values: usize) -> String {
        let values: Vec<[u8; 2]> = (0..n_values).map(|n| (n as u16).to_be_bytes()).collect();
        let condition = among(blobs::id, values.iter().map(|value| value.as_slice()).collect());
        debug_query::<Mysql, _>(&blobs::table.filter(condition).select(blobs::bytes)).to_string()
    }

    #[test]
    fn few_values_have_few_forms_and_all_are_named() {
        let forms: std::collections::HashSet<String> =
            (0..=FEW).map(|n| text(n).split(" -- ").next().unwrap().to_owned()).collect();

        assert_eq!(forms.len(), 2 + FEW.ilog2() as usize);
        assert_eq!(text(FEW + 1).matches('?').count(), FEW + 1);
        let three = text(3);
        assert_eq!(three.matches('?').count(), 4);
        assert!(three.ends_with("[[0, 0], [0, 1], [0, 2], [0, 2]]"), "{three}");
        assert!(text(0).contains("FALSE"));
    }
}

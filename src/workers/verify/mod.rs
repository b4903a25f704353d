//! Proves that a storage holds what was stored in it, and sees to it that what it does not hold is captured again.
//!
//! Packs take turns: those first that were not looked at for the longest time, up to a budget of bytes. One that is
//! damaged is set aside, what is good in it saved (`packs`); the items that need what was lost are marked, and those
//! that are current become issues, so that the next backup reads them anew (`items`). A sample of items is put
//! together at the deepest level (`sample`). Everything that was found is in tables (`report` reads them), written
//! step by step: an attempt that is killed is gone on with.

mod items;
mod packs;
mod report;
mod sample;

use serde_json::json;

use super::task::{Control, Done, Refusal, TaskError};
use super::workshop::{OpenStorage, Workshop};
use crate::catalog;
use crate::db::{Conn, QueryResult, TxError};
use crate::ids::TaskId;
use crate::queue::work::VerifyWork;
use crate::queue::{self, Progress};
use crate::repository::Depth;
use crate::repository::verify::{self, Counted, VerificationRow};

pub use report::{Finding, findings};

/// Findings that the result of a task names; the tables hold all.
const NAMED_MAX: u32 = 20;

/// One attempt at a verification.
struct Verification<'a> {
    workshop: &'a Workshop,
    control: &'a Control,
    storage: &'a OpenStorage,
    level: u8,
    begun: VerificationRow,
    /// Why packs could not be read and items not be put together, for the result.
    unreadable: Vec<String>,
}

pub async fn run(workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: VerifyWork = control.work()?;
    if !(1..=4).contains(&work.level) {
        return Err(TaskError::permanent(format!("there is no level {} of verification", work.level)));
    }
    let storage = workshop.storage(work.storage).await?;
    let (id, lease, level) = (storage.id, control.lease(), work.level);
    let begin = workshop.db.transaction("begin a verification", move |conn| {
        queue::assert_held(conn, &lease)?;
        Ok(verify::begin_verification(conn, id, lease.task, level)?)
    });
    let begun = begin.await?;
    let mut attempt = Verification { workshop, control, storage: &storage, level, begun, unreadable: Vec::new() };
    attempt.compare_folders().await?;
    match level {
        1 => {}
        2 => attempt.check_packs(Depth::Stored, work.bytes_max).await?,
        _ => attempt.check_packs(Depth::Content, work.bytes_max).await?,
    }
    attempt.revisit_marks().await?;
    attempt.mark_items().await?;
    if level == 4 {
        attempt.sample().await?;
    }
    attempt.finish().await
}

impl Verification<'_> {
    /// Adds to what the verification counted, under its lease.
    async fn count(&mut self, more: Counted) -> Result<(), TaskError> {
        self.write("count what was verified", move |conn, task| verify::count_verified(conn, task, &more)).await?;
        self.begun.counted.add(&more);
        Ok(())
    }

    /// One transaction that holds only while the lease does.
    async fn write<T, F>(&self, what: &'static str, mut work: F) -> Result<T, TaskError>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn, TaskId) -> QueryResult<T> + Send + 'static,
    {
        let lease = self.control.lease();
        let written = self.workshop.db.transaction::<_, Refusal, _>(what, move |conn| {
            queue::assert_held(conn, &lease).map_err(TxError::widen)?;
            Ok(work(conn, lease.task)?)
        });
        Ok(written.await?)
    }

    async fn unreadable(&mut self, what: String) -> Result<(), TaskError> {
        if self.unreadable.len() < NAMED_MAX as usize {
            self.unreadable.push(what);
        }
        self.count(Counted { n_unreadable: 1, ..Counted::default() }).await
    }

    async fn say(&self, phase: &str, total: Option<u64>) -> Result<(), TaskError> {
        let counted = &self.begun.counted;
        let progress = Progress {
            phase: phase.to_owned(),
            items_done: counted.n_packs,
            items_total: total,
            bytes_done: counted.bytes,
            waits_for: None,
        };
        self.control.report(progress).await
    }

    async fn finish(self) -> Result<Done, TaskError> {
        let storage = self.storage.id;
        let finished = self.write("finish a verification", move |conn, task| {
            let row = verify::finish_verification(conn, task)?;
            let named = verify::damaged_by(conn, task, NAMED_MAX)?;
            let n_damaged = verify::n_damaged_by(conn, task)?;
            let mut damaged = Vec::with_capacity(named.len());
            for pack in named {
                damaged.push((verify::pack_uid(conn, storage, pack.pack)?, pack));
            }
            Ok((row.counted, n_damaged, damaged, catalog::damage::count(conn, storage)?))
        });
        let (counted, n_damaged, damaged, n_marked) = finished.await?;
        let named: Vec<String> = damaged
            .iter()
            .map(|(uid, pack)| {
                let pack_name = uid.map_or_else(|| pack.pack.to_string(), |uid| uid.to_string());
                format!("pack {pack_name} is damaged ({})", pack.what)
            })
            .collect();
        let summary = summary(&counted, n_damaged, n_marked, &named, &self.unreadable);
        let result = json!({
            "summary": summary,
            "level": self.level,
            "packs": counted.n_packs,
            "bytes": counted.bytes,
            "unknown_files": counted.n_unknown,
            "items_sampled": counted.n_sampled,
            "damaged": n_damaged,
            "damaged_packs": named,
            "damaged_versions": n_marked,
            "unreadable": counted.n_unreadable,
            "unreadable_named": self.unreadable,
        });
        Ok(Done::new(result, n_damaged + counted.n_unreadable))
    }
}

fn summary(counted: &Counted, n_damaged: u64, n_marked: u64, named: &[String], unreadable: &[String]) -> String {
    let looked_at = format!("{} packs were checked", counted.n_packs);
    if n_damaged == 0 && counted.n_unreadable == 0 {
        return format!("{looked_at} and nothing wrong was found");
    }
    let mut text = format!(
        "{looked_at}; {n_damaged} damaged packs were set aside, {} things could not be read, and {n_marked} versions of \
         items in this storage have lost something: see \"kodo storage findings\"",
        counted.n_unreadable
    );
    for what in named.iter().chain(unreadable) {
        text.push_str("\n  ");
        text.push_str(what);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_what_is_wrong_and_is_short_when_nothing_is() {
        let counted = Counted { n_packs: 3, ..Counted::default() };

        assert_eq!(summary(&counted, 0, 7, &[], &[]), "3 packs were checked and nothing wrong was found");
        let told = summary(&counted, 1, 7, &["pack ab is damaged (frame 3: its checksum is wrong)".to_owned()], &[]);
        assert!(told.contains("frame 3") && told.contains("7 versions"), "{told}");
    }
}

//! Waiting for runs, restores and tasks: a bar in a terminal, a line now and then elsewhere.
//!
//! Progress goes to standard error. A server that restarts meanwhile is waited for; the work goes on without us.

use std::future::Future;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::Session;
use super::exit::CliError;
use super::output::{bytes, count, remark};
use crate::api::rehearsals::RehearsalDetail;
use crate::api::restores::RestoreDetail;
use crate::api::runs::{ProgressView, RunView};
use crate::api::schedules::RunStarted;
use crate::api::tasks::TaskView;
use crate::ids::{RehearsalId, RestoreId, RunId, TaskId};
use crate::recovery::Step;

const POLL_FIRST: Duration = Duration::from_millis(250);
const POLL_LAST: Duration = Duration::from_secs(1);
/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How long a server may be gone before waiting ends.
const UNREACHABLE_MAX: Duration = Duration::from_secs(120);
/// Tasks whose state is shown under the bar.
const ACTIVE_SHOWN: usize = 4;

/// After a run was begun: waits for it, or says how to.
pub async fn run_started(session: &Session, started: &RunStarted, wait: bool) -> Result<(), CliError> {
    if wait {
        return wait_for_run(session, started.run_id).await;
    }
    let line = format!("run {0} begun\nnext: kodo run show {0} --wait", started.run_id);
    session.out.done(started, &line)
}

pub async fn wait_for_run(session: &Session, run: RunId) -> Result<(), CliError> {
    let path = format!("runs/{run}");
    let poll = || session.client.get::<RunView>(&path, &[]);
    let view = until(poll, |view| (view.state != "running", view.progress.clone())).await?;
    super::run::show(session, &view)?;
    let failed = first_errors(session, &format!("run={run}"), view.progress.tasks.failed).await?;
    verdict(&format!("run {run}"), &view.state, &failed)
}

pub async fn wait_for_restore(session: &Session, restore: RestoreId) -> Result<(), CliError> {
    let path = format!("restores/{restore}");
    let poll = || session.client.get::<RestoreDetail>(&path, &[]);
    let ended = |view: &RestoreDetail| (is_ended(&view.restore.state), view.restore.progress.clone());
    let view = until(poll, ended).await?;
    super::restore::show(session, &view)?;
    verdict(&format!("restore {restore}"), &view.restore.state, &view.restore.last_error.unwrap_or_default())
}

pub async fn wait_for_rehearsal(session: &Session, rehearsal: RehearsalId) -> Result<(), CliError> {
    let path = format!("rehearsals/{rehearsal}");
    let poll = || session.client.get::<RehearsalDetail>(&path, &[]);
    let look = |view: &RehearsalDetail| {
        let total = &view.rehearsal.total;
        let items_done = total.compared + total.missing + total.left_out;
        let progress = ProgressView { items_done, items_total: Some(total.items), ..ProgressView::default() };
        (!matches!(view.rehearsal.state.as_str(), "queued" | "restoring" | "comparing"), progress)
    };
    let view = until(poll, look).await?;
    super::rehearsal::show(session, &view)?;
    let total = &view.rehearsal.total;
    let (state, why) = match view.rehearsal.state.as_str() {
        "finished" if total.fields_back == total.fields && total.fields > 0 => ("succeeded", String::new()),
        "finished" => ("incomplete", format!("{} of what was to come back did", super::rehearsal::score(total))),
        state => (state, view.rehearsal.last_error.unwrap_or_default()),
    };
    verdict(&format!("rehearsal {rehearsal}"), state, &why)
}

pub async fn wait_for_task(session: &Session, task: TaskId) -> Result<(), CliError> {
    let path = format!("tasks/{task}");
    let poll = || session.client.get::<TaskView>(&path, &[]);
    let view = until(poll, |view| (is_ended(&view.state), progress_of(view))).await?;
    super::task::show(session, &view)?;
    let summary = view.result.as_ref().and_then(|result| result["summary"].as_str()).unwrap_or_default();
    match view.state.as_str() {
        "succeeded" if view.issues > 0 => verdict(&format!("task {task}"), "incomplete", summary),
        state => verdict(&format!("task {task}"), state, &view.last_error.unwrap_or_default()),
    }
}

fn is_ended(state: &str) -> bool {
    !matches!(state, "queued" | "leased" | "running")
}

fn verdict(what: &str, state: &str, why: &str) -> Result<(), CliError> {
    let because = if why.is_empty() { String::new() } else { format!(": {why}") };
    match state {
        "succeeded" => Ok(()),
        "incomplete" => Err(CliError::Incomplete(format!("{what} is incomplete{because}"))),
        state => Err(CliError::Failed(format!("{what} is {state}{because}"))),
    }
}

/// What the first failed tasks say, for the message that ends the command.
async fn first_errors(session: &Session, filter: &str, n_failed: u64) -> Result<String, CliError> {
    if n_failed == 0 {
        return Ok(String::new());
    }
    let path = format!("tasks?{filter}&state=failed");
    let page: crate::api::Page<TaskView> = session.client.get(&path, &[("limit", "3".to_owned())]).await?;
    let errors = page.items.into_iter().filter_map(|task| Some(format!("task {}: {}", task.id, task.last_error?)));
    Ok(errors.collect::<Vec<_>>().join("; "))
}

fn progress_of(task: &TaskView) -> ProgressView {
    let mut progress = ProgressView {
        items_done: task.items_done,
        items_total: task.items_total,
        bytes_done: task.bytes_done,
        issues: task.issues,
        ..ProgressView::default()
    };
    if !is_ended(&task.state) {
        progress.active.push(crate::api::runs::ActiveTask {
            task_id: task.id,
            kind: task.kind.clone(),
            resource_id: task.resource_id,
            phase: task.phase.clone(),
            waits_for: task.waits_for.clone(),
        });
    }
    progress
}

/// Polls until `look` says that it has ended. Bounded by the work itself, and by [`UNREACHABLE_MAX`] without a server.
async fn until<T, F: Future<Output = Result<T, CliError>>>(
    poll: impl Fn() -> F,
    look: impl Fn(&T) -> (bool, ProgressView),
) -> Result<T, CliError> {
    let mut display = Display::new();
    let mut pause = POLL_FIRST;
    let mut answered = Instant::now();
    loop {
        match poll().await {
            Ok(view) => {
                answered = Instant::now();
                let (ended, progress) = look(&view);
                display.show(&progress, ended)?;
                if ended {
                    display.clear();
                    return Ok(view);
                }
            }
            Err(CliError::Unreachable(why) | CliError::Unavailable(why)) if answered.elapsed() < UNREACHABLE_MAX => {
                display.note(&why)?;
            }
            Err(err) => return Err(err),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(POLL_LAST);
    }
}

enum Display {
    Bar(ProgressBar),
    Lines { last: String, written: Option<Instant> },
}

impl Display {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: String::new(), written: None };
        }
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Bar(bar)
    }

    fn show(&mut self, progress: &ProgressView, ended: bool) -> Result<(), CliError> {
        match self {
            Self::Bar(bar) => {
                draw(bar, progress);
                Ok(())
            }
            Self::Lines { last, written } => {
                let line =
                    [headline(progress)].into_iter().chain(active_lines(progress)).collect::<Vec<_>>().join("; ");
                let due = written.is_none_or(|at| at.elapsed() >= LINE_EVERY) || ended;
                if due && line != *last {
                    remark(&line)?;
                    (*last, *written) = (line, Some(Instant::now()));
                }
                Ok(())
            }
        }
    }

    fn note(&mut self, why: &str) -> Result<(), CliError> {
        match self {
            Self::Bar(bar) => {
                bar.set_message(format!("waiting for the server: {why}"));
                Ok(())
            }
            Self::Lines { last, .. } if last != why => {
                why.clone_into(last);
                remark(&format!("waiting for the server: {why}"))
            }
            Self::Lines { .. } => Ok(()),
        }
    }

    fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn draw(bar: &ProgressBar, progress: &ProgressView) {
    let (done, total) = extent(progress);
    let template = if total.is_some() { "{spinner} [{bar:32}] {percent:>3}%  {msg}" } else { "{spinner} {msg}" };
    let style = ProgressStyle::with_template(template).expect("a constant template").progress_chars("=> ");
    bar.set_style(style);
    bar.set_length(total.unwrap_or(0));
    bar.set_position(done);
    let active = active_lines(progress).map(|line| format!("\n    {line}")).collect::<String>();
    bar.set_message(headline(progress) + &active);
}

/// How far, of what: items when every task has counted them, else tasks.
fn extent(progress: &ProgressView) -> (u64, Option<u64>) {
    let tasks = progress.tasks;
    match progress.items_total.filter(|total| *total > 0) {
        Some(total) => (progress.items_done.min(total), Some(total)),
        None if tasks.total() > 1 => (tasks.ended(), Some(tasks.total())),
        None => (0, None),
    }
}

fn headline(progress: &ProgressView) -> String {
    let mut parts = Vec::new();
    let tasks = progress.tasks;
    if tasks.total() > 1 {
        parts.push(format!("{}/{} tasks", tasks.ended(), tasks.total()));
    }
    match progress.items_total {
        Some(total) => parts.push(format!("{}/{} items", count(progress.items_done), count(total))),
        None => parts.push(format!("{} items", count(progress.items_done))),
    }
    parts.push(bytes(progress.bytes_done));
    if progress.items_per_second >= 0.1 {
        parts.push(format!("{:.1} items/s", progress.items_per_second));
        parts.push(format!("{}/s", bytes(progress.bytes_per_second as u64)));
    }
    parts.extend(eta(progress).map(|eta| format!("{} left", HumanDuration(eta))));
    if progress.issues > 0 {
        parts.push(format!("{} issues", count(progress.issues)));
    }
    parts.join(", ")
}

fn eta(progress: &ProgressView) -> Option<Duration> {
    // The server knows Microsoft's limits.
    if let Some(seconds) = progress.seconds_left {
        return Some(Duration::from_secs(seconds)).filter(|eta| !eta.is_zero());
    }
    let missing = progress.items_total?.checked_sub(progress.items_done).filter(|missing| *missing > 0)?;
    let seconds = missing as f64 / progress.items_per_second;
    Duration::try_from_secs_f64(seconds).ok().filter(|eta| *eta < Duration::from_secs(30 * 86_400))
}

fn active_lines(progress: &ProgressView) -> impl Iterator<Item = String> {
    progress.active.iter().take(ACTIVE_SHOWN).map(|task| {
        let phase = if task.phase.is_empty() { "waiting for a worker" } else { task.phase.as_str() };
        let waits = task.waits_for.as_ref().map_or_else(String::new, |what| format!(", waits for {what}"));
        format!("{} {}: {phase}{waits}", task.kind, task.task_id)
    })
}

/// Shows how far a command is that does the work itself.
pub struct Steps(ProgressBar);

impl Steps {
    pub fn new() -> Self {
        // Hidden where there is no terminal: the log has a line a step.
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{spinner} [{bar:32}] {percent:>3}%  {msg}");
        bar.set_style(style.expect("a constant template").progress_chars("=> "));
        Self(bar)
    }

    pub fn show(&self, step: Step) {
        let (done, of, line) = match step {
            Step::Surveyed { packs, of } => (packs, of, format!("reading packs: {}/{}", count(packs), count(of))),
            Step::Adopted { packs, of } => (packs, of, format!("adding packs: {}/{}", count(packs), count(of))),
            Step::Loaded { chains, of, items, of_items } => {
                let line = format!("writing chains: {}/{}, {} item records", count(chains), count(of), count(items));
                (items, of_items, line)
            }
            Step::Written { items, of } => (items, of, format!("writing files: {}/{} items", count(items), count(of))),
        };
        self.0.set_length(of);
        self.0.set_position(done);
        self.0.set_message(line);
    }

    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::runs::TaskCounts;

    #[test]
    fn the_headline_tells_items_bytes_rate_and_what_is_left() {
        let progress = ProgressView {
            items_done: 1_200,
            items_total: Some(2_400),
            bytes_done: 3 << 20,
            items_per_second: 20.0,
            bytes_per_second: 1024.0,
            ..ProgressView::default()
        };

        let line = headline(&progress);

        assert_eq!(line, "1,200/2,400 items, 3.00 MiB, 20.0 items/s, 1.00 KiB/s, 60 seconds left");
        assert_eq!(extent(&progress), (1_200, Some(2_400)));
    }

    #[test]
    fn many_tasks_without_totals_are_measured_in_tasks() {
        let tasks = TaskCounts { queued: 2, leased: 1, succeeded: 1, ..TaskCounts::default() };
        let progress = ProgressView { tasks, ..ProgressView::default() };

        assert_eq!(extent(&progress), (1, Some(4)));
    }

    #[test]
    fn only_success_is_success() {
        assert!(verdict("run 1", "succeeded", "").is_ok());
        assert!(matches!(verdict("run 1", "incomplete", ""), Err(CliError::Incomplete(_))));
        assert!(matches!(verdict("run 1", "cancelled", ""), Err(CliError::Failed(_))));
    }
}

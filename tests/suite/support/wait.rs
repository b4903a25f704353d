//! Waiting for what happens soon: polling with a deadline, never a fixed sleep.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::stage::Stage;

const HAPPENS_MAX: Duration = Duration::from_secs(180);
/// What happens soon is seen soon; who waits long asks seldom, because each question costs what is waited for some time.
const POLL_MIN: Duration = Duration::from_millis(25);
const POLL_MAX: Duration = Duration::from_millis(500);

fn pause_after(waited: Duration) -> Duration {
    (waited / 8).clamp(POLL_MIN, POLL_MAX)
}

/// Looks until there is something to see, and returns it.
pub fn until<T>(stage: &Stage, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(started.elapsed() < HAPPENS_MAX, "it does not happen: {what}; the server's log:\n{}", stage.log());
        std::thread::sleep(pause_after(started.elapsed()));
    }
}

/// Asks until the answer is as wanted, and returns it. A server that does not answer just now is asked again.
pub fn until_answer(stage: &Stage, command: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    until_answer_within(HAPPENS_MAX, stage, command, wanted)
}

fn until_answer_within(max: Duration, stage: &Stage, command: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    let command = [command, &["--json"]].concat();
    let mut last = None;
    let started = Instant::now();
    loop {
        let ran = stage.run(&command);
        if let Ok(answer) = serde_json::from_str::<Value>(&ran.stdout)
            && wanted(&answer)
        {
            return answer;
        }
        last.replace(ran);
        assert!(started.elapsed() < max, "{command:?} never answers as wanted: {last:?}\n{}", stage.log());
        std::thread::sleep(pause_after(started.elapsed()));
    }
}

/// Waits until a run, restore or task has ended, however it did.
pub fn until_ended(stage: &Stage, command: &[&str]) -> Value {
    until_ended_within(HAPPENS_MAX, stage, command)
}

/// Waits for what has so much to do that it takes longer than other things.
pub fn until_ended_within(max: Duration, stage: &Stage, command: &[&str]) -> Value {
    until_answer_within(max, stage, command, |view| {
        !["running", "queued", "leased"].contains(&view["state"].as_str().unwrap_or("running"))
    })
}

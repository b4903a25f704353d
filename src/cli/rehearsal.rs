//! `kodo rehearsal`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::segment;
use super::exit::CliError;
use super::output::{count, or_dash, time, time_or_dash};
use super::{Limit, Session, progress};
use crate::api::Ref;
use crate::api::rehearsal_schedules::{NewRehearsalScheduleBody, RehearsalScheduleView};
use crate::api::rehearsals::{NewRehearsalBody, RehearsalDetail, RehearsalView, ScoreView};
use crate::ids::{FeatureName, RehearsalId};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Restore a sample of every protected feature into a sandbox, compare it, and delete it there again
    Start(Start),
    /// List rehearsals with their scores, newest first
    List(Limit),
    /// Show one rehearsal and which fields came back otherwise
    Show {
        rehearsal: RehearsalId,
        /// Wait until it is done
        #[arg(long)]
        wait: bool,
    },
    /// Stop a rehearsal; the copies in the sandbox are deleted
    Cancel { rehearsal: RehearsalId },
    /// Rehearse time and again; a schedule that the organization has is replaced
    Schedule(Schedule),
    /// List the schedules of rehearsals
    Schedules(Limit),
    /// Rehearse no more by itself
    Unschedule { organization: Ref },
}

#[derive(Debug, Args)]
pub struct Start {
    /// By id or name [default: the only one]
    #[arg(long)]
    organization: Option<Ref>,
    /// The sandbox: a user whose data do not matter, by id or address
    #[arg(long, value_name = "USER")]
    into: Ref,
    /// Only data of this user, by id or address; can be repeated [default: anybody's]
    #[arg(long = "user", value_name = "USER")]
    users: Vec<Ref>,
    /// Only this data; can be repeated [default: all]
    #[arg(long = "feature", value_name = "FEATURE")]
    features: Vec<FeatureName>,
    /// Items of each feature at most [default: 25]
    #[arg(long, value_name = "N")]
    sample: Option<u32>,
    /// Draw the sample of an earlier rehearsal again
    #[arg(long)]
    seed: Option<u32>,
    /// The sandbox may be a user who is backed up
    #[arg(long)]
    although_protected: bool,
    /// Wait until it is done
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
pub struct Schedule {
    /// By id or name [default: the only one]
    #[arg(long)]
    organization: Option<Ref>,
    /// The sandbox: a user whose data do not matter, by id or address
    #[arg(long, value_name = "USER")]
    into: Ref,
    /// Items of each feature at most [default: 25]
    #[arg(long, value_name = "N")]
    sample: Option<u32>,
    /// The sandbox may be a user who is backed up
    #[arg(long)]
    although_protected: bool,
    /// When: a cron expression, "minute hour day month weekday"
    #[arg(long)]
    cron: String,
    /// The time zone of --cron, such as Europe/Prague
    #[arg(long, default_value = "UTC")]
    time_zone: String,
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Start(start) => self::start(session, start).await,
        Command::List(Limit { limit }) => list(session, limit).await,
        Command::Show { rehearsal, wait: true } => progress::wait_for_rehearsal(session, rehearsal).await,
        Command::Show { rehearsal, wait: false } => {
            let view: RehearsalDetail = session.client.get(&format!("rehearsals/{rehearsal}"), &[]).await?;
            show(session, &view)
        }
        Command::Cancel { rehearsal } => {
            let path = format!("rehearsals/{rehearsal}/cancel");
            let view: RehearsalView = session.client.post(&path, &json!({})).await?;
            let line = match view.finished_at {
                Some(_) => format!("rehearsal {rehearsal} is {}", view.state),
                None => format!("rehearsal {rehearsal} is being stopped, and its sandbox cleared"),
            };
            session.out.done(&view, &line)
        }
        Command::Schedule(schedule) => set(session, schedule).await,
        Command::Schedules(Limit { limit }) => schedules(session, limit).await,
        Command::Unschedule { organization } => {
            let path = format!("rehearsal_schedules/{}/remove", segment(&organization.to_path()));
            let removed: Value = session.client.post(&path, &json!({})).await?;
            session.out.done(&removed, "rehearsals begin by hand only")
        }
    }
}

pub async fn start(session: &Session, start: Start) -> Result<(), CliError> {
    let body = NewRehearsalBody {
        organization: start.organization,
        into: Some(start.into),
        resources: (!start.users.is_empty()).then_some(start.users),
        features: (!start.features.is_empty()).then_some(start.features),
        sample: start.sample,
        seed: start.seed,
        although_protected: start.although_protected,
    };
    let started: RehearsalView = session.client.post("rehearsals", &body).await?;
    if start.wait {
        return progress::wait_for_rehearsal(session, started.id).await;
    }
    let line = format!("rehearsal {0} queued\nnext: kodo rehearsal show {0} --wait", started.id);
    session.out.done(&started, &line)
}

async fn list(session: &Session, limit: u32) -> Result<(), CliError> {
    let page = session.client.list::<RehearsalView>("rehearsals", &[], limit).await?;
    let headers = ["id", "state", "begun (UTC)", "by", "organization", "items", "missing", "fields", "score"];
    session.out.list(&page, &headers, |view| {
        vec![
            view.id.to_string(),
            view.state.clone(),
            time(view.created_at),
            view.requested_by.clone(),
            view.organization_id.to_string(),
            count(view.total.items),
            count(view.total.missing),
            count(view.total.fields),
            score(&view.total),
        ]
    })
}

/// For people; nothing is called whole that is not.
pub fn score(view: &ScoreView) -> String {
    or_dash(view.score.map(|score| format!("{:.2} %", score * 100.0)))
}

pub fn show(session: &Session, view: &RehearsalDetail) -> Result<(), CliError> {
    let (rehearsal, total) = (&view.rehearsal, &view.rehearsal.total);
    let mut facts = vec![
        ("rehearsal", rehearsal.id.to_string()),
        ("state", rehearsal.state.clone()),
        ("begun", format!("{} by {}", time(rehearsal.created_at), rehearsal.requested_by)),
        ("into resource", rehearsal.sandbox_resource_id.to_string()),
        ("sample", format!("{} items of each feature, seed {}", rehearsal.sample, rehearsal.seed)),
        ("restore", rehearsal.restore_id.to_string()),
        ("items", count(total.items)),
        ("missing", count(total.missing)),
        ("not restorable", count(total.left_out)),
        ("fields", format!("{} of {} came back", count(total.fields_back), count(total.fields))),
        ("score", score(total)),
    ];
    for one in &view.features {
        facts.push(("", format!("{}: {} of {} items", one.feature, score(&one.score), count(one.score.items))));
    }
    facts.extend(rehearsal.stays.iter().map(|stays| ("stays", stays.clone())));
    facts.extend(view.parts.iter().filter_map(|part| Some(("remark", part.remark.clone()?))));
    facts.push(("last error", rehearsal.last_error.clone().unwrap_or_default()));
    session.out.facts(view, &facts)?;
    if session.out.json || view.differences.items.is_empty() {
        return Ok(());
    }
    session.out.list(&view.differences, &["chain", "item", "what differs", "property"], |one| {
        vec![one.chain_id.to_string(), one.key.clone(), one.field.clone(), one.part.clone().unwrap_or_default()]
    })
}

async fn set(session: &Session, schedule: Schedule) -> Result<(), CliError> {
    let body = NewRehearsalScheduleBody {
        organization: schedule.organization,
        into: schedule.into,
        sample: schedule.sample,
        although_protected: schedule.although_protected,
        cron: schedule.cron,
        time_zone: schedule.time_zone,
    };
    let set: RehearsalScheduleView = session.client.post("rehearsal_schedules", &body).await?;
    let line = format!("restores are rehearsed, next at {} UTC", time_or_dash(set.next_fire_at));
    session.out.done(&set, &line)
}

async fn schedules(session: &Session, limit: u32) -> Result<(), CliError> {
    let page = session.client.list::<RehearsalScheduleView>("rehearsal_schedules", &[], limit).await?;
    session.out.list(&page, &["organization", "into", "sample", "when", "next (UTC)", "last problem"], |view| {
        vec![
            view.organization_id.to_string(),
            view.sandbox_resource_id.to_string(),
            count(view.sample.into()),
            format!("{} {}", view.cron, view.time_zone),
            time_or_dash(view.next_fire_at),
            view.last_problem.clone().unwrap_or_default(),
        ]
    })
}

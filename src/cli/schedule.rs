//! `kodo schedule`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::segment;
use super::exit::CliError;
use super::output::time_or_dash;
use super::{Limit, Session, progress};
use crate::api::Ref;
use crate::api::schedules::{NewScheduleBody, RunStarted, ScheduleView};
use crate::ids::FeatureName;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a schedule
    Add(Add),
    /// List schedules
    List(Limit),
    /// Fire a schedule now
    Run {
        schedule: Ref,
        /// Wait until the run is done
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Debug, Args)]
pub struct Add {
    name: String,
    #[arg(long)]
    policy: Ref,
    #[arg(long)]
    tenant: Ref,
    /// Only these users, by id or address; left out: everyone of the tenant
    #[arg(long = "user", value_name = "USER")]
    users: Vec<Ref>,
    /// What to back up: mailbox …
    #[arg(long = "feature", value_name = "FEATURE", required = true, value_delimiter = ',')]
    features: Vec<FeatureName>,
    /// When: a cron expression, "minute hour day month weekday"
    #[arg(long)]
    cron: String,
    /// The time zone of --cron, such as Europe/Prague
    #[arg(long, default_value = "UTC")]
    time_zone: String,
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(add) => self::add(session, add).await,
        Command::List(Limit { limit }) => list(session, limit).await,
        Command::Run { schedule, wait } => {
            let path = format!("schedules/{}/run", segment(&schedule.to_path()));
            let started: RunStarted = session.client.post(&path, &json!({})).await?;
            progress::run_started(session, &started, wait).await
        }
    }
}

async fn add(session: &Session, add: Add) -> Result<(), CliError> {
    let body = NewScheduleBody {
        name: add.name,
        policy: add.policy,
        tenant: add.tenant,
        resources: (!add.users.is_empty()).then_some(add.users),
        features: add.features,
        cron: add.cron,
        time_zone: add.time_zone,
    };
    let added: ScheduleView = session.client.post("schedules", &body).await?;
    let line = format!("schedule {} added: {}, next at {} UTC", added.id, added.name, time_or_dash(added.next_fire_at));
    session.out.done(&added, &line)
}

async fn list(session: &Session, limit: u32) -> Result<(), CliError> {
    let page = session.client.list::<ScheduleView>("schedules", &[], limit).await?;
    session.out.list(&page, &["id", "name", "policy", "who", "what", "when", "next (UTC)"], |view| {
        let who = match &view.selection {
            selection if selection.everyone => format!("everyone of tenant {}", selection.tenant_id),
            selection => format!("{} users of tenant {}", selection.resources.len(), selection.tenant_id),
        };
        let what: Vec<&str> = view.features.iter().map(FeatureName::as_str).collect();
        vec![
            view.id.to_string(),
            view.name.clone(),
            view.policy_id.to_string(),
            who,
            what.join(", "),
            format!("{} {}", view.cron, view.time_zone),
            if view.enabled { time_or_dash(view.next_fire_at) } else { "disabled".to_owned() },
        ]
    })
}

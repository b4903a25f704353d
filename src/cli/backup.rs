//! `kodo backup`.

use clap::Args;

use super::exit::CliError;
use super::{Session, progress};
use crate::api::Ref;
use crate::api::backups::NewBackupBody;
use crate::api::schedules::RunStarted;
use crate::ids::FeatureName;

#[derive(Debug, Args)]
pub struct Backup {
    /// Whom to back up, by id or address; can be repeated
    #[arg(long = "user", value_name = "USER", required = true)]
    users: Vec<Ref>,
    /// What to back up; can be repeated
    #[arg(long = "feature", value_name = "FEATURE", default_value = "mailbox", value_delimiter = ',')]
    features: Vec<FeatureName>,
    /// How it is kept; may be left out where there is only one policy
    #[arg(long)]
    policy: Option<Ref>,
    /// Wait until it is done
    #[arg(long)]
    wait: bool,
}

pub async fn run(session: &Session, backup: Backup) -> Result<(), CliError> {
    let body = NewBackupBody { resources: backup.users, features: backup.features, policy: backup.policy };
    let started: RunStarted = session.client.post("backups", &body).await?;
    progress::run_started(session, &started, backup.wait).await
}

//! `kodo policy`.

use clap::{Args, Subcommand};

use super::client::segment;
use super::exit::CliError;
use super::{Limit, Session};
use crate::api::Ref;
use crate::api::policies::{KeepBody, NewPolicyBody, PolicyView};
use crate::catalog::Keep;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a policy
    Add(Add),
    /// List policies
    List(Limit),
    /// Change for how long a policy keeps restore points
    Keep {
        policy: Ref,
        #[command(flatten)]
        rules: Rules,
        /// Keep every point, whatever its age
        #[arg(long, required_unless_present = "rule", conflicts_with = "rule")]
        everything: bool,
    },
}

/// A point that one of these keeps is kept, and the newest one always. Days, weeks and months are those of UTC.
#[derive(Clone, Copy, Debug, Args)]
#[group(id = "rule", multiple = true)]
pub struct Rules {
    /// Keep the newest N points
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_last: Option<u32>,
    /// Keep every point of the N days before the newest one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_days: Option<u32>,
    /// Keep the newest point of each of the last N days that have one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_daily: Option<u32>,
    /// The same for weeks, which begin on Monday
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_weekly: Option<u32>,
    /// The same for months
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_monthly: Option<u32>,
    /// The same for years
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_yearly: Option<u32>,
}

impl From<Rules> for KeepBody {
    fn from(rules: Rules) -> Self {
        let number = |rule: Option<u32>| rule.unwrap_or(0);
        Self {
            last: number(rules.keep_last),
            days: number(rules.keep_days),
            daily: number(rules.keep_daily),
            weekly: number(rules.keep_weekly),
            monthly: number(rules.keep_monthly),
            yearly: number(rules.keep_yearly),
        }
    }
}

#[derive(Debug, Args)]
pub struct Add {
    name: String,
    /// Where backups are kept
    #[arg(long)]
    storage: Ref,
    /// May be left out where there is only one
    #[arg(long)]
    organization: Option<Ref>,
    /// For how long restore points are kept; without any rule all are.
    #[command(flatten)]
    rules: Rules,
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(add) => {
            let body = NewPolicyBody {
                organization: add.organization,
                name: add.name,
                storage: add.storage,
                keep: add.rules.into(),
            };
            let added: PolicyView = session.client.post("policies", &body).await?;
            session.out.done(&added, &format!("policy {} added: {}", added.id, added.name))
        }
        Command::List(Limit { limit }) => {
            let page = session.client.list::<PolicyView>("policies", &[], limit).await?;
            session.out.list(&page, &["id", "name", "organization", "storage", "keeps"], |view| {
                vec![
                    view.id.to_string(),
                    view.name.clone(),
                    view.organization_id.to_string(),
                    view.storage_id.to_string(),
                    Keep::from(view.keep).to_string(),
                ]
            })
        }
        Command::Keep { policy, rules, everything: _ } => {
            let path = format!("policies/{}/retention", segment(&policy.to_path()));
            let changed: PolicyView = session.client.post(&path, &KeepBody::from(rules)).await?;
            session.out.done(&changed, &format!("policy {} keeps {}", changed.name, Keep::from(changed.keep)))
        }
    }
}

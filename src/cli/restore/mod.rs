//! `kodo restore`.

mod start;
mod view;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::exit::CliError;
use super::{Limit, Session, browse, progress, rehearsal};
use crate::api::restores::{RestoreDetail, RestoreView};
use crate::ids::RestoreId;

pub use view::show;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Restore {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: start::Start,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List restores, newest first
    List(Limit),
    /// Show one restore and what it could not bring back
    Show {
        restore: RestoreId,
        /// Wait until it is done
        #[arg(long)]
        wait: bool,
    },
    /// Write what became of each item, as CSV or as one JSON object a line
    Report {
        restore: RestoreId,
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
        /// To this file instead of standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Restore a sample of every protected feature into a sandbox, compare it, and delete it there again
    Rehearse(rehearsal::Start),
    /// Cancel what is left of a restore; what came back stays
    Cancel { restore: RestoreId },
    /// Try again what failed or was left undone, and nothing else
    Retry {
        restore: RestoreId,
        /// Wait until it is done
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Csv,
    Json,
}

pub async fn run(session: &Session, restore: Restore) -> Result<(), CliError> {
    match restore.command {
        None => start::start(session, restore.start).await,
        Some(Command::List(Limit { limit })) => view::list(session, limit).await,
        Some(Command::Show { restore, wait: true }) => progress::wait_for_restore(session, restore).await,
        Some(Command::Show { restore, wait: false }) => {
            let view: RestoreDetail = session.client.get(&format!("restores/{restore}"), &[]).await?;
            show(session, &view)
        }
        Some(Command::Report { restore, format, output }) => {
            let format = match format {
                Format::Csv => "csv",
                Format::Json => "json",
            };
            browse::write_content(session, &format!("restores/{restore}/report?format={format}"), output).await
        }
        Some(Command::Rehearse(start)) => rehearsal::start(session, start).await,
        Some(Command::Cancel { restore }) => {
            let view: RestoreView = session.client.post(&format!("restores/{restore}/cancel"), &json!({})).await?;
            let line = match view.state.as_str() {
                "running" => format!("restore {restore} is being stopped"),
                state => format!("restore {restore} is {state}"),
            };
            session.out.done(&view, &line)
        }
        Some(Command::Retry { restore, wait }) => {
            let view: RestoreView = session.client.post(&format!("restores/{restore}/retry"), &json!({})).await?;
            if wait {
                return progress::wait_for_restore(session, restore).await;
            }
            let line = format!("restore {restore} is tried again\nnext: kodo restore show {restore} --wait");
            session.out.done(&view, &line)
        }
    }
}

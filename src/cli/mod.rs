//! The command line: one file a group of commands.
//!
//! Owns: the words of the command line, how the server is found, tables, progress bars and exit codes. Does not own:
//! anything that the API does not do as well; a client command is a request and a table.
//!
//! Invariants: a secret is never an argument; standard output carries results only; every command ends with a code of
//! [`exit::Exit`].

mod agent;
mod audit;
mod backup;
mod browse;
mod check_config;
mod client;
mod coverage;
mod exit;
mod export;
mod findings;
mod issue;
mod organization;
mod output;
mod point;
mod policy;
mod process;
mod progress;
mod reach;
mod rebuild;
mod received;
mod rehearsal;
mod rescue;
mod resource;
mod restore;
mod run;
mod schedule;
mod search;
mod sheet;
mod status;
mod storage;
mod storage_key;
mod task;
mod tenant;
mod unlock;
mod verify_storage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use client::Client;
use exit::{CliError, Exit};
use output::Output;

/// KODO backs up and restores Microsoft 365 data.
#[derive(Debug, Parser)]
#[command(name = "kodo", version, after_help = exit::HELP, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Configuration file [default: /etc/kodo/kodo.toml, or KODO_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// URL of the server [default: the one on this machine, or KODO_SERVER]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// PEM file with the certificate to trust [default: the server's own, when it is on this machine]
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// File with the API token [default: KODO_TOKEN, or admin-token in the state directory]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print JSON, with the names of the API
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prepare this machine: state directory, keys, database, and a first admin with a token
    Init,
    /// Run scheduler, API and an agent
    Serve,
    /// Run an agent alone, against the database and storages of a server
    Worker,
    /// Bring the database to this version's schema
    Migrate,
    /// Rebuild the catalog from a storage: after the database was lost, or after an old dump of it was restored
    RebuildCatalog(rebuild::RebuildCatalog),
    /// Read what a storage holds, without a database: list it, or write it to files
    #[command(subcommand)]
    Rescue(rescue::Command),
    /// Read the configuration, say what was read and whether it is valid
    CheckConfig,
    /// Prove that a storage is what was written, without server, database and key
    VerifyStorage(verify_storage::VerifyStorage),
    /// Organizations: administrative homes of tenants
    #[command(subcommand)]
    Organization(organization::Command),
    /// Tenants: Entra tenants and their credentials
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Resources: the users of a tenant
    #[command(subcommand)]
    Resource(resource::Command),
    /// Storages: where backups lie
    #[command(subcommand)]
    Storage(storage::Command),
    /// Policies: how backups are kept
    #[command(subcommand)]
    Policy(policy::Command),
    /// Schedules: who, what and when
    #[command(subcommand)]
    Schedule(schedule::Command),
    /// Runs: backups of many, by a schedule or by hand
    #[command(subcommand)]
    Run(run::Command),
    /// Tasks: one feature of one resource, one restore
    #[command(subcommand)]
    Task(task::Command),
    /// Back up now
    Backup(backup::Backup),
    /// Restore points
    #[command(subcommand)]
    Point(point::Command),
    /// List folders and items as of a restore point
    Ls(browse::Ls),
    /// Show one item of a restore point
    Show(browse::Show),
    /// Find items of all resources of an organization
    Search(search::Search),
    /// Show what an item was over the restore points
    Versions(search::Versions),
    /// Bring items back to Microsoft 365
    Restore(restore::Restore),
    /// Rehearsals: restores for practice into a sandbox, and how faithful they were
    #[command(subcommand)]
    Rehearsal(rehearsal::Command),
    /// Hand items out as files, in an archive
    Export(export::Export),
    /// Items that could not be backed up
    #[command(subcommand)]
    Issue(issue::Command),
    /// What is protected, how much of it, and what is not
    Coverage(coverage::Coverage),
    /// Who was given content, and who decided about that, newest first
    Audit(Limit),
    /// Agents: the processes that do the work
    #[command(subcommand)]
    Agent(agent::Command),
    /// How everything stands
    Status,
}

/// What a client command works with.
pub struct Session {
    client: Client,
    out: Output,
}

/// Parses the command line, runs the command and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => Exit::Ok.into(),
        Err(CliError::OutputClosed) => Exit::Ok.into(),
        Err(err) => {
            // Standard error may be closed as well; the exit code still tells.
            drop(output::remark(&format!("error: {err}")));
            err.exit().into()
        }
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    let Cli { global, command } = cli;
    let out = Output { json: global.json };
    match command {
        Command::Init => process::init(&global, out),
        Command::Serve => process::serve(&global),
        Command::Worker => process::worker(&global),
        Command::Migrate => process::migrate(&global, out),
        Command::CheckConfig => check_config::run(&global, out),
        Command::VerifyStorage(verify) => process::block_on(verify_storage::run(out, verify))?,
        Command::RebuildCatalog(rebuild) => rebuild::run(&global, out, rebuild),
        Command::Rescue(command) => process::block_on(rescue::run(out, command))?,
        other => process::block_on(client_command(global, out, other))?,
    }
}

async fn client_command(global: Global, out: Output, command: Command) -> Result<(), CliError> {
    let session = Session { client: reach::connect(&global)?, out };
    match command {
        Command::Init
        | Command::Serve
        | Command::Worker
        | Command::Migrate
        | Command::RebuildCatalog(_)
        | Command::Rescue(_)
        | Command::CheckConfig
        | Command::VerifyStorage(_) => unreachable!("run by the caller, without a server"),
        Command::Organization(command) => organization::run(&session, command).await,
        Command::Tenant(command) => tenant::run(&session, command).await,
        Command::Resource(command) => resource::run(&session, command).await,
        Command::Storage(command) => storage::run(&session, command).await,
        Command::Policy(command) => policy::run(&session, command).await,
        Command::Schedule(command) => schedule::run(&session, command).await,
        Command::Run(command) => run::run(&session, command).await,
        Command::Task(command) => task::run(&session, command).await,
        Command::Backup(backup) => backup::run(&session, backup).await,
        Command::Point(command) => point::run(&session, command).await,
        Command::Ls(ls) => browse::ls(&session, ls).await,
        Command::Show(show) => browse::show(&session, show).await,
        Command::Search(search) => search::search(&session, search).await,
        Command::Versions(versions) => search::versions(&session, versions).await,
        Command::Restore(restore) => restore::run(&session, restore).await,
        Command::Rehearsal(command) => rehearsal::run(&session, command).await,
        Command::Export(export) => export::run(&session, export).await,
        Command::Audit(limit) => audit::run(&session, limit).await,
        Command::Issue(command) => issue::run(&session, command).await,
        Command::Coverage(coverage) => coverage::run(&session, coverage).await,
        Command::Agent(command) => agent::run(&session, command).await,
        Command::Status => status::run(&session).await,
    }
}

/// How many items a listing shows.
#[derive(Debug, Args)]
pub struct Limit {
    /// Show at most so many
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_argument_takes_a_secret() {
        fn arguments(command: &clap::Command, found: &mut Vec<String>) {
            found.extend(command.get_arguments().map(|argument| argument.get_id().to_string()));
            command.get_subcommands().for_each(|sub| arguments(sub, found));
        }
        let mut found = Vec::new();

        arguments(&Cli::command(), &mut found);

        let secret = |id: &String| ["secret", "password", "token", "key"].iter().any(|word| id.contains(word));
        let bare: Vec<_> = found.iter().filter(|id| secret(id) && !id.ends_with("_file")).collect();
        assert!(bare.is_empty(), "{bare:?} would show in the process list");
    }
}

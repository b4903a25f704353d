//! What `script/bench store` and `script/bench catalog` are made of: a corpus or a catalog from a seed, and the steps of a
//! measurement, each a process of its own so that its time, its CPU and its memory can be told from the others'.
//!
//! Every step works with the product's own code on a real MariaDB and a real directory. It prints one line of JSON.

mod catalog;
mod churn;
mod corpus;
mod ground;
mod ingest;
mod read;
mod share;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use serde_json::Value;

use ground::Ground;

#[derive(Parser)]
#[command(about = "Steps of a measurement of KODO's repository")]
struct Arguments {
    #[command(subcommand)]
    step: Step,
}

/// Which installation, and which of its storages.
#[derive(Args)]
struct At {
    /// The configuration of a prepared installation ("kodo init")
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The name of the storage
    #[arg(long, default_value = "bench")]
    storage: String,
}

#[derive(Subcommand)]
enum Step {
    /// Writes a corpus of mails, items and files
    Corpus {
        dir: PathBuf,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// About how much
        #[arg(long, default_value_t = 1_000_000_000)]
        bytes: u64,
    },
    /// Runs the managed MariaDB of the installation until it is told to stop
    Database {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Makes a directory a storage
    AddStorage {
        #[command(flatten)]
        at: At,
        /// An empty directory
        path: PathBuf,
    },
    /// Stores a corpus as backups would
    Ingest {
        #[command(flatten)]
        at: At,
        dir: PathBuf,
        /// Folders at once
        #[arg(long, default_value_t = 4)]
        workers: usize,
    },
    /// Backs up changing halves of a corpus, gives up older points and frees their space, all at once, until it is killed
    Churn {
        #[command(flatten)]
        at: At,
        dir: PathBuf,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Reads all that the catalog knows
    Prove {
        #[command(flatten)]
        at: At,
    },
    /// Stores items without content, as many as asked for: what a rebuild of the catalog takes its time with
    Fill {
        #[command(flatten)]
        at: At,
        #[arg(long, default_value_t = 300_000)]
        items: u32,
    },
    /// Reads random mails, one after the other
    ReadOne {
        #[command(flatten)]
        at: At,
        #[arg(long, default_value_t = 3000)]
        reads: usize,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Writes everything that is stored into files
    Restore {
        #[command(flatten)]
        at: At,
        dir: PathBuf,
        /// Folders at once
        #[arg(long, default_value_t = 4)]
        workers: usize,
    },
    /// Writes a catalog of many item versions, of which no storage knows
    FillCatalog {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        #[arg(long, default_value_t = 10_000_000)]
        versions: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[arg(long, value_enum, default_value_t = catalog::How::Loaded)]
        how: catalog::How,
    },
    /// Browses and searches such a catalog
    AskCatalog {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// As many as were filled
        #[arg(long)]
        users: u32,
        /// Of each kind
        #[arg(long, default_value_t = 100)]
        questions: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Proves every blob of every pack, one pack after the other
    Verify3 {
        #[command(flatten)]
        at: At,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(found) = Box::pin(run(Arguments::parse().step)).await? else { return Ok(()) };
    println!("{found}");
    Ok(())
}

async fn run(step: Step) -> anyhow::Result<Option<Value>> {
    let found = match step {
        Step::Corpus { dir, seed, bytes } => corpus::write(&dir, seed, bytes)?,
        Step::Database { config } => {
            ground::keep_database(&config).await?;
            return Ok(None);
        }
        Step::AddStorage { at, path } => ground::add_storage(&at.config, &at.storage, &path).await?,
        Step::Ingest { at, dir, workers } => ingest::run(open(&at).await?, &dir, workers).await?,
        Step::Churn { at, dir, seed } => Box::pin(churn::run(open(&at).await?, &dir, seed)).await?,
        Step::Prove { at } => churn::prove(&open(&at).await?).await?,
        Step::Fill { at, items } => Box::pin(ingest::fill(open(&at).await?, items)).await?,
        Step::FillCatalog { config, versions, seed, how } => {
            let (config, db) = ground::database(&config)?;
            catalog::fill(&config, &db, seed, versions, how).await?
        }
        Step::AskCatalog { config, users, questions, seed } => {
            catalog::ask(&ground::database(&config)?.1, seed, users, questions).await?
        }
        Step::ReadOne { at, reads, seed } => read::one_by_one(open(&at).await?, reads, seed).await?,
        Step::Restore { at, dir, workers } => read::restore(open(&at).await?, &dir, workers).await?,
        Step::Verify3 { at } => read::verify(&open(&at).await?).await?,
    };
    Ok(Some(found))
}

async fn open(at: &At) -> anyhow::Result<Ground> {
    Ground::open(&at.config, &at.storage).await.with_context(|| format!("cannot open storage {}", at.storage))
}

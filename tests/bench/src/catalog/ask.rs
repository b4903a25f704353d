//! Questions to the catalog, as handlers of the API ask them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::{DateTime, TimeDelta, Utc};
use kodo::catalog::items::{self, After, Within};
use kodo::catalog::search::{self, Filter, Moment};
use kodo::catalog::{self, Chain};
use kodo::db::{Conn, Db};
use kodo::ids::{ChainId, ContainerId, ItemKey, PointNumber, ResourceId, VersionNumber};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::make::{CONTAINERS, DAYS_BEFORE, Language, POINTS, folder_key, sealed_at};

/// Rows of a page that is browsed, and hits of a page that is searched: what the API answers with by default.
const PAGE: u32 = 100;
/// Folders of a drive that are browsed: the first ones, which every drive has.
const FOLDERS: u32 = 40;

/// What a question of one kind looks for.
#[derive(Clone, Copy)]
enum Kind {
    Words(usize),
    Sender,
    Recipient,
    Attachment,
    WordAndDates,
    WordAndSize,
    WordAndFolder,
    File,
    Dates,
    Deleted,
    DeletedThen,
    WordsThen,
    OfOneUser,
}

const KINDS: [(&str, Kind); 15] = [
    ("one word", Kind::Words(1)),
    ("two words", Kind::Words(2)),
    ("three words", Kind::Words(3)),
    ("sender", Kind::Sender),
    ("recipient", Kind::Recipient),
    ("attachment", Kind::Attachment),
    ("word and dates", Kind::WordAndDates),
    ("word and size", Kind::WordAndSize),
    ("word and folder", Kind::WordAndFolder),
    ("word and extension", Kind::File),
    ("dates", Kind::Dates),
    ("word, deleted", Kind::Deleted),
    ("word, deleted, as of", Kind::DeletedThen),
    ("two words, as of", Kind::WordsThen),
    ("word, one user", Kind::OfOneUser),
];

/// Durations of questions.
#[derive(Default)]
struct Took(Vec<Duration>);

impl Took {
    /// What so many of a hundred stay below, in milliseconds.
    fn below(&mut self, of_hundred: usize) -> f64 {
        self.0.sort_unstable();
        let at = (self.0.len() * of_hundred).div_ceil(100).max(1) - 1;
        self.0.get(at).map_or(0.0, |took| (took.as_secs_f64() * 10_000.0).round() / 10.0)
    }

    fn told(&mut self) -> Value {
        json!({ "p50_ms": self.below(50), "p99_ms": self.below(99), "max_ms": self.below(100) })
    }
}

/// Asks so many questions of each kind, one after the other, and tells how long they took.
pub async fn ask(db: &Db, seed: u64, users: u32, questions: u32) -> anyhow::Result<Value> {
    let language = Language::new(seed);
    let mut dice = StdRng::seed_from_u64(seed + 2);
    let chains = chains(db, (1..=users).map(ResourceId::new).collect()).await?;
    ensure!(!chains.is_empty(), "the catalog is empty: fill it first");
    let (mut newest, mut past, mut all) = (Took::default(), Took::default(), Took::default());
    let mut by_kind: Vec<(&str, Took, usize)> = KINDS.iter().map(|(name, _)| (*name, Took::default(), 0)).collect();
    for _ in 0..questions {
        for ((_, kind), (_, took, n_hits)) in KINDS.iter().zip(&mut by_kind) {
            let chain = &chains[dice.random_range(0..chains.len())];
            newest.0.push(browse(db, &mut dice, chain, PointNumber::new(POINTS)).await?);
            let point = PointNumber::new(dice.random_range(1..POINTS));
            past.0.push(browse(db, &mut dice, chain, point).await?);
            let (asked, hits) = find(db, &language, &mut dice, *kind, users).await?;
            took.0.push(asked);
            all.0.push(asked);
            *n_hits += hits;
        }
    }
    let kinds: serde_json::Map<String, Value> = by_kind
        .into_iter()
        .map(|(name, mut took, n_hits)| {
            let mut told = took.told();
            told["hits"] = json!(n_hits);
            (name.to_owned(), told)
        })
        .collect();
    Ok(json!({
        "browse_p99_ms": newest.below(99),
        "point_in_time_p99_ms": past.below(99),
        "search_p99_ms": all.below(99),
        "browse": newest.told(),
        "point_in_time": past.told(),
        "search": all.told(),
        "search_by_kind": kinds,
    }))
}

async fn chains(db: &Db, resources: Vec<ResourceId>) -> anyhow::Result<Vec<Chain>> {
    Ok(db.run("list chains", move |conn| catalog::chains::of_resources(conn, &resources)).await?)
}

/// A page of a folder: its first one, or one somewhere in it. All that the handler reads is read.
async fn browse(db: &Db, dice: &mut StdRng, chain: &Chain, point: PointNumber) -> anyhow::Result<Duration> {
    let (id, is_drive) = (chain.id, chain.key.feature.as_str() == "onedrive");
    let parent = is_drive.then(|| folder_key(chain.key.resource.get(), dice.random_range(0..FOLDERS)));
    let folder = if chain.key.feature.as_str() == "mailbox" { dice.random_range(0..CONTAINERS) } else { 0 };
    let time = sealed_at(point.get()) - TimeDelta::days(i64::from(dice.random_range(0..DAYS_BEFORE)));
    let somewhere = After { parent, time, number: VersionNumber::NONE };
    let after = dice.random_bool(0.5).then_some(somewhere);
    let look = move |conn: &mut Conn| page(conn, id, point, (folder as usize, parent), after);
    let asked = Instant::now();
    db.run("browse", look).await?;
    Ok(asked.elapsed())
}

fn page(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    (folder, parent): (usize, Option<ItemKey>),
    after: Option<After>,
) -> kodo::db::QueryResult<()> {
    let all = catalog::containers::as_of(conn, chain, point)?;
    let ids: Vec<ContainerId> = all.iter().map(|container| container.id).collect();
    let Some(container) = ids.get(folder % ids.len().max(1)).copied() else { return Ok(()) };
    // What stands for the folder as a whole, if anything does.
    items::browse(conn, chain, point, (container, Within::Parent(None)), None, 2)?;
    catalog::tallies::as_of(conn, point, &ids)?;
    items::browse(conn, chain, point, (container, Within::Parent(parent)), after, PAGE + 1)?;
    Ok(())
}

async fn find(
    db: &Db,
    language: &Language,
    dice: &mut StdRng,
    kind: Kind,
    users: u32,
) -> anyhow::Result<(Duration, usize)> {
    let filter = question(language, dice, kind);
    let resources: Vec<ResourceId> = match kind {
        Kind::OfOneUser => vec![ResourceId::new(dice.random_range(1..=users))],
        _ => (1..=users).map(ResourceId::new).collect(),
    };
    let asked = Instant::now();
    // What the handler does: whose chains there are, then the search in them.
    let ids: Vec<ChainId> = chains(db, resources).await?.iter().map(|chain| chain.id).collect();
    let look = move |conn: &mut Conn| search::find(conn, &ids, &filter, None, PAGE as usize);
    let hits = db.run("search", look).await?.hits.len();
    Ok((asked.elapsed(), hits))
}

fn question(language: &Language, dice: &mut StdRng, kind: Kind) -> Filter {
    let words = |dice: &mut StdRng, n: usize| language.prose.sentence(dice, n..=n);
    let then = |dice: &mut StdRng| sealed_at(dice.random_range(1..POINTS)) + TimeDelta::hours(1);
    let time = |dice: &mut StdRng| -> DateTime<Utc> {
        sealed_at(POINTS) - TimeDelta::days(i64::from(dice.random_range(0..DAYS_BEFORE)))
    };
    let mut filter = Filter::default();
    match kind {
        Kind::Words(n) => filter.text = words(dice, n),
        Kind::Sender => filter.from = language.person(dice).to_owned(),
        Kind::Recipient => filter.to = language.person(dice).to_owned(),
        Kind::Attachment => filter.attachment = language.file(dice),
        Kind::WordAndDates | Kind::Dates => {
            let until = time(dice);
            (filter.since, filter.until) = (Some(until - TimeDelta::days(30)), Some(until));
            if matches!(kind, Kind::WordAndDates) {
                filter.text = words(dice, 1);
            }
        }
        Kind::WordAndSize => (filter.text, filter.bytes_min) = (words(dice, 1), Some(4 << 20)),
        Kind::WordAndFolder => {
            let folder = dice.random_range(1..=CONTAINERS);
            (filter.text, filter.folder) = (words(dice, 1), format!("Folder {folder}"));
        }
        Kind::File => (filter.text, filter.extension) = (words(dice, 1), "pdf".to_owned()),
        Kind::Deleted => (filter.text, filter.deleted_only) = (words(dice, 1), true),
        Kind::DeletedThen => {
            (filter.text, filter.deleted_only) = (words(dice, 1), true);
            filter.moment = Moment::At(then(dice));
        }
        Kind::WordsThen => (filter.text, filter.moment) = (words(dice, 2), Moment::At(then(dice))),
        Kind::OfOneUser => filter.text = words(dice, 1),
    }
    filter
}

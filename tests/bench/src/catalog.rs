//! A catalog of many item versions, written through the bulk path of a rebuild, and questions to it.
//!
//! Names are sentences of a made-up language in which words are as frequent as in real ones; people write to few often
//! and to many seldom; some items change, move and go. Nothing of it lies in a storage: only MariaDB is measured.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use kodo::catalog::items::{self, After, VersionRow, Within};
use kodo::catalog::search::{self, Filter, Moment, Text};
use kodo::catalog::{self, ChainKey, ContainerState, ContentRef, NewVersion, rebuild};
use kodo::db::{Conn, Db, QueryResult};
use kodo::ids::{
    BlobId, ChainId, ContainerId, ItemKey, PackId, PointNumber, ResourceId, StorageId, TaskId, VersionNumber,
    WalkNumber,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::corpus::prose::Prose;

/// Versions of one mailbox, about; the other features of its user have a tenth to a fifth of that.
const MAILBOX: u32 = 30_000;
/// What the features of a user have, in hundredths of what the user has.
const SHARES: [(&str, u32); 4] = [("mailbox", 84), ("calendar", 4), ("contacts", 2), ("onedrive", 10)];
const CONTAINERS: u32 = 25;
const POINTS: u32 = 30;
const PEOPLE: usize = 4000;
/// Rows of one transaction.
const TOGETHER: usize = 2 * search::TEXTS_PER_PAGE;
/// Rows of a page that is browsed, and hits of a page that is searched.
const PAGE: u32 = 100;
const SECONDS_A_YEAR: u32 = 365 * 24 * 3600;
const YEARS: u32 = 8;

fn last_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap_or_default()
}

/// What names are made of.
struct Language {
    prose: Prose,
    people: Vec<String>,
}

impl Language {
    fn new(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let prose = Prose::new(&mut dice);
        let person = |n: usize| {
            let (first, last) = (prose.name(&mut dice), prose.name(&mut dice));
            let house = ["contoso", "fabrikam", "adatum", "northwind"][n % 4];
            format!("{first}.{last}@{house}.example").to_lowercase()
        };
        let people = (0..PEOPLE).map(person).collect();
        Self { prose, people }
    }

    /// Few write often, many seldom.
    fn person(&self, dice: &mut StdRng) -> &str {
        let rank = (PEOPLE as f64).powf(dice.random::<f64>()) as usize;
        &self.people[rank.clamp(1, PEOPLE) - 1]
    }

    fn file(&self, dice: &mut StdRng) -> String {
        let name = self.prose.sentence(dice, 1..=3).replace([' ', ','], "_");
        format!("{name}_{}.{}", dice.random_range(1..100), ["pdf", "docx", "xlsx", "png"][dice.random_range(0..4)])
    }
}

/// Writes about so many versions.
pub async fn fill(db: &Db, seed: u64, versions: u32) -> anyhow::Result<Value> {
    let language = Language::new(seed);
    let mut dice = StdRng::seed_from_u64(seed + 1);
    let (mut written, mut user) = (0u32, 0);
    let from = Instant::now();
    while written < versions {
        user += 1;
        let of_user = MAILBOX * 100 / SHARES[0].1 / 2 * dice.random_range(1..4);
        for (feature, share) in SHARES {
            written += chain(db, &language, &mut dice, (user, feature), of_user * share / 100).await?;
        }
    }
    Ok(json!({ "versions": written, "users": user, "seconds": from.elapsed().as_secs_f64() }))
}

async fn chain(
    db: &Db,
    language: &Language,
    dice: &mut StdRng,
    (user, feature): (u32, &str),
    versions: u32,
) -> anyhow::Result<u32> {
    let key = ChainKey {
        resource: ResourceId::new(user),
        feature: feature.parse().context("features have plain names")?,
        storage: StorageId::new(1),
    };
    let (id, containers) = db.run("begin a chain", move |conn| begin(conn, &key)).await?;
    let mut rows = Vec::with_capacity(versions as usize + 1);
    let mut texts = Vec::with_capacity(versions as usize);
    let mut n_item = 0;
    while (rows.len() as u32) < versions {
        n_item += 1;
        let graph_id = format!("{user}/{feature}/{n_item}");
        item(language, dice, &containers, feature, &graph_id, &mut rows, &mut texts);
    }
    // As commits would write them: point by point, and within a commit in the order of the keys.
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|at| rows[*at].from);
    for together in order.chunks_mut(1000) {
        together.sort_by_key(|at| (rows[*at].from, rows[*at].version.key));
    }
    let mut sorted: Vec<VersionRow> = order.into_iter().map(|at| rows[at].clone()).collect();
    (1..).zip(&mut sorted).for_each(|(number, row)| row.number = VersionNumber::new(number));
    write(db, id, sorted, texts).await?;
    Ok(rows.len() as u32)
}

fn begin(conn: &mut Conn, key: &ChainKey) -> QueryResult<(ChainId, Vec<ContainerId>)> {
    let chain = catalog::chains::open(conn, key)?.id;
    let mut containers = Vec::new();
    for number in 1..=POINTS {
        let point = catalog::points::open_point(conn, chain, None, TaskId::new(1))?;
        for folder in (0..CONTAINERS).filter(|_| number == 1) {
            let id = catalog::containers::identify(conn, chain, &format!("folder {folder}"))?;
            let state = ContainerState {
                graph_id: format!("folder {folder}"),
                parent: None,
                name: format!("Folder {folder}"),
                hidden: false,
                well_known: None,
                n_items: None,
            };
            catalog::containers::put(conn, chain, point, id, &state)?;
            containers.push(id);
        }
        catalog::points::seal(conn, chain, point, 0)?;
    }
    Ok((chain, containers))
}

/// An item with its versions: some change, some go.
fn item(
    language: &Language,
    dice: &mut StdRng,
    containers: &[ContainerId],
    feature: &str,
    graph_id: &str,
    rows: &mut Vec<VersionRow>,
    texts: &mut Vec<Text>,
) {
    let key = ItemKey::of(graph_id);
    let born = if dice.random_bool(0.75) { 1 } else { dice.random_range(2..=POINTS) };
    let age = TimeDelta::seconds(i64::from(dice.random_range(0..YEARS * SECONDS_A_YEAR)));
    let is_mail = feature == "mailbox";
    let party = if feature == "onedrive" { language.people[0].as_str() } else { language.person(dice) };
    let name = match feature {
        "onedrive" => language.file(dice),
        "contacts" => format!("{} {}", language.prose.name(dice), language.prose.name(dice)),
        _ => language.prose.sentence(dice, 2..=9),
    };
    let mut gathered = String::new();
    for _ in 0..if is_mail || feature == "calendar" { dice.random_range(1..4) } else { 0 } {
        gathered.push_str(&format!(">{}\n", language.person(dice)));
    }
    let has_file = is_mail && dice.random_bool(0.15);
    if has_file {
        gathered.push_str(&format!("+{}\n", language.file(dice)));
    }
    let rank = f64::from(CONTAINERS).powf(dice.random::<f64>()) as usize;
    let n_refs = if has_file { dice.random_range(2..4) } else { usize::from(dice.random_bool(0.6)) };
    let blob = |dice: &mut StdRng| BlobId::from_bytes(dice.random());
    let mut version = NewVersion {
        key,
        container: containers[rank.clamp(1, containers.len()) - 1],
        parent: (feature == "onedrive").then(|| ItemKey::of(&format!("folder {}", dice.random_range(0..200)))),
        full_walk: WalkNumber::FIRST,
        kind: 1,
        flags: dice.random_range(0..64),
        change_tag: dice.random(),
        name,
        party: party.to_owned(),
        time: last_time() - age,
        bytes: 1 << dice.random_range(10..24),
        properties: ContentRef { pack: PackId::new(dice.random_range(1..5000)), blob: blob(dice) },
        content: Some(ContentRef { pack: PackId::new(dice.random_range(1..5000)), blob: blob(dice) }),
        refs: (0..n_refs).map(|_| blob(dice)).collect(),
    };
    texts.push(Text::of(key, (&version.name, &version.party, version.time), &gathered));
    let end = if dice.random_bool(0.08) { dice.random_range(born..=POINTS) + 1 } else { u32::MAX };
    let changed = if dice.random_bool(0.12) { dice.random_range(born..=POINTS) + 1 } else { u32::MAX };
    let row = |from: u32, to: u32, version: &NewVersion| {
        let (from, to) = (PointNumber::new(from), if to > POINTS { PointNumber::OPEN } else { PointNumber::new(to) });
        VersionRow { number: VersionNumber::NONE, from, to, version: version.clone() }
    };
    rows.push(row(born, end.min(changed), &version));
    if changed <= POINTS && changed < end {
        (version.change_tag, version.flags) = (dice.random(), version.flags ^ 1);
        version.properties.blob = blob(dice);
        rows.push(row(changed, end, &version));
    }
}

async fn write(db: &Db, id: ChainId, rows: Vec<VersionRow>, texts: Vec<Text>) -> anyhow::Result<()> {
    for batch in rows.chunks(TOGETHER) {
        let batch = batch.to_vec();
        db.transaction::<_, std::convert::Infallible, _>("write versions", move |conn| {
            Ok(rebuild::put_versions(conn, id, &batch)?)
        })
        .await?;
    }
    let mut page = 1;
    for batch in texts.chunks(TOGETHER) {
        let (batch, number) = (batch.to_vec(), page);
        page += search::n_pages(batch.len());
        db.transaction::<_, std::convert::Infallible, _>("write texts", move |conn| {
            Ok(search::put_pages(conn, id, number, &batch)?)
        })
        .await?;
    }
    Ok(())
}

/// Asks so many questions of each kind, one after the other, and tells how long the slowest hundredth took.
pub async fn ask(db: &Db, seed: u64, users: u32, questions: u32) -> anyhow::Result<Value> {
    let language = Language::new(seed);
    let mut dice = StdRng::seed_from_u64(seed + 2);
    let resources: Vec<ResourceId> = (1..=users).map(ResourceId::new).collect();
    let chains = db.run("list chains", move |conn| catalog::chains::of_resources(conn, &resources)).await?;
    ensure!(!chains.is_empty(), "the catalog is empty: fill it first");
    let ids: Vec<ChainId> = chains.iter().map(|chain| chain.id).collect();
    let (mut browsed, mut past, mut searched, mut hits) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for n in 0..questions {
        let chain = ids[dice.random_range(0..ids.len())];
        let age = i64::from(dice.random_range(0..YEARS * SECONDS_A_YEAR));
        let (folder, time) = (dice.random_range(0..CONTAINERS), last_time() - TimeDelta::seconds(age));
        let point = PointNumber::new(dice.random_range(1..POINTS));
        browsed.push(browse(db, chain, PointNumber::new(POINTS), folder, time).await?);
        past.push(browse(db, chain, point, folder, time).await?);
        let filter = question(&language, &mut dice, n, time);
        // What the handler does: whose chains there are, then the search in them.
        let resources: Vec<ResourceId> = (1..=users).map(ResourceId::new).collect();
        let asked = Instant::now();
        let look = move |conn: &mut Conn| {
            let chains = catalog::chains::of_resources(conn, &resources)?;
            let ids: Vec<ChainId> = chains.iter().map(|chain| chain.id).collect();
            search::find(conn, &ids, &filter, None, PAGE as usize)
        };
        hits += db.run("search", look).await?.hits.len();
        searched.push((asked.elapsed(), n % KINDS));
    }
    let mut by_kind = serde_json::Map::new();
    for kind in 0..KINDS {
        let of_kind = searched.iter().filter(|(_, of)| *of == kind).map(|(took, _)| *took).collect();
        by_kind.insert(KIND_NAMES[kind as usize].to_owned(), json!(slowest_ms(of_kind)));
    }
    Ok(json!({
        "browse_p99_ms": slowest_ms(browsed),
        "point_in_time_p99_ms": slowest_ms(past),
        "search_p99_ms": slowest_ms(searched.into_iter().map(|(took, _)| took).collect()),
        "search_p99_ms_by_kind": by_kind,
        "questions": questions,
        "hits": hits,
    }))
}

async fn browse(
    db: &Db,
    chain: ChainId,
    point: PointNumber,
    folder: u32,
    time: DateTime<Utc>,
) -> anyhow::Result<Duration> {
    let asked = Instant::now();
    let look = move |conn: &mut Conn| {
        let all = catalog::containers::as_of(conn, chain, point, 100_000)?;
        let ids: Vec<ContainerId> = all.iter().map(|container| container.id).collect();
        catalog::tallies::as_of(conn, point, &ids)?;
        let within = (ids[folder as usize % ids.len()], Within::Anywhere);
        let after = After { parent: None, time, number: VersionNumber::NONE };
        items::browse(conn, chain, point, within, Some(after), PAGE)
    };
    db.run("browse", look).await?;
    Ok(asked.elapsed())
}

const KINDS: u32 = 10;
const KIND_NAMES: [&str; KINDS as usize] = [
    "one word",
    "two words",
    "three words",
    "sender",
    "recipient",
    "attachment",
    "word and dates",
    "deleted",
    "as of",
    "file",
];

fn question(language: &Language, dice: &mut StdRng, n: u32, time: DateTime<Utc>) -> Filter {
    let words = |dice: &mut StdRng, n: usize| language.prose.sentence(dice, n..=n);
    let mut filter = Filter::default();
    match n % KINDS {
        0 => filter.text = words(dice, 1),
        1 => filter.text = words(dice, 2),
        2 => filter.text = words(dice, 3),
        3 => filter.from = language.person(dice).to_owned(),
        4 => filter.to = language.person(dice).to_owned(),
        5 => filter.attachment = language.file(dice),
        6 => {
            filter.text = words(dice, 1);
            (filter.since, filter.until) = (Some(time - TimeDelta::days(30)), Some(time));
        }
        7 => (filter.text, filter.deleted_only) = (words(dice, 1), true),
        8 => (filter.text, filter.moment) = (words(dice, 2), Moment::At(last_time() + TimeDelta::days(3650))),
        _ => (filter.text, filter.extension) = (language.prose.name(dice), "pdf".to_owned()),
    }
    filter
}

/// The duration that 99 of 100 stay below, in milliseconds.
fn slowest_ms(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    let at = (took.len() * 99).div_ceil(100).max(1) - 1;
    took.get(at).map_or(0.0, |took| (took.as_secs_f64() * 10_000.0).round() / 10.0)
}

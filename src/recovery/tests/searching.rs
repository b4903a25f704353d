//! Searches in what a rebuild writes, against a real MariaDB: how pages of texts are read changes nothing about what is
//! found.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::catalog::containers::Cursors;
use crate::catalog::rebuild::{self, ContainerVersion, Finished, FinishedContainer};
use crate::catalog::search::{self, Compaction, Filter, Text};
use crate::catalog::{ChainKey, ContentRef, NewVersion, PointCounts, PointRow, PointState, VersionRow};
use crate::db::{Conn, QueryResult};
use crate::ids::{
    BlobId, ChainId, ContainerId, ItemKey, PackId, PointNumber, ResourceId, StorageId, VersionNumber, WalkNumber,
};
use crate::repository::tests::server::TestDb;

/// Hits of a page of an answer: fewer than there are.
const LIMIT: usize = 40;

fn time(n: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::days(i64::from(n))
}

fn version(container: ContainerId, user: u32, n: u32) -> NewVersion {
    let odd = if n % 2 == 1 { "odd" } else { "even" };
    NewVersion {
        key: ItemKey::of(&format!("{user}/{n}")),
        container,
        parent: None,
        full_walk: WalkNumber::FIRST,
        kind: 0,
        flags: 0,
        change_tag: 0,
        name: format!("Plan of u{user}, {odd}, {n}"),
        party: "ann@contoso.example".to_owned(),
        // In no order.
        time: time(n * 7919 % 4001),
        bytes: 1,
        properties: ContentRef { pack: PackId::new(1), blob: BlobId::from_bytes([1; 16]) },
        content: None,
        refs: Vec::new(),
    }
}

/// Whom a user writes to, as features gather it.
fn recipient(user: u32) -> String {
    let name = if user == 1 { "to.ann" } else { "ann" };
    format!(">{name}@contoso.example")
}

/// A chain of two points with a page for each of its items. The second point does not hold the first item any more.
fn fill(conn: &mut Conn, user: u32, n_items: u32) -> QueryResult<ChainId> {
    fill_with(conn, user, n_items, |conn, chain, texts| {
        (1..)
            .zip(texts)
            .try_for_each(|(number, text)| search::put_pages(conn, chain, number, std::slice::from_ref(text)))
    })
}

/// The same, with texts written in another way.
fn fill_with(
    conn: &mut Conn,
    user: u32,
    n_items: u32,
    mut write: impl FnMut(&mut Conn, ChainId, &[Text]) -> QueryResult<()>,
) -> QueryResult<ChainId> {
    let feature = "mailbox".parse().unwrap();
    let key = ChainKey { resource: ResourceId::new(user), feature, storage: StorageId::new(1) };
    let chain = rebuild::begin(conn, &key)?;
    let container = rebuild::containers(conn, chain, &["inbox".to_owned()])?["inbox"];
    let first = PointNumber::new(1);
    let (mut rows, mut texts) = (Vec::new(), Vec::new());
    for n in 1..=n_items {
        let version = version(container, user, n);
        texts.push(Text::of(version.key, (&version.name, &version.party, version.time), &recipient(user)));
        let to = if n == 1 { PointNumber::new(2) } else { PointNumber::OPEN };
        rows.push(VersionRow { number: VersionNumber::new(n), from: first, to, version });
    }
    write(conn, chain, &texts)?;
    rebuild::put_versions(conn, chain, &rows)?;
    let inbox = ContainerVersion { parent: None, name: "Inbox".to_owned(), hidden: false };
    let versions = vec![(first, PointNumber::OPEN, inbox)];
    let inbox = FinishedContainer { id: container, well_known: None, cursors: Cursors::default(), versions };
    let points = [1, 2].map(|number| PointRow {
        chain,
        number: PointNumber::new(number),
        state: PointState::Sealed,
        run: None,
        started_at: time(number),
        sealed_at: Some(time(number)),
        n_items: 0,
        n_issues: 0,
        counts: PointCounts::default(),
    });
    let finished = Finished { containers: vec![inbox], points: points.to_vec(), ..Finished::default() };
    rebuild::finish(conn, chain, &finished)?;
    Ok(chain)
}

/// The names of all hits, page after page, each with the point that it is told of.
fn all(conn: &mut Conn, chains: &[ChainId], filter: &Filter) -> QueryResult<Vec<(String, PointNumber)>> {
    let (mut names, mut behind, mut times) = (Vec::new(), None, Vec::new());
    loop {
        let found = search::find(conn, chains, filter, behind, LIMIT)?;
        for hit in found.hits {
            assert_eq!((hit.folder.as_str(), hit.deleted), ("Inbox", filter.deleted_only));
            times.push(hit.row.version.time);
            names.push((hit.row.version.name, hit.point));
        }
        match found.next {
            Some(next) => behind = Some(next),
            None => break,
        }
    }
    assert!(times.is_sorted_by(|a, b| a >= b), "the newest days come first");
    Ok(names)
}

/// What a question finds, and what it must find among these users.
async fn compare(server: &TestDb, chains: Vec<(u32, ChainId)>, n_items: u32) {
    let ids: Vec<ChainId> = chains.iter().map(|(_, chain)| *chain).collect();
    for (text, deleted_only) in
        [("plan", false), ("ODD plan", false), ("plan even ann", false), ("plan", true), ("", false)]
    {
        let filter = Filter { text: text.to_owned(), deleted_only, ..Filter::default() };
        let (ids, asked) = (ids.clone(), filter.clone());
        let found = server.db.run("search", move |conn| all(conn, &ids, &asked)).await.unwrap();

        let holds = |n: u32| match text {
            "ODD plan" => n % 2 == 1,
            "plan even ann" => n.is_multiple_of(2),
            _ => true,
        };
        let point = PointNumber::new(if deleted_only { 1 } else { 2 });
        let wanted: BTreeSet<(String, PointNumber)> = chains
            .iter()
            .flat_map(|(user, _)| (1..=n_items).map(move |n| (*user, n)))
            .filter(|(_, n)| holds(*n) && (*n == 1) == deleted_only)
            .map(|(user, n)| (version(ContainerId::new(1), user, n).name, point))
            .collect();
        assert_eq!(found.len(), wanted.len(), "{text:?}, deleted: {deleted_only}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted, "{text:?}, deleted: {deleted_only}");
    }
}

async fn filled(server: &TestDb, users: u32, n_items: u32) -> Vec<(u32, ChainId)> {
    let fill = move |conn: &mut Conn| (1..=users).map(|user| Ok((user, fill(conn, user, n_items)?))).collect();
    server.db.run("fill", fill).await.unwrap()
}

#[tokio::test]
async fn what_many_users_have_is_found_whole_page_by_page() {
    let server = TestDb::start();
    let chains = filled(&server, 60, 3).await;

    compare(&server, chains, 3).await;
}

#[tokio::test]
async fn users_whose_chains_lie_far_apart_are_searched_without_those_between() {
    let server = TestDb::start();
    let chains = filled(&server, 5, 70).await;

    compare(&server, vec![chains[0], chains[4]], 70).await;
}

#[tokio::test]
async fn texts_are_found_wherever_in_pages_and_volumes_they_came_to_lie() {
    let server = TestDb::start();
    let n_items = search::TEXTS_PER_VOLUME as u32 + 900;
    let fill = move |conn: &mut Conn| {
        let at_once = fill_with(conn, 1, n_items, |conn, chain, texts| search::put_pages(conn, chain, 1, texts))?;
        let bit_by_bit = fill_with(conn, 2, n_items, |conn, chain, texts| {
            let mut rest = texts;
            for n in [2299, 1, 1, 11_000, 3_000].into_iter().chain(std::iter::repeat(500)) {
                let (these, others) = rest.split_at(rest.len().min(n));
                search::put(conn, chain, these)?;
                rest = others;
                if rest.is_empty() {
                    break;
                }
            }
            Ok(())
        })?;
        Ok([at_once, bit_by_bit])
    };
    let chains = server.db.run("fill", fill).await.unwrap();

    for n in [2, 2298, 2299, 2300, 2301, 2302, 13_301, 13_302, 16_099, 16_100, 16_101, 16_102, n_items] {
        let filter = Filter { text: format!("plan {n}"), ..Filter::default() };
        let mut found = server.db.run("search", move |conn| all(conn, &chains, &filter)).await.unwrap();

        found.sort();
        let wanted = [1, 2].map(|user| (version(ContainerId::new(1), user, n).name, PointNumber::new(2)));
        assert_eq!(found, wanted, "{n}");
    }
}

#[tokio::test]
async fn people_are_found_by_their_whole_address_and_by_its_words_where_nobody_has_it() {
    let server = TestDb::start();
    let chains: Vec<ChainId> = filled(&server, 2, 60).await.into_iter().map(|(_, chain)| chain).collect();
    let to = |address: &str| Filter { to: address.to_owned(), ..Filter::default() };
    let text = |text: &str| Filter { text: text.to_owned(), ..Filter::default() };

    for (filter, n_found) in [
        // The first user writes to `to.ann`, the second one to `ann`, each of them more than a page of answers.
        (to("ANN@contoso.example"), 59),
        (to("Ann <to.ann@contoso.example>"), 59),
        (to("contoso@to.ann"), 59),
        (to("bob@contoso.example"), 0),
        (to("contoso@ann.example"), 2 * 59),
        (text("plan ann@contoso.example"), 2 * 59),
        (text("plan to.ann@contoso.example odd"), 29),
    ] {
        let (chains, asked) = (chains.clone(), filter.clone());
        let found = server.db.run("search", move |conn| all(conn, &chains, &asked)).await.unwrap();

        assert_eq!(found.len(), n_found, "{filter:?}");
    }
}

#[tokio::test]
async fn an_index_that_grew_bit_by_bit_is_made_compact_and_finds_the_same() {
    const USERS: u32 = 20;
    const N_ITEMS: u32 = 800;
    const N_WORDS: u32 = 20;
    let server = TestDb::start();
    // As backups write: a few texts of each user, again and again.
    let work = |conn: &mut Conn| {
        let mut waiting = Vec::new();
        for user in 1..=USERS {
            let mut texts = Vec::new();
            let chain = fill_with(conn, user, N_ITEMS, |_, _, all| {
                texts.extend_from_slice(all);
                Ok(())
            })?;
            for (n, text) in (1..).zip(&mut texts) {
                let shown = version(ContainerId::new(1), user, n);
                let shown = (shown.name.as_str(), shown.party.as_str(), shown.time);
                let files: Vec<String> = (0..N_WORDS).map(|word| format!("f{}", word * 7919 * n % 5003)).collect();
                text.join(Text::of(text.key(), shown, &format!("+{}", files.join(" "))));
            }
            waiting.push((chain, texts));
        }
        for n in 0..N_ITEMS as usize / 100 {
            for (chain, texts) in &waiting {
                search::put(conn, *chain, &texts[n * 100..(n + 1) * 100])?;
            }
        }
        Ok(waiting.into_iter().map(|(chain, _)| chain).collect::<Vec<_>>())
    };
    let chains = server.db.run("fill", work).await.unwrap();

    let find = async || {
        let (ids, filter) = (chains.clone(), Filter { text: "f7 plan".to_owned(), ..Filter::default() });
        server.db.run("search", move |conn| all(conn, &ids, &filter)).await.unwrap()
    };
    let compact = |above_bytes| server.db.run("compact", move |conn| search::compact(conn, above_bytes));
    let found = find().await;
    assert!(!found.is_empty());

    assert_eq!(compact(1 << 30).await.unwrap(), Compaction::NotNeeded);
    let done = compact(0).await.unwrap();

    assert!(matches!(done, Compaction::Done { .. }), "{done:?}");
    assert_eq!(find().await, found);
    assert_eq!(compact(0).await.unwrap(), Compaction::NotNeeded);
}

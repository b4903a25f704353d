//! One chain after the other into the catalog.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};

use super::packs::{Numbers, only_db};
use super::{Incomplete, Report};
use crate::catalog::items::VersionRow;
use crate::catalog::rebuild::{
    self, ContainerTold, CursorTold, Ends, Finished, FinishedContainer, IssueTold, ItemTold, Line, Points,
    RebuiltIssue, needed,
};
use crate::catalog::{NewVersion, PointRow, PointState, search};
use crate::db::{Conn, Db, TxError};
use crate::ids::{ChainId, ContainerId, ItemKey, PackUid, PointNumber, VersionNumber};
use crate::recovery::reading::Unit;
use crate::recovery::story::Story;
use crate::recovery::survey::{ChainName, Survey};

/// Versions in one transaction, and transactions at once.
const ROWS_TOGETHER: usize = search::TEXTS_PER_VOLUME;
const CONNECTIONS: usize = 2;
/// Old rows that one transaction deletes.
const WIPED_TOGETHER: u32 = 10_000;

/// Writes chains, several at once. A large one comes in several parts.
#[derive(Clone)]
pub struct Loader {
    pub db: Db,
    pub survey: Arc<Survey>,
    pub numbers: Arc<Numbers>,
    /// Records may be missing, of whatever chain.
    pub distrust: bool,
}

/// What is known of a chain once its first part was read.
pub struct Chain {
    id: ChainId,
    /// The ids of the story's containers.
    ids: Vec<ContainerId>,
    points: Points,
    held: Vec<PointRow>,
    retained: BTreeSet<PointNumber>,
    tallies: BTreeMap<PointNumber, BTreeMap<ContainerId, (i64, i64)>>,
    /// How each point changed the number of items, expired points too.
    growth: BTreeMap<PointNumber, i64>,
    /// Added, changed and removed in the open point.
    news: (u64, u64, u64),
    issues: Vec<RebuiltIssue>,
    n_versions: u64,
    /// The last version that was given a number.
    number: VersionNumber,
    /// The page of the search that is written next.
    page: u32,
    /// Packs that versions need and that are nowhere.
    lost: BTreeSet<PackUid>,
}

impl Loader {
    /// Takes one part of a chain, behind what is known from the parts `before`; the last one puts it into use again.
    /// Returns what the next part goes on from, and what this one did.
    pub async fn load(
        &self,
        before: Option<Chain>,
        id: ChainId,
        name: &ChainName,
        mut story: Story,
        unit: &Unit,
    ) -> anyhow::Result<(Option<Chain>, Report)> {
        let mut report = Report::default();
        let mut chain = match before {
            Some(chain) if !unit.first => chain,
            _ => self.open(id, &mut story).await?,
        };
        report.item_records = self.items(&mut chain, &mut story).await?;
        if !unit.last {
            return Ok((Some(chain), report));
        }
        let known = self.survey.chains.get(name);
        let user = known.map(|known| known.identity.address.clone()).unwrap_or_default();
        report.chains_rebuilt = 1;
        report.versions = chain.n_versions;
        report.issues = chain.issues.len() as u64;
        report.miss(&user, &name.feature, &chain.lost);
        let doubts = chain.settle_points(&story);
        let lost = known.is_some_and(|known| known.named.iter().any(|pack| self.numbers.lost.contains(pack)));
        let distrust = self.distrust || lost || !doubts.is_empty();
        let doubted = |why| Incomplete { user: user.clone(), feature: name.feature.clone(), why };
        report.incomplete.extend(doubts.into_iter().map(doubted));
        let finished = chain.finished(story, distrust);
        report.points = finished.points.iter().filter(|row| row.state == PointState::Sealed).count() as u64;
        let work = move |conn: &mut Conn| only_db(rebuild::finish(conn, id, &finished));
        self.db.transaction("put a chain into use", work).await?;
        Ok((None, report))
    }

    /// Writes what is searched, in pages of its own.
    async fn texts(
        &self,
        id: ChainId,
        page: &mut u32,
        mut texts: Vec<search::Text>,
    ) -> Result<(), TxError<Infallible>> {
        while !texts.is_empty() {
            let rest = texts.split_off(texts.len().min(ROWS_TOGETHER));
            let batch = std::mem::replace(&mut texts, rest);
            let number = *page;
            *page += search::n_pages(batch.len());
            let work = move |conn: &mut Conn| only_db(search::put_pages(conn, id, number, &batch));
            self.db.transaction("write what is searched", work).await?;
        }
        Ok(())
    }

    async fn open(&self, id: ChainId, story: &mut Story) -> anyhow::Result<Chain> {
        // Each round deletes rows until none is left.
        while self.db.run("delete old versions", move |conn| rebuild::wipe(conn, id, WIPED_TOGETHER)).await? > 0 {}
        let graph_ids = story.graph_ids.clone();
        let work = move |conn: &mut Conn| {
            only_db(
                rebuild::containers(conn, id, &graph_ids).and_then(|ids| Ok((ids, rebuild::held_points(conn, id)?))),
            )
        };
        let (by_graph_id, held) = self.db.transaction("write containers", work).await?;
        let ids = story.graph_ids.iter().map(|graph_id| by_graph_id[graph_id]).collect();
        let mut points = Points::replay(id, story.take_points());
        let recorded: BTreeSet<PointNumber> = points.sealed.iter().map(|row| row.number).collect();
        // A point without news is known to the database alone; one that it knows to be sealed is not open.
        let held: Vec<PointRow> = held
            .into_iter()
            .filter(|row| !recorded.contains(&row.number) && !points.expired.contains(&row.number))
            .collect();
        points.open.take_if(|open| held.iter().any(|row| row.number >= open.number));
        points.stand_in.take_if(|row| held.iter().any(|held| held.number >= row.number));
        points.sealed.extend(points.stand_in.take());
        let open = points.open.iter();
        let retained = points.sealed.iter().chain(&held).chain(open).map(|row| row.number).collect();
        Ok(Chain {
            id,
            ids,
            points,
            held,
            retained,
            tallies: BTreeMap::new(),
            growth: BTreeMap::new(),
            news: (0, 0, 0),
            issues: Vec::new(),
            n_versions: 0,
            number: VersionNumber::NONE,
            page: 1,
            lost: BTreeSet::new(),
        })
    }

    /// Writes the items of one part; returns how many records told of them.
    async fn items(&self, chain: &mut Chain, story: &mut Story) -> anyhow::Result<u64> {
        let mut n_records = 0;
        let mut rows: Vec<VersionRow> = Vec::new();
        let mut texts = story.take_texts().into_iter().peekable();
        let mut searched: Vec<search::Text> = Vec::new();
        for (key, told) in story.take_items() {
            n_records += told.len() as u64;
            if let Some(issues) = story.issues.get_mut(&key) {
                issues.extend(told.iter().map(|(moment, _)| (*moment, IssueTold::Settled)));
            }
            let line = ItemTold::replay(told, &story.ends);
            chain.count(&line);
            let needed = chain.rows(line);
            let packs = needed.iter().flat_map(|row| [Some(row.version.properties), row.version.content]).flatten();
            chain.lost.extend(packs.filter_map(|content| self.numbers.lost_rows.get(&content.pack)));
            let of_item = std::iter::from_fn(|| texts.next_if(|text| text.key() <= key));
            join(of_item, &needed, &mut searched);
            rows.extend(needed);
        }
        chain.issues_of(std::mem::take(&mut story.issues), &story.ends);
        chain.number(&mut rows);
        chain.n_versions += rows.len() as u64;
        let (db, id) = (&self.db, chain.id);
        let mut batches = Vec::with_capacity(rows.len() / ROWS_TOGETHER + 1);
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(ROWS_TOGETHER));
            batches.push(std::mem::replace(&mut rows, rest));
        }
        let write_versions = futures_util::stream::iter(batches)
            .map(|batch| db.transaction("write versions", move |conn| only_db(rebuild::put_versions(conn, id, &batch))))
            .buffer_unordered(CONNECTIONS)
            .try_for_each(|()| std::future::ready(Ok(())));
        tokio::try_join!(write_versions, self.texts(chain.id, &mut chain.page, searched))?;
        Ok(n_records)
    }
}

/// The texts of one item that stand for versions that are needed, those of equal versions as one.
fn join(texts: impl Iterator<Item = search::Text>, rows: &[VersionRow], into: &mut Vec<search::Text>) {
    let first = into.len();
    for text in texts.filter(|text| rows.iter().any(|row| text.means(&row.version))) {
        match into[first..].iter_mut().find(|known| known.is_like(&text)) {
            Some(known) => known.join(text),
            None => into.push(text),
        }
    }
}

impl Chain {
    fn id_of(&self, container: ContainerId) -> ContainerId {
        *self.ids.get(container.get() as usize).expect("every container of the story was given an id")
    }

    fn count(&mut self, line: &Line<NewVersion>) {
        let open = self.points.open.as_ref().map(|row| row.number);
        let mut in_open = (false, false);
        let past = line.past.iter().map(|(from, to, _)| (*from, Some(*to)));
        for (from, to) in past.chain(line.now.iter().map(|(from, _)| (*from, None))) {
            *self.growth.entry(from).or_default() += 1;
            if let Some(to) = to {
                *self.growth.entry(to).or_default() -= 1;
            }
            in_open = (in_open.0 || Some(from) == open, in_open.1 || (to.is_some() && to == open));
        }
        match in_open {
            (true, false) => self.news.0 += 1,
            (true, true) => self.news.1 += 1,
            (false, true) => self.news.2 += 1,
            (false, false) => {}
        }
    }

    /// The rows that are needed, with the database's containers.
    fn rows(&mut self, line: Line<NewVersion>) -> Vec<VersionRow> {
        let mut rows = Vec::new();
        for (from, to, mut version) in needed(line, &self.retained) {
            version.container = self.id_of(version.container);
            let bytes = version.bytes.cast_signed();
            let came = self.tallies.entry(from).or_default().entry(version.container).or_default();
            *came = (came.0 + 1, came.1 + bytes);
            if to != PointNumber::OPEN {
                let left = self.tallies.entry(to).or_default().entry(version.container).or_default();
                *left = (left.0 - 1, left.1 - bytes);
            }
            rows.push(VersionRow { number: VersionNumber::NONE, from, to, version });
        }
        rows
    }

    /// Numbers versions in the order in which they are browsed: written in the order of their keys, each would come to
    /// another page of the index for browsing, and leave it half empty.
    fn number(&mut self, rows: &mut [VersionRow]) {
        rows.sort_by_cached_key(|row| (row.version.container, row.version.parent, row.version.time));
        for row in rows {
            self.number = VersionNumber::new(self.number.get().saturating_add(1));
            row.number = self.number;
        }
    }

    fn issues_of(&mut self, told: HashMap<ItemKey, Vec<(rebuild::Moment, IssueTold)>>, ends: &Ends) {
        for mut told in told.into_values() {
            // What fails in a container that goes is gone with it.
            let ended = told.iter().filter_map(|(moment, told)| match told {
                IssueTold::Failed { issue, .. } => {
                    let ends = ends.get(&issue.container)?;
                    ends.iter().filter(|end| *end > moment).min().copied()
                }
                IssueTold::Settled => None,
            });
            let ended: Vec<_> = ended.map(|moment| (moment, IssueTold::Settled)).collect();
            told.extend(ended);
            if let Some((mut open, first, last)) = IssueTold::replay(told) {
                open.issue.container = self.id_of(open.issue.container);
                self.issues.push((open, first, last));
            }
        }
    }

    /// Fills in counts that no record tells, and compares the others with what was found.
    fn settle_points(&mut self, story: &Story) -> Vec<String> {
        let mut doubts = Vec::new();
        let items_at = |point: PointNumber| {
            u64::try_from(self.growth.range(..=point).map(|(_, change)| change).sum::<i64>()).unwrap_or(0)
        };
        for row in &mut self.points.sealed {
            let n_items = items_at(row.number);
            match self.points.counted.get(&row.number) {
                Some(told) if *told != n_items => {
                    doubts.push(format!("point {} has {n_items} items instead of {told}", row.number));
                }
                Some(_) => {}
                None => row.n_items = n_items,
            }
        }
        if let Some(open) = &mut self.points.open {
            (open.counts.added, open.counts.changed, open.counts.removed) = self.news;
            open.n_items = items_at(open.number);
            open.counts.bytes_stored = story.bytes_of.get(&open.number).copied().unwrap_or(0);
        }
        doubts
    }

    fn finished(self, mut story: Story, distrust: bool) -> Finished {
        let mut containers = Vec::with_capacity(self.ids.len());
        for (place, id) in (0u32..).zip(&self.ids) {
            let told = ContainerId::new(place);
            let line = ContainerTold::replay(story.containers.remove(&told).unwrap_or_default());
            let versions = needed(line, &self.retained).map(|(from, to, mut version)| {
                version.parent = version.parent.map(|parent| self.id_of(parent));
                (from, to, version)
            });
            containers.push(FinishedContainer {
                id: *id,
                versions: versions.collect(),
                well_known: story.well_known.remove(&told).and_then(|(_, name)| name),
                cursors: CursorTold::replay(story.cursors.remove(&told).unwrap_or_default(), distrust),
            });
        }
        let points = self.points.sealed.into_iter().chain(self.points.open).chain(self.held).collect();
        Finished { containers, tallies: self.tallies, points, issues: self.issues }
    }
}

//! The answer to a question: the versions behind the texts that were found, as of each chain's point.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::look::{self, Candidate, Look, Position};
use super::words::Field;
use super::{Places, check_of, day};
use crate::catalog::items::{self, VersionRow};
use crate::catalog::{chains, points};
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ItemKey, PointNumber};

/// Texts whose versions are read for one answer: a question that most of them do not meet gets a short page, and goes on
/// behind it.
const CANDIDATES_MAX: usize = 500;
/// Texts whose versions are read together: first as many as the API answers with by default, then, because most of them
/// were not what is asked for, twice as many.
const TOGETHER: usize = 100;

/// As of when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// Each chain's newest point.
    #[default]
    Newest,
    /// Each chain's newest point that was sealed by then; a chain without one holds nothing.
    At(DateTime<Utc>),
}

/// What is asked for. All that is given must be met.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Words of the name, the sender or organiser, recipients, names of attachments, or what else the feature gathers.
    pub text: String,
    /// A part of the other side: a sender, an organiser, an address of a contact.
    pub from: String,
    /// Words of recipients.
    pub to: String,
    /// Words of names of attachments.
    pub attachment: String,
    /// What a file's name ends with, without the dot.
    pub extension: String,
    /// A part of the path of its folder.
    pub folder: String,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub bytes_min: Option<u64>,
    pub bytes_max: Option<u64>,
    pub moment: Moment,
    /// Only what was there before and is not any more.
    pub deleted_only: bool,
}

/// A version that was found.
#[derive(Clone, Debug)]
pub struct Hit {
    pub chain: ChainId,
    /// A point that holds it: the one as of which it is told, or the last one before it was gone.
    pub point: PointNumber,
    /// The point as of which it is told does not hold it.
    pub deleted: bool,
    pub row: VersionRow,
    /// The names of its folders, with slashes between.
    pub folder: String,
}

/// A page of an answer.
#[derive(Debug)]
pub struct Found {
    pub hits: Vec<Hit>,
    /// Where to go on; `None`: that was all.
    pub next: Option<Position>,
}

/// A page of at most `limit` hits in these chains, which are in ascending order, behind `behind`: newest days first.
pub fn find(
    conn: &mut Conn,
    chains: &[ChainId],
    filter: &Filter,
    behind: Option<Position>,
    limit: usize,
) -> QueryResult<Found> {
    let any = &[Field::Text, Field::Recipient, Field::Attachment];
    let words = [
        look::questions(&filter.text, any),
        look::people(&filter.from, &[Field::Text]),
        look::people(&filter.to, &[Field::Recipient]),
        look::questions(&filter.attachment, &[Field::Attachment]),
        look::questions(&filter.extension, &[Field::Text]),
    ]
    .concat();
    let days = (filter.since.map_or(0, day), filter.until.map_or(u16::MAX, day));
    let look = Look { chains, words: &words, days, behind, limit: CANDIDATES_MAX + 1 };
    let mut positions = look.newest(conn)?;
    if positions.is_empty()
        && let Some(words) = look::by_parts(conn, chains, &words)?
    {
        positions = Look { words: &words, ..look }.newest(conn)?;
    }
    let truncated = positions.len() > CANDIDATES_MAX;
    positions.truncate(CANDIDATES_MAX);
    let mut answer = Answer { filter, points: HashMap::new(), places: Places::default(), met: HashSet::new() };
    let mut hits = Vec::new();
    let (first, rest) = positions.split_at(positions.len().min(TOGETHER));
    for together in std::iter::once(first).chain(rest.chunks(2 * TOGETHER)) {
        let candidates = look::texts(conn, together)?;
        for (at, hit) in answer.hits(conn, &candidates)? {
            hits.push(hit);
            if hits.len() == limit {
                let more = truncated || positions.last() != Some(&at);
                return Ok(Found { hits, next: more.then_some(at) });
            }
        }
    }
    Ok(Found { hits, next: positions.last().copied().filter(|_| truncated) })
}

/// Versions by chain.
type Versions = HashMap<ChainId, Vec<VersionRow>>;

struct Answer<'a> {
    filter: &'a Filter,
    points: HashMap<ChainId, Option<PointNumber>>,
    places: Places,
    /// What this page shows already: an item may have several texts that stand for the same version.
    met: HashSet<(ChainId, ItemKey)>,
}

impl Answer<'_> {
    /// What stands behind these texts, in their order. Everything is read for all of them together: their chains are as
    /// many as they are.
    fn hits(&mut self, conn: &mut Conn, candidates: &[Candidate]) -> QueryResult<Vec<(Position, Hit)>> {
        self.look_up_points(conn, candidates)?;
        let versions = versions(conn, candidates)?;
        let meant: Vec<(Position, VersionRow)> =
            candidates.iter().filter_map(|one| Some((one.at, self.meant(one, &versions)?.clone()))).collect();
        let holders = self.holders(conn, &meant)?;
        let points: Vec<PointNumber> = meant.iter().zip(holders).map(|((_, row), point)| point.max(row.from)).collect();
        let told: Vec<_> = meant.iter().zip(&points).map(|((at, row), point)| (at.chain(), *point, row)).collect();
        let folders = self.places.of_all(conn, &told)?;
        let wanted = self.filter.folder.to_lowercase();
        let mut hits = Vec::with_capacity(meant.len());
        for (((at, row), point), folder) in meant.into_iter().zip(points).zip(folders) {
            let chain = at.chain();
            let inside = folder.to_lowercase().contains(wanted.trim_matches('/'));
            if inside && self.met.insert((chain, row.version.key)) {
                hits.push((at, Hit { chain, point, deleted: self.filter.deleted_only, row, folder }));
            }
        }
        Ok(hits)
    }

    /// The points as of which the chains of these texts are told.
    fn look_up_points(&mut self, conn: &mut Conn, candidates: &[Candidate]) -> QueryResult<()> {
        let unknown: BTreeSet<ChainId> =
            candidates.iter().map(|one| one.at.chain()).filter(|chain| !self.points.contains_key(chain)).collect();
        let unknown: Vec<ChainId> = unknown.into_iter().collect();
        match self.filter.moment {
            Moment::Newest => self.points.extend(chains::last_points(conn, &unknown)?),
            Moment::At(at) => {
                let asked: Vec<_> = unknown.iter().map(|chain| (*chain, PointNumber::OPEN)).collect();
                let found = points::newest_below(conn, &asked, Some(at))?;
                self.points.extend(unknown.into_iter().zip(found));
            }
        }
        Ok(())
    }

    /// The version that a text stands for as of its chain's point, if that is what is asked for.
    fn meant<'v>(&self, candidate: &Candidate, versions: &'v Versions) -> Option<&'v VersionRow> {
        let chain = candidate.at.chain();
        let point = (*self.points.get(&chain)?)?;
        let of_item = versions.get(&chain)?.iter().filter(|row| row.version.key.as_bytes().starts_with(&candidate.key));
        let row = of_item.filter(|row| row.from <= point).max_by_key(|row| row.from)?;
        let wanted = (row.to <= point) == self.filter.deleted_only && self.meets(row);
        (wanted && check_of(&row.version) == candidate.check).then_some(row)
    }

    /// For each version a point that holds it: the one as of which its chain is told, or the last one before it was gone.
    fn holders(&self, conn: &mut Conn, meant: &[(Position, VersionRow)]) -> QueryResult<Vec<PointNumber>> {
        let told =
            |(at, row): &(Position, VersionRow)| self.points.get(&at.chain()).copied().flatten().unwrap_or(row.from);
        let told: Vec<PointNumber> = meant.iter().map(told).collect();
        if !self.filter.deleted_only {
            return Ok(told);
        }
        let ends: Vec<_> = meant.iter().map(|(at, row)| (at.chain(), row.to)).collect();
        let last = points::newest_below(conn, &ends, None)?;
        Ok(last.into_iter().zip(told).map(|(last, told)| last.unwrap_or(told)).collect())
    }

    /// What words alone do not tell.
    fn meets(&self, row: &VersionRow) -> bool {
        let Filter { from, extension, since, until, bytes_min, bytes_max, .. } = self.filter;
        let version = &row.version;
        let holds = |text: &str, part: &str| text.to_lowercase().contains(&part.trim().to_lowercase());
        let ends = extension.is_empty() || {
            let ending = format!(".{}", extension.trim_start_matches('.').to_lowercase());
            version.name.to_lowercase().ends_with(&ending)
        };
        ends && (from.is_empty() || holds(&version.party, from))
            && since.is_none_or(|since| version.time >= since)
            && until.is_none_or(|until| version.time <= until)
            && bytes_min.is_none_or(|bytes| version.bytes >= bytes)
            && bytes_max.is_none_or(|bytes| version.bytes <= bytes)
    }
}

fn versions(conn: &mut Conn, candidates: &[Candidate]) -> QueryResult<Versions> {
    let keys: Vec<_> = candidates.iter().map(|one| (one.at.chain(), one.key.as_slice())).collect();
    let mut versions: Versions = HashMap::new();
    for (chain, row) in items::beginning_with(conn, &keys)? {
        versions.entry(chain).or_default().push(row);
    }
    Ok(versions)
}

//! The answer to a question: the versions behind the texts that were found, as of each chain's point.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::look::{self, Candidate, Look, Position};
use super::words::Field;
use super::{Places, check_of, day};
use crate::catalog::items::{self, VersionRow};
use crate::catalog::points;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ItemKey, PointNumber};

/// Texts whose versions are read for one answer: a question that most of them do not meet gets a short page, and goes on
/// behind it.
const CANDIDATES_MAX: usize = 1000;
/// Texts whose versions are read together.
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
    let words: Vec<look::Asked> = look::questions(&filter.text, any)
        .chain(look::questions(&filter.from, &[Field::Text]))
        .chain(look::questions(&filter.to, &[Field::Recipient]))
        .chain(look::questions(&filter.attachment, &[Field::Attachment]))
        .chain(look::questions(&filter.extension, &[Field::Text]))
        .collect();
    let days = (filter.since.map_or(0, day), filter.until.map_or(u16::MAX, day));
    let look = Look { chains, words: &words, days, behind, limit: CANDIDATES_MAX + 1 };
    let mut positions = look.newest(conn)?;
    let truncated = positions.len() > CANDIDATES_MAX;
    positions.truncate(CANDIDATES_MAX);
    let mut answer = Answer { filter, points: HashMap::new(), places: Places::default(), met: HashSet::new() };
    let mut hits = Vec::new();
    for together in positions.chunks(TOGETHER) {
        let candidates = look::texts(conn, together)?;
        let versions = answer.versions(conn, &candidates)?;
        for candidate in candidates {
            if let Some(hit) = answer.hit(conn, &candidate, &versions)? {
                hits.push(hit);
            }
            if hits.len() == limit {
                let more = truncated || positions.last() != Some(&candidate.at);
                return Ok(Found { hits, next: more.then_some(candidate.at) });
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
    fn versions(&self, conn: &mut Conn, candidates: &[Candidate]) -> QueryResult<Versions> {
        let keys: Vec<_> =
            candidates.iter().map(|candidate| (candidate.at.chain(), candidate.key.as_slice())).collect();
        let mut versions: Versions = HashMap::new();
        for (chain, row) in items::beginning_with(conn, &keys)? {
            versions.entry(chain).or_default().push(row);
        }
        Ok(versions)
    }

    fn hit(&mut self, conn: &mut Conn, candidate: &Candidate, versions: &Versions) -> QueryResult<Option<Hit>> {
        let chain = candidate.at.chain();
        let Some(point) = self.point(conn, chain)? else { return Ok(None) };
        let all = versions.get(&chain).map(Vec::as_slice).unwrap_or_default();
        let of_item = all.iter().filter(|row| row.version.key.as_bytes().starts_with(&candidate.key));
        let row = of_item.filter(|row| row.from <= point).max_by_key(|row| row.from);
        let Some(row) = row.filter(|row| (row.to <= point) == self.filter.deleted_only) else { return Ok(None) };
        if check_of(&row.version) != candidate.check || !self.meets(row) {
            return Ok(None);
        }
        let deleted = row.to <= point;
        let holder =
            if deleted { points::sealed(conn, chain, row.to, 1)?.first().map(|sealed| sealed.0) } else { None };
        let point = holder.unwrap_or(point).max(row.from);
        let folder = self.places.of(conn, chain, point, row)?;
        let wanted = self.filter.folder.to_lowercase();
        if !folder.to_lowercase().contains(wanted.trim_matches('/')) || !self.met.insert((chain, row.version.key)) {
            return Ok(None);
        }
        Ok(Some(Hit { chain, point, deleted, row: row.clone(), folder }))
    }

    fn point(&mut self, conn: &mut Conn, chain: ChainId) -> QueryResult<Option<PointNumber>> {
        if let Some(known) = self.points.get(&chain) {
            return Ok(*known);
        }
        let at = match self.filter.moment {
            Moment::Newest => None,
            Moment::At(at) => Some(at),
        };
        let point = points::newest(conn, chain, at)?;
        self.points.insert(chain, point);
        Ok(point)
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

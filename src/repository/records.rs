//! The records section of a pack: written and read as a sequence of CBOR arrays.

use std::collections::HashMap;
use std::sync::Arc;

use minicbor::{Decode, Decoder, Encode, Encoder};

use super::format::Damage;
use super::record::{ChainIdentity, Entry, Record};
use crate::ids::{PackUid, PointNumber};

/// The number of a record's kind on disk. Never reused, never renumbered.
mod kind {
    pub const CHAIN: u16 = 0;
    pub const POINT_BEGIN: u16 = 1;
    pub const CONTAINER: u16 = 2;
    pub const CONTAINER_GONE: u16 = 3;
    pub const ITEM: u16 = 4;
    pub const ITEM_GONE: u16 = 5;
    pub const CURSOR: u16 = 6;
    pub const ISSUE: u16 = 7;
    pub const ISSUE_RESOLVED: u16 = 8;
    pub const POINT_SEAL: u16 = 9;
    pub const EXPIRE: u16 = 10;
    pub const COMPACTED: u16 = 11;
}

/// The records that one pack will carry. A chain is spelled out once, before its first record.
#[derive(Default)]
pub struct RecordsBuilder {
    out: Vec<u8>,
    n_records: u32,
    chains: HashMap<Arc<ChainIdentity>, u32>,
    /// Chains that came with sections of other packs, as they stood there.
    moved_chains: HashMap<Vec<u8>, u32>,
    n_chains: u32,
}

impl RecordsBuilder {
    pub fn push(&mut self, entry: &Entry) {
        let chain = entry.chain.as_ref().map(|chain| self.ordinal(chain));
        let (point, seq) = (entry.point, entry.seq);
        match &entry.record {
            Record::PointBegin(body) => self.write(kind::POINT_BEGIN, chain, point, seq, body),
            Record::Container(body) => self.write(kind::CONTAINER, chain, point, seq, body),
            Record::ContainerGone(body) => self.write(kind::CONTAINER_GONE, chain, point, seq, body),
            Record::Item(body) => self.write(kind::ITEM, chain, point, seq, body),
            Record::ItemGone(body) => self.write(kind::ITEM_GONE, chain, point, seq, body),
            Record::Cursor(body) => self.write(kind::CURSOR, chain, point, seq, body),
            Record::Issue(body) => self.write(kind::ISSUE, chain, point, seq, body),
            Record::IssueResolved(body) => self.write(kind::ISSUE_RESOLVED, chain, point, seq, body),
            Record::PointSeal(body) => self.write(kind::POINT_SEAL, chain, point, seq, body),
            Record::Expire(body) => self.write(kind::EXPIRE, chain, point, seq, body),
            Record::Compacted(body) => self.write(kind::COMPACTED, chain, point, seq, body),
        }
    }

    fn ordinal(&mut self, chain: &Arc<ChainIdentity>) -> u32 {
        if let Some(ordinal) = self.chains.get(chain) {
            return *ordinal;
        }
        let ordinal = self.new_ordinal();
        self.chains.insert(Arc::clone(chain), ordinal);
        self.write(kind::CHAIN, Some(ordinal), PointNumber::new(0), 0, chain.as_ref());
        ordinal
    }

    fn new_ordinal(&mut self) -> u32 {
        self.n_chains += 1;
        self.n_chains - 1
    }

    /// Adds the records of another pack as they stand, with the kinds and fields that this version does not know. Only
    /// the numbers of their chains change.
    pub fn push_section(&mut self, pack: PackUid, section: &[u8]) -> Result<(), Damage> {
        let mut ordinals = HashMap::new();
        let mut d = Decoder::new(section);
        while d.position() < section.len() {
            let at = d.position();
            self.push_moved(&mut d, section, &mut ordinals)
                .map_err(|err| Damage::new(pack, format!("record at byte {at}"), err.to_string()))?;
        }
        Ok(())
    }

    fn push_moved(
        &mut self,
        d: &mut Decoder<'_>,
        section: &[u8],
        ordinals: &mut HashMap<u32, u32>,
    ) -> Result<(), minicbor::decode::Error> {
        let Head { number, ordinal, point, seq } = read_head(d)?;
        let start = d.position();
        d.skip()?;
        let body = section.get(start..d.position()).unwrap_or_default();
        let chain = match ordinal {
            None => None,
            Some(old) if number == kind::CHAIN => {
                if let Some(known) = self.moved_chains.get(body) {
                    ordinals.insert(old, *known);
                    return Ok(());
                }
                let new = self.new_ordinal();
                self.moved_chains.insert(body.to_vec(), new);
                ordinals.insert(old, new);
                Some(new)
            }
            Some(old) => {
                let known = ordinals.get(&old).copied();
                Some(known.ok_or_else(|| minicbor::decode::Error::message(CHAIN_UNKNOWN))?)
            }
        };
        self.write_head(number, chain, point, seq);
        self.out.extend_from_slice(body);
        Ok(())
    }

    fn write_head(&mut self, kind: u16, chain: Option<u32>, point: PointNumber, seq: u64) {
        let mut e = Encoder::new(&mut self.out);
        let written = (|| {
            e.array(5)?.u16(kind)?.encode(chain)?.u32(point.get())?.u64(seq)?;
            Ok::<(), minicbor::encode::Error<std::convert::Infallible>>(())
        })();
        written.expect("writing to memory cannot fail");
        self.n_records += 1;
    }

    fn write(&mut self, kind: u16, chain: Option<u32>, point: PointNumber, seq: u64, body: &impl Encode<()>) {
        self.write_head(kind, chain, point, seq);
        Encoder::new(&mut self.out).encode(body).expect("writing to memory cannot fail");
    }

    /// The plain bytes so far.
    pub fn bytes(&self) -> usize {
        self.out.len()
    }

    pub fn is_empty(&self) -> bool {
        self.n_records == 0
    }

    /// The section and how many records (chains among them) it holds.
    pub fn finish(self) -> (Vec<u8>, u32) {
        (self.out, self.n_records)
    }
}

/// What the records section of a pack says.
#[derive(Debug, Default)]
pub struct Records {
    pub entries: Vec<Entry>,
    /// Records of kinds that this version does not know.
    pub n_unknown: u64,
}

/// Reads the records section of `pack`.
pub fn read_records(pack: PackUid, section: &[u8]) -> Result<Records, Damage> {
    let mut records = Records::default();
    let mut chains: HashMap<u32, Arc<ChainIdentity>> = HashMap::new();
    let mut d = Decoder::new(section);
    while d.position() < section.len() {
        let at = d.position();
        read_one(&mut d, &mut chains, &mut records)
            .map_err(|err| Damage::new(pack, format!("record at byte {at}"), err.to_string()))?;
    }
    Ok(records)
}

const CHAIN_UNKNOWN: &str = "its chain was not spelled out before";

/// What stands before the body of a record.
struct Head {
    number: u16,
    ordinal: Option<u32>,
    point: PointNumber,
    seq: u64,
}

fn read_head(d: &mut Decoder<'_>) -> Result<Head, minicbor::decode::Error> {
    if d.array()? != Some(5) {
        return Err(minicbor::decode::Error::message("it is not an array of five"));
    }
    Ok(Head { number: d.u16()?, ordinal: d.decode()?, point: PointNumber::new(d.u32()?), seq: d.u64()? })
}

fn read_one(
    d: &mut Decoder<'_>,
    chains: &mut HashMap<u32, Arc<ChainIdentity>>,
    records: &mut Records,
) -> Result<(), minicbor::decode::Error> {
    let Head { number, ordinal, point, seq } = read_head(d)?;
    if number == kind::CHAIN {
        let ordinal = ordinal.ok_or_else(|| minicbor::decode::Error::message("a chain has no number"))?;
        chains.insert(ordinal, Arc::new(d.decode()?));
        return Ok(());
    }
    let Some(record) = read_body(d, number)? else {
        records.n_unknown += 1;
        return d.skip();
    };
    let chain = match ordinal {
        None => None,
        Some(ordinal) => {
            let known = chains.get(&ordinal).cloned();
            Some(known.ok_or_else(|| minicbor::decode::Error::message(CHAIN_UNKNOWN))?)
        }
    };
    records.entries.push(Entry { chain, point, seq, record });
    Ok(())
}

fn read_body(d: &mut Decoder<'_>, number: u16) -> Result<Option<Record>, minicbor::decode::Error> {
    fn body<'b, T: Decode<'b, ()>>(
        d: &mut Decoder<'b>,
        wrap: impl FnOnce(T) -> Record,
    ) -> Result<Option<Record>, minicbor::decode::Error> {
        d.decode().map(wrap).map(Some)
    }
    match number {
        kind::POINT_BEGIN => body(d, Record::PointBegin),
        kind::CONTAINER => body(d, Record::Container),
        kind::CONTAINER_GONE => body(d, Record::ContainerGone),
        kind::ITEM => body(d, Record::Item),
        kind::ITEM_GONE => body(d, Record::ItemGone),
        kind::CURSOR => body(d, Record::Cursor),
        kind::ISSUE => body(d, Record::Issue),
        kind::ISSUE_RESOLVED => body(d, Record::IssueResolved),
        kind::POINT_SEAL => body(d, Record::PointSeal),
        kind::EXPIRE => body(d, Record::Expire),
        kind::COMPACTED => body(d, Record::Compacted),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::*;
    use super::*;
    use crate::ids::{BlobId, ItemKey};
    use proptest::prelude::*;

    fn chain(name: &str) -> Arc<ChainIdentity> {
        Arc::new(ChainIdentity {
            entra_tenant_id: "contoso.example".into(),
            resource_graph_id: "1f".into(),
            resource_kind: "user".into(),
            resource_name: "Ada".into(),
            address: format!("{name}@contoso.example"),
            feature: "mailbox".into(),
        })
    }

    fn every_kind() -> Vec<Record> {
        let (key, pack) = (ItemKey::of("AAMk"), PackUid::from_bytes([7; 16]));
        let place = Location { pack, blob: BlobId::from_bytes([8; 16]) };
        let cursor = |state| Cursor { container: "inbox".into(), state, full_walk_point: Some(3) };
        vec![
            Record::PointBegin(PointBegin { started_ms: -5 }),
            Record::Container(Container {
                graph_id: "inbox".into(),
                parent: None,
                name: "Eingang".into(),
                hidden: true,
                well_known: Some("inbox".into()),
            }),
            Record::ContainerGone(ContainerGone { graph_id: "x".into() }),
            Record::Item(Item {
                parent: Some(Parent(key)),
                words: Some(">bo@contoso.example\n+plan.pdf".into()),
                container: "inbox".into(),
                graph_id: "AAMk".into(),
                kind: 1,
                flags: 9,
                change_tag: u64::MAX,
                name: "Grüße".into(),
                party: String::new(),
                time_s: 1_700_000_000,
                bytes: 5,
                properties: place,
                content: Some(place),
                refs: vec![place.blob, BlobId::from_bytes([1; 16])],
            }),
            Record::ItemGone(ItemGone { item: key, container: None }),
            Record::ItemGone(ItemGone { item: key, container: Some("inbox".into()) }),
            Record::Cursor(cursor(CursorState::None)),
            Record::Cursor(cursor(CursorState::Since("token".into()))),
            Record::Cursor(cursor(CursorState::Resume("page".into()))),
            Record::Issue(Issue {
                skipped: Some(true),
                container: "inbox".into(),
                graph_id: "AAMk".into(),
                name: "n".into(),
                reason: "too_large".into(),
                message: "m".into(),
                attempts: 2,
                at_ms: 1,
            }),
            Record::IssueResolved(IssueResolved { item: key }),
            Record::PointSeal(PointSeal { n_items: 4, ..PointSeal::default() }),
            Record::Expire(Expire { points: vec![1, 2] }),
            Record::Compacted(Compacted { old: pack, new: PackUid::from_bytes([9; 16]) }),
        ]
    }

    #[test]
    fn every_kind_of_record_comes_back_with_its_chain() {
        let chains = [Some(chain("a")), Some(chain("b")), None];
        let entries: Vec<Entry> = every_kind()
            .into_iter()
            .zip(0u64..)
            .map(|(record, seq)| Entry {
                chain: chains[seq as usize % 3].clone(),
                point: PointNumber::new(4),
                seq,
                record,
            })
            .collect();
        let mut builder = RecordsBuilder::default();
        entries.iter().for_each(|entry| builder.push(entry));
        let (section, n_records) = builder.finish();

        let read = read_records(PackUid::random(), &section).unwrap();

        assert_eq!(read.entries, entries);
        assert_eq!((read.n_unknown, n_records as usize), (0, entries.len() + 2));
    }

    #[test]
    fn sections_of_several_packs_are_moved_into_one_as_they_stand() {
        let section = |chains: [&str; 2], seq: u64| {
            let mut builder = RecordsBuilder::default();
            for (name, seq) in chains.into_iter().zip(seq..) {
                let record = Record::ItemGone(ItemGone { item: ItemKey::of(name), container: None });
                builder.push(&Entry { chain: Some(chain(name)), point: PointNumber::new(1), seq, record });
            }
            let mut section = builder.finish().0;
            let mut e = Encoder::new(&mut section);
            e.array(5).unwrap().u16(999).unwrap().u32(1).unwrap().u32(1).unwrap().u64(1).unwrap().str("new").unwrap();
            section
        };
        let (one, two) = (section(["a", "b"], 1), section(["b", "c"], 3));
        let pack = PackUid::random();
        let mut builder = RecordsBuilder::default();

        builder.push_section(pack, &one).unwrap();
        builder.push_section(pack, &two).unwrap();
        let (moved, n_records) = builder.finish();

        let entries = |section: &[u8]| read_records(pack, section).unwrap().entries;
        assert_eq!(entries(&moved), [entries(&one), entries(&two)].concat());
        assert_eq!(read_records(pack, &moved).unwrap().n_unknown, 2);
        assert_eq!(n_records, 3 + 4 + 2, "three chains, four records, two of a newer version");
        assert!(RecordsBuilder::default().push_section(pack, &one[..one.len() - 1]).is_err());
    }

    #[test]
    fn records_and_fields_of_a_newer_version_are_passed_over() {
        let mut section = Vec::new();
        let mut e = Encoder::new(&mut section);
        e.array(5).unwrap().u16(999).unwrap().null().unwrap().u32(1).unwrap().u64(1).unwrap().str("what").unwrap();
        e.array(5).unwrap().u16(kind::POINT_BEGIN).unwrap().null().unwrap().u32(1).unwrap().u64(2).unwrap();
        e.map(2).unwrap().u8(0).unwrap().i64(77).unwrap().u8(200).unwrap().bool(true).unwrap();

        let read = read_records(PackUid::random(), &section).unwrap();

        assert_eq!(read.n_unknown, 1);
        assert_eq!(read.entries[0].record, Record::PointBegin(PointBegin { started_ms: 77 }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_records_or_damage(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let pack = PackUid::random();
            drop(read_records(pack, &bytes));
            let mut builder = RecordsBuilder::default();
            for record in every_kind() {
                builder.push(&Entry { chain: Some(chain("a")), point: PointNumber::new(1), seq: 1, record });
            }
            let (mut section, _) = builder.finish();
            for (at, byte) in flips {
                let at = at.index(section.len());
                section[at] = byte;
            }
            if let Err(damage) = read_records(pack, &section) {
                prop_assert!(damage.place.starts_with("record at byte"));
            }
        }
    }
}

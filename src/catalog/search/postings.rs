//! Which words stand in which texts of a volume, in bytes. Pure.
//!
//! The postings of a shelf are blocks, one for each time that texts were added, so that adding is appending. A block is
//! the length of what follows of it, then for each word in the order of their tags: the difference to the tag before, the place of
//! the first text doubled (and one more if others follow), and then the length of what tells of the others: the distance of
//! each to the one before. Where those would take more bytes than a bit for each place of a volume, there are such bits behind a zero.
//! All numbers are LEB128.

use super::standing::Standing;
use super::words::Word;

/// Writes a block: the words of one shelf with the place of the text in which each stands, in any order.
pub fn block(mut standing: Vec<(u32, u16)>) -> Vec<u8> {
    standing.sort_unstable();
    standing.dedup();
    let (mut out, mut others) = (Vec::with_capacity(standing.len() * 4), Vec::new());
    let mut tag_before = 0;
    for same in standing.chunk_by(|a, b| a.0 == b.0) {
        let Some(((tag, first), rest)) = same.split_first() else { continue };
        push(&mut out, tag - tag_before);
        tag_before = *tag;
        push(&mut out, u32::from(*first) << 1 | u32::from(!rest.is_empty()));
        if rest.is_empty() {
            continue;
        }
        if let Some(standing) = as_bits(rest) {
            push(&mut out, 0);
            out.extend(standing.to_bytes());
            continue;
        }
        others.clear();
        let mut place_before = *first;
        for (_, place) in rest {
            push(&mut others, u32::from(place - place_before));
            place_before = *place;
        }
        push(&mut out, others.len() as u32);
        out.extend(&others);
    }
    let mut block = Vec::with_capacity(out.len() + 4);
    push(&mut block, out.len() as u32);
    block.append(&mut out);
    block
}

/// Where a word stands, if a bit for each place takes fewer bytes than the distances.
fn as_bits(standing: &[(u32, u16)]) -> Option<Standing> {
    let mut bits = (standing.len() > Standing::BYTES).then(Standing::nowhere)?;
    standing.iter().try_for_each(|(_, place)| bits.add(*place))?;
    Some(bits)
}

/// The places of the texts that hold any of these words of one shelf. `None`: the bytes are not what [`block`] writes.
pub(super) fn standing(postings: &[u8], words: &[Word]) -> Option<Standing> {
    let mut found = Standing::nowhere();
    let last = words.iter().map(|word| word.tag).max()?;
    read(postings, last, |tag| words.iter().any(|word| word.tag == tag), |_, place| found.add(place))?;
    Some(found)
}

/// The same postings in one block, each text at the place where it is `moved` to: what was added bit by bit says the same
/// in fewer bytes. `None`: as with [`standing`].
pub fn merged(postings: &[u8], moved: impl Fn(u16) -> Option<u16>) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    read(
        postings,
        u32::MAX,
        |_| true,
        |tag, place| {
            all.push((tag, moved(place)?));
            Some(())
        },
    )?;
    Some(block(all))
}

/// Hands over where each wanted word stands. What lies behind the last tag is passed over.
fn read(
    postings: &[u8],
    last: u32,
    wanted: impl Fn(u32) -> bool,
    mut each: impl FnMut(u32, u16) -> Option<()>,
) -> Option<()> {
    let mut rest = postings;
    while !rest.is_empty() {
        let mut block;
        let bytes = pull(&mut rest)? as usize;
        (block, rest) = rest.split_at_checked(bytes)?;
        let mut tag = 0u32;
        while !block.is_empty() {
            tag = tag.checked_add(pull(&mut block)?)?;
            if tag > last {
                break;
            }
            let wanted = wanted(tag);
            let head = pull(&mut block)?;
            let mut place = u16::try_from(head >> 1).ok()?;
            if wanted {
                each(tag, place)?;
            }
            if head & 1 == 0 {
                continue;
            }
            let bytes = pull(&mut block)? as usize;
            if bytes == 0 {
                let bits;
                (bits, block) = block.split_first_chunk()?;
                if wanted {
                    Standing::of_bytes(bits).places().try_for_each(|place| each(tag, place))?;
                }
            }
            let mut others;
            (others, block) = block.split_at_checked(bytes)?;
            while wanted && !others.is_empty() {
                place = place.checked_add(u16::try_from(pull(&mut others)?).ok()?)?;
                each(tag, place)?;
            }
        }
    }
    Some(())
}

fn push(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn pull(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0u32;
    for shift in (0..32).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::search::TEXTS_PER_VOLUME;

    fn word(tag: u32) -> Word {
        Word { shelf: 0, tag }
    }

    proptest! {
        #[test]
        fn every_word_is_found_where_it_stands(
            blocks in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec((0u32..40, 0..TEXTS_PER_VOLUME as u16), 1..60),
                    prop::collection::vec((6u32..9, 0..TEXTS_PER_VOLUME as u16), 500..20_000),
                ],
                0..4
            )
        ) {
            let postings: Vec<u8> = blocks.iter().flat_map(|standing| block(standing.clone())).collect();
            for tags in [vec![3], vec![0, 39], vec![7, 8, 9], vec![1000]] {
                let mut wanted: Vec<u16> =
                    blocks.iter().flatten().filter(|(tag, _)| tags.contains(tag)).map(|(_, place)| *place).collect();
                wanted.sort_unstable();
                wanted.dedup();
                let words: Vec<Word> = tags.into_iter().map(word).collect();
                let found = |postings: &[u8]| standing(postings, &words).unwrap().places().collect::<Vec<_>>();
                prop_assert_eq!(found(&postings), wanted.clone());
                let merged = merged(&postings, Some).unwrap();
                prop_assert!(merged.len() <= postings.len().max(1));
                prop_assert_eq!(found(&merged), wanted.clone());
                let mirrored = |place: u16| (TEXTS_PER_VOLUME as u16 - 1).checked_sub(place);
                let moved = super::merged(&postings, mirrored).unwrap();
                prop_assert_eq!(found(&moved), wanted.into_iter().rev().filter_map(mirrored).collect::<Vec<_>>());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (found, merged) = (standing(&bytes, &[word(u32::MAX)]), merged(&bytes, Some));
            // A block that is whole may still tell of places that no volume has.
            prop_assert!(found.is_none() || merged.is_some());
        }
    }

    #[test]
    fn a_word_that_stands_once_takes_four_bytes_and_one_that_stands_everywhere_a_bit_a_text() {
        let rare: Vec<(u32, u16)> = (0..100).map(|n| (n * 10_000, (n * 20) as u16)).collect();
        let everywhere: Vec<(u32, u16)> = (0..TEXTS_PER_VOLUME as u16).map(|place| (5, place)).collect();

        assert!(block(rare).len() <= 1 + 100 * 5);
        assert!(block(everywhere.clone()).len() <= Standing::BYTES + 10);
        let found = standing(&block(everywhere), &[word(5)]).unwrap();
        assert!(found.places().eq(0..TEXTS_PER_VOLUME as u16));
    }
}

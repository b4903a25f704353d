//! Which words stand in which texts of a page, in bytes. Pure.
//!
//! The postings of a shelf are blocks, one for each time that texts were added, so that adding is appending. A block is
//! the number of its words, then for each word in the order of their tags: the difference to the tag before, the place of
//! the first text doubled (and one more if others follow), and then how many others follow, each by its distance to the
//! one before. Where those would take more bytes than a bit for each place of a page, there are such bits behind a zero.
//! All numbers are LEB128.

use super::standing::Standing;
use super::words::Word;

/// Writes a block: the words of one shelf with the place of the text in which each stands, in any order.
pub fn block(mut standing: Vec<(u32, u16)>) -> Vec<u8> {
    standing.sort_unstable();
    standing.dedup();
    let by_tag = || standing.chunk_by(|a, b| a.0 == b.0);
    let mut out = Vec::with_capacity(standing.len() * 4);
    push(&mut out, by_tag().count() as u32);
    let mut tag_before = 0;
    for same in by_tag() {
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
        push(&mut out, rest.len() as u32);
        let mut place_before = *first;
        for (_, place) in rest {
            push(&mut out, u32::from(place - place_before));
            place_before = *place;
        }
    }
    out
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
    read(postings, |tag| words.iter().any(|word| word.tag == tag), |_, place| found.add(place))?;
    Some(found)
}

/// The same postings in one block: what was added bit by bit says the same in fewer bytes. `None`: as with [`standing`].
pub fn merged(postings: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    read(
        postings,
        |_| true,
        |tag, place| {
            all.push((tag, place));
            Some(())
        },
    )?;
    Some(block(all))
}

/// Hands over where each wanted word stands.
fn read(postings: &[u8], wanted: impl Fn(u32) -> bool, mut each: impl FnMut(u32, u16) -> Option<()>) -> Option<()> {
    let mut rest = postings;
    while !rest.is_empty() {
        let mut tag = 0u32;
        for _ in 0..pull(&mut rest)? {
            tag = tag.checked_add(pull(&mut rest)?)?;
            let wanted = wanted(tag);
            let head = pull(&mut rest)?;
            let mut place = u16::try_from(head >> 1).ok()?;
            if wanted {
                each(tag, place)?;
            }
            if head & 1 == 0 {
                continue;
            }
            let n_others = pull(&mut rest)?;
            if n_others == 0 {
                let bits;
                (bits, rest) = rest.split_first_chunk()?;
                if wanted {
                    Standing::of_bytes(bits).places().try_for_each(|place| each(tag, place))?;
                }
            }
            for _ in 0..n_others {
                place = place.checked_add(u16::try_from(pull(&mut rest)?).ok()?)?;
                if wanted {
                    each(tag, place)?;
                }
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
    use crate::catalog::search::TEXTS_PER_PAGE;

    fn word(tag: u32) -> Word {
        Word { shelf: 0, tag }
    }

    proptest! {
        #[test]
        fn every_word_is_found_where_it_stands(
            blocks in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec((0u32..40, 0..TEXTS_PER_PAGE as u16), 1..60),
                    prop::collection::vec((6u32..9, 0..TEXTS_PER_PAGE as u16), 500..3000),
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
                let merged = merged(&postings).unwrap();
                prop_assert!(merged.len() <= postings.len().max(1));
                prop_assert_eq!(found(&merged), wanted);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            // A block that is whole may still tell of places that no page has.
            prop_assert!(standing(&bytes, &[word(1)]).is_none() || merged(&bytes).is_some());
        }
    }

    #[test]
    fn a_word_that_stands_once_takes_four_bytes_and_one_that_stands_everywhere_a_bit_a_text() {
        let rare: Vec<(u32, u16)> = (0..100).map(|n| (n * 10_000, (n * 20) as u16)).collect();
        let everywhere: Vec<(u32, u16)> = (0..2000).map(|place| (5, place)).collect();

        assert!(block(rare).len() <= 1 + 100 * 5);
        assert!(block(everywhere.clone()).len() <= Standing::BYTES + 10);
        let found = standing(&block(everywhere), &[word(5)]).unwrap();
        assert!(found.places().eq(0..2000));
    }
}

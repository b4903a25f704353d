//! The places of a volume's texts at which a word stands, a bit for each place. Pure.

use super::TEXTS_PER_VOLUME;

const BITS: usize = u64::BITS as usize;
const NUMBERS: usize = TEXTS_PER_VOLUME.div_ceil(BITS);

/// Places of one volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing(Box<[u64; NUMBERS]>);

impl Standing {
    /// Of what [`Self::to_bytes`] makes.
    pub(super) const BYTES: usize = NUMBERS * size_of::<u64>();

    pub(super) fn nowhere() -> Self {
        Self(Box::new([0; NUMBERS]))
    }

    pub(super) fn of_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut standing = Self::nowhere();
        let (numbers, _) = bytes.as_chunks();
        standing.0.iter_mut().zip(numbers).for_each(|(bits, bytes)| *bits = u64::from_le_bytes(*bytes));
        standing
    }

    pub(super) fn to_bytes(&self) -> impl Iterator<Item = u8> {
        self.0.iter().flat_map(|bits| bits.to_le_bytes())
    }

    /// `None`: a volume has no such place.
    pub(super) fn add(&mut self, place: u16) -> Option<()> {
        let place = usize::from(place);
        *self.0.get_mut(place / BITS)? |= 1 << (place % BITS);
        Some(())
    }

    /// Keeps the places that the other has too.
    pub(super) fn keep(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(bits, others)| *bits &= others);
    }

    pub(super) fn is_nowhere(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    pub(super) fn n_places(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// In ascending order.
    pub(super) fn places(&self) -> impl Iterator<Item = u16> {
        self.places_of(0, TEXTS_PER_VOLUME)
    }

    /// Of those from the first to before the end, in ascending order.
    pub(super) fn places_of(&self, first: usize, end: usize) -> impl Iterator<Item = u16> {
        let numbers = self.0.iter().enumerate().take(end.div_ceil(BITS)).skip(first / BITS);
        numbers.flat_map(move |(at, bits)| {
            // What lies before the first one, in its own number.
            let mut rest = *bits & (u64::MAX << first.saturating_sub(at * BITS).min(BITS - 1));
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(at * BITS + bit).filter(|place| *place < end).map(|place| place as u16)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn standing(places: &BTreeSet<u16>) -> Standing {
        let mut standing = Standing::nowhere();
        places.iter().for_each(|place| standing.add(*place).unwrap());
        standing
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_places(
            some in prop::collection::btree_set(0..TEXTS_PER_VOLUME as u16, 0..200),
            others in prop::collection::btree_set(0..TEXTS_PER_VOLUME as u16, 0..2000),
            ends in (0..=TEXTS_PER_VOLUME, 0..=TEXTS_PER_VOLUME),
        ) {
            let (mut both, wanted) = (standing(&some), some.intersection(&others).copied().collect::<Vec<_>>());
            prop_assert!(both.places().eq(some.iter().copied()));
            let bytes: Vec<u8> = both.to_bytes().collect();
            prop_assert_eq!(&Standing::of_bytes(&bytes.try_into().unwrap()), &both);
            let (first, end) = ends;
            let between = some.iter().copied().filter(|place| (first..end).contains(&usize::from(*place)));
            prop_assert!(both.places_of(first, end).eq(between));
            both.keep(&standing(&others));
            prop_assert_eq!(both.places().collect::<Vec<_>>(), wanted.clone());
            prop_assert_eq!(both.n_places(), wanted.len());
            prop_assert_eq!(both.is_nowhere(), wanted.is_empty());
        }
    }

    #[test]
    fn what_no_volume_has_is_refused() {
        assert_eq!(Standing::nowhere().add(u16::MAX), None);
        assert_eq!(Standing::nowhere().add(TEXTS_PER_VOLUME as u16 - 1), Some(()));
    }
}

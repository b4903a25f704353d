//! What lies between the points that stay. Pure.

use crate::ids::PointNumber;

/// A stretch between two retained points in which points are given up: no retained point needs a version that began
/// after the first and had ended by the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The retained point before it; 0 where there is none.
    pub after: PointNumber,
    /// The retained point behind it.
    pub until: PointNumber,
}

impl Gap {
    /// Whether a version that was valid over `[from, to)` was valid at no retained point.
    pub fn swallows(&self, from: PointNumber, to: PointNumber) -> bool {
        self.after < from && to <= self.until
    }
}

/// Finds the gaps of one chain, from its points in ascending order.
#[derive(Clone, Debug)]
pub struct GapFinder {
    after: PointNumber,
    begun: bool,
}

/// How a point takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    Yes,
    No,
}

impl Default for GapFinder {
    fn default() -> Self {
        Self { after: PointNumber::new(0), begun: false }
    }
}

impl GapFinder {
    /// The gap that ends at this point, if one does. A gap that no retained point ends is none.
    pub fn meet(&mut self, point: PointNumber, stays: Stays) -> Option<Gap> {
        match stays {
            Stays::No => {
                self.begun = true;
                None
            }
            Stays::Yes => {
                let gap = Gap { after: std::mem::replace(&mut self.after, point), until: point };
                std::mem::take(&mut self.begun).then_some(gap)
            }
        }
    }
}

/// The one of these gaps, in ascending order, that swallows a version valid over `[from, to)`.
pub fn swallowing(gaps: &[Gap], from: PointNumber, to: PointNumber) -> Option<Gap> {
    let candidate = gaps.get(gaps.partition_point(|gap| gap.until < to))?;
    candidate.swallows(from, to).then_some(*candidate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(number: u32) -> PointNumber {
        PointNumber::new(number)
    }

    #[test]
    fn points_at_the_end_that_nothing_follows_make_no_gap() {
        let mut finder = GapFinder::default();

        let points =
            [(1, Stays::No), (2, Stays::Yes), (3, Stays::Yes), (5, Stays::No), (6, Stays::No), (9, Stays::Yes)];
        let gaps: Vec<Gap> = points.iter().filter_map(|(point, stays)| finder.meet(number(*point), *stays)).collect();

        let gap = |after, until| Gap { after: number(after), until: number(until) };
        assert_eq!(gaps, [gap(0, 2), gap(3, 9)]);
        assert_eq!(finder.meet(number(10), Stays::No), None);
    }

    proptest! {
        #[test]
        fn what_a_gap_swallows_is_what_no_retained_point_sees(
            stays in proptest::collection::vec(any::<bool>(), 1..20),
            from in 1u32..21,
            length in 1u32..21,
        ) {
            let (mut finder, mut gaps) = (GapFinder::default(), Vec::new());
            let to = from + length;
            for (point, stays) in (1..).zip(&stays) {
                gaps.extend(finder.meet(number(point), if *stays { Stays::Yes } else { Stays::No }));
            }
            let last_retained = (1..).zip(&stays).filter(|(_, stays)| **stays).map(|(point, _)| point).last();

            let swallowed = swallowing(&gaps, number(from), number(to)).is_some();

            let seen = (1..).zip(&stays).any(|(point, stays): (u32, _)| *stays && from <= point && point < to);
            // Ranges end at points that were there, and those before the first retained point or between two.
            let between = last_retained.is_some_and(|last| to <= last);
            let given_up = (1..).zip(&stays).any(|(point, stays): (u32, _)| !*stays && from <= point && point < to);
            prop_assert_eq!(swallowed, between && !seen && given_up);
        }
    }
}

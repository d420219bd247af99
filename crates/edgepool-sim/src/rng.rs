//! A small seeded generator that gives the same numbers on every platform.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A seeded generator of pseudo-random numbers: SplitMix64.
///
/// The algorithm is that of Guy L. Steele, Doug Lea and Christine H. Flood, "Fast splittable
/// pseudorandom number generators" (OOPSLA 2014), with the constants of Sebastiano Vigna's public
/// domain `splitmix64.c`. It works on 64-bit integers alone, so a seed means the same on every
/// platform, wasm included. It is for simulation; it is not secure.
///
/// # Examples
/// ```
/// use edgepool_sim::Rng;
///
/// let mut a = Rng::new(7);
/// let mut b = Rng::new(7);
/// assert_eq!(a.next_u64(), b.next_u64());
/// assert!(a.below(6) < 6);
/// ```
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// Makes the generator of `seed`. Every seed is as good as another, zero included.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to `bound - 1`, each about as likely (to within `bound / 2^64`).
    ///
    /// # Panics
    /// If `bound` is 0, as there is nothing to choose from.
    pub const fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "below(0): there is nothing to choose from");
        // The high word of a product maps 64 random bits onto the range without a division.
        ((self.next_u64() as u128 * bound as u128) >> 64) as u64
    }

    /// Returns a number from `range`, both ends included.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        assert!(low <= high, "within({low}..={high}): the range is empty");
        match (high - low).checked_add(1) {
            Some(width) => low + self.below(width),
            None => self.next_u64(),
        }
    }

    /// Returns an index below `len`.
    ///
    /// # Panics
    /// If `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        // It is below `len`, which was a usize.
        self.below(len as u64) as usize
    }

    /// Returns true in `per_mille` of 1,000 cases; from 1,000 on, always.
    pub const fn chance(&mut self, per_mille: u32) -> bool {
        // The number is drawn even where it cannot matter, so that a changed chance does not shift
        // every later draw of the seed.
        self.below(1000) < per_mille as u64
    }

    /// Returns a duration from `range`, both ends included, in whole nanoseconds. A bound of more
    /// than 584 years counts as that.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn duration(&mut self, range: RangeInclusive<Duration>) -> Duration {
        let nanos = |d: &Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.within(nanos(range.start())..=nanos(range.end())))
    }

    /// Splits off a generator whose numbers do not depend on how many more are drawn from this.
    #[must_use]
    pub const fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_sequence() {
        let mut rng = Rng::new(1_234_567);
        let expected: [u64; 5] = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(expected.map(|_| rng.next_u64()), expected);
    }

    #[test]
    fn stays_within_its_range_and_reaches_both_ends() {
        let mut rng = Rng::new(0);
        let mut seen = [0_u32; 4];
        for _ in 0..4000 {
            seen[(rng.within(3..=6) - 3) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (900..1100).contains(&n)), "{seen:?}");
        assert_eq!(rng.within(5..=5), 5);
        rng.within(0..=u64::MAX);
    }

    #[test]
    fn chance_of_none_and_of_all() {
        let mut rng = Rng::new(3);
        assert!((0..500).all(|_| !rng.chance(0)));
        assert!((0..500).all(|_| rng.chance(1000)));
    }
}

//! Which of several endpoints is next.

use core::time::Duration;

use edgepool::Time;

/// How attempts are shared out among the endpoints that can take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// In turn, each as often as its weight says and evenly spread (the smooth weighted round robin
    /// of nginx).
    #[default]
    RoundRobin,
    /// The one that has the fewest under way for its weight, with the attempt that is to be sent. So
    /// where little is under way the heaviest gets most, as in Envoy.
    LeastConnections,
    /// Of two drawn at random the one that is less busy for its weight: how many it has under way
    /// times how long its headers take of late (Mitzenmacher's "power of two choices", with the
    /// moving average of Finagle's aperture balancers).
    PowerOfTwo,
}

/// What an endpoint is to the balance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) index: usize,
    /// In thousandths, slow start included; at least 1.
    pub(super) weight: u64,
    pub(super) in_flight: u32,
    /// In nanoseconds, if any is known.
    pub(super) latency: Option<u64>,
}

impl Balance {
    /// Chooses one of the entries by its place among them. `credits` are those of all endpoints, by
    /// their index; `chance` is any number.
    pub(super) fn choose(self, entries: &[Entry], credits: &mut [i64], chance: u64) -> usize {
        match self {
            _ if entries.len() < 2 => 0,
            Self::RoundRobin => in_turn(entries, credits),
            Self::LeastConnections => least(entries, chance, |entry| {
                u128::from(entry.in_flight + 1) * 1_000_000 / u128::from(entry.weight)
            }),
            Self::PowerOfTwo => {
                let typical = typical(entries);
                let (one, other) = draw_two(entries.len(), chance);
                let (a, b) = (load(&entries[one], typical), load(&entries[other], typical));
                if b < a { other } else { one }
            }
        }
    }
}

/// Each gets its weight in credit; who has the most is next, and pays what all got.
fn in_turn(entries: &[Entry], credits: &mut [i64]) -> usize {
    let mut sum = 0_i64;
    let mut best = 0;
    for (place, entry) in entries.iter().enumerate() {
        let weight = i64::try_from(entry.weight).unwrap_or(i64::MAX);
        sum = sum.saturating_add(weight);
        credits[entry.index] = credits[entry.index].saturating_add(weight);
        if credits[entry.index] > credits[entries[best].index] {
            best = place;
        }
    }
    let credit = &mut credits[entries[best].index];
    *credit = credit.saturating_sub(sum);
    best
}

/// Returns the place of the least; of equals one by chance, lest the first gets all of a light load.
fn least(entries: &[Entry], chance: u64, cost: impl Fn(&Entry) -> u128) -> usize {
    let start = (chance % entries.len() as u64) as usize;
    let turned = (0..entries.len()).map(|n| (start + n) % entries.len());
    turned.min_by_key(|&place| cost(&entries[place])).unwrap_or(0)
}

/// Draws two places that differ.
const fn draw_two(len: usize, chance: u64) -> (usize, usize) {
    let one = ((chance >> 32) % len as u64) as usize;
    let step = 1 + ((chance & 0xffff_ffff) % (len as u64 - 1)) as usize;
    (one, (one + step) % len)
}

/// Returns the mean of what is known: what an endpoint without an answer is taken for. It would get
/// everything if it were taken for fast.
fn typical(entries: &[Entry]) -> u64 {
    let known = entries.iter().filter_map(|entry| entry.latency);
    let (sum, count) =
        known.fold((0_u128, 0_u128), |(sum, n), each| (sum + u128::from(each), n + 1));
    sum.checked_div(count).unwrap_or(1) as u64
}

fn load(entry: &Entry, typical: u64) -> u128 {
    let latency = u128::from(entry.latency.unwrap_or(typical).max(1));
    latency * u128::from(entry.in_flight + 1) * 1_000 / u128::from(entry.weight)
}

/// A moving average of latency, which halves for each time in which nothing was heard, so that an
/// endpoint that was slow is tried again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latency {
    nanos: Option<u64>,
    at: Time,
}

/// How long a latency is believed in full.
const FRESH: Duration = Duration::from_secs(10);

impl Latency {
    pub(super) fn get(&self, now: Time) -> Option<u64> {
        let old = now.saturating_since(self.at).as_secs() / FRESH.as_secs();
        self.nanos.map(|nanos| nanos.checked_shr(old.min(64) as u32).unwrap_or(0))
    }

    pub(super) fn record(&mut self, latency: Duration, now: Time) {
        let new = latency.as_nanos().min(u128::from(u64::MAX)) as u64;
        // A quarter of what is new: the mean of about the last seven.
        let mixed = |old: u64| (old - old / 4).saturating_add(new / 4);
        self.nanos = Some(self.get(now).map_or(new, mixed));
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(of: &[(u64, u32, Option<u64>)]) -> Vec<Entry> {
        let entry = |(index, &(weight, in_flight, latency))| Entry {
            index,
            weight: weight * 1_000,
            in_flight,
            latency,
        };
        of.iter().enumerate().map(entry).collect()
    }

    fn numbers() -> impl Iterator<Item = u64> {
        (0_u64..).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ n << 40)
    }

    fn shares(balance: Balance, entries: &[Entry]) -> Vec<usize> {
        let mut credits = vec![0; entries.len()];
        let mut counts = vec![0; entries.len()];
        for chance in numbers().take(1_000) {
            counts[balance.choose(entries, &mut credits, chance)] += 1;
        }
        counts
    }

    #[test]
    fn in_turn_is_spread_evenly() {
        let entries = entries(&[(5, 0, None), (1, 0, None), (1, 0, None)]);
        let mut credits = [0; 3];
        let order = [0; 7].map(|chance| Balance::RoundRobin.choose(&entries, &mut credits, chance));
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(credits, [0; 3]);
    }

    #[test]
    fn the_least_busy_for_its_weight_is_next() {
        let busy = entries(&[(1, 2, None), (4, 5, None), (1, 3, None)]);
        assert_eq!(shares(Balance::LeastConnections, &busy), [0, 1_000, 0]);
        let even = shares(Balance::LeastConnections, &entries(&[(1, 1, None), (1, 1, None)]));
        assert!(even.iter().all(|&count| count > 300), "{even:?}");
    }

    #[test]
    fn of_two_the_faster_is_next() {
        let three = entries(&[(1, 0, Some(9)), (1, 0, Some(90)), (1, 0, Some(900))]);
        let counts = shares(Balance::PowerOfTwo, &three);
        assert!(counts[0] > 550 && counts[1] > 200 && counts[2] == 0, "{counts:?}");
        // One that was never heard of gets as much as one in the middle.
        let unknown = entries(&[(1, 3, None), (1, 0, Some(90))]);
        assert_eq!(shares(Balance::PowerOfTwo, &unknown), [0, 1_000]);
        let weighed = entries(&[(10, 3, Some(90)), (1, 0, Some(90))]);
        assert_eq!(shares(Balance::PowerOfTwo, &weighed), [1_000, 0]);
    }

    #[test]
    fn two_that_are_drawn_differ() {
        for (len, chance) in (2..9).flat_map(|len| numbers().take(500).map(move |n| (len, n))) {
            let (one, other) = draw_two(len, chance);
            assert!(one != other && one < len && other < len);
        }
    }

    #[test]
    fn latency_is_averaged_and_forgotten() {
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        let mut latency = Latency::default();
        assert_eq!(latency.get(at(0)), None);
        latency.record(Duration::from_nanos(800), at(0));
        latency.record(Duration::from_nanos(400), at(5));
        assert_eq!(latency.get(at(14)), Some(700));
        assert_eq!(latency.get(at(35)), Some(87));
        assert_eq!(latency.get(Time::NEVER), Some(0));
    }
}

//! A day of ten thousand tenants on one ledger: who has what share, who waits for whom, and what is
//! left of those who are gone.
//!
//! Twenty connections are lent for 100 ms in the mean, which makes 200 leases a second. Ten tenants
//! always have callers waiting, the loudest more than all others; ten thousand come now and then,
//! the n-th of them in proportion to 1/n ("Zipf"), with a fifth of what the pool bears. Who was not
//! seen for five minutes is forgotten, and comes back as a new tenant.
//!
//! `EDGEPOOL_TENANT_HOURS` says how long the day is; without it, it is a sixth of an hour.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use edgepool::ledger::{
    Acquired, Ask, Claim, Effect, Ledger, Options, Share, SlotKey, TenantKey, WaiterKey,
};
use edgepool::{Histogram, Time};

const PLACES: u32 = 20;
const HOLD_NANOS: f64 = 100e6;
/// How often a second somebody comes whose tenant comes now and then.
const VISITS: f64 = 40.0;
const VISITORS: usize = 10_000;
/// The weights of those who always wait.
const WEIGHTS: [u32; 10] = [1, 1, 1, 2, 2, 2, 3, 3, 4, 1];
/// How many callers each of them has, but for the last, the loud one.
const CALLERS: usize = 40;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Chance(u64);

impl Chance {
    /// A number from 0 to 1, without 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A time that is exponentially distributed.
    fn time(&mut self, mean_nanos: f64) -> Duration {
        Duration::from_nanos((-(1.0 - self.unit()).ln() * mean_nanos) as u64)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Visit,
    Release(SlotKey, usize),
    Forget,
}

/// A tenant, those who always wait first.
#[derive(Clone)]
struct Tenant {
    key: Option<TenantKey>,
    weight: u32,
    /// How many leases it had.
    served: u64,
    seen: Time,
}

/// A waiter whose wait is followed: how many its tenant had before it and it is, and what every
/// tenant had as it came.
struct Followed {
    tenant: usize,
    turn: u64,
    had: Vec<u64>,
}

struct Day {
    ledger: Ledger,
    chance: Chance,
    now: Time,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    number: u64,
    tenants: Vec<Tenant>,
    /// The sums of 1/n, to draw a visitor.
    zipf: Vec<f64>,
    waiting: BTreeMap<WaiterKey, (usize, Time)>,
    followed: BTreeMap<WaiterKey, Followed>,
    visits: u64,
    /// How many there are a second.
    pace: f64,
    /// The waits of visitors.
    waits: Histogram,
    /// The most turns that one had to wait for who was followed.
    most_turns: u64,
    recent: VecDeque<(Time, usize)>,
    most_open: usize,
}

impl Day {
    fn new(seed: u64) -> Self {
        let options = Options { max_waiting: 100_000, ..Options::new(PLACES) };
        let mut ledger = Ledger::new(options).unwrap();
        let slots: Vec<_> = (0..PLACES).map(|_| ledger.adopt().unwrap()).collect();
        slots.into_iter().for_each(|slot| assert!(ledger.release(slot)));
        let tenant = |weight| Tenant { key: None, weight, served: 0, seen: Time::ZERO };
        let always = WEIGHTS.map(tenant);
        let visitors = std::iter::repeat_n(tenant(1), VISITORS);
        let mut sum = 0.0;
        let zipf = (1..=VISITORS).map(|n| {
            sum += 1.0 / n as f64;
            sum
        });
        Self {
            ledger,
            chance: Chance(seed),
            now: Time::ZERO,
            events: BinaryHeap::new(),
            number: 0,
            zipf: zipf.collect(),
            tenants: always.into_iter().chain(visitors).collect(),
            waiting: BTreeMap::new(),
            followed: BTreeMap::new(),
            visits: 0,
            pace: VISITS,
            waits: Histogram::new(),
            most_turns: 0,
            recent: VecDeque::new(),
            most_open: 0,
        }
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.number += 1;
        let at = self.now.saturating_add(after);
        self.events.push(Reverse((at, self.number, event)));
    }

    /// Lets the day go on until `end`.
    fn run(&mut self, end: Time) {
        self.now = self.now.max(self.ledger.now());
        for tenant in 0..WEIGHTS.len() {
            let callers = if tenant + 1 == WEIGHTS.len() { CALLERS * 10 } else { CALLERS };
            (0..callers).for_each(|_| self.come(tenant));
        }
        self.at(Duration::ZERO, Event::Visit);
        self.at(FORGOTTEN_AFTER, Event::Forget);
        self.go_on(end);
    }

    /// Lets those come back who always have callers, as those were served that were there, and
    /// visitors come.
    fn go_on(&mut self, end: Time) {
        while let Some(Reverse((at, _, event))) = self.events.pop()
            && at <= end
        {
            self.now = at;
            self.ledger.advance(at);
            match event {
                Event::Visit => {
                    let tenant = self.draw_visitor();
                    self.come(tenant);
                    let next = self.chance.time(1e9 / self.pace);
                    self.at(next, Event::Visit);
                }
                Event::Release(slot, tenant) => {
                    assert!(self.ledger.release(slot));
                    self.hand_on();
                    if tenant < WEIGHTS.len() {
                        self.come(tenant);
                    }
                }
                Event::Forget => self.forget(),
            }
        }
        self.ledger.check().unwrap();
    }

    fn draw_visitor(&mut self) -> usize {
        let at = self.chance.unit() * self.zipf.last().unwrap();
        WEIGHTS.len() + self.zipf.partition_point(|&sum| sum <= at).min(VISITORS - 1)
    }

    /// A caller of a tenant comes.
    fn come(&mut self, index: usize) {
        let tenant = &mut self.tenants[index];
        tenant.seen = self.now;
        let share = Share::new().weight(tenant.weight);
        let key = *tenant.key.get_or_insert_with(|| self.ledger.open_tenant(share).unwrap());
        self.most_open = self.most_open.max(self.ledger.tenants());
        self.recent.push_back((self.now, index));
        self.visits += u64::from(index >= WEIGHTS.len());
        match self.ledger.acquire(Ask { tenant: Some(key), ..Ask::until(Time::NEVER) }).unwrap() {
            Acquired::Leased(slot) => self.served(index, slot, self.now),
            Acquired::Waiting(waiter) => {
                self.waiting.insert(waiter, (index, self.now));
                if self.chance.unit() < 0.001 {
                    self.follow(index, waiter);
                }
            }
        }
    }

    fn follow(&mut self, tenant: usize, waiter: WaiterKey) {
        let turn = u64::from(self.ledger.place(waiter).unwrap()) + 1;
        let had = self.tenants.iter().map(|tenant| tenant.served).collect();
        self.followed.insert(waiter, Followed { tenant, turn, had });
    }

    /// Gives those what they were offered who were.
    fn hand_on(&mut self) {
        while let Some(effect) = self.ledger.poll_effect() {
            let Effect::Offer { waiter, .. } = effect else { panic!("{effect:?}") };
            let Claim::Leased(slot) = self.ledger.claim(waiter) else { panic!("it was offered") };
            let (index, since) = self.waiting.remove(&waiter).unwrap();
            if let Some(followed) = self.followed.remove(&waiter) {
                self.judge(&followed);
            }
            self.served(index, slot, since);
        }
    }

    /// Nobody was served oftener meanwhile than the waiter's turns make by the weights, and once more.
    fn judge(&mut self, followed: &Followed) {
        let weight = u64::from(self.tenants[followed.tenant].weight);
        for (index, (tenant, had)) in self.tenants.iter().zip(&followed.had).enumerate() {
            let passed = tenant.served - had;
            let most = followed.turn * u64::from(tenant.weight) / weight + 1;
            assert!(
                index == followed.tenant || passed <= most,
                "one at turn {} of weight {weight} was passed by {index} {passed} times, not {most}",
                followed.turn
            );
        }
        self.most_turns = self.most_turns.max(followed.turn);
    }

    fn served(&mut self, index: usize, slot: SlotKey, since: Time) {
        self.tenants[index].served += 1;
        if index >= WEIGHTS.len() {
            self.waits.record(self.now.saturating_since(since));
        }
        let hold = self.chance.time(HOLD_NANOS);
        self.at(hold, Event::Release(slot, index));
    }

    /// Forgets those who were not seen for long.
    fn forget(&mut self) {
        while let Some(&(at, index)) = self.recent.front()
            && at.saturating_add(FORGOTTEN_AFTER) <= self.now
        {
            self.recent.pop_front();
            let tenant = &mut self.tenants[index];
            if tenant.seen == at
                && let Some(key) = tenant.key.take()
            {
                let told = self.ledger.tenant(key).unwrap();
                if told.waiting + told.in_use > 0 {
                    tenant.key = Some(key);
                } else {
                    assert!(self.ledger.close_tenant(key));
                }
            }
        }
        self.at(Duration::from_secs(10), Event::Forget);
    }

    /// Jain's index of what those had who always wait, each for its weight: 1 is as it should be.
    fn fairness(&self) -> f64 {
        let had: Vec<f64> = self.tenants[..WEIGHTS.len()]
            .iter()
            .map(|tenant| tenant.served as f64 / f64::from(tenant.weight))
            .collect();
        let (sum, squares) =
            had.iter().fold((0.0, 0.0), |(sum, squares), had| (sum + had, squares + had * had));
        sum * sum / (had.len() as f64 * squares)
    }
}

#[test]
fn a_day_of_ten_thousand_tenants() {
    let hours: f64 = std::env::var("EDGEPOOL_TENANT_HOURS")
        .map_or(1.0 / 6.0, |hours| hours.parse().expect("EDGEPOOL_TENANT_HOURS is a number"));
    let mut day = Day::new(7);
    day.run(Time::from_nanos((hours * 3_600e9) as u64));
    let jain = day.fairness();
    let [median, p99] = [50.0, 99.0].map(|percent| day.waits.percentile(percent).unwrap());
    println!(
        "{hours:.2} h: {} visits of {VISITORS} tenants, at most {} open; Jain's index {jain:.6}; \
         visitors waited {median:?} in the median, {p99:?} at p99, {:?} at most; \
         the followed waited for up to {} turns",
        day.visits,
        day.most_open,
        day.waits.max().unwrap(),
        day.most_turns
    );
    assert!(jain > 0.999_9, "{jain}");
    assert!(day.most_turns >= 30, "too few were followed");
    // Beside those who always wait, only who was seen of late has an entry.
    let open = day.ledger.tenants();
    let seen = |tenant: &&Tenant| day.now.saturating_since(tenant.seen) < FORGOTTEN_AFTER * 2;
    let recent = day.tenants.iter().filter(|t| t.key.is_some()).filter(seen).count();
    assert_eq!(open, recent);
    assert!(open < VISITORS);
}

/// A light tenant's waits alone and beside one that always has a hundred callers. Such a one is served
/// once for each turn of the light one's, and once more: at worst the third connection that comes
/// back is for the light one. They come back by chance, one each 5 ms in the mean, and of a hundred
/// such waits for the third 99 are shorter than 8.41 times that (Erlang's distribution).
#[test]
fn a_light_tenant_beside_a_loud_one() {
    let waits = |loud: bool| {
        let mut day = Day::new(11);
        day.tenants.truncate(WEIGHTS.len() + 1);
        day.zipf.truncate(1);
        // A tenth of what the pool bears.
        day.pace = 20.0;
        if loud {
            (0..100).for_each(|_| day.come(WEIGHTS.len() - 1));
        }
        day.at(Duration::ZERO, Event::Visit);
        day.go_on(Time::from_nanos(3_600_000_000_000));
        day.waits.percentile(99.0).unwrap()
    };
    let (alone, beside) = (waits(false), waits(true));
    println!("a light tenant waits {alone:?} alone and {beside:?} beside a loud one, at p99");
    assert_eq!(alone, Duration::ZERO, "a tenth of the pool is free at any time");
    assert!(
        beside <= Duration::from_nanos((8.41 * HOLD_NANOS) as u64 / u64::from(PLACES)),
        "{beside:?}"
    );
}

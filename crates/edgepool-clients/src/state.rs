use core::time::Duration;
use std::cell::RefCell;
use std::rc::Rc;

use edgepool::Time;
use edgepool_llm::json;
use edgepool_llm::provider::Provider;
use serde_json::Value;

use crate::calls::Entry;
use crate::services::Shared;
use crate::thrown::Thrown;

/// Everything that there is, by its number.
#[derive(Default)]
pub(crate) struct State {
    last: u64,
    pub(crate) providers: Table<Rc<Provider>>,
    pub(crate) services: Table<Rc<RefCell<Shared>>>,
    pub(crate) calls: Table<Box<Entry>>,
}

/// Things by their numbers. They come in the order of those, so that a list is enough; three trees
/// would be 8 KB of code.
pub(crate) struct Table<T>(Vec<(u64, T)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Table<T> {
    /// Adds a thing by a number that is larger than all before.
    pub(crate) fn insert(&mut self, number: u64, thing: T) {
        debug_assert!(self.0.last().is_none_or(|(last, _)| *last < number));
        self.0.push((number, thing));
    }

    pub(crate) fn get(&self, number: f64) -> Option<&T> {
        self.place(number).map(|place| &self.0[place].1)
    }

    pub(crate) fn get_mut(&mut self, number: f64) -> Option<&mut T> {
        self.place(number).map(|place| &mut self.0[place].1)
    }

    pub(crate) fn remove(&mut self, number: f64) -> Option<T> {
        self.place(number).map(|place| self.0.remove(place).1)
    }

    /// Keeps what is to be kept; returns how many were not.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) -> usize {
        let count = self.0.len();
        self.0.retain_mut(|(_, thing)| keep(thing));
        count - self.0.len()
    }

    fn place(&self, number: f64) -> Option<usize> {
        self.0.binary_search_by_key(&(number as u64), |(number, _)| *number).ok()
    }
}

impl State {
    /// Returns a number that was never returned before.
    pub(crate) const fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Runs one operation. None begins another, as nothing in here calls back.
pub(crate) fn with<R>(operate: impl FnOnce(&mut State) -> R) -> R {
    STATE.with_borrow_mut(operate)
}

/// How many numbers an instance has: more than are used in a century, and few enough for the numbers
/// of thousands of instances to be exact in an `f64`.
const NUMBERS: f64 = (1_u64 << 40) as f64;

/// Begins the numbers of the instance of that place among those that a process has had, so that
/// those of the ones before mean nothing to it.
pub fn begin_epoch(instance: f64) {
    with(|state| state.last = state.last.max((instance * NUMBERS) as u64));
}

const NANOS_PER_MS: f64 = 1e6;
/// The latest time that a clock may tell, about 146 years; what never comes must not be due.
const LATEST: f64 = (u64::MAX / 4) as f64;

/// Reads a time of the caller's clock.
pub(crate) fn time(ms: f64) -> Time {
    Time::from_nanos((ms * NANOS_PER_MS).clamp(0.0, LATEST) as u64)
}

/// Writes a time of the caller's clock.
pub(crate) fn to_ms(time: Time) -> f64 {
    if time == Time::NEVER { f64::INFINITY } else { time.as_nanos() as f64 / NANOS_PER_MS }
}

/// Reads a time since 1970.
pub(crate) fn wall(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1e3).unwrap_or(Duration::ZERO)
}

/// Makes a number of 64 bits of one from 0 to 1, of which each bit is as likely.
pub(crate) fn chance(chance: f64) -> u64 {
    // The bits that an `f64` has, spread by the finaliser of SplitMix64.
    let mut it = (chance.clamp(0.0, 1.0) * (1_u64 << 53) as f64) as u64;
    it = it.wrapping_add(0x9e37_79b9_7f4a_7c15);
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

/// Parses what JavaScript has made.
pub(crate) fn parse(text: &str) -> Result<Value, Thrown> {
    json::parse(text.as_bytes()).ok_or_else(|| Thrown::request("", "takes JSON"))
}

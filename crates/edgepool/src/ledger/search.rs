//! Every state that a small pool can be in, breadth first.
//!
//! Each setting below is a small pool and the operations that it knows. From the empty pool on,
//! every operation is tried in every state, those with stale keys among them, until no new state
//! comes up. Two ledgers are in one state if nothing that they will ever decide can differ: places
//! are taken by what they do and not by their number, times by how far they are from now, and what
//! is only counted is left out. After each step
//!
//! - [`check`](Ledger::check) holds;
//! - the jobs, leases and waiters of the ledger are those that a shell knows of that heard its
//!   answers and its effects, so that nothing is lost, done twice or not told;
//! - a stale key changes nothing.
//!
//! And from each state on, if from then on every job goes well, every lease comes back, every offer
//! is claimed and the pool is resumed, all who wait are served, and then `max` connections can be
//! had at once.
//!
//! What fails is told with the shortest list of operations that leads to it. That a form leaves
//! nothing out that matters is tested, too: of the steps that lead to a known state, one in
//! [`DOUBLE_EACH`] has its ledger kept, which must lead to the same states as the first.
//!
//! | setting | states | steps |
//! |---|---|---|
//! | queue | 1498 | 16002 |
//! | sizes | 2423 | 39144 |
//! | health | 3361 | 45031 |
//! | offers | 4423 | 48665 |
//! | leases | 3343 | 42694 |
//! | checks | 2148 | 32642 |
//! | sweeps | 1993 | 21747 |
//! | late offers | 982 | 8280 |
//! | age | 8962 | 107847 |
//! | idle | 3310 | 38022 |
//! | failures | 1446 | 25270 |
//! | tenants | 5195 | 63186 |
//! | shares | 15973 | 238850 |
//! | tenants' offers | 10153 | 113372 |
//! | tenants' leases | 12876 | 186435 |
//!
//! And with `EDGEPOOL_SEARCH=full`, best in a release build, where it takes a minute or two:
//!
//! | setting | states | steps |
//! |---|---|---|
//! | queue of 3 | 14836 | 182274 |
//! | an operator's all | 322174 | 7874271 |
//! | offers of 3 | 88546 | 1295081 |
//! | checks of 3 | 14999 | 269000 |
//! | sweeps of 3 | 24784 | 380403 |
//! | sweeps, two at once | 8069 | 91830 |
//! | age and idleness | 254081 | 3540129 |
//! | failures of 3 | 20677 | 445298 |
//! | tenants of 3 | 127007 | 2098780 |
//! | tenants' offers of 3 | 35870 | 443728 |

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

mod choices;
mod form;
mod promises;
mod settings;
mod steps;

use form::form;
use promises::{go_well, try_stale_keys};
use settings::*;
use steps::*;

use super::*;

/// A small pool, what is done to it, and how many states and steps that makes.
struct Setting {
    name: &'static str,
    options: Options,
    /// The most callers that wait at once.
    waiters: usize,
    /// Who shares the pool; the first is tenant 1.
    tenants: &'static [Share],
    /// Who acquires.
    asks: &'static [Caller],
    /// How far time goes in a step; besides, it goes to the next deadline.
    ticks: &'static [u64],
    /// Whether connections that come back are also reset.
    resets: bool,
    /// What is done that needs no key.
    does: &'static [Op],
}

/// The states found so far: by form, and how each was come to.
struct Search<'a> {
    setting: &'a Setting,
    known: HashMap<Box<[u8]>, usize>,
    found_by: Vec<Option<(usize, Step)>>,
    /// For each state, what the set of the states after it hashes to.
    onward: Vec<u64>,
    steps: usize,
    /// Other ledgers of known states, to find out whether they go on alike.
    doubles: Vec<(usize, Ledger)>,
}

/// Of so many steps to known states, the ledger of one is kept.
const DOUBLE_EACH: usize = 61;

impl<'a> Search<'a> {
    fn run(setting: &'a Setting) -> Self {
        let first = setting.first();
        let mut search = Self {
            setting,
            known: HashMap::from([(form(&first), 0)]),
            found_by: vec![None],
            onward: Vec::new(),
            steps: 0,
            doubles: Vec::new(),
        };
        let mut frontier = VecDeque::from([first]);
        while let Some(ledger) = frontier.pop_front() {
            search.expand(&ledger, &mut frontier);
        }
        search.compare_doubles();
        search
    }

    fn expand(&mut self, ledger: &Ledger, frontier: &mut VecDeque<Ledger>) {
        let state = self.onward.len();
        let own = form(ledger);
        self.or_fail(state, None, || try_stale_keys(ledger, &own));
        self.or_fail(state, None, || go_well(ledger));
        let mut onward = BTreeSet::new();
        for step in self.setting.steps(ledger) {
            let mut after = ledger.clone();
            self.or_fail(state, Some(step), || perform(&mut after, step).map(drop));
            self.steps += 1;
            let form = form(&after);
            onward.insert(hash(&form));
            match self.known.get(&form) {
                Some(&known) if self.steps.is_multiple_of(DOUBLE_EACH) => {
                    self.doubles.push((known, after));
                }
                Some(_) => {}
                None => {
                    self.known.insert(form, self.found_by.len());
                    self.found_by.push(Some((state, step)));
                    frontier.push_back(after);
                }
            }
        }
        self.onward.push(hash(&onward));
    }

    /// Ledgers of one form must lead to the same states: so the form leaves nothing out that
    /// matters.
    fn compare_doubles(&self) {
        for (state, ledger) in &self.doubles {
            let mut onward = BTreeSet::new();
            for step in self.setting.steps(ledger) {
                let mut after = ledger.clone();
                self.or_fail(*state, Some(step), || perform(&mut after, step).map(drop));
                onward.insert(hash(&form(&after)));
            }
            self.or_fail(*state, None, || match hash(&onward) == self.onward[*state] {
                true => Ok(()),
                false => Err(format!("one form, and not one state: {ledger:?}")),
            });
        }
    }

    /// Panics with the shortest way to the failure, if there is one.
    fn or_fail(
        &self,
        state: usize,
        step: Option<Step>,
        try_it: impl FnOnce() -> Result<(), String>,
    ) {
        let failure = match catch_unwind(AssertUnwindSafe(try_it)) {
            Ok(Ok(())) => return,
            Ok(Err(what)) => what,
            Err(_) => "panicked, as told above".to_owned(),
        };
        let trace = self.trace(state, step);
        panic!("{} of {}: {failure}\n{trace}", "a state", self.setting.name);
    }

    fn trace(&self, mut state: usize, last: Option<Step>) -> String {
        let mut steps = Vec::from_iter(last);
        while let Some((before, step)) = self.found_by[state] {
            steps.push(step);
            state = before;
        }
        let mut ledger = self.setting.first();
        let mut told = String::new();
        for (number, step) in (1..).zip(steps.into_iter().rev()) {
            let _ = write!(told, "{number:3}. {:?}", step.op);
            if step.backwards {
                told.push_str(" (what is due at once: last first)");
            }
            let effects = catch_unwind(AssertUnwindSafe(|| perform(&mut ledger, step)));
            if let Ok(Ok(effects)) = effects {
                effects.iter().for_each(|effect| tell(&mut told, effect));
            }
            told.push_str("\n     ");
            for (_, slot) in &ledger.store.slots {
                let _ = write!(told, "{:?} ", slot.state);
            }
            let _ = writeln!(told, "| {} waiting", ledger.queue.len());
        }
        told
    }
}

/// Adds an effect to a trace.
fn tell(told: &mut String, effect: &Effect) {
    let _ = match effect {
        Effect::Offer { waiter, slot } => {
            write!(told, " -> offer({}) {}", waiter.index, slot.index)
        }
        Effect::Ended { waiter, end } => write!(told, " -> ended({}) {end:?}", waiter.index),
        Effect::Create { slot } => write!(told, " -> create({})", slot.index),
        Effect::Check { slot } => write!(told, " -> check({})", slot.index),
        Effect::Abandon { slot, .. } => write!(told, " -> abandon({})", slot.index),
        Effect::Close { slot, leaving } => write!(told, " -> close({}) {leaving:?}", slot.index),
        Effect::LongHold { slot } => write!(told, " -> long hold({})", slot.index),
        Effect::Drained => write!(told, " -> drained"),
    };
}

impl Setting {
    fn first(&self) -> Ledger {
        let mut ledger = Ledger::new(self.options).expect("the options are in range");
        for (index, &share) in (1..).zip(self.tenants) {
            assert_eq!(ledger.open_tenant(share), Ok(tenant_key(index)));
        }
        ledger
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Searches a setting, and returns its row if the table above says otherwise.
fn search(setting: &Setting) -> Option<String> {
    let search = Search::run(setting);
    let row = format!("//! | {} | {} | {} |\n", setting.name, search.found_by.len(), search.steps);
    (!include_str!("search.rs").contains(&row)).then_some(row)
}

/// Searches every setting before it compares how much that is with the table above.
fn search_all(settings: &[Setting]) {
    let rows: String = settings.iter().filter_map(search).collect();
    assert!(rows.is_empty(), "the table is to say\n{rows}");
}

macro_rules! searches {
    ($($name:ident: $setting:ident,)*) => {
        $(
            #[test]
            fn $name() {
                search_all(&[$setting]);
            }
        )*
    };
}

searches! {
    every_state_of_the_queue: QUEUE,
    every_state_of_a_pool_that_changes_its_size: SIZES,
    every_state_with_connections_that_are_not_to_be_lent_again: HEALTH,
    every_state_with_offers_that_pass: OFFERS,
    every_state_with_leases_that_end: LEASES,
    every_state_with_checks: CHECKS,
    every_state_with_sweeps: SWEEPS,
    every_state_with_late_offers: LATE,
    every_state_with_age: AGE,
    every_state_with_idle_timeouts: IDLE,
    every_state_with_failures: FAILURES,
    every_state_with_tenants: TENANTS,
    every_state_with_shares_that_change: SHARES,
    every_state_with_tenants_that_miss_offers: TENANTS_OFFERS,
    every_state_with_tenants_whose_leases_end: TENANTS_LEASES,
}

#[test]
fn every_state_of_larger_pools() {
    if std::env::var("EDGEPOOL_SEARCH").is_ok_and(|size| size == "full") {
        search_all(&LARGE);
    }
}

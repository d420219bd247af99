//! Random operations on the ledger, beside a naive model of it, checked after each.

mod model;

use std::time::Duration;

use edgepool::Time;
use edgepool::ledger::{
    Acquired, Claim, Effect, Ledger, Options, Refused, SlotKey, Violation, WaiterKey,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use model::{Answer, Expected, Model, SlotState, WaiterState};

/// An operation. A number picks a key among all that were ever given out, the latest being 0, so
/// that stale ones come up too.
#[derive(Clone, Copy, Debug)]
enum Op {
    Acquire { patience: Option<u8> },
    TryAcquire,
    Claim(usize),
    Cancel(usize),
    Release(usize),
    Discard(usize),
    Take(usize),
    Renew(usize),
    Created(usize),
    CreateFailed(usize),
    Closed(usize),
    Adopt,
    Close,
    Advance(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0_usize..12;
    let patience = proptest::option::weighted(0.7, 0_u8..40);
    prop_oneof![
        8 => patience.prop_map(|patience| Op::Acquire { patience }),
        2 => Just(Op::TryAcquire),
        8 => key.clone().prop_map(Op::Claim),
        3 => key.clone().prop_map(Op::Cancel),
        6 => key.clone().prop_map(Op::Release),
        2 => key.clone().prop_map(Op::Discard),
        1 => key.clone().prop_map(Op::Take),
        1 => key.clone().prop_map(Op::Renew),
        8 => key.clone().prop_map(Op::Created),
        3 => key.clone().prop_map(Op::CreateFailed),
        4 => key.prop_map(Op::Closed),
        1 => Just(Op::Adopt),
        6 => (0_u8..30).prop_map(Op::Advance),
        // A closed pool does little, so most sequences never close.
        1 => prop_oneof![19 => Just(Op::TryAcquire), 1 => Just(Op::Close)],
    ]
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The times differ in their last digits, so that seldom two things expire at the same moment.
fn options() -> impl Strategy<Value = Options> {
    let maybe = |millis: u64, nanos: u64| {
        proptest::option::of(Just(ms(millis) + Duration::from_nanos(nanos)))
    };
    (
        1_u32..4,
        0_u32..4,
        maybe(3, 104_729),
        maybe(11, 224_737),
        maybe(7, 350_377),
        maybe(5, 611_953),
    )
        .prop_map(
            |(max, max_waiting, offer_timeout, lease_ttl, close_timeout, create_timeout)| Options {
                max_waiting,
                offer_timeout,
                lease_ttl,
                close_timeout,
                create_timeout,
                ..Options::new(max)
            },
        )
}

/// Renews a lease for as long as a new one lives.
fn renew(ledger: &mut Ledger, key: SlotKey) -> bool {
    ledger.renew(key, ledger.options().lease_ttl)
}

/// The ledger and the model, side by side.
struct Pair {
    ledger: Ledger,
    model: Model,
    slots: Vec<SlotKey>,
    waiters: Vec<WaiterKey>,
}

impl Pair {
    fn new(options: Options) -> Self {
        let ledger = Ledger::new(options).expect("the options are in range");
        Self { ledger, model: Model::new(options), slots: Vec::new(), waiters: Vec::new() }
    }

    /// The key that an operation's number picks; before there is any, one that never was.
    fn slot(&self, number: usize) -> SlotKey {
        let key = self.slots.iter().rev().nth(number % self.slots.len().max(1));
        key.copied().unwrap_or(SlotKey { index: 0, generation: 0 })
    }

    fn waiter(&self, number: usize) -> WaiterKey {
        let key = self.waiters.iter().rev().nth(number % self.waiters.len().max(1));
        key.copied().unwrap_or(WaiterKey { index: 0, generation: 0 })
    }

    /// Lets each operation have a moment of its own, and the overdue be settled before it.
    fn apply(&mut self, op: Op) {
        self.advance(self.model.now.saturating_add(Duration::from_nanos(1)));
        match op {
            Op::Acquire { patience } => self.acquire(patience),
            Op::TryAcquire => {
                let (found, expected) = (self.ledger.try_acquire(), self.model.try_acquire());
                self.learn_lease(found, expected);
            }
            Op::Claim(number) => self.claim(self.waiter(number)),
            Op::Cancel(number) => self.cancel(self.waiter(number)),
            Op::Release(n) => self.end_lease(self.slot(n), Ledger::release, Model::release),
            Op::Discard(n) => self.end_lease(self.slot(n), Ledger::discard, Model::discard),
            Op::Take(n) => self.end_lease(self.slot(n), Ledger::take, Model::take),
            Op::Renew(n) => self.end_lease(self.slot(n), renew, Model::renew),
            Op::Created(n) => self.answer(self.slot(n), Ledger::created, Model::created),
            Op::CreateFailed(n) => {
                self.answer(self.slot(n), Ledger::create_failed, Model::create_failed);
            }
            Op::Closed(n) => self.closed(self.slot(n)),
            Op::Adopt => {
                let (found, expected) = (self.ledger.adopt(), self.model.adopt());
                self.learn_lease(found, expected);
            }
            Op::Close => self.close(),
            Op::Advance(millis) => self.advance_far(ms(u64::from(millis))),
        }
        self.compare();
    }

    fn acquire(&mut self, patience: Option<u8>) {
        let patience = patience.map(|millis| ms(millis.into()) + Duration::from_nanos(746_773));
        let now = self.model.now;
        let deadline = patience.map_or(Time::NEVER, |patience| now.saturating_add(patience));
        match (self.ledger.acquire(deadline), self.model.acquire(deadline)) {
            (Ok(Acquired::Leased(key)), Answer::Leased(slot)) => {
                self.learn_lease(Some(key), Some(slot));
            }
            (Ok(Acquired::Waiting(key)), Answer::Waiting(waiter)) => {
                self.waiters.push(key);
                self.model.waiters.get_mut(&waiter).unwrap().key = Some(key);
            }
            (Err(Refused::QueueFull), Answer::QueueFull)
            | (Err(Refused::Closed), Answer::Closed) => {}
            (found, expected) => panic!("{found:?}, but {expected:?} was expected"),
        }
    }

    fn claim(&mut self, key: WaiterKey) {
        let found = self.ledger.claim(key);
        let Some(waiter) = self.model.find_waiter(key) else {
            self.model.counters.stale += 1;
            return assert_eq!(found, Claim::Unknown);
        };
        match (found, self.model.claim(waiter)) {
            (Claim::Leased(key), Ok(slot)) => self.learn_lease(Some(key), Some(slot)),
            (Claim::Waiting, Err(WaiterState::Queued)) => {}
            (Claim::Ended(found), Err(WaiterState::Ended(expected))) => {
                assert_eq!(found, expected);
            }
            (found, expected) => panic!("{found:?}, but {expected:?} was expected"),
        }
    }

    fn cancel(&mut self, key: WaiterKey) {
        let expected = match self.model.find_waiter(key) {
            Some(waiter) => self.model.cancel(waiter),
            None => {
                self.model.counters.stale += 1;
                false
            }
        };
        assert_eq!(self.ledger.cancel(key), expected);
    }

    fn end_lease(
        &mut self,
        key: SlotKey,
        on_ledger: fn(&mut Ledger, SlotKey) -> bool,
        on_model: fn(&mut Model, u64),
    ) {
        self.act(key, |state| state == SlotState::Leased, on_ledger, on_model);
    }

    fn answer(
        &mut self,
        key: SlotKey,
        on_ledger: fn(&mut Ledger, SlotKey) -> bool,
        on_model: fn(&mut Model, u64),
    ) {
        self.act(key, |state| state == SlotState::Creating, on_ledger, on_model);
    }

    fn closed(&mut self, key: SlotKey) {
        let closing = |state| matches!(state, SlotState::Closing | SlotState::Retired);
        self.act(key, closing, Ledger::closed, Model::closed);
    }

    /// Does the same to both if the key's tenure is in the state wanted, and nothing if not.
    fn act(
        &mut self,
        key: SlotKey,
        wanted: fn(SlotState) -> bool,
        on_ledger: fn(&mut Ledger, SlotKey) -> bool,
        on_model: fn(&mut Model, u64),
    ) {
        let live = self.model.find_slot(key, wanted);
        match live {
            Some(slot) => on_model(&mut self.model, slot),
            None => self.model.counters.stale += 1,
        }
        assert_eq!(on_ledger(&mut self.ledger, key), live.is_some());
    }

    fn learn_lease(&mut self, found: Option<SlotKey>, expected: Option<u64>) {
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}, {expected:?}");
        if let (Some(key), Some(slot)) = (found, expected) {
            self.slots.push(key);
            self.model.learn(slot, key);
        }
    }

    fn close(&mut self) {
        self.ledger.close();
        self.model.close();
        // In which order places are closed is the ledger's affair, so they are told by their place.
        let expected = std::mem::take(&mut self.model.effects);
        let mut found = 0;
        while let Some(effect) = self.ledger.poll_effect() {
            found += 1;
            if let Effect::Close { slot } = effect {
                let same = |(_, known): &(&u64, &model::Slot)| known.place == Some(slot.index);
                let (&id, known) = self.model.slots.iter().find(same).expect("it has this place");
                assert_eq!(known.state, SlotState::Closing);
                self.slots.push(slot);
                self.model.learn(id, slot);
            }
        }
        assert_eq!(found, expected.len(), "{expected:?}");
    }

    /// Lets time pass from one deadline to the next, as the order of what is due at one moment is
    /// the ledger's affair.
    fn advance_far(&mut self, by: Duration) {
        let until = self.model.now.saturating_add(by);
        while let Some(at) = self.model.next_deadline().filter(|&at| at <= until) {
            if self.model.has_ties() {
                return;
            }
            self.advance(at);
        }
        self.advance(until);
    }

    fn advance(&mut self, now: Time) {
        self.ledger.advance(now);
        self.model.advance(now);
        self.compare();
    }

    fn compare(&mut self) {
        for expected in std::mem::take(&mut self.model.effects) {
            let found = self.ledger.poll_effect();
            self.learn(found.unwrap_or_else(|| panic!("nothing, but {expected:?}")), expected);
        }
        assert_eq!(self.ledger.poll_effect(), None);
        assert_eq!(self.ledger.gauges(), self.model.gauges());
        assert_eq!(self.ledger.counters(), self.model.counters);
        assert_eq!(self.ledger.next_deadline(), self.model.next_deadline());
        self.ledger.check().unwrap_or_else(|violation: Violation| panic!("{violation}"));
    }

    /// Compares an effect with the one expected, and learns the key that it tells.
    fn learn(&mut self, found: Effect, expected: Expected) {
        let waiter_key = |id| self.model.waiters.get(&id).and_then(|waiter| waiter.key);
        match (found, expected) {
            (Effect::Offer { waiter, slot }, Expected::Offer(id, lent)) => {
                assert_eq!(waiter_key(id).unwrap_or(waiter), waiter);
                let place = self.model.slots.get(&lent).and_then(|lent| lent.place);
                assert_eq!(place.unwrap_or(slot.index), slot.index);
            }
            (Effect::Ended { waiter, end }, Expected::Ended(id, why)) => {
                assert_eq!((waiter_key(id).unwrap_or(waiter), end), (waiter, why));
            }
            (Effect::Create { slot }, Expected::Create(id))
            | (Effect::Close { slot }, Expected::Close(id)) => {
                self.slots.push(slot);
                self.model.learn(id, slot);
            }
            (Effect::AbandonCreate { slot }, Expected::Abandon(_)) => {
                assert!(self.slots.contains(&slot), "it was never begun");
            }
            (found, expected) => panic!("{found:?}, but {expected:?} was expected"),
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/ledger/regressions.txt"
        )))),
        ..ProptestConfig::with_cases(cases())
    }
}

/// `EDGEPOOL_CASES` says how many sequences are tried; 1,000 unless it is set.
fn cases() -> u32 {
    match std::env::var("EDGEPOOL_CASES") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("EDGEPOOL_CASES: {text:?}")),
        Err(_) => 1_000,
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn does_what_the_naive_model_does(options in options(), ops in vec(op(), 1..120)) {
        let mut pair = Pair::new(options);
        for op in ops {
            if pair.model.has_ties() {
                break;
            }
            pair.apply(op);
        }
    }

    /// Time jumps past many deadlines at once, and effects are taken late.
    #[test]
    fn keeps_its_invariants_when_time_jumps(options in options(), ops in vec(op(), 1..200)) {
        let mut ledger = Ledger::new(options).unwrap();
        let (mut slots, mut waiters, mut now) = (Vec::new(), Vec::new(), Time::ZERO);
        for op in ops {
            jump(&mut ledger, op, &mut slots, &mut waiters, &mut now);
            ledger.check().unwrap_or_else(|violation| panic!("{violation}"));
        }
        drain(&mut ledger);
    }
}

/// Applies an operation with whatever key it picks, and ignores the answer.
fn jump(
    ledger: &mut Ledger,
    op: Op,
    slots: &mut Vec<SlotKey>,
    waiters: &mut Vec<WaiterKey>,
    now: &mut Time,
) {
    let slot = |n: usize| slots.iter().rev().nth(n).copied();
    let waiter = |n: usize| waiters.iter().rev().nth(n).copied();
    let leased = match op {
        Op::Acquire { patience } => {
            let patience = patience.map(|millis| ms(millis.into()));
            let deadline = patience.map_or(Time::NEVER, |patience| now.saturating_add(patience));
            match ledger.acquire(deadline) {
                Ok(Acquired::Leased(key)) => Some(key),
                Ok(Acquired::Waiting(key)) => {
                    waiters.push(key);
                    None
                }
                Err(_) => None,
            }
        }
        Op::TryAcquire => ledger.try_acquire(),
        Op::Adopt => ledger.adopt(),
        Op::Claim(n) => match waiter(n).map(|key| ledger.claim(key)) {
            Some(Claim::Leased(key)) => Some(key),
            _ => None,
        },
        Op::Cancel(n) => waiter(n).map(|key| ledger.cancel(key)).and(None),
        Op::Release(n) => slot(n).map(|key| ledger.release(key)).and(None),
        Op::Discard(n) => slot(n).map(|key| ledger.discard(key)).and(None),
        Op::Take(n) => slot(n).map(|key| ledger.take(key)).and(None),
        Op::Renew(n) => slot(n).map(|key| renew(ledger, key)).and(None),
        Op::Created(n) => slot(n).map(|key| ledger.created(key)).and(None),
        Op::CreateFailed(n) => slot(n).map(|key| ledger.create_failed(key)).and(None),
        Op::Closed(n) => slot(n).map(|key| ledger.closed(key)).and(None),
        Op::Close => {
            ledger.close();
            None
        }
        Op::Advance(millis) => {
            *now = now.saturating_add(ms(u64::from(millis) * 3));
            ledger.advance(*now);
            None
        }
    };
    slots.extend(leased);
    while let Some(effect) = ledger.poll_effect() {
        if let Effect::Create { slot } | Effect::Close { slot } = effect {
            slots.push(slot);
        }
    }
}

/// Brings everything back after a close: nothing may be left.
fn drain(ledger: &mut Ledger) {
    ledger.close();
    let mut found = Vec::new();
    while let Some(effect) = ledger.poll_effect() {
        if let Effect::Close { slot } = effect {
            found.push(slot);
        }
    }
    for slot in found {
        assert!(ledger.closed(slot));
    }
    let gauges = ledger.gauges();
    assert_eq!(gauges.size, gauges.in_use + gauges.retired + gauges.closing, "{gauges:?}");
    assert_eq!((gauges.waiting, gauges.offered, gauges.idle, gauges.creating), (0, 0, 0, 0));
    ledger.check().unwrap_or_else(|violation| panic!("{violation}"));
}

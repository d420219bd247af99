//! Random operations on the ledger, beside a naive model of it, checked after each.

#[path = "../fuzz/drive.rs"]
mod drive;
mod model;
mod regressions;

use std::time::Duration;

use edgepool::Time;
use edgepool::ledger::{
    Acquired, Ask, Backoff, Claim, Effect, Ledger, Options, Priority, Refused, Reuse, Share,
    SlotKey, TenantKey, TenantStats, Verdict, Violation, WaiterKey,
};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use model::{Answer, Expected, Model, SlotState, WaiterState, is_job};

/// How a lease ends.
#[derive(Clone, Copy, Debug)]
enum Back {
    Released,
    Discarded,
    Taken,
    Renewed,
    Reset,
}

/// An operation. A number picks a key among all that were ever given out, the latest being 0, so
/// that stale ones come up too; [`Op::Answer`] and [`Op::GiveBack`] pick among those that are good.
#[derive(Clone, Copy, Debug)]
enum Op {
    Acquire { patience: Option<u8>, priority: Priority, need: u16, tenant: Option<usize> },
    TryAcquire,
    TryAcquireFor(usize),
    Claim(usize),
    Cancel(usize),
    EndLease(usize, Back),
    GiveBack(usize, Back),
    Answered(usize, SlotState, Verdict),
    Answer(usize, Verdict),
    LookAtIdle,
    LookedAt(usize, bool),
    Adopt,
    Fill,
    Prepare,
    PrepareDirectly,
    CloseLate,
    Resize(u32),
    SetMinIdle(u32),
    Pause,
    Resume,
    InvalidateAll,
    OpenTenant(Share),
    SetShare(usize, Share),
    AdoptFor(usize),
    EndWaits(usize),
    CloseTenant(usize),
    Close,
    Advance(u8),
}

fn op() -> impl Strategy<Value = Op> {
    use Priority::{High, Low, Normal, Urgent};
    let key = 0_usize..12;
    let priority =
        prop_oneof![5 => Just(Normal), 1 => Just(Low), 1 => Just(High), 1 => Just(Urgent)];
    let need = prop_oneof![9 => Just(1_u16), 2 => Just(2), 1 => 0_u16..5];
    let acquire = (weighted(0.7, 0_u8..40), priority, need, weighted(0.8, 0_usize..4));
    let acquire = acquire.prop_map(|(patience, priority, need, tenant)| Op::Acquire {
        patience,
        priority,
        need,
        tenant,
    });
    prop_oneof![
        16 => acquire,
        3 => Just(Op::TryAcquire),
        2 => (0_usize..4).prop_map(Op::TryAcquireFor),
        10 => key.clone().prop_map(Op::Claim),
        3 => key.clone().prop_map(Op::Cancel),
        3 => (key.clone(), back()).prop_map(|(n, back)| Op::EndLease(n, back)),
        8 => (key.clone(), back()).prop_map(|(n, back)| Op::GiveBack(n, back)),
        3 => (key.clone(), job(), verdict()).prop_map(|(n, job, v)| Op::Answered(n, job, v)),
        16 => (key.clone(), verdict()).prop_map(|(n, verdict)| Op::Answer(n, verdict)),
        12 => (0_u8..30).prop_map(Op::Advance),
        8 => operation(),
        4 => of_tenants(),
    ]
}

/// What is done to tenants.
fn of_tenants() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => share().prop_map(Op::OpenTenant),
        4 => (0_usize..4, share()).prop_map(|(n, share)| Op::SetShare(n, share)),
        2 => (0_usize..4).prop_map(Op::AdoptFor),
        2 => (0_usize..4).prop_map(Op::EndWaits),
        1 => (0_usize..4).prop_map(Op::CloseTenant),
    ]
}

fn share() -> impl Strategy<Value = Share> {
    let weight = prop_oneof![20 => 1_u32..5, 1 => Just(0)];
    let max = weighted(0.4, prop_oneof![20 => 1_u32..4, 1 => Just(0)]);
    (weight, max, weighted(0.3, 0_u32..4)).prop_map(|(weight, max, max_waiting)| Share {
        weight,
        max,
        max_waiting,
    })
}

/// Tenants that are there from the beginning, and what happens then.
fn sequence(most: usize) -> impl Strategy<Value = Vec<Op>> {
    (vec(share().prop_map(Op::OpenTenant), 0..4), vec(op(), 1..most))
        .prop_map(|(tenants, ops)| [tenants, ops].concat())
}

/// What an operator does, and what is rare.
fn operation() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::LookAtIdle),
        3 => (0_usize..12, any::<bool>()).prop_map(|(n, keep)| Op::LookedAt(n, keep)),
        1 => Just(Op::Adopt),
        2 => Just(Op::Fill),
        2 => Just(Op::Prepare),
        3 => Just(Op::PrepareDirectly),
        1 => Just(Op::CloseLate),
        2 => (0_u32..5).prop_map(Op::Resize),
        2 => (0_u32..4).prop_map(Op::SetMinIdle),
        1 => Just(Op::Pause),
        3 => Just(Op::Resume),
        1 => Just(Op::InvalidateAll),
        // A closed pool does little, so most sequences never close.
        1 => prop_oneof![4 => Just(Op::Resume), 1 => Just(Op::Close)],
    ]
}

fn back() -> impl Strategy<Value = Back> {
    prop_oneof![
        5 => Just(Back::Released),
        2 => Just(Back::Reset),
        1 => Just(Back::Discarded),
        1 => Just(Back::Taken),
        1 => Just(Back::Renewed),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![4 => Just(Verdict::Good), 1 => Just(Verdict::Bad), 1 => Just(Verdict::Lost)]
}

fn job() -> impl Strategy<Value = SlotState> {
    use SlotState::{Checking, Closing, Creating, Resetting};
    prop_oneof![Just(Creating), Just(Checking), Just(Resetting), Just(Closing)]
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The times differ in their last digits, so that seldom two things expire at the same moment.
fn maybe(millis: u64, nanos: u64) -> impl Strategy<Value = Option<Duration>> {
    of(Just(ms(millis) + Duration::from_nanos(nanos)))
}

fn options() -> impl Strategy<Value = Options> {
    (sizes(), limits(), cares(), chances(), (any::<bool>(), any::<bool>())).prop_map(
        |(sizes, limits, cares, chances, (wait_times, hold_times))| {
            let (max, min_idle, max_waiting, reuse, max_uses, max_checks) = sizes;
            let (offer, lease, create, check, reset, close) = limits;
            let (idle_timeout, max_lifetime, check_after, check_interval, long_hold) = cares;
            let (lifetime_jitter, backoff, breaker, ageing, seed) = chances;
            Options {
                min_idle: min_idle.min(max),
                max_waiting,
                reuse,
                max_uses,
                max_checks,
                offer_timeout: offer,
                lease_ttl: lease,
                create_timeout: create,
                check_timeout: check,
                reset_timeout: reset,
                close_timeout: close,
                idle_timeout,
                max_lifetime,
                check_after,
                check_interval,
                long_hold,
                lifetime_jitter,
                backoff,
                breaker: breaker.filter(|_| backoff.is_some()),
                ageing,
                wait_times,
                hold_times,
                seed,
                ..Options::new(max)
            }
        },
    )
}

type Sizes = (u32, u32, u32, Reuse, Option<u64>, u32);

fn sizes() -> impl Strategy<Value = Sizes> {
    let reuse = prop_oneof![Just(Reuse::Lifo), Just(Reuse::Fifo)];
    let min_idle = prop_oneof![1 => Just(0), 1 => 0_u32..3];
    (1_u32..5, min_idle, 0_u32..6, reuse, weighted(0.3, 1_u64..4), 1_u32..3)
}

type Maybe = Option<Duration>;

fn limits() -> impl Strategy<Value = (Maybe, Maybe, Maybe, Maybe, Maybe, Maybe)> {
    let (create, check) = (maybe(5, 611_953), maybe(4, 415_823));
    let (reset, close) = (maybe(6, 127_031), maybe(7, 350_377));
    (maybe(3, 104_729), maybe(11, 224_737), create, check, reset, close)
}

fn cares() -> impl Strategy<Value = (Maybe, Maybe, Maybe, Maybe, Maybe)> {
    let check_after = weighted(0.4, prop_oneof![Just(Duration::ZERO), Just(ms(6))]);
    let (check_interval, long_hold) = (maybe(13, 500_009), maybe(8, 299_993));
    (maybe(17, 750_019), maybe(53, 900_001), check_after, check_interval, long_hold)
}

type Chances = (u8, Option<Backoff>, Option<u32>, Maybe, u64);

fn chances() -> impl Strategy<Value = Chances> {
    let backoff = of(Just(Backoff { base: ms(4), cap: ms(20) }));
    let jitter = prop_oneof![Just(0_u8), Just(10), 0_u8..101];
    (jitter, backoff, of(1_u32..4), of(Just(ms(5))), any::<u64>())
}

/// The ledger and the model, side by side.
struct Pair {
    ledger: Ledger,
    model: Model,
    slots: Vec<SlotKey>,
    waiters: Vec<WaiterKey>,
    tenants: Vec<TenantKey>,
}

impl Pair {
    fn new(options: Options) -> Self {
        let ledger = Ledger::new(options).expect("the options are in range");
        Self {
            ledger,
            model: Model::new(options),
            slots: Vec::new(),
            waiters: Vec::new(),
            tenants: Vec::new(),
        }
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

    fn tenant(&self, number: usize) -> TenantKey {
        let key = self.tenants.iter().rev().nth(number % self.tenants.len().max(1));
        key.copied().unwrap_or(TenantKey { index: 0, generation: 0 })
    }

    /// Lets each operation have a moment of its own. The ledger is told the time only when it asks
    /// for it: a shell does no more.
    fn apply(&mut self, op: Op) {
        let now = self.next_moment();
        self.model.advance(now);
        if self.ledger.needs_clock() || tells_time(op) {
            self.advance_ledger(now);
        }
        self.compare();
        if self.model.is_tied {
            return;
        }
        match op {
            Op::Acquire { patience, priority, need, tenant } => {
                let tenant = tenant.map(|number| self.tenant(number));
                self.acquire(patience, priority, need, tenant);
            }
            Op::TryAcquire => {
                let (found, expected) = (self.ledger.try_acquire(), self.model.try_acquire());
                self.learn_slot(found, expected);
            }
            Op::TryAcquireFor(number) => {
                let key = self.tenant(number);
                let tenant = self.model.use_tenant(key);
                let expected = tenant.and_then(|tenant| self.model.try_acquire_for(tenant));
                let found = self.ledger.try_acquire_for(key);
                self.learn_slot(found, expected);
            }
            Op::Claim(number) => self.claim(self.waiter(number)),
            Op::Cancel(number) => self.cancel(self.waiter(number)),
            Op::EndLease(number, back) => self.end_lease(self.slot(number), back),
            Op::GiveBack(number, back) => {
                if let Some(key) = self.model.nth(number, |state| state == SlotState::Leased) {
                    self.end_lease(key, back);
                }
            }
            Op::Answered(number, job, verdict) => self.answer(self.slot(number), job, verdict),
            Op::Answer(number, verdict) => {
                if let Some(key) = self.model.nth(number, is_job) {
                    let id = self.model.find_slot(key, is_job).unwrap();
                    self.answer(key, self.model.slots[&id].state, verdict);
                }
            }
            Op::Advance(millis) => self.advance_far(ms(u64::from(millis))),
            Op::OpenTenant(_)
            | Op::SetShare(..)
            | Op::AdoptFor(_)
            | Op::EndWaits(_)
            | Op::CloseTenant(_) => self.operate_on_tenants(op),
            _ => self.operate(op),
        }
        self.model.come_to_rest();
        self.compare();
    }

    fn operate_on_tenants(&mut self, op: Op) {
        match op {
            Op::OpenTenant(share) => {
                let (found, expected) =
                    (self.ledger.open_tenant(share), self.model.open_tenant(share));
                assert_eq!(found.is_ok(), expected.is_some(), "{found:?}, {expected:?}");
                if let (Ok(key), Some(id)) = (found, expected) {
                    self.tenants.push(key);
                    self.model.tenants.get_mut(&id).unwrap().key = Some(key);
                }
            }
            Op::SetShare(number, share) => {
                let key = self.tenant(number);
                let found = self.ledger.set_share(key, share);
                if !Model::allows(share) {
                    return assert!(found.is_err(), "{share:?}");
                }
                let id = self.model.use_tenant(key);
                assert_eq!(found, Ok(id.is_some()));
                id.into_iter().for_each(|id| self.model.set_share(id, share));
            }
            Op::AdoptFor(number) => {
                let key = self.tenant(number);
                let tenant = self.model.use_tenant(key);
                let expected = tenant.and_then(|tenant| self.model.adopt_for(tenant));
                let found = self.ledger.adopt_for(key);
                self.learn_slot(found, expected);
            }
            Op::EndWaits(number) => {
                let key = self.tenant(number);
                let id = self.model.use_tenant(key);
                let expected = id.map(|id| self.model.end_waits(id));
                assert_eq!(self.ledger.end_waits(key), expected);
            }
            Op::CloseTenant(number) => {
                let key = self.tenant(number);
                let id = self.model.use_tenant(key);
                assert_eq!(self.ledger.close_tenant(key), id.is_some());
                id.into_iter().for_each(|id| self.model.close_tenant(id));
            }
            other => panic!("{other:?} is done elsewhere"),
        }
    }

    fn next_moment(&self) -> Time {
        self.model.now.saturating_add(Duration::from_nanos(1))
    }

    fn operate(&mut self, op: Op) {
        let (ledger, model) = (&mut self.ledger, &mut self.model);
        match op {
            Op::LookAtIdle => {
                let (found, expected) = (ledger.look_at_idle(), model.look_at_idle());
                self.learn_slot(found, expected);
            }
            Op::LookedAt(number, keep) => {
                let key = self.slot(number);
                let checking = |state| state == SlotState::Checking;
                self.act(key, checking, |l| l.looked_at(key, keep), |m, id| m.looked_at(id, keep));
            }
            Op::Adopt => {
                let (found, expected) = (ledger.adopt(), model.adopt());
                self.learn_slot(found, expected);
            }
            Op::Fill => (ledger.fill(), model.fill()).0,
            Op::Prepare => assert_eq!(ledger.prepare().is_some(), model.prepare()),
            Op::PrepareDirectly => {
                let (found, expected) = (ledger.prepare_directly(), model.prepare_directly());
                self.learn_slot(found, expected);
            }
            Op::CloseLate => {
                let (place, id) = (ledger.close_late(), model.close_late());
                model.slots.get_mut(&id).unwrap().place = Some(place);
            }
            Op::Resize(max) => assert_eq!(ledger.resize(max).is_ok(), model.resize(max)),
            Op::SetMinIdle(count) => {
                assert_eq!(ledger.set_min_idle(count).is_ok(), model.set_min_idle(count));
            }
            Op::Pause => (ledger.pause(), model.paused = true).0,
            Op::Resume => (ledger.resume(), model.resume()).0,
            Op::InvalidateAll => (ledger.invalidate_all(), model.invalidate_all()).0,
            Op::Close => (ledger.close(), model.close()).0,
            other => panic!("{other:?} is done elsewhere"),
        }
    }

    fn acquire(
        &mut self,
        patience: Option<u8>,
        priority: Priority,
        need: u16,
        tenant: Option<TenantKey>,
    ) {
        let patience = patience.map(|millis| ms(millis.into()) + Duration::from_nanos(746_773));
        let now = self.model.now;
        let deadline = patience.map_or(Time::NEVER, |patience| now.saturating_add(patience));
        let ask = Ask { deadline, priority, need, tenant };
        match (self.ledger.acquire(ask), self.model.acquire(ask)) {
            (Ok(Acquired::Leased(key)), Answer::Leased(slot)) => {
                self.learn_slot(Some(key), Some(slot));
            }
            (Ok(Acquired::Waiting(key)), Answer::Waiting(waiter)) => {
                self.waiters.push(key);
                self.model.waiters.get_mut(&waiter).unwrap().key = Some(key);
            }
            (Err(Refused::QueueFull), Answer::QueueFull)
            | (Err(Refused::TooMany), Answer::TooMany)
            | (Err(Refused::TenantQueueFull), Answer::TenantQueueFull)
            | (Err(Refused::UnknownTenant), Answer::UnknownTenant)
            | (Err(Refused::Closed), Answer::Closed) => {}
            (Err(Refused::Unavailable(found)), Answer::Unavailable(expected)) => {
                assert_eq!(found, expected);
            }
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
            (Claim::Leased(key), Ok(slot)) => self.learn_slot(Some(key), Some(slot)),
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

    fn end_lease(&mut self, key: SlotKey, back: Back) {
        let leased = |state| state == SlotState::Leased;
        let ttl = self.ledger.options().lease_ttl;
        match back {
            Back::Released => self.act(key, leased, |l| l.release(key), Model::release),
            Back::Discarded => self.act(key, leased, |l| l.discard(key), Model::discard),
            Back::Taken => self.act(key, leased, |l| l.take(key), Model::take),
            Back::Renewed => {
                self.ledger.advance(self.model.now);
                self.act(key, leased, |l| l.renew(key, ttl), Model::renew);
            }
            Back::Reset => {
                let id = self.model.find_slot(key, leased);
                let mut begun = None;
                let begin = |ledger: &mut Ledger| {
                    begun = ledger.begin_reset(key);
                    begun.is_some()
                };
                self.act(key, leased, begin, Model::begin_reset);
                self.learn_slot(begun, id);
            }
        }
    }

    fn answer(&mut self, key: SlotKey, job: SlotState, verdict: Verdict) {
        match (job, verdict) {
            (SlotState::Creating, Verdict::Good) => {
                let creating = |state| state == SlotState::Creating;
                self.act(key, creating, |l| l.created(key), Model::created);
            }
            (SlotState::Creating, _) => {
                let creating = |state| state == SlotState::Creating;
                self.act(key, creating, |l| l.create_failed(key), Model::create_failed);
            }
            (SlotState::Checking, _) => {
                let checking = |state| state == SlotState::Checking;
                let model = |model: &mut Model, id| model.checked(id, verdict);
                self.act(key, checking, |l| l.checked(key, verdict), model);
            }
            (SlotState::Resetting, _) => {
                let resetting = |state| state == SlotState::Resetting;
                let model = |model: &mut Model, id| model.reset(id, verdict);
                self.act(key, resetting, |l| l.reset(key, verdict), model);
            }
            _ => {
                let closing = |state| matches!(state, SlotState::Closing | SlotState::Retired);
                self.act(key, closing, |l| l.closed(key), Model::closed);
            }
        }
    }

    /// Does the same to both if the key's tenure is in the state wanted, and nothing if not.
    fn act(
        &mut self,
        key: SlotKey,
        wanted: fn(SlotState) -> bool,
        on_ledger: impl FnOnce(&mut Ledger) -> bool,
        on_model: impl FnOnce(&mut Model, u64),
    ) {
        let live = self.model.find_slot(key, wanted);
        match live {
            Some(slot) => on_model(&mut self.model, slot),
            None => self.model.counters.stale += 1,
        }
        assert_eq!(on_ledger(&mut self.ledger), live.is_some());
    }

    fn learn_slot(&mut self, found: Option<SlotKey>, expected: Option<u64>) {
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}, {expected:?}");
        if let (Some(key), Some(slot)) = (found, expected) {
            self.slots.push(key);
            self.model.learn(slot, key);
        }
    }

    /// Lets time pass from one deadline to the next, as the order of what is due at one moment is
    /// the ledger's affair.
    fn advance_far(&mut self, by: Duration) {
        let until = self.model.now.saturating_add(by);
        while let Some(at) = self.model.next_deadline().filter(|&at| at <= until) {
            if self.model.is_tied || self.model.has_ties(at) {
                return;
            }
            self.advance(at);
        }
        self.advance(until);
    }

    fn advance(&mut self, now: Time) {
        self.advance_ledger(now);
        self.model.advance(now);
        self.compare();
    }

    /// Advances, after which nothing is due any more.
    fn advance_ledger(&mut self, now: Time) {
        self.ledger.advance(now);
        let next = self.ledger.next_deadline();
        assert!(next.is_none_or(|at| at > now), "{next:?} has passed at {now:?}");
    }

    fn compare(&mut self) {
        if self.model.is_tied {
            return;
        }
        let mut expected = std::mem::take(&mut self.model.effects);
        while let Some(found) = self.ledger.poll_effect() {
            let same = |&expected: &Expected| self.is_same(found, expected);
            let Some(at) = expected.iter().position(same) else {
                panic!("{found:?}, but {expected:?} was expected")
            };
            self.learn(found, expected.remove(at));
        }
        assert_eq!(expected, [], "and nothing came");
        assert_eq!(self.ledger.gauges(), self.model.gauges());
        assert_eq!(self.ledger.counters(), self.model.counters);
        self.compare_deadlines();
        self.compare_lists();
        self.ledger.check().unwrap_or_else(|violation: Violation| panic!("{violation}"));
    }

    /// The ledger may want to look earlier than it must.
    fn compare_deadlines(&self) {
        let (found, due) = (self.ledger.next_deadline(), self.model.next_deadline());
        let in_time = due.is_none_or(|due| found.is_some_and(|found| found <= due));
        assert!(in_time, "{found:?} is after {due:?}");
    }

    fn compare_lists(&self) {
        let Self { ledger, model, .. } = self;
        for (id, slot) in &model.slots {
            let Some(key) = slot.key else { continue };
            let info = ledger.info(key).expect("the key is good");
            assert_eq!((info.id, info.uses), (*id, slot.uses));
            if slot.state != SlotState::Creating {
                assert_eq!(info.born, slot.born);
            }
            assert_eq!(ledger.is_wanted(key), is_job(slot.state));
        }
        let leased = model.slots.values().filter(|slot| slot.state == SlotState::Leased);
        assert_eq!(ledger.leases().count(), leased.count());
        let first = model.first().and_then(|first| model.waiters[&first].key);
        assert_eq!(ledger.first_waiter(), first);
        self.compare_tenants();
        let Options { wait_times, hold_times, .. } = model.options;
        assert_eq!(ledger.waits().count(), if wait_times { model.waits } else { 0 });
        assert_eq!(ledger.holds().count(), if hold_times { model.holds } else { 0 });
    }

    fn compare_tenants(&self) {
        let Self { ledger, model, .. } = self;
        for &id in model.tenants.keys() {
            for (place, waiter) in model.line(id).into_iter().enumerate() {
                let key = model.waiters[&waiter].key.expect("its acquire told it");
                assert_eq!(ledger.place(key), Some(place as u16));
            }
        }
        assert_eq!(ledger.tenants(), model.tenants.len() - 1, "nobody is none of them");
        for &key in &self.tenants {
            let Some(id) = model.find_tenant(key) else {
                assert_eq!(ledger.tenant(key), None, "{key:?} is gone");
                continue;
            };
            let mut found = ledger.tenant(key).expect("it is there");
            let expected = model.stats(id);
            if !model.options.hold_times {
                // The ledger does not always know what time it is.
                let TenantStats { last_active, total_wait, longest_wait, .. } = expected;
                found = TenantStats { last_active, total_wait, longest_wait, ..found };
            }
            assert_eq!(found, expected);
        }
    }

    /// Tells whether the effect is the one expected.
    fn is_same(&self, found: Effect, expected: Expected) -> bool {
        let place = |id| self.model.slots.get(&id).and_then(|slot| slot.place);
        let is_waiter = |id, key| {
            let known = self.model.waiters.get(&id).and_then(|waiter| waiter.key);
            known == Some(key)
        };
        match (found, expected) {
            (Effect::Offer { waiter, slot }, Expected::Offer(id, offered)) => {
                is_waiter(id, waiter) && place(offered).is_none_or(|place| place == slot.index)
            }
            (Effect::Ended { waiter, end }, Expected::Ended(id, why)) => {
                is_waiter(id, waiter) && end == why
            }
            (Effect::Create { .. }, Expected::Create(_)) => true,
            (Effect::Check { slot }, Expected::Check(id)) => place(id) == Some(slot.index),
            (Effect::Abandon { slot, job, overdue }, Expected::Abandon(key, what, late)) => {
                (Some(slot), job, overdue) == (key, what, late)
            }
            (Effect::Close { slot, leaving }, Expected::Close(id, why)) => {
                place(id) == Some(slot.index) && leaving == why
            }
            (Effect::LongHold { slot }, Expected::LongHold(key)) => Some(slot) == key,
            (Effect::Drained, Expected::Drained) => true,
            _ => false,
        }
    }

    /// Learns the key that an effect tells.
    fn learn(&mut self, found: Effect, expected: Expected) {
        if let (
            Effect::Create { slot } | Effect::Check { slot } | Effect::Close { slot, .. },
            Expected::Create(id) | Expected::Check(id) | Expected::Close(id, _),
        ) = (found, expected)
        {
            self.slots.push(slot);
            self.model.learn(id, slot);
        }
    }
}

/// Tells whether the clock is read before the operation in any case.
fn tells_time(op: Op) -> bool {
    let a_callers = matches!(
        op,
        Op::TryAcquire
            | Op::TryAcquireFor(_)
            | Op::Claim(_)
            | Op::Cancel(_)
            | Op::EndLease(..)
            | Op::GiveBack(..)
    );
    !a_callers
}

fn config() -> ProptestConfig {
    const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ledger/regressions.txt");
    // What fails with a known bug put back is no regression.
    let keep = std::env::var_os("EDGEPOOL_MUTATION").is_none();
    let persistence = Box::new(FileFailurePersistence::Direct(REGRESSIONS));
    ProptestConfig {
        failure_persistence: keep.then_some(persistence as _),
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
    fn does_what_the_naive_model_does(options in options(), ops in sequence(120)) {
        beside_the_model(options, ops);
    }

    /// Time jumps past many deadlines at once, and effects are taken late.
    #[test]
    fn keeps_its_invariants_when_time_jumps(options in options(), ops in sequence(200)) {
        keeps_invariants(options, ops);
    }
}

fn beside_the_model(options: Options, ops: impl IntoIterator<Item = Op>) {
    let mut pair = Pair::new(options);
    for op in ops {
        if pair.model.has_ties(pair.next_moment()) {
            break;
        }
        pair.apply(op);
        if pair.model.is_tied {
            break;
        }
    }
}

fn keeps_invariants(options: Options, ops: impl IntoIterator<Item = Op>) {
    let mut ledger = Ledger::new(options).unwrap();
    let mut keys = Keys::default();
    for op in ops {
        keys.jump(&mut ledger, op);
        ledger.check().unwrap_or_else(|violation| panic!("{violation}"));
    }
    drain(&mut ledger);
}

/// The inputs that reach every part of the ledger, found by the fuzz target, and each that failed.
#[test]
fn keeps_its_invariants_with_what_the_fuzz_target_found() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/ledger");
    let files = std::fs::read_dir(seeds).expect("they stand beside the target");
    let inputs = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let count = inputs.map(|bytes| drive::drive(&bytes)).count();
    assert!(count > 50, "only {count} inputs");
}

/// Every key that was given out.
#[derive(Default)]
struct Keys {
    slots: Vec<SlotKey>,
    waiters: Vec<WaiterKey>,
    tenants: Vec<TenantKey>,
    now: Time,
}

impl Keys {
    fn slot(&self, n: usize) -> SlotKey {
        let key = self.slots.iter().rev().nth(n).copied();
        key.unwrap_or(SlotKey { index: 0, generation: 0 })
    }

    fn waiter(&self, n: usize) -> WaiterKey {
        let key = self.waiters.iter().rev().nth(n).copied();
        key.unwrap_or(WaiterKey { index: 0, generation: 0 })
    }

    fn tenant(&self, n: usize) -> TenantKey {
        let key = self.tenants.iter().rev().nth(n).copied();
        key.unwrap_or(TenantKey { index: 0, generation: 0 })
    }

    /// Applies an operation with whatever key it picks, whatever the answer. Effects are taken when
    /// time passes, and so late.
    fn jump(&mut self, ledger: &mut Ledger, op: Op) {
        match op {
            Op::Acquire { patience, priority, need, tenant } => {
                let patience = patience.map(|millis| ms(millis.into()));
                let now = ledger.now();
                let deadline = patience.map_or(Time::NEVER, |time| now.saturating_add(time));
                let tenant = tenant.map(|n| self.tenant(n));
                match ledger.acquire(Ask { deadline, priority, need, tenant }) {
                    Ok(Acquired::Leased(key)) => self.slots.push(key),
                    Ok(Acquired::Waiting(key)) => self.waiters.push(key),
                    Err(_) => {}
                }
            }
            Op::TryAcquire => self.slots.extend(ledger.try_acquire()),
            Op::TryAcquireFor(n) => self.slots.extend(ledger.try_acquire_for(self.tenant(n))),
            Op::Claim(n) => {
                if let Claim::Leased(key) = ledger.claim(self.waiter(n)) {
                    self.slots.push(key);
                }
            }
            Op::Cancel(n) => drop(ledger.cancel(self.waiter(n))),
            Op::EndLease(n, back) | Op::GiveBack(n, back) => self.end(ledger, n, back),
            Op::Answered(n, _, verdict) | Op::Answer(n, verdict) => {
                let key = self.slot(n);
                let created = verdict == Verdict::Good && ledger.created(key);
                let failed = verdict != Verdict::Good && ledger.create_failed(key);
                let checked = ledger.checked(key, verdict) || ledger.reset(key, verdict);
                let _ = created || failed || checked || ledger.closed(key);
            }
            Op::Advance(millis) => self.pass(ledger, ms(u64::from(millis) * 3)),
            _ => self.operate(ledger, op),
        }
    }

    fn end(&mut self, ledger: &mut Ledger, n: usize, back: Back) {
        let key = self.slot(n);
        let _ = match back {
            Back::Released => ledger.release(key),
            Back::Discarded => ledger.discard(key),
            Back::Taken => ledger.take(key),
            Back::Renewed => ledger.renew(key, ledger.options().lease_ttl),
            Back::Reset => {
                let begun = ledger.begin_reset(key);
                self.slots.extend(begun);
                begun.is_some()
            }
        };
    }

    fn operate(&mut self, ledger: &mut Ledger, op: Op) {
        match op {
            Op::LookAtIdle => self.slots.extend(ledger.look_at_idle()),
            Op::LookedAt(n, keep) => drop(ledger.looked_at(self.slot(n), keep)),
            Op::Adopt => self.slots.extend(ledger.adopt()),
            Op::Fill => ledger.fill(),
            Op::Prepare => drop(ledger.prepare()),
            Op::PrepareDirectly => self.slots.extend(ledger.prepare_directly()),
            Op::CloseLate => drop(ledger.close_late()),
            Op::Resize(max) => drop(ledger.resize(max)),
            Op::SetMinIdle(min_idle) => drop(ledger.set_min_idle(min_idle)),
            Op::Pause => ledger.pause(),
            Op::Resume => ledger.resume(),
            Op::InvalidateAll => ledger.invalidate_all(),
            Op::OpenTenant(share) => self.tenants.extend(ledger.open_tenant(share)),
            Op::SetShare(n, share) => drop(ledger.set_share(self.tenant(n), share)),
            Op::AdoptFor(n) => self.slots.extend(ledger.adopt_for(self.tenant(n))),
            Op::EndWaits(n) => drop(ledger.end_waits(self.tenant(n))),
            Op::CloseTenant(n) => drop(ledger.close_tenant(self.tenant(n))),
            Op::Close => ledger.close(),
            other => panic!("{other:?} is done elsewhere"),
        }
    }

    fn pass(&mut self, ledger: &mut Ledger, by: Duration) {
        self.now = self.now.saturating_add(by);
        ledger.advance(self.now);
        while let Some(effect) = ledger.poll_effect() {
            if let Effect::Create { slot } | Effect::Close { slot, .. } | Effect::Check { slot } =
                effect
            {
                self.slots.push(slot);
            }
        }
    }
}

/// Brings everything back after a close: nothing may be left but what the shell holds.
fn drain(ledger: &mut Ledger) {
    ledger.close();
    let mut closing = Vec::new();
    while let Some(effect) = ledger.poll_effect() {
        if let Effect::Close { slot, .. } = effect {
            closing.push(slot);
        }
    }
    for slot in closing {
        ledger.closed(slot);
    }
    let gauges = ledger.gauges();
    let held = gauges.in_use + gauges.checking + gauges.resetting;
    assert_eq!(gauges.size, held + gauges.retired + gauges.closing, "{gauges:?}");
    assert_eq!((gauges.pending, gauges.offered, gauges.idle, gauges.creating), (0, 0, 0, 0));
    ledger.check().unwrap_or_else(|violation| panic!("{violation}"));
}

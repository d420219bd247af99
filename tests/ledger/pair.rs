//! The ledger beside the model: each operation is done to both, and must do the same.

use std::time::Duration;

use edgepool::Time;
use edgepool::ledger::{
    Acquired, Ask, Claim, Effect, Ledger, Options, Priority, Refused, SlotKey, TenantKey,
    TenantStats, Verdict, Violation, WaiterKey,
};

use super::model::{Answer, Expected, Model, SlotState, WaiterState, is_job};
use super::{Back, Op, ms};

/// The ledger and the model, side by side.
pub(crate) struct Pair {
    ledger: Ledger,
    pub(crate) model: Model,
    slots: Vec<SlotKey>,
    waiters: Vec<WaiterKey>,
    tenants: Vec<TenantKey>,
}

impl Pair {
    pub(crate) fn new(options: Options) -> Self {
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
    pub(crate) fn apply(&mut self, op: Op) {
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

    pub(crate) fn next_moment(&self) -> Time {
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

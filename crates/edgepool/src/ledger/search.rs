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

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

mod settings;

use settings::*;

use super::store::Slot;
use super::timers::Target;
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

/// Who acquires, for as long as its patience lasts. Tenant 0 is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caller {
    tenant: u32,
    patience: Option<u64>,
    class: Priority,
    need: u16,
}

/// An operation, by the indexes of what it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Acquire(Caller),
    TryAcquire,
    TryAcquireFor(u32),
    Claim(u32),
    Cancel(u32),
    Release(u32),
    Discard(u32),
    Take(u32),
    Renew(u32),
    BeginReset(u32),
    Reset(u32, Verdict),
    Created(u32),
    CreateFailed(u32),
    Checked(u32, Verdict),
    LookedAt(u32, bool),
    Closed(u32),
    Adopt,
    LookAtIdle,
    Fill,
    Prepare,
    PrepareDirectly,
    CloseLate,
    Resize(u32),
    SetMinIdle(u32),
    Pause,
    Resume,
    InvalidateAll,
    SetShare(u32, Share),
    EndWaits(u32),
    CloseTenant(u32),
    Close,
    /// Time passes; `None` is up to the next deadline.
    Tick(Option<u64>),
}

/// An operation, with what is drawn in it, and the order of what is due at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    op: Op,
    chance: u64,
    backwards: bool,
}

/// From these, a draw gives the least, the middle and the most that it can.
const CHANCES: [u64; 3] = [10, 15, 44];

const fn nanos(nanos: u64) -> Option<Duration> {
    Some(Duration::from_nanos(nanos))
}

/// What a shell knows from the answers and the effects: its jobs, its leases, who waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct View {
    jobs: BTreeSet<SlotKey>,
    leases: BTreeSet<SlotKey>,
    waiting: BTreeSet<WaiterKey>,
    offered: BTreeSet<WaiterKey>,
    drained: bool,
}

impl View {
    fn of(ledger: &Ledger) -> Self {
        let slots = |wanted: fn(SlotState) -> bool| {
            let slots = ledger.store.slots.iter().filter(move |(_, slot)| wanted(slot.state));
            slots.map(|(index, _)| ledger.store.slot_key(index as u32)).collect()
        };
        let waiters = |wanted: fn(WaiterState) -> bool| {
            let waiters = ledger.store.waiters.iter().filter(move |(_, w)| wanted(w.state));
            waiters.map(|(index, _)| ledger.store.waiter_key(index as u32)).collect()
        };
        use SlotState::{Idle, Leased, Offered};
        Self {
            jobs: slots(|state| !matches!(state, Idle | Leased | Offered(_))),
            leases: slots(|state| state == Leased),
            waiting: waiters(|state| !matches!(state, WaiterState::Ended(..))),
            offered: waiters(|state| state == WaiterState::Offered),
            drained: ledger.closed && ledger.size() == 0,
        }
    }

    /// Takes in an effect.
    fn hear(&mut self, effect: Effect) -> Result<(), String> {
        let known = match effect {
            Effect::Create { slot } | Effect::Check { slot } => self.jobs.insert(slot),
            Effect::Close { slot, leaving } => {
                if leaving == Leaving::Expired {
                    self.leases.retain(|lease| lease.index != slot.index);
                }
                self.jobs.insert(slot)
            }
            Effect::Abandon { slot, .. } => self.jobs.remove(&slot),
            Effect::Offer { waiter, .. } => {
                self.offered.insert(waiter);
                self.waiting.contains(&waiter)
            }
            Effect::Ended { waiter, .. } => {
                self.offered.remove(&waiter);
                self.waiting.remove(&waiter)
            }
            Effect::LongHold { slot } => self.leases.contains(&slot),
            Effect::Drained => !std::mem::replace(&mut self.drained, true),
        };
        if known { Ok(()) } else { Err(format!("{effect:?} comes as a surprise")) }
    }

    /// Compares what was heard with how the ledger stands. An offer may have passed on already.
    fn compare(&self, ledger: &Ledger) -> Result<(), String> {
        let now = Self::of(ledger);
        let heard = Self { offered: now.offered.clone(), ..self.clone() };
        if heard != now {
            return Err(format!("the shell knows of {heard:?}, the ledger of {now:?}"));
        }
        if !now.offered.is_subset(&self.offered) {
            return Err(format!("offered {:?}, told {:?}", now.offered, self.offered));
        }
        Ok(())
    }
}

/// Does a step as a shell does, and checks all that can be checked after it.
fn perform(ledger: &mut Ledger, step: Step) -> Result<Vec<Effect>, String> {
    ledger.failing.chance = step.chance;
    let mut view = View::of(ledger);
    act(ledger, step, &mut view)?;
    let mut effects = Vec::new();
    let mut ended = Vec::new();
    while let Some(effect) = ledger.poll_effect() {
        effects.push(effect);
        view.hear(effect)?;
        if let Effect::Ended { waiter, end } = effect {
            ended.push((waiter, end));
        }
    }
    view.compare(ledger)?;
    ledger.check().map_err(|violation| violation.to_string())?;
    for (waiter, end) in ended {
        let claim = ledger.claim(waiter);
        if claim != Claim::Ended(end) {
            return Err(format!("{waiter:?} ended as {end:?}, and its claim gave {claim:?}"));
        }
    }
    ledger.check().map_err(|violation| violation.to_string())?;
    Ok(effects)
}

/// Does an operation, and notes in the view what its answer says.
fn act(ledger: &mut Ledger, step: Step, view: &mut View) -> Result<(), String> {
    let slot = |ledger: &Ledger, index: u32| ledger.store.slot_key(index);
    let done = match step.op {
        Op::Acquire(caller) => {
            acquire(ledger, view, caller);
            true
        }
        Op::TryAcquire => {
            view.leases.extend(ledger.try_acquire());
            true
        }
        Op::TryAcquireFor(tenant) => {
            view.leases.extend(ledger.try_acquire_for(tenant_key(tenant)));
            true
        }
        Op::Claim(index) => claim(ledger, view, index),
        Op::Cancel(index) => {
            let key = ledger.store.waiter_key(index);
            ledger.cancel(key) && view.waiting.remove(&key)
        }
        Op::Release(index) => {
            let key = slot(ledger, index);
            ledger.release(key) && view.leases.remove(&key)
        }
        Op::Discard(index) => {
            let key = slot(ledger, index);
            ledger.discard(key) && view.leases.remove(&key)
        }
        Op::Take(index) => {
            let key = slot(ledger, index);
            ledger.take(key) && view.leases.remove(&key)
        }
        Op::Renew(index) => {
            let ttl = ledger.options.lease_ttl;
            ledger.renew(slot(ledger, index), ttl)
        }
        Op::BeginReset(index) => {
            let key = slot(ledger, index);
            view.jobs.extend(ledger.begin_reset(key));
            view.leases.remove(&key)
        }
        Op::Reset(..)
        | Op::Created(_)
        | Op::CreateFailed(_)
        | Op::Checked(..)
        | Op::LookedAt(..)
        | Op::Closed(_) => answer(ledger, view, step.op),
        Op::Adopt => {
            view.leases.extend(ledger.adopt());
            true
        }
        Op::PrepareDirectly => {
            view.jobs.extend(ledger.prepare_directly());
            true
        }
        Op::CloseLate => {
            view.drained = false;
            ledger.close_late();
            true
        }
        Op::LookAtIdle => {
            view.jobs.extend(ledger.look_at_idle());
            true
        }
        Op::Tick(by) => pass_time(ledger, by, step.backwards),
        _ => operate(ledger, step.op),
    };
    if done { Ok(()) } else { Err(format!("{:?} was not done", step.op)) }
}

/// The tenants of a setting are opened one after the other, and none of them is opened again.
const fn tenant_key(index: u32) -> TenantKey {
    TenantKey { index, generation: index }
}

fn acquire(ledger: &mut Ledger, view: &mut View, caller: Caller) {
    let Caller { tenant, patience, class: priority, need } = caller;
    let until = patience.map(|patience| ledger.now.saturating_add(Duration::from_nanos(patience)));
    let deadline = until.unwrap_or(Time::NEVER);
    let tenant = (tenant > 0).then(|| tenant_key(tenant));
    match ledger.acquire(Ask { deadline, priority, need, tenant }) {
        Ok(Acquired::Leased(key)) => view.leases.extend([key]),
        Ok(Acquired::Waiting(key)) => view.waiting.extend([key]),
        Err(_) => {}
    }
}

fn claim(ledger: &mut Ledger, view: &mut View, index: u32) -> bool {
    let key = ledger.store.waiter_key(index);
    let Claim::Leased(lease) = ledger.claim(key) else { return false };
    view.leases.insert(lease);
    if ledger.store.find_waiter(key).is_none() {
        view.waiting.remove(&key);
    }
    true
}

fn answer(ledger: &mut Ledger, view: &mut View, op: Op) -> bool {
    let key = |index| ledger.store.slot_key(index);
    let (key, done) = match op {
        Op::Reset(index, verdict) => (key(index), ledger.reset(key(index), verdict)),
        Op::Created(index) => (key(index), ledger.created(key(index))),
        Op::CreateFailed(index) => (key(index), ledger.create_failed(key(index))),
        Op::Checked(index, verdict) => (key(index), ledger.checked(key(index), verdict)),
        Op::LookedAt(index, keep) => (key(index), ledger.looked_at(key(index), keep)),
        Op::Closed(index) => (key(index), ledger.closed(key(index))),
        _ => return false,
    };
    done && view.jobs.remove(&key)
}

fn operate(ledger: &mut Ledger, op: Op) -> bool {
    match op {
        Op::Fill => ledger.fill(),
        Op::Prepare => drop(ledger.prepare()),
        Op::Resize(max) => drop(ledger.resize(max)),
        Op::SetMinIdle(min_idle) => drop(ledger.set_min_idle(min_idle)),
        Op::Pause => ledger.pause(),
        Op::Resume => ledger.resume(),
        Op::InvalidateAll => ledger.invalidate_all(),
        Op::SetShare(tenant, share) => drop(ledger.set_share(tenant_key(tenant), share)),
        Op::EndWaits(tenant) => drop(ledger.end_waits(tenant_key(tenant))),
        Op::CloseTenant(tenant) => drop(ledger.close_tenant(tenant_key(tenant))),
        Op::Close => ledger.close(),
        _ => return false,
    }
    true
}

/// Lets time pass, with what is due at one moment in the order of the state's form, or backwards.
fn pass_time(ledger: &mut Ledger, by: Option<u64>, backwards: bool) -> bool {
    let until = match by {
        Some(by) => Some(ledger.now.saturating_add(Duration::from_nanos(by))),
        None => ledger.next_deadline(),
    };
    let Some(until) = until else { return true };
    let ranks = ranks(ledger);
    let Ledger { timers, store, .. } = ledger;
    timers.arrange(store, |target| {
        let rank = ranks[&place_of(target)];
        if backwards { usize::MAX - rank } else { rank }
    });
    ledger.advance(until);
    ledger.next_deadline().is_none_or(|at| at > ledger.now)
}

/// A target as a number: what it is, and its index.
const fn place_of(target: Target) -> (u8, u32) {
    match target {
        Target::Waiter(index) => (0, index),
        Target::Slot(index) => (1, index),
        Target::Care(index) => (2, index),
    }
}

/// The order of the timers of a state that does not depend on how its entries are numbered.
fn ranks(ledger: &Ledger) -> BTreeMap<(u8, u32), usize> {
    let waiters = waiters_in_order(ledger);
    let mut slots: Vec<u32> = ledger.store.slots.iter().map(|(index, _)| index as u32).collect();
    let idle: Vec<u32> = ledger.idle.iter(&ledger.store.slots).collect();
    let place = |index: &u32| idle.iter().position(|other| other == index);
    slots.sort_by_cached_key(|index| (place(index), slot_form(ledger, *index)));
    let mut ranks = BTreeMap::new();
    for (kind, indexes) in [(0, &waiters), (1, &slots), (2, &slots)] {
        for &index in indexes {
            ranks.insert((kind, index), ranks.len());
        }
    }
    ranks
}

/// Those who wait and those who are offered what they need, by tenant, and in the order of its line.
fn waiters_in_order(ledger: &Ledger) -> Vec<u32> {
    let waiters = ledger.store.waiters.iter().map(|(index, _)| index as u32);
    let mut waiters: Vec<u32> = waiters.collect();
    waiters.sort_by_key(|&index| {
        let waiter = ledger.store.waiter(index);
        (waiter.owner.0, ledger.queue.rank(waiter))
    });
    waiters
}

/// How far ahead a time is; what is past is now.
fn ahead(ledger: &Ledger, at: Time) -> u8 {
    match at {
        Time::NEVER => u8::MAX,
        _ => u8::try_from(at.saturating_since(ledger.now).as_nanos()).expect("times are small"),
    }
}

/// How far ahead the deadline is that stands at a position of the heap.
fn due(ledger: &Ledger, position: u32) -> u8 {
    let deadline = ledger.timers.at(position);
    deadline.map_or(u8::MAX, |at| ahead(ledger, at))
}

/// How long ago a time was, as far as that can matter.
fn ago(ledger: &Ledger, at: Time, limits: [Option<Duration>; 2]) -> u8 {
    let limit = limits.into_iter().flatten().max().unwrap_or_default();
    ledger.now.saturating_since(at).min(limit).as_nanos() as u8
}

/// All that matters of a place, but for the lists that it is in.
fn slot_form(ledger: &Ledger, index: u32) -> [u8; 12] {
    use SlotState::{Closing, Creating, Leased, Offered, Retired};
    let slot: &Slot = ledger.store.slot(index);
    let timer = |position| due(ledger, position);
    let kind = slot.state.kind() as u8;
    let mut form = [kind, timer(slot.timer), timer(slot.care), 0, 0, 0, 0, 0, 0, 0, 0, 0];
    form[3] = u8::from(slot.renewing) | u8::from(slot.swept) << 1;
    if matches!(slot.state, Leased | Offered(_) | Retired) {
        form[11] = slot.owner.0 as u8;
    }
    if matches!(slot.state, Creating | Retired | Closing) {
        form[4] = u8::from(slot.state == Creating && slot.epoch != ledger.epoch);
        form[5] = u8::from(slot.state == Creating && slot.id <= ledger.failing.known);
        return form;
    }
    let options = &ledger.options;
    form[4] = u8::from(slot.epoch != ledger.epoch);
    form[5] = ahead(ledger, slot.expires);
    form[6] = options.max_uses.map_or(0, |max| slot.uses.min(max) as u8);
    if slot.state == Leased {
        form[7] = ago(ledger, slot.since, [options.long_hold, None]);
    } else {
        form[7] = ago(ledger, slot.since, [options.idle_timeout, None]);
        form[8] = ago(ledger, slot.good(), [options.check_after, options.check_interval]);
        form[9] = u8::from(slot.fresh && options.check_after == Some(Duration::ZERO));
        form[10] = options.check_interval.map_or(0, |_| checked_after(ledger, slot));
    }
    form
}

/// How many were known to be good before this one: of those that are overdue, the first is next.
fn checked_after(ledger: &Ledger, slot: &Slot) -> u8 {
    use SlotState::{Checking, Idle, Offered, Resetting};
    let counts = |state| matches!(state, Checking | Idle | Offered(_) | Resetting);
    let others = ledger.store.slots.iter().filter(|(_, other)| counts(other.state));
    others.filter(|(_, other)| other.good() < slot.good()).count() as u8
}

/// The form of a state: two ledgers of one form decide alike for ever.
fn form(ledger: &Ledger) -> Box<[u8]> {
    let failing = &ledger.failing;
    let doublings = ledger.options.backoff.map_or(0, |backoff| {
        let ratio = backoff.cap.as_nanos() / backoff.base.as_nanos();
        ratio.next_power_of_two().ilog2()
    });
    // Without a back-off, `min_idle` waits for a success after one.
    let counts = ledger.options.breaker.unwrap_or(0).max(doublings);
    let failed = failing.in_a_row.min(counts.max(1));
    let Ledger { started, paused, closed, shrunk, overstayed, .. } = *ledger;
    let flags = [started, paused, closed, shrunk, overstayed];
    let flags = flags.iter().fold(0, |all, &flag| all << 1 | u8::from(flag));
    let retry = failing.retry_at().map_or(u8::MAX, |at| ahead(ledger, at));
    let (max, min_idle) = (ledger.options.max as u8, ledger.options.min_idle as u8);
    let mut form = vec![flags, max, min_idle, failed as u8, retry, ledger.idle.len() as u8];
    form.extend(ledger.queue.form());
    let mut listed = Vec::new();
    for index in ledger.idle.iter(&ledger.store.slots) {
        form.extend(slot_form(ledger, index));
        listed.push(index);
    }
    for index in waiters_in_order(ledger) {
        waiter_form(ledger, index, &mut form);
        for slot in ledger.store.waiter(index).offered.iter(&ledger.store.slots) {
            form.extend(slot_form(ledger, slot));
            listed.push(slot);
        }
    }
    form.push(u8::MAX);
    let slots = ledger.store.slots.iter().map(|(index, _)| index as u32);
    let others = slots.filter(|index| !listed.contains(index));
    let mut others: Vec<_> = others.map(|index| slot_form(ledger, index)).collect();
    others.sort_unstable();
    form.extend(others.concat());
    form.into_boxed_slice()
}

fn waiter_form(ledger: &Ledger, index: u32, form: &mut Vec<u8>) {
    let waiter = ledger.store.waiter(index);
    let deadline = due(ledger, waiter.timer);
    // A caller of the highest class that comes now is passed by whoever came that long before it.
    let passes = ledger.options.ageing.map(|step| step * 3);
    let state = u8::from(waiter.state == WaiterState::Offered);
    let (need, have) = (waiter.need as u8, waiter.have as u8);
    let (class, waited) = (waiter.priority as u8, ago(ledger, waiter.since, [passes, None]));
    let owner = waiter.owner.0 as u8;
    form.extend([owner, class, state, need, have, waiter.missed, deadline, waited]);
}

impl Setting {
    /// Every step that can be taken in this state. Of places that are alike, one stands for all.
    fn steps(&self, ledger: &Ledger) -> Vec<Step> {
        let mut ops = self.does.to_vec();
        // What comes too late may come on top of all, but for a state of few places not often.
        ops.retain(|&op| op != Op::CloseLate || ledger.size() <= ledger.options.max);
        ops.push(Op::TryAcquire);
        ops.extend((1..).zip(self.tenants).map(|(tenant, _)| Op::TryAcquireFor(tenant)));
        if ledger.store.waiters.len() < self.waiters {
            ops.extend(self.asks.iter().map(|&caller| Op::Acquire(caller)));
        }
        for (index, waiter) in &ledger.store.waiters {
            ops.push(Op::Cancel(index as u32));
            if waiter.state == WaiterState::Offered {
                ops.push(Op::Claim(index as u32));
            }
        }
        let mut seen = BTreeSet::new();
        for (index, slot) in &ledger.store.slots {
            let listed = matches!(slot.state, SlotState::Idle | SlotState::Offered(_));
            if !listed && seen.insert(slot_form(ledger, index as u32)) {
                self.slot_ops(slot.state, index as u32, &mut ops);
            }
        }
        let times = self.ticks.iter().map(|&by| Op::Tick(Some(by)));
        let next = ledger.next_deadline().map(|_| Op::Tick(None));
        ops.extend(times.chain(next));
        ops.into_iter().flat_map(|op| self.with_chance(ledger, op)).collect()
    }

    fn slot_ops(&self, state: SlotState, index: u32, ops: &mut Vec<Op>) {
        const VERDICTS: [Verdict; 3] = [Verdict::Good, Verdict::Bad, Verdict::Lost];
        match state {
            SlotState::Creating => ops.extend([Op::Created(index), Op::CreateFailed(index)]),
            SlotState::Checking => {
                ops.extend(VERDICTS.map(|verdict| Op::Checked(index, verdict)));
                if self.does.contains(&Op::LookAtIdle) {
                    ops.extend([true, false].map(|keep| Op::LookedAt(index, keep)));
                }
            }
            SlotState::Resetting => {
                ops.extend(VERDICTS.map(|verdict| Op::Reset(index, verdict)));
            }
            SlotState::Retired | SlotState::Closing => ops.push(Op::Closed(index)),
            SlotState::Leased => {
                ops.extend([Op::Release(index), Op::Discard(index), Op::Take(index)]);
                ops.extend(self.resets.then_some(Op::BeginReset(index)));
                ops.extend(self.options.lease_ttl.map(|_| Op::Renew(index)));
            }
            SlotState::Idle | SlotState::Offered(_) => {}
        }
    }

    /// The operation with every chance that it may draw, and every order of what is due at once.
    fn with_chance(&self, ledger: &Ledger, op: Op) -> Vec<Step> {
        let draws = match op {
            Op::CreateFailed(_) => self.options.backoff.is_some(),
            Op::Created(_) => {
                self.options.max_lifetime.is_some() && self.options.lifetime_jitter > 0
            }
            Op::Tick(_) => self.options.backoff.is_some() && self.options.create_timeout.is_some(),
            _ => false,
        };
        let chances = if draws { &CHANCES[..] } else { &CHANCES[..1] };
        let heap = ledger.timers.heap();
        let due = |at: Time| heap.iter().filter(|(other, _)| *other == at).count();
        let ties = matches!(op, Op::Tick(_)) && heap.iter().any(|&(at, _)| due(at) > 1);
        let orders = if ties { &[false, true][..] } else { &[false][..] };
        let steps = chances.iter().flat_map(|&chance| {
            orders.iter().map(move |&backwards| Step { op, chance, backwards })
        });
        steps.collect()
    }
}

/// Tries every operation with keys that it does not take: nothing may change.
fn try_stale_keys(ledger: &Ledger, form_before: &[u8]) -> Result<(), String> {
    let mut after = ledger.clone();
    for (index, slot) in &ledger.store.slots {
        let key = ledger.store.slot_key(index as u32);
        let dead = SlotKey { generation: key.generation.wrapping_sub(1), ..key };
        for (op, takes) in SLOT_OPS {
            let keys = if takes(slot.state) { &[dead][..] } else { &[dead, key][..] };
            if let Some(key) = keys.iter().find(|&&key| op(&mut after, key)) {
                return Err(format!("{key:?} was taken while {:?}", slot.state));
            }
        }
    }
    for (index, _) in &ledger.store.waiters {
        let key = ledger.store.waiter_key(index as u32);
        let dead = WaiterKey { generation: key.generation.wrapping_sub(1), ..key };
        if after.claim(dead) != Claim::Unknown || after.cancel(dead) {
            return Err(format!("{dead:?} was taken"));
        }
    }
    let dead = TenantKey { index: 1, generation: 99 };
    let shared = after.set_share(dead, Share::new()) == Ok(true);
    let ended = after.end_waits(dead).is_some() || after.close_tenant(dead);
    if shared || ended || after.try_acquire_for(dead).is_some() {
        return Err(format!("{dead:?} was taken"));
    }
    after.check().map_err(|violation| violation.to_string())?;
    let same = *form(&after) == *form_before && after.effects.is_empty();
    if same { Ok(()) } else { Err("a stale key changed something".to_owned()) }
}

type SlotOp = (fn(&mut Ledger, SlotKey) -> bool, fn(SlotState) -> bool);

/// The operations on a place, and the states in which they take its key.
const SLOT_OPS: [SlotOp; 11] = {
    const LEASED: fn(SlotState) -> bool = |state| matches!(state, SlotState::Leased);
    const CREATING: fn(SlotState) -> bool = |state| matches!(state, SlotState::Creating);
    const CHECKING: fn(SlotState) -> bool = |state| matches!(state, SlotState::Checking);
    const RESETTING: fn(SlotState) -> bool = |state| matches!(state, SlotState::Resetting);
    const CLOSING: fn(SlotState) -> bool =
        |state| matches!(state, SlotState::Closing | SlotState::Retired);
    [
        (Ledger::release, LEASED),
        (Ledger::discard, LEASED),
        (Ledger::take, LEASED),
        (|ledger, key| ledger.renew(key, None), LEASED),
        (|ledger, key| ledger.begin_reset(key).is_some(), LEASED),
        (Ledger::created, CREATING),
        (Ledger::create_failed, CREATING),
        (|ledger, key| ledger.checked(key, Verdict::Bad), CHECKING),
        (|ledger, key| ledger.looked_at(key, false), CHECKING),
        (|ledger, key| ledger.reset(key, Verdict::Bad), RESETTING),
        (Ledger::closed, CLOSING),
    ]
};

/// Lets all go well from here on: everyone must be served, and then `max` must be obtainable.
fn go_well(ledger: &Ledger) -> Result<(), String> {
    let mut ledger = ledger.clone();
    let waiting: Vec<u32> = ledger.store.waiters.iter().map(|(index, _)| index as u32).collect();
    for index in waiting {
        ledger.timers.clear(&mut ledger.store, Target::Waiter(index));
    }
    do_well(&mut ledger, Op::Resume)?;
    come_to_rest(&mut ledger, true)?;
    if ledger.closed {
        return Ok(());
    }
    if let Some(at) = ledger.failing.retry_at() {
        let wait = at.saturating_since(ledger.now).as_nanos() as u64;
        do_well(&mut ledger, Op::Tick(Some(wait)))?;
        come_to_rest(&mut ledger, true)?;
    }
    let max = ledger.options.max;
    for _ in 0..max {
        do_well(&mut ledger, Op::Acquire(FOR_EVER))?;
    }
    come_to_rest(&mut ledger, false)?;
    let lent = ledger.count(SlotState::Leased);
    if lent < max {
        return Err(format!("if all goes well, {lent} of {max} can be had: {:?}", ledger.gauges()));
    }
    come_to_rest(&mut ledger, true)
}

fn do_well(ledger: &mut Ledger, op: Op) -> Result<(), String> {
    let step = Step { op, chance: CHANCES[0], backwards: false };
    let ended = |effect: &Effect| matches!(effect, Effect::Ended { .. });
    match perform(ledger, step) {
        Ok(effects) if effects.iter().any(ended) => {
            Err(format!("all goes well, and {op:?} ends a wait: {effects:?}"))
        }
        Ok(_) => Ok(()),
        Err(what) => Err(format!("if all goes well, {op:?}: {what}")),
    }
}

/// Answers and claims, and returns the leases if asked, until nobody waits and no job is left. Time
/// passes only when there is nothing else to do.
fn come_to_rest(ledger: &mut Ledger, give_back: bool) -> Result<(), String> {
    for _ in 0..1_000 {
        let lent = if give_back { 0 } else { ledger.count(SlotState::Leased) };
        if ledger.pending() == 0 && ledger.size() == ledger.idle.len() + lent {
            return Ok(());
        }
        let op = next_good(ledger, give_back).unwrap_or(Op::Tick(None));
        if op == Op::Tick(None) && ledger.next_deadline().is_none() {
            break;
        }
        do_well(ledger, op)?;
    }
    Err(format!("all goes well, and it never comes to rest: {:?}", ledger.gauges()))
}

/// The next good thing that can happen without time passing.
fn next_good(ledger: &Ledger, give_back: bool) -> Option<Op> {
    let mut waiters = ledger.store.waiters.iter();
    if let Some((index, _)) = waiters.find(|(_, waiter)| waiter.state == WaiterState::Offered) {
        return Some(Op::Claim(index as u32));
    }
    ledger.store.slots.iter().find_map(|(index, slot)| {
        let index = index as u32;
        match slot.state {
            SlotState::Creating => Some(Op::Created(index)),
            SlotState::Checking => Some(Op::Checked(index, Verdict::Good)),
            SlotState::Resetting => Some(Op::Reset(index, Verdict::Good)),
            SlotState::Retired | SlotState::Closing => Some(Op::Closed(index)),
            SlotState::Leased if give_back => Some(Op::Release(index)),
            _ => None,
        }
    })
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

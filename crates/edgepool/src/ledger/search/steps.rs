//! What is done to a ledger in a step, as a shell does it, and what that shell then knows.

use std::collections::BTreeSet;
use std::time::Duration;

use super::form::{place_of, ranks};
use super::*;

/// Who acquires, for as long as its patience lasts. Tenant 0 is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) tenant: u32,
    pub(super) patience: Option<u64>,
    pub(super) class: Priority,
    pub(super) need: u16,
}

/// An operation, by the indexes of what it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
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
pub(super) struct Step {
    pub(super) op: Op,
    pub(super) chance: u64,
    pub(super) backwards: bool,
}

/// From these, a draw gives the least, the middle and the most that it can.
pub(super) const CHANCES: [u64; 3] = [10, 15, 44];

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
pub(super) fn perform(ledger: &mut Ledger, step: Step) -> Result<Vec<Effect>, String> {
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
pub(super) const fn tenant_key(index: u32) -> TenantKey {
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

//! Whether a tenant's context is tried on connections of the pool for all, after that has failed.
//!
//! A context that cannot be put on costs the pool the connection, and the other tenants the time until
//! there is another. So a tenant is held back as a pool holds its creations back: once it has failed
//! as often in a row as the pool's [breaker](crate::Builder::breaker) says, its callers are refused,
//! and after each [back-off](crate::Builder::backoff) one of them is let try. One that succeeds lets
//! all in again. One that does not end in time, as it hangs or nobody polls it, has failed.

use std::time::Duration;

use super::core::{Core, Desk, Place};
use super::error::TenantError;
use super::factory::TenantFactory;
use super::roster::Key;
use crate::error::Failure;
use crate::ledger::Backoff;
use crate::ledger::need::Failing;
use crate::shared::guarded;
use crate::{Clock, Time};

/// When a tenant is held back, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Breaker {
    /// After so many failures in a row.
    pub(super) after: u32,
    pub(super) backoff: Backoff,
    /// How long the one may take that is let try; less if its caller has less time.
    pub(super) patience: Duration,
    pub(super) seed: u64,
}

/// One entering of a tenant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// The life of the gate that it began in: what it ends with tells nothing of a later one.
    life: u32,
    /// Its number, if it is the one that is let try while its tenant is held back.
    probe: Option<u32>,
}

impl Attempt {
    /// That of one who has not begun.
    pub(super) const NONE: Self = Self { life: 0, probe: None };
}

/// What a tenant has that failed since it last succeeded.
pub(super) struct Gate<E> {
    failing: Failing,
    /// The one that is trying while the others are refused.
    probe: Option<Probe>,
    cause: Failure<E>,
}

/// One that is let try while its tenant is held back.
struct Probe {
    number: u32,
    /// From when on it has failed, whatever becomes of it.
    until: Time,
}

/// For how long a tenant is held back, and why.
pub(super) struct HeldBack<E> {
    retry_in: Duration,
    cause: Failure<E>,
}

impl<E> From<HeldBack<E>> for TenantError<E> {
    fn from(HeldBack { retry_in, cause }: HeldBack<E>) -> Self {
        Self::Unavailable { retry_in, cause }
    }
}

impl<E> Gate<E> {
    const fn is_open(&self, breaker: Breaker) -> bool {
        self.failing.in_a_row() < breaker.after
    }

    fn hold_back(&mut self, backoff: Backoff, now: Time) -> Option<HeldBack<E>> {
        if let Some(late) = self.probe.take_if(|probe| probe.until <= now) {
            self.failing.fail_again(backoff, late.until);
        }
        let until =
            self.probe.as_ref().map(|probe| probe.until).or_else(|| self.failing.retry_at())?;
        let retry_in = until.saturating_since(now);
        (retry_in > Duration::ZERO).then(|| HeldBack { retry_in, cause: self.cause.clone() })
    }
}

impl<T: TenantFactory, C: Clock + Clone> Place<T, C> {
    /// Lets the tenant try again at once: what began before tells nothing from now on. Gives what is
    /// to be dropped without the lock.
    pub(super) fn open_gate(&mut self) -> Option<Box<Gate<T::Error>>> {
        self.gate_life = self.gate_life.wrapping_add(1);
        self.gate.take()
    }

    /// Lets all in again, as one has succeeded, unless it is of another life.
    pub(super) fn succeed(&mut self, attempt: Attempt) -> Option<Box<Gate<T::Error>>> {
        if attempt.life == self.gate_life { self.gate.take() } else { None }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Desk<T, C> {
    /// Tells whether a tenant is held back by now.
    pub(super) fn hold_back(
        &mut self,
        key: Key,
        breaker: Option<Breaker>,
    ) -> Option<HeldBack<T::Error>> {
        let (breaker, now) = (breaker?, self.now);
        let gate = self.place_mut(key).gate.as_mut().filter(|gate| !gate.is_open(breaker))?;
        gate.hold_back(breaker.backoff, now)
    }

    /// Takes note that a tenant that is not held back tries, until a time at most.
    pub(super) fn begin_entering(
        &mut self,
        key: Key,
        breaker: Option<Breaker>,
        until: Time,
    ) -> Attempt {
        let now = self.now;
        let place = self.place_mut(key);
        let mut attempt = Attempt { life: place.gate_life, probe: None };
        if let Some(breaker) = breaker
            && let Some(gate) = place.gate.as_mut().filter(|gate| !gate.is_open(breaker))
        {
            place.probes = place.probes.wrapping_add(1);
            let until = until.min(now.saturating_add(breaker.patience));
            gate.probe = Some(Probe { number: place.probes, until });
            attempt.probe = Some(place.probes);
        }
        attempt
    }
}

impl<T: TenantFactory, C: Clock + Clone> Core<T, C> {
    /// Takes note that a tenant's context could not be put on a connection. While others are refused
    /// only the one counts that is let try: those that came before tell nothing new, and one that was
    /// late has counted.
    pub(super) fn fail_entering(&self, key: Key, attempt: Attempt, cause: Failure<T::Error>) {
        let Some(breaker) = self.plan.breaker else { return };
        let forgotten = self.step(|desk| {
            let now = desk.now;
            let place = desk.place_mut(key);
            if attempt.life != place.gate_life {
                return cause;
            }
            let gate = place.gate.get_or_insert_with(|| {
                let failing = Failing::new(breaker.seed ^ u64::from(key.index));
                Box::new(Gate { failing, probe: None, cause: cause.clone() })
            });
            let probe = gate.probe.take_if(|probe| Some(probe.number) == attempt.probe);
            if probe.is_some() || gate.is_open(breaker) {
                gate.failing.fail_again(breaker.backoff, now);
                return std::mem::replace(&mut gate.cause, cause);
            }
            cause
        });
        guarded(|| drop(forgotten));
    }

    /// Lets a tenant try again at once, as after a change of what it has failed with.
    pub(super) fn open_gate(&self, tenant: &str) {
        let gate = {
            let mut desk = self.lock();
            let key = desk.ids.get(tenant).copied();
            key.and_then(|key| desk.place_mut(key).open_gate())
        };
        guarded(|| drop(gate));
    }
}

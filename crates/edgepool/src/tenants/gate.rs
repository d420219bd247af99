//! Whether a tenant's context is tried on connections of the pool for all, after that has failed.
//!
//! A context that cannot be put on costs the pool the connection, and the other tenants the time until
//! there is another. So a tenant is held back as a pool holds its creations back: once it has failed
//! as often in a row as the pool's [breaker](crate::Builder::breaker) says, its callers are refused,
//! and after each [back-off](crate::Builder::backoff) one of them is let try. One that succeeds lets
//! all in again.

use std::time::Duration;

use super::core::{Core, Desk};
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
    pub(super) seed: u64,
}

/// What a tenant has that failed since it last succeeded.
pub(super) struct Gate<E> {
    failing: Failing,
    /// One is trying while the others are refused.
    probing: bool,
    cause: Failure<E>,
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

    fn hold_back(&self, now: Time) -> Option<HeldBack<E>> {
        let retry_in =
            self.failing.retry_at().map_or(Duration::ZERO, |at| at.saturating_since(now));
        let is_held = self.probing || retry_in > Duration::ZERO;
        is_held.then(|| HeldBack { retry_in, cause: self.cause.clone() })
    }
}

impl<T: TenantFactory, C: Clock + Clone> Desk<T, C> {
    /// Tells whether a tenant is held back by now.
    pub(super) fn hold_back(
        &self,
        key: Key,
        breaker: Option<Breaker>,
    ) -> Option<HeldBack<T::Error>> {
        let gate = self.place(key).gate.as_ref()?;
        if gate.is_open(breaker?) { None } else { gate.hold_back(self.now) }
    }

    /// Takes note that a tenant that is not held back tries; tells whether it is the one to try.
    pub(super) fn begin_entering(&mut self, key: Key, breaker: Option<Breaker>) -> bool {
        let Some(breaker) = breaker else { return false };
        let gate = self.place_mut(key).gate.as_mut().filter(|gate| !gate.is_open(breaker));
        gate.map(|gate| gate.probing = true).is_some()
    }
}

impl<T: TenantFactory, C: Clock + Clone> Core<T, C> {
    /// Takes note that a tenant's context could not be put on a connection. While others are refused
    /// only the one that `probes` counts: those that came before tell nothing new.
    pub(super) fn fail_entering(&self, key: Key, probes: bool, cause: Failure<T::Error>) {
        let Some(breaker) = self.plan.breaker else { return };
        let forgotten = self.step(|desk| {
            let now = desk.now;
            let place = desk.place_mut(key);
            let gate = place.gate.get_or_insert_with(|| {
                let failing = Failing::new(breaker.seed ^ u64::from(key.index));
                Box::new(Gate { failing, probing: false, cause: cause.clone() })
            });
            if probes || gate.is_open(breaker) {
                gate.failing.fail_again(breaker.backoff, now);
                gate.probing &= !probes;
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
            key.and_then(|key| desk.place_mut(key).gate.take())
        };
        guarded(|| drop(gate));
    }
}

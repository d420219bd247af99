//! What an operator waits for: connections made ahead of need, and the end of all.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::attend::Attendant;
use crate::error::{DrainError, Failure, WarmUpError};
use crate::factory::Factory;
use crate::ledger::OptionsError;
use crate::shared::{Shared, guarded};
use crate::state::{State, Watch};
use crate::{Clock, Time};

/// How far a [`WarmUp`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmUpProgress {
    /// How many connections are to be made.
    pub wanted: u32,
    /// How many were made.
    pub made: u32,
    /// How many attempts failed.
    pub failed: u32,
}

/// The future of [`Pool::warm_up`](crate::Pool::warm_up).
///
/// # Cancel safety
///
/// Dropping it begins no further creation; those under way go on.
#[must_use = "futures do nothing unless polled"]
pub struct WarmUp<F: Factory, C: Clock, P = fn(WarmUpProgress)> {
    attendant: Attendant<F, C>,
    target: u32,
    parallel: u32,
    on_progress: P,
    /// What is done already; `None` before the first poll.
    progress: Option<WarmUpProgress>,
    failures: Vec<Failure<F::Error>>,
    /// The watches of the creations under way.
    watches: Vec<usize>,
}

impl<F: Factory, C: Clock> WarmUp<F, C> {
    pub(crate) const fn new(shared: Arc<Shared<F, C>>, target: u32) -> Self {
        Self {
            attendant: Attendant::new(shared),
            target,
            parallel: u32::MAX,
            on_progress: |_| {},
            progress: None,
            failures: Vec::new(),
            watches: Vec::new(),
        }
    }

    /// Calls `on_progress` after each attempt that ends.
    pub fn on_progress<P: FnMut(WarmUpProgress)>(mut self, on_progress: P) -> WarmUp<F, C, P> {
        WarmUp {
            attendant: Attendant::new(Arc::clone(&self.attendant.shared)),
            target: self.target,
            parallel: self.parallel,
            on_progress,
            progress: None,
            failures: std::mem::take(&mut self.failures),
            watches: std::mem::take(&mut self.watches),
        }
    }
}

impl<F: Factory, C: Clock, P> WarmUp<F, C, P> {
    /// Makes at most so many at once; without limit unless it is set, and at least one.
    pub const fn parallel(mut self, parallel: u32) -> Self {
        self.parallel = if parallel == 0 { 1 } else { parallel };
        self
    }
}

impl<F: Factory, C: Clock, P: FnMut(WarmUpProgress) + Unpin> Future for WarmUp<F, C, P> {
    type Output = Result<u32, WarmUpError<F::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let id = this.attendant.id();
        let Self { attendant, target, parallel, on_progress, progress, failures, watches } = this;
        loop {
            // The caller is told of each attempt, without the lock, before the next are begun.
            let polled = attendant.poll(Time::NEVER, cx, |state| {
                let missing = target.saturating_sub(state.ledger.gauges().size);
                let progress = progress
                    .get_or_insert(WarmUpProgress { wanted: missing, ..Default::default() });
                if let Some(outcome) = take_outcome(state, watches) {
                    return Some(Some(outcome));
                }
                let begun =
                    |watches: &Vec<usize>| progress.made + progress.failed + watches.len() as u32;
                while (watches.len() as u32) < *parallel && begun(watches) < progress.wanted {
                    let Some(slot) = state.ledger.prepare() else { break };
                    let watch = Watch { slot, attendant: Some(id), outcome: None };
                    watches.push(state.watches.insert(watch));
                }
                watches.is_empty().then_some(None)
            });
            let progress = progress.as_mut().expect("it was set by the poll");
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(()))) => progress.made += 1,
                Poll::Ready(Some(Err(failure))) => {
                    progress.failed += 1;
                    failures.push(failure);
                }
                Poll::Ready(None) => {
                    let WarmUpProgress { wanted, made, failed } = *progress;
                    let untried = wanted - made - failed;
                    attendant.leave();
                    let failures = std::mem::take(failures);
                    return Poll::Ready(match made == wanted {
                        true => Ok(made),
                        false => Err(WarmUpError { made, failures, untried }),
                    });
                }
            }
            on_progress(*progress);
        }
    }
}

/// Takes the outcome of one of the creations under way, if one has ended.
fn take_outcome<F: Factory>(
    state: &mut State<F>,
    watches: &mut Vec<usize>,
) -> Option<Result<(), Failure<F::Error>>> {
    let ended = watches.iter().position(|&watch| state.watches[watch].outcome.is_some())?;
    state.watches.remove(watches.swap_remove(ended)).outcome
}

impl<F: Factory, C: Clock, P> Drop for WarmUp<F, C, P> {
    fn drop(&mut self) {
        for watch in self.watches.drain(..) {
            let watch = self.attendant.shared.lock().watches.remove(watch);
            guarded(|| drop(watch));
        }
    }
}

impl<F: Factory, C: Clock, P> fmt::Debug for WarmUp<F, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WarmUp").field("progress", &self.progress).finish_non_exhaustive()
    }
}

/// The future of [`Pool::drain`](crate::Pool::drain).
///
/// # Cancel safety
///
/// Dropping it leaves the pool closed; leases close as they come back.
#[must_use = "the pool is closed, but nobody waits for its leases"]
pub struct Drain<F: Factory, C: Clock> {
    attendant: Attendant<F, C>,
    timeout: Option<Duration>,
    /// When it ends at the latest, from the first poll on.
    until: Option<Time>,
}

impl<F: Factory, C: Clock> Drain<F, C> {
    pub(crate) const fn new(shared: Arc<Shared<F, C>>, timeout: Option<Duration>) -> Self {
        Self { attendant: Attendant::new(shared), timeout, until: None }
    }
}

impl<F: Factory, C: Clock> Future for Drain<F, C> {
    type Output = Result<(), DrainError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let timeout = this.timeout;
        let until = *this.until.get_or_insert_with(|| {
            let now = this.attendant.shared.step_now(|state| state.ledger.now());
            timeout.map_or(Time::NEVER, |timeout| now.saturating_add(timeout))
        });
        let polled = this.attendant.poll(until, cx, |state| {
            if state.ledger.is_drained() {
                Some(Ok(()))
            } else if state.ledger.now() >= until {
                let most = if mutated!(DrainNamesNobody) { 0 } else { usize::MAX };
                let (holders, pool) = (state.oldest_holders(most), state.ledger.gauges());
                Some(Err(DrainError { holders, pool }))
            } else {
                None
            }
        });
        if polled.is_ready() {
            this.attendant.leave();
        }
        polled
    }
}

impl<F: Factory, C: Clock> fmt::Debug for Drain<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Sizes.
impl<F: Factory> State<F> {
    /// Changes `max`, and with it a `min_idle` that nobody has set.
    pub(crate) fn resize(&mut self, max: u32) -> Result<(), OptionsError> {
        let Some(default) = self.default_min_idle.filter(|_| max > 0) else {
            return self.ledger.resize(max);
        };
        let min_idle = default.min(max);
        // Neither is to be over the other in between.
        if min_idle < self.ledger.options().min_idle {
            self.ledger.set_min_idle(min_idle)?;
        }
        self.ledger.resize(max)?;
        if min_idle > self.ledger.options().min_idle {
            self.ledger.set_min_idle(min_idle)?;
        }
        Ok(())
    }

    pub(crate) fn set_min_idle(&mut self, min_idle: u32) -> Result<(), OptionsError> {
        self.ledger.set_min_idle(min_idle)?;
        self.default_min_idle = None;
        Ok(())
    }
}

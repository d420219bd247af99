//! How a pool is set up.

use std::sync::Arc;
use std::time::Duration;

use crate::acquire::patience;
use crate::ledger::{Backoff, Ledger, Options, OptionsError, Reuse};
use crate::pool::Pool;
use crate::shared::{Settings, Shared};
use crate::state::State;
use crate::{Clock, Factory};

/// The size of a pool, or of its queue, that has no bound. It is a choice, never a default.
pub const UNBOUNDED: u32 = u32::MAX;

/// When an idle connection is checked before it is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckOnAcquire {
    /// Never.
    Never,
    /// Each time, but when it was made or checked since it was used last.
    Always,
    /// When it was not used, made or checked for so long; zero is [`Always`](Self::Always).
    IdleFor(Duration),
}

/// Sets a [`Pool`] up.
///
/// Times of `None` are for ever or never, as each option says; a time of zero is an error where it
/// would pass before anyone could act. Which options contradict each other is checked by
/// [`build`](Self::build), once all are set. The [front page](crate#options) has them in a table.
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build`"]
pub struct Builder<F, C> {
    factory: F,
    clock: C,
    options: Options,
    min_idle: Option<u32>,
    idle_timeout: Option<Option<Duration>>,
    checks: Checks,
    breaker: Option<Option<u32>>,
    seed: Option<u64>,
    settings: Settings,
}

/// What was set that concerns checks: nothing of it may be, for a factory that has none.
#[derive(Clone, Copy, Debug)]
struct Checks {
    timeout: Option<Option<Duration>>,
    on_acquire: Option<CheckOnAcquire>,
    interval: Option<Option<Duration>>,
    most: Option<u32>,
}

impl Checks {
    const UNSET: Self = Self { timeout: None, on_acquire: None, interval: None, most: None };

    /// Names an option that asks for checks, or says how they are made.
    fn any_set(&self) -> Option<&'static str> {
        let asks = |when: CheckOnAcquire| when != CheckOnAcquire::Never;
        let set = [
            ("check_timeout", self.timeout.flatten().is_some()),
            ("check_on_acquire", self.on_acquire.is_some_and(asks)),
            ("check_interval", self.interval.flatten().is_some()),
            ("max_checks", self.most.is_some()),
        ];
        set.into_iter().find_map(|(option, set)| set.then_some(option))
    }
}

const MIN_IDLE: u32 = 2;
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
const CHECK_ON_ACQUIRE: CheckOnAcquire = CheckOnAcquire::IdleFor(Duration::from_secs(1));
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
const BREAKER: u32 = 5;

/// The times and sizes that a pool has unless it is told others, where they are not the ledger's.
const fn defaults() -> Options {
    let mut options = Options::new(20);
    options.create_timeout = Some(Duration::from_secs(10));
    options.check_timeout = Some(Duration::from_secs(5));
    options.reset_timeout = Some(Duration::from_secs(5));
    options.close_timeout = Some(Duration::from_secs(5));
    options.max_lifetime = Some(Duration::from_secs(1_800));
    options.backoff = Some(Backoff::DEFAULT);
    options.wait_times = true;
    options
}

impl<F, C> Builder<F, C> {
    pub(crate) const fn new(factory: F, clock: C) -> Self {
        Self {
            factory,
            clock,
            options: defaults(),
            min_idle: None,
            idle_timeout: None,
            checks: Checks::UNSET,
            breaker: None,
            seed: None,
            settings: Settings {
                patience: 30_000_000_000,
                slow_acquire: Some(Duration::from_secs(1)),
                capture_holders: false,
            },
        }
    }
}

/// What builders of many pools ask.
impl<F, C> Builder<F, C> {
    /// Sets the same for a pool of another factory.
    pub(crate) fn over<G>(self, factory: G) -> Builder<G, C> {
        let Self {
            clock, options, min_idle, idle_timeout, checks, breaker, seed, settings, ..
        } = self;
        Builder { factory, clock, options, min_idle, idle_timeout, checks, breaker, seed, settings }
    }

    pub(crate) const fn get_clock(&self) -> &C {
        &self.clock
    }

    pub(crate) const fn get_max(&self) -> u32 {
        self.options.max
    }

    pub(crate) const fn get_min_idle(&self) -> Option<u32> {
        self.min_idle
    }

    pub(crate) const fn get_max_waiting(&self) -> u32 {
        self.options.max_waiting
    }

    /// How long a caller waits, in nanoseconds; the greatest is for ever.
    pub(crate) const fn patience(&self) -> u64 {
        self.settings.patience
    }
}

/// Sizes.
impl<F: Factory, C: Clock> Builder<F, C> {
    /// Sets the most connections at once, those being made, checked, reset or closed among them; at
    /// least 1; [`UNBOUNDED`] is possible. Only what closes after it came back late from a job that
    /// had been given up is not among them. Default: 20.
    pub const fn max(mut self, max: u32) -> Self {
        self.options.max = max;
        self
    }

    /// Sets how many connections are kept ready beyond those that callers wait for, from the first
    /// acquire on, or from the beginning of a [`driver`](Pool::driver) or the first
    /// [`tick`](Pool::tick); at most `max`. The idle timeout leaves them alone, and those that become
    /// too old are replaced before they leave, if there is room. Default: 2, or `max` if that is
    /// less.
    pub const fn min_idle(mut self, min_idle: u32) -> Self {
        self.min_idle = Some(min_idle);
        self
    }

    /// Sets the most callers queued beyond those for whom a connection is idle, being made or being
    /// checked; further ones are refused. [`UNBOUNDED`] is possible. Default: 1,000.
    pub const fn max_waiting(mut self, max_waiting: u32) -> Self {
        self.options.max_waiting = max_waiting;
        self
    }

    /// Sets in which order idle connections are lent. Default: the last used first.
    pub const fn reuse(mut self, reuse: Reuse) -> Self {
        self.options.reuse = reuse;
        self
    }

    /// Sets how often a connection is lent before it is retired; `None` is without limit. Default:
    /// none.
    pub fn max_uses(mut self, uses: impl Into<Option<u64>>) -> Self {
        self.options.max_uses = uses.into();
        self
    }
}

/// Times.
impl<F: Factory, C: Clock> Builder<F, C> {
    /// Sets how long a caller waits unless it says otherwise; `None` is for ever, zero takes what
    /// is idle or can be made at once. Default: 30 s.
    pub fn acquire_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.patience = patience(timeout.into());
        self
    }

    /// Sets how long a creation may take before it is given up; `None` is for ever. Default: 10 s.
    pub fn create_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.create_timeout = timeout.into();
        self
    }

    /// Sets how long a check may take before it counts as failed; `None` is for ever. Default: 5 s.
    pub fn check_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.checks.timeout = Some(timeout.into());
        self
    }

    /// Sets how long a reset may take before it counts as failed; `None` is for ever. Default: 5 s.
    pub fn reset_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.reset_timeout = timeout.into();
        self
    }

    /// Sets how long a closing may take before it is given up; until then it counts against `max`.
    /// `None` is for ever. Default: 5 s.
    pub fn close_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.close_timeout = timeout.into();
        self
    }

    /// Sets how long a connection stays unused that `min_idle` does not need, since it was made or
    /// came back; `None` is for ever. At most the lifetime. Default: 300 s, or the lifetime if that
    /// is less.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = Some(timeout.into());
        self
    }

    /// Sets how long after its creation a connection is lent for the last time; `None` is for ever.
    /// One that is out then leaves when it comes back. Default: 1,800 s.
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.options.max_lifetime = lifetime.into();
        self
    }

    /// Sets how much earlier a connection may be retired for its age, in percent of its lifetime,
    /// drawn at its birth, so that those made together do not leave together. Default: 10 %.
    pub const fn lifetime_jitter(mut self, percent: u8) -> Self {
        self.options.lifetime_jitter = percent;
        self
    }

    /// Sets how long a connection is kept for a waiting caller that was woken and is not polled.
    /// Then the next one is offered it; the late one keeps its place, and ends as
    /// [`Missed`](crate::AcquireError::Missed) the third time. `None` is for ever: a busy executor
    /// polls late, and an offer that passes on helps nobody there. Set it if acquire futures may be
    /// kept without being polled, as by a `select` that is not dropped. Default: none.
    pub fn offer_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.offer_timeout = timeout.into();
        self
    }
}

/// Health, failures and order.
impl<F: Factory, C: Clock> Builder<F, C> {
    /// Sets when an idle connection is checked before it is lent. Default: if it was idle for 1 s.
    ///
    /// This and the other options of checks are errors for a factory
    /// [without a check](Factory::checks), unless they say that there are none.
    ///
    /// A check goes on when the caller is gone that it was begun for; its connection goes to the
    /// next one. A connection that was just made is not checked, so a check that never passes
    /// cannot make creations spin.
    pub const fn check_on_acquire(mut self, when: CheckOnAcquire) -> Self {
        self.checks.on_acquire = Some(when);
        self
    }

    /// Sets after how long without use, creation or check an idle connection is checked, which also
    /// keeps it alive; `None` never. At most the lifetime. It happens at the next operation after
    /// that time, or in time with a [`driver`](Pool::driver). Default: 30 s, or the lifetime if that
    /// is less.
    pub fn check_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.checks.interval = Some(interval.into());
        self
    }

    /// Sets how many checks the interval has under way at once; at least 1. Default: 1.
    pub const fn max_checks(mut self, max_checks: u32) -> Self {
        self.checks.most = Some(max_checks);
        self
    }

    /// Sets how long creations wait after a failure; `None` tries at once for each waiting caller,
    /// and for `min_idle` not before one of those has succeeded. Default: 100 ms, doubling to 30 s.
    pub fn backoff(mut self, backoff: impl Into<Option<Backoff>>) -> Self {
        self.options.backoff = backoff.into();
        self
    }

    /// Sets after how many failures in a row only one creation at a time is tried, after each
    /// back-off, and callers for whom nothing else could come are refused in between as
    /// [`Unavailable`](crate::AcquireError::Unavailable); `None` never. It needs a back-off, which
    /// says for how long. Default: 5, or none without a back-off.
    pub fn breaker(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.breaker = Some(failures.into());
        self
    }

    /// Sets the wait that counts as much as one class of [`Priority`](crate::Priority); `None`
    /// serves higher classes first however long the others wait. Default: 5 s.
    pub fn ageing(mut self, step: impl Into<Option<Duration>>) -> Self {
        self.options.ageing = step.into();
        self
    }

    /// Sets what chance is drawn from: the jitter of lifetimes and back-offs. With the same seed a
    /// pool does the same again. Default: drawn at random.
    ///
    /// A bare wasm module has nothing to draw from but its host: there the default is 0, and pools
    /// that should not all do alike want a seed from the host, as from JavaScript's `Math.random`.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

/// What is measured and told.
impl<F: Factory, C: Clock> Builder<F, C> {
    /// Sets whether [`Stats::waits`](crate::Stats::waits) is kept, which reads the clock when a
    /// caller that waited is served. It is kept in any case unless `slow_acquire` is `None`.
    /// Default: yes.
    pub const fn wait_times(mut self, keep: bool) -> Self {
        self.options.wait_times = keep;
        self
    }

    /// Sets whether [`Stats::holds`](crate::Stats::holds) is kept, which reads the clock at each
    /// acquire and release. Default: no.
    pub const fn hold_times(mut self, keep: bool) -> Self {
        self.options.hold_times = keep;
        self
    }

    /// Sets whether it is kept where each lease was acquired, and since when exactly, so that
    /// errors and [`holders`](Pool::holders) name it. It reads the clock at each acquire and
    /// release. Default: no.
    pub const fn capture_holders(mut self, keep: bool) -> Self {
        self.settings.capture_holders = keep;
        self
    }

    /// Sets the wait after which an acquire is told as
    /// [`SlowAcquire`](crate::Event::SlowAcquire); `None` never. Default: 1 s.
    pub fn slow_acquire(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.settings.slow_acquire = wait.into();
        self
    }

    /// Sets how long a lease is out before it is told as [`LongHold`](crate::Event::LongHold), at
    /// the next operation or by a [`driver`](Pool::driver); `None` never. Default: none.
    pub fn long_hold(mut self, hold: impl Into<Option<Duration>>) -> Self {
        self.options.long_hold = hold.into();
        self
    }

    /// Makes the pool, with no connection yet.
    ///
    /// # Errors
    ///
    /// An option is out of its range, or contradicts another; the error names it, and what is
    /// accepted.
    pub fn build(self) -> Result<Pool<F, C>, OptionsError> {
        let follows = self.min_idle.is_none().then_some(MIN_IDLE);
        self.build_with(follows)
    }

    /// Makes a pool of this size, whose `min_idle` follows its `max` whenever that changes: as many
    /// as were set, or else this many, if there is room.
    pub(crate) fn build_elastic(
        mut self,
        max: u32,
        min_idle: u32,
    ) -> Result<Pool<F, C>, OptionsError> {
        let min_idle = self.min_idle.unwrap_or(min_idle);
        self.options.max = max;
        self.min_idle = Some(min_idle.min(max));
        self.build_with(Some(min_idle))
    }

    fn build_with(self, min_idle: Option<u32>) -> Result<Pool<F, C>, OptionsError> {
        let checks = self.factory.checks();
        if let Some(option) = self.checks.any_set().filter(|_| !checks) {
            return Err(OptionsError::NoCheck(option));
        }
        let options = self.resolve(checks);
        let ledger = Ledger::new(options)?;
        let state = State::new(ledger, self.settings, min_idle);
        let shared = Shared::new(self.factory, self.clock, self.settings, state);
        Ok(Pool::over(Arc::new(shared)))
    }

    /// Tells what the ledger of a pool keeps to, if its connections are not checked.
    pub(crate) fn options(&self) -> Options {
        self.resolve(false)
    }

    /// Sets what depends on several options.
    fn resolve(&self, checks: bool) -> Options {
        let mut options = self.options;
        let within_life = |time: Duration| match options.max_lifetime {
            Some(lifetime) => time.min(lifetime),
            None => time,
        };
        options.min_idle = self.min_idle.unwrap_or_else(|| MIN_IDLE.min(options.max));
        options.idle_timeout = self.idle_timeout.unwrap_or_else(|| Some(within_life(IDLE_TIMEOUT)));
        if checks {
            options.check_timeout = self.checks.timeout.unwrap_or(options.check_timeout);
            options.max_checks = self.checks.most.unwrap_or(options.max_checks);
            options.check_interval =
                self.checks.interval.unwrap_or_else(|| Some(within_life(CHECK_INTERVAL)));
            options.check_after = match self.checks.on_acquire.unwrap_or(CHECK_ON_ACQUIRE) {
                CheckOnAcquire::Never => None,
                CheckOnAcquire::Always => Some(Duration::ZERO),
                CheckOnAcquire::IdleFor(idle) => Some(idle),
            };
        }
        options.breaker = self.breaker.unwrap_or_else(|| options.backoff.map(|_| BREAKER));
        options.seed = self.seed.unwrap_or_else(random);
        options.wait_times |= self.settings.slow_acquire.is_some();
        options.hold_times |= self.settings.capture_holders;
        options
    }
}

/// Draws what pools of many processes are to differ in.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
const fn random() -> u64 {
    0
}

#[cfg(test)]
mod defaults;

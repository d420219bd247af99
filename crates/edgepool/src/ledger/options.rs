//! What a ledger keeps to.

use core::fmt;
use core::time::Duration;

/// The order in which idle connections are lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// The one that was used last. What is not needed stays unused, and ages out.
    #[default]
    Lifo,
    /// The one that was used longest ago, so that all are used alike.
    Fifo,
}

/// How long creations wait after one failed: a random time of at most `base`, doubled for each
/// failure in a row up to `cap` ("full jitter", as in Marc Brooker's "Exponential Backoff And
/// Jitter", 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after a first failure.
    pub base: Duration,
    /// The longest wait of all.
    pub cap: Duration,
}

impl Backoff {
    pub(crate) const DEFAULT: Self =
        Self { base: Duration::from_millis(100), cap: Duration::from_secs(30) };
}

impl Default for Backoff {
    /// 100 ms, doubling to 30 s.
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The sizes and times that a ledger keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most places used at once, connections being made or closed among them; at least 1.
    pub max: u32,
    /// How many connections are kept ready beyond what callers wait for, from the first
    /// [`acquire`](super::Ledger::acquire) or [`fill`](super::Ledger::fill) on; at most `max`.
    pub min_idle: u32,
    /// The most callers queued beyond those for whom a connection is idle, being made or being
    /// checked. With 0 a caller is refused unless a connection is idle or may be made.
    pub max_waiting: u32,
    /// The order in which idle connections are lent.
    pub reuse: Reuse,
    /// How long an offer stands before it passes to the next waiter; `None` is for ever.
    pub offer_timeout: Option<Duration>,
    /// How long a lease lives unless it is renewed; `None` is for ever.
    pub lease_ttl: Option<Duration>,
    /// How long a creation may take before it is given up; `None` is for ever.
    pub create_timeout: Option<Duration>,
    /// How long a check may take before it counts as failed; `None` is for ever.
    pub check_timeout: Option<Duration>,
    /// How long a reset may take before it counts as failed; `None` is for ever.
    pub reset_timeout: Option<Duration>,
    /// How long a connection that is being closed counts against `max` if the shell never tells
    /// that it is closed; `None` is for ever.
    pub close_timeout: Option<Duration>,
    /// How long a connection that `min_idle` does not need stays unused, since it was made or came
    /// back; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// How long after its creation a connection is lent for the last time; `None` is for ever. One
    /// that is out then leaves when it comes back.
    pub max_lifetime: Option<Duration>,
    /// How much earlier a connection may be retired for its age, in percent of `max_lifetime`, drawn
    /// at its birth, so that connections that were made together do not leave together; at most
    /// 100.
    pub lifetime_jitter: u8,
    /// How often a connection is lent; `None` is without limit.
    pub max_uses: Option<u64>,
    /// A connection that was not used, made or checked for so long is checked before it is lent.
    /// Zero checks before every loan, unless it was made or checked since the last one, as for a
    /// caller who has left; `None` never checks.
    pub check_after: Option<Duration>,
    /// An idle connection that was not used, made or checked for so long is checked; `None` never.
    pub check_interval: Option<Duration>,
    /// The most checks that `check_interval` has under way at once; at least 1.
    pub max_checks: u32,
    /// How long creations wait after a failure; `None` tries again at once for the next waiter, and
    /// for `min_idle` not before one has succeeded.
    pub backoff: Option<Backoff>,
    /// After so many failures in a row, of which those of creations that were under way together
    /// count as one, only one creation at a time is tried, and callers for whom
    /// nothing else could come are refused until it is; `None` never.
    pub breaker: Option<u32>,
    /// The wait that counts as much as one class of [`Priority`](super::Priority). `None` serves
    /// higher classes first however long the others wait.
    pub ageing: Option<Duration>,
    /// Whether the time from an acquire to its lease is kept, for the callers that wait.
    pub wait_times: bool,
    /// Whether the time from a lease to its return is kept.
    pub hold_times: bool,
    /// Tell of a lease that has been out for so long; `None` never.
    pub long_hold: Option<Duration>,
    /// What chance is drawn from: jitter of lifetimes and of the waits between creations.
    pub seed: u64,
}

/// The times that must not be zero.
const TIMES: [&str; 13] = [
    "offer_timeout",
    "lease_ttl",
    "create_timeout",
    "check_timeout",
    "reset_timeout",
    "close_timeout",
    // Before those whose default follows it.
    "max_lifetime",
    "idle_timeout",
    "check_interval",
    "ageing",
    "long_hold",
    "backoff's base",
    "backoff's cap",
];

impl Options {
    /// The options of a pool of at most `max` places in which nothing expires, with 1,000 waiters.
    #[must_use]
    pub const fn new(max: u32) -> Self {
        Self {
            max,
            min_idle: 0,
            max_waiting: 1_000,
            reuse: Reuse::Lifo,
            offer_timeout: None,
            lease_ttl: None,
            create_timeout: None,
            check_timeout: None,
            reset_timeout: None,
            close_timeout: None,
            idle_timeout: None,
            max_lifetime: None,
            lifetime_jitter: 10,
            max_uses: None,
            check_after: None,
            check_interval: None,
            max_checks: 1,
            backoff: None,
            breaker: None,
            ageing: Some(Duration::from_secs(5)),
            wait_times: false,
            hold_times: false,
            long_hold: None,
            seed: 0,
        }
    }

    /// Tells whether connections are looked at while they are idle or lent.
    #[inline]
    pub(super) const fn care(&self) -> bool {
        self.idle_timeout.is_some()
            || self.max_lifetime.is_some()
            || self.check_interval.is_some()
            || self.long_hold.is_some()
    }

    /// Tells whether something happens to a lease that is out for long.
    #[inline]
    pub(super) const fn limit_leases(&self) -> bool {
        self.lease_ttl.is_some() || self.long_hold.is_some()
    }

    /// Tells whether every acquire and release depends on the time.
    pub(super) const fn need_clock(&self) -> bool {
        self.care()
            || self.lease_ttl.is_some()
            || self.hold_times
            || self.check_after.is_some()
            || (self.max_uses.is_some()
                && (self.close_timeout.is_some() || self.create_timeout.is_some()))
    }

    /// Checks that a ledger can keep to them.
    pub(super) fn validate(&self) -> Result<(), OptionsError> {
        self.validate_sizes()?;
        match self.times().iter().position(|time| *time == Some(Duration::ZERO)) {
            Some(zero) => Err(OptionsError::TimeIsZero(TIMES[zero])),
            None => self.validate_pairs(),
        }
    }

    /// In the order of [`TIMES`].
    fn times(&self) -> [Option<Duration>; TIMES.len()] {
        [
            self.offer_timeout,
            self.lease_ttl,
            self.create_timeout,
            self.check_timeout,
            self.reset_timeout,
            self.close_timeout,
            self.max_lifetime,
            self.idle_timeout,
            self.check_interval,
            self.ageing,
            self.long_hold,
            self.backoff.map(|backoff| backoff.base),
            self.backoff.map(|backoff| backoff.cap),
        ]
    }

    /// Of those that can be changed in use, these are all that count.
    pub(super) const fn validate_sizes(&self) -> Result<(), OptionsError> {
        if self.max == 0 {
            return Err(OptionsError::MaxIsZero);
        }
        if self.min_idle > self.max {
            return Err(OptionsError::MinIdleOverMax { min_idle: self.min_idle, max: self.max });
        }
        if self.max_checks == 0 {
            return Err(OptionsError::CountIsZero("max_checks"));
        }
        if matches!(self.max_uses, Some(0)) {
            return Err(OptionsError::CountIsZero("max_uses"));
        }
        if matches!(self.breaker, Some(0)) {
            return Err(OptionsError::CountIsZero("breaker"));
        }
        if self.lifetime_jitter > 100 {
            return Err(OptionsError::JitterOver100 { percent: self.lifetime_jitter });
        }
        Ok(())
    }

    /// Times of which one makes the other pointless.
    fn validate_pairs(&self) -> Result<(), OptionsError> {
        if self.breaker.is_some() && self.backoff.is_none() {
            return Err(OptionsError::BreakerWithoutBackoff);
        }
        let backoff = self.backoff.map(|backoff| (backoff.base, backoff.cap));
        let pairs = [
            ("idle_timeout", self.idle_timeout, "max_lifetime", self.max_lifetime),
            ("check_interval", self.check_interval, "max_lifetime", self.max_lifetime),
            ("backoff's base", backoff.map(|(base, _)| base), "its cap", backoff.map(|b| b.1)),
        ];
        for (short, shorter, long, longer) in pairs {
            if let (Some(shorter), Some(longer)) = (shorter, longer)
                && shorter > longer
            {
                return Err(OptionsError::TimeOver { short, shorter, long, longer });
            }
        }
        Ok(())
    }
}

/// An option that a ledger cannot keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionsError {
    /// `max` was 0.
    MaxIsZero,
    /// More connections were to be kept ready than there may be.
    MinIdleOverMax {
        /// The `min_idle` that was asked for.
        min_idle: u32,
        /// The most that there may be.
        max: u32,
    },
    /// A tenant's weight was out of its range.
    WeightOutOfRange {
        /// The weight that was asked for.
        weight: u32,
    },
    /// The named count was 0, which allows nothing.
    CountIsZero(&'static str),
    /// The named time was zero, so that it would pass before anyone could act.
    TimeIsZero(&'static str),
    /// A time was longer than the one within which it could count.
    TimeOver {
        /// The option that must be the shorter one.
        short: &'static str,
        /// Its value.
        shorter: Duration,
        /// The option that must be the longer one.
        long: &'static str,
        /// Its value.
        longer: Duration,
    },
    /// `lifetime_jitter` was more than the whole lifetime.
    JitterOver100 {
        /// The value, in percent.
        percent: u8,
    },
    /// `breaker` was set, and nothing says how long it stays open.
    BreakerWithoutBackoff,
    /// The named option asks for checks, or says how they are made, and the factory has none.
    NoCheck(&'static str),
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxIsZero => f.write_str("max is 0; it must be 1 or more"),
            Self::MinIdleOverMax { min_idle, max } => {
                write!(f, "min_idle is {min_idle}, over max; it must be at most {max}")
            }
            Self::WeightOutOfRange { weight } => {
                write!(f, "a tenant's weight is {weight}; it must be from 1 to 1,000,000")
            }
            Self::CountIsZero(option) => {
                write!(f, "{option} is 0; it must be 1 or more")?;
                f.write_str(if may_be_none(option) { ", or none for no limit" } else { "" })
            }
            Self::TimeIsZero(option) => {
                write!(f, "{option} is zero; it must be longer")?;
                f.write_str(if may_be_none(option) { ", or none for no limit" } else { "" })
            }
            Self::TimeOver { short, shorter, long, longer } => {
                write!(f, "{short} is {shorter:?}, longer than {long}, {longer:?}; ")?;
                write!(f, "it must be at most that")?;
                f.write_str(if may_be_none(short) { ", or none" } else { "" })
            }
            Self::JitterOver100 { percent } => {
                write!(f, "lifetime_jitter is {percent} %; it must be at most 100 %")
            }
            Self::BreakerWithoutBackoff => f.write_str(
                "breaker is set without backoff; set backoff, which says how long it stays open, \
                 or breaker to none",
            ),
            Self::NoCheck(option) => write!(
                f,
                "{option} is set, and the factory has no check; give it one, or leave the option \
                 out"
            ),
        }
    }
}

/// Tells whether an option can be set to none.
fn may_be_none(option: &str) -> bool {
    !matches!(option, "max_checks" | "backoff's base" | "backoff's cap")
}

impl core::error::Error for OptionsError {}

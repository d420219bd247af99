//! What happens in a pool, as events of `tracing`.

use std::borrow::Cow;
use std::panic::Location;
use std::time::Duration;

use tracing::field::display;
use tracing::{Level, debug, enabled, info, warn};

use crate::events::{About, Event, Observer};
use crate::ledger::{End, Info, JobKind, Leaving};

/// Tells what happens in a pool as events of `tracing`, with the target `edgepool` and the name of
/// the pool as the field `pool`.
///
/// | level | events | fields |
/// |---|---|---|
/// | warn | `creation failed` | |
/// | warn | `slow acquire` | `waited_ms`, `location` |
/// | warn | `lease held for long` | `connection`, `uses`, `held_ms`, `location` |
/// | warn | `connection lost` | `connection`, `job` |
/// | info | `connection created` | `connection` |
/// | info | `connection leaves` | `connection`, `uses`, `reason` |
/// | info | `connection taken` | `connection`, `uses` |
/// | debug | `queued`, `cancelled` | `waiter` |
/// | debug | `acquire ended` | `waiter`, `reason` |
/// | debug | `acquire refused` | |
/// | debug | `acquired` | `connection`, `uses`, `waited_ms` |
/// | debug | `released` | `connection`, `uses` |
///
/// So a warning is what somebody should look at, information is the life of a connection, and the
/// rest is what each caller learns by itself: an acquire that fails tells its caller why, whose it
/// is to log. `connection` is the number that [`Info::id`] tells, never reused; `waiter` names an
/// entry of the queue, which is. The field `location` is there for a lease if the pool [keeps
/// it](crate::Builder::capture_holders).
///
/// Nothing of a connection or an error is told: neither need be fit for a log. A creation's error
/// reaches its callers; to log it as well, do so in the factory.
///
/// Fields are read only if somebody listens: without a subscriber at that level an event costs a
/// look at an atomic integer.
///
/// # Examples
///
/// ```
/// use edgepool::{Observed, Pool, StdClock, TracingObserver, factory_fn};
///
/// let factory = factory_fn(async || Ok::<_, std::io::Error>(String::from("a connection")));
/// let observed = Observed::new(factory, TracingObserver::new("primary"));
/// let pool = Pool::builder(observed, StdClock).build()?;
/// # futures::executor::block_on(async {
/// // INFO edgepool: connection created pool="primary" connection=1
/// let lease = pool.acquire().await.unwrap();
/// # drop(lease);
/// # });
/// # Ok::<_, edgepool::OptionsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracingObserver {
    name: Cow<'static, str>,
}

impl TracingObserver {
    /// Makes an observer of the pool that bears this name.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into() }
    }

    /// Returns the name of the pool.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The target of every event, so that a filter need not know the crate's modules.
const TARGET: &str = "edgepool";

impl Observer for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        let pool = &*self.name;
        match *event {
            Event::CreateFailed => warn!(target: TARGET, pool, "creation failed"),
            Event::SlowAcquire { waited, at } => {
                let (waited_ms, location) = (ms(waited), at.map(display));
                warn!(target: TARGET, pool, waited_ms, location, "slow acquire");
            }
            Event::LongHold { about, held, holder } => long_hold(pool, about, held, holder),
            Event::Created(about) => created(pool, about),
            Event::Leaves(about, leaving) => leaves(pool, about, reason(leaving)),
            Event::Taken(about) => taken(pool, about),
            Event::Lost { connection, job } => {
                let job = what(job);
                warn!(target: TARGET, pool, connection, job, "connection lost");
            }
            Event::Queued(waiter) => debug!(target: TARGET, pool, waiter = waiter.index, "queued"),
            Event::Cancelled(waiter) => {
                debug!(target: TARGET, pool, waiter = waiter.index, "cancelled");
            }
            Event::Ended(waiter, end) => {
                let waiter = waiter.index;
                debug!(target: TARGET, pool, waiter, reason = why(end), "acquire ended");
            }
            Event::Refused => debug!(target: TARGET, pool, "acquire refused"),
            Event::Acquired(about) => acquired(pool, about),
            Event::Released(about) => released(pool, about),
        }
    }
}

// What is known of a connection is asked for once, and only if somebody listens.

fn created(pool: &str, about: About<'_>) {
    info!(target: TARGET, pool, connection = id(about.info()), "connection created");
}

fn leaves(pool: &str, about: About<'_>, reason: &str) {
    if enabled!(target: TARGET, Level::INFO) {
        let info = about.info();
        let (connection, uses) = (id(info), uses(info));
        info!(target: TARGET, pool, connection, uses, reason, "connection leaves");
    }
}

fn taken(pool: &str, about: About<'_>) {
    if enabled!(target: TARGET, Level::INFO) {
        let info = about.info();
        let (connection, uses) = (id(info), uses(info));
        info!(target: TARGET, pool, connection, uses, "connection taken");
    }
}

fn acquired(pool: &str, about: About<'_>) {
    if enabled!(target: TARGET, Level::DEBUG) {
        let info = about.info();
        let (connection, uses) = (id(info), uses(info));
        let waited_ms = info.map(|info| ms(info.waited));
        debug!(target: TARGET, pool, connection, uses, waited_ms, "acquired");
    }
}

fn released(pool: &str, about: About<'_>) {
    if enabled!(target: TARGET, Level::DEBUG) {
        let info = about.info();
        debug!(target: TARGET, pool, connection = id(info), uses = uses(info), "released");
    }
}

fn long_hold(pool: &str, about: About<'_>, held: Duration, holder: Option<&Location<'_>>) {
    if enabled!(target: TARGET, Level::WARN) {
        let info = about.info();
        let (connection, uses, held_ms) = (id(info), uses(info), ms(held));
        let location = holder.map(display);
        warn!(target: TARGET, pool, connection, uses, held_ms, location, "lease held for long");
    }
}

fn id(info: Option<Info>) -> Option<u64> {
    info.map(|info| info.id)
}

fn uses(info: Option<Info>) -> Option<u64> {
    info.map(|info| info.uses)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The words of the metrics, where there are some.
const fn reason(leaving: Leaving) -> &'static str {
    match leaving {
        Leaving::Discarded => "discarded",
        Leaving::Idle => "idle",
        Leaving::Aged => "aged",
        Leaving::Used => "used",
        Leaving::Invalidated => "invalidated",
        Leaving::Surplus => "surplus",
        Leaving::CheckFailed => "check_failed",
        Leaving::ResetFailed => "reset_failed",
        Leaving::Rejected => "rejected",
        Leaving::Expired => "expired",
        Leaving::Closed => "closed",
        Leaving::Late => "late",
    }
}

const fn what(job: JobKind) -> &'static str {
    match job {
        JobKind::Creation => "creation",
        JobKind::Check => "check",
        JobKind::Reset => "reset",
        JobKind::Closing => "closing",
    }
}

const fn why(end: End) -> &'static str {
    match end {
        End::TimedOut => "timed_out",
        End::Closed => "closed",
        End::CreateFailed => "create_failed",
        End::CreateTimedOut => "create_timed_out",
        End::Missed => "missed",
        End::TooMany => "too_many",
        End::Removed => "removed",
    }
}

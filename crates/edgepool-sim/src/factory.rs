//! A factory whose creations go as planned, or as badly as planned.

use std::collections::{BTreeSet, VecDeque};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use edgepool::{Clock, Factory};

use crate::{Alarm, Rng, SimClock};

/// How one creation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Creation {
    /// It gives a connection after so long.
    Connect(Duration),
    /// It fails after so long.
    Fail(Duration),
    /// It never ends.
    Hang,
    /// It panics when it is polled after so long.
    Panic(Duration),
    /// The call that starts it panics.
    PanicAtStart,
}

/// How creations go when the seed decides: how long they take, and how many of 1,000 go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Odds {
    /// How long a creation takes, whether it succeeds or fails.
    pub latency: RangeInclusive<Duration>,
    /// How many of 1,000 fail.
    pub fail: u32,
    /// How many of the other 1,000 never end.
    pub hang: u32,
    /// How many of the then other 1,000 panic, half of them at the start.
    pub panic: u32,
}

impl Odds {
    /// Every creation succeeds at once.
    pub const NONE: Self =
        Self { latency: Duration::ZERO..=Duration::ZERO, fail: 0, hang: 0, panic: 0 };

    fn draw(&self, rng: &mut Rng) -> Creation {
        let after = rng.duration(self.latency.clone());
        if rng.chance(self.fail) {
            Creation::Fail(after)
        } else if rng.chance(self.hang) {
            Creation::Hang
        } else if rng.chance(self.panic) {
            if rng.chance(500) { Creation::Panic(after) } else { Creation::PanicAtStart }
        } else {
            Creation::Connect(after)
        }
    }
}

/// A [`Factory`] on simulated time, which counts what it made and what became of it.
///
/// A clone is a handle to the same factory. Each creation goes as the next of the planned ones
/// ([`plan`](Self::plan)); after those, as the odds say ([`set_odds`](Self::set_odds)). At first
/// they say that each succeeds at once.
///
/// # Examples
/// ```
/// use edgepool::{AcquireError, Pool};
/// use edgepool_sim::{Creation, Executor, SimClock, SimError, SimFactory};
/// use std::time::Duration;
///
/// let clock = SimClock::new();
/// let factory = SimFactory::new(&clock, 1);
/// factory.plan([Creation::Fail(Duration::from_millis(5))]);
/// let pool = Pool::builder(factory.clone(), clock.clone()).max(1).build().unwrap();
///
/// Executor::new(&clock, 1).block_on(async move {
///     let error = pool.acquire().await.err();
///     assert_eq!(error, Some(AcquireError::CreateFailed(SimError { creation: 1 })));
///     assert_eq!(pool.acquire().await.unwrap().id(), 2);
/// });
/// assert_eq!((factory.counts().failed, factory.counts().live), (1, 0));
/// ```
#[derive(Clone)]
pub struct SimFactory {
    clock: SimClock,
    state: Arc<Mutex<State>>,
}

struct State {
    rng: Rng,
    odds: Odds,
    planned: VecDeque<Creation>,
    live: BTreeSet<u64>,
    counts: Counts,
}

/// What a [`SimFactory`] made, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Creations started.
    pub started: u64,
    /// Creations under way.
    pub creating: u64,
    /// Creations under way that nobody has polled yet, so that they stand still.
    pub unpolled: u64,
    /// The most creations that were under way at once.
    pub peak_creating: u64,
    /// Creations that gave a connection.
    pub created: u64,
    /// Creations that failed or panicked.
    pub failed: u64,
    /// Creations that were dropped before they ended.
    pub abandoned: u64,
    /// Connections that exist.
    pub live: u64,
    /// The most connections that existed at once.
    pub peak_live: u64,
    /// Connections that were dropped.
    pub dropped: u64,
}

impl SimFactory {
    /// Makes a factory whose creations take their time from `clock` and their luck from `seed`.
    #[must_use]
    pub fn new(clock: &SimClock, seed: u64) -> Self {
        let state = State {
            rng: Rng::new(seed),
            odds: Odds::NONE,
            planned: VecDeque::new(),
            live: BTreeSet::new(),
            counts: Counts::default(),
        };
        Self { clock: clock.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// Appends to the plan: how the next creations go, one after the other.
    pub fn plan(&self, creations: impl IntoIterator<Item = Creation>) {
        self.lock().planned.extend(creations);
    }

    /// Sets how creations go that nothing was planned for.
    pub fn set_odds(&self, odds: Odds) {
        self.lock().odds = odds;
    }

    /// Tells what was made and what became of it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Factory for SimFactory {
    type Connection = SimConnection;
    type Error = SimError;
    type Create = Creating;

    fn create(&self) -> Creating {
        let (id, plan) = self.lock().start();
        let after = match plan {
            Creation::Connect(after) | Creation::Fail(after) | Creation::Panic(after) => {
                Some(after)
            }
            Creation::Hang => None,
            Creation::PanicAtStart => panic!("creation {id} panics at its start, as planned"),
        };
        let alarm = after.map(|after| self.clock.alarm(self.clock.now().saturating_add(after)));
        Creating { factory: self.clone(), id, plan, alarm, polled: false, ended: false }
    }
}

impl fmt::Debug for SimFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimFactory").field(&self.counts()).finish()
    }
}

impl State {
    fn start(&mut self) -> (u64, Creation) {
        let plan = match self.planned.pop_front() {
            Some(planned) => planned,
            None => self.odds.draw(&mut self.rng),
        };
        self.counts.started += 1;
        if plan == Creation::PanicAtStart {
            self.counts.failed += 1;
        } else {
            self.counts.creating += 1;
            self.counts.unpolled += 1;
            self.counts.peak_creating = self.counts.peak_creating.max(self.counts.creating);
        }
        (self.counts.started, plan)
    }

    fn connect(&mut self, id: u64) {
        assert!(self.live.insert(id), "connection {id} is made once");
        self.counts.created += 1;
        self.counts.live += 1;
        self.counts.peak_live = self.counts.peak_live.max(self.counts.live);
    }

    fn close(&mut self, id: u64) {
        assert!(self.live.remove(&id), "connection {id} is closed once");
        self.counts.live -= 1;
        self.counts.dropped += 1;
    }
}

/// A creation of a [`SimFactory`] under way.
pub struct Creating {
    factory: SimFactory,
    id: u64,
    plan: Creation,
    alarm: Option<Alarm>,
    polled: bool,
    ended: bool,
}

impl Future for Creating {
    type Output = Result<SimConnection, SimError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(!this.ended, "creation {} is polled after it has ended", this.id);
        if !std::mem::replace(&mut this.polled, true) {
            this.factory.lock().counts.unpolled -= 1;
        }
        let Some(alarm) = &mut this.alarm else { return Poll::Pending };
        if Pin::new(alarm).poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.ended = true;
        let mut state = this.factory.lock();
        state.counts.creating -= 1;
        if matches!(this.plan, Creation::Connect(_)) {
            state.connect(this.id);
            drop(state);
            let factory = this.factory.clone();
            return Poll::Ready(Ok(SimConnection { factory, id: this.id, uses: 0 }));
        }
        state.counts.failed += 1;
        drop(state);
        assert!(matches!(this.plan, Creation::Fail(_)), "creation {} panics, as planned", this.id);
        Poll::Ready(Err(SimError { creation: this.id }))
    }
}

impl Drop for Creating {
    fn drop(&mut self) {
        if !self.ended {
            let mut state = self.factory.lock();
            state.counts.creating -= 1;
            state.counts.abandoned += 1;
            state.counts.unpolled -= u64::from(!self.polled);
        }
    }
}

impl fmt::Debug for Creating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Creating")
            .field("id", &self.id)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// A connection of a [`SimFactory`]. Dropping it closes it.
pub struct SimConnection {
    factory: SimFactory,
    id: u64,
    uses: u64,
}

impl SimConnection {
    /// Returns the number of the creation that it came from, the first being 1.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Uses it once, and returns how often that was done.
    pub const fn use_once(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }
}

impl Drop for SimConnection {
    fn drop(&mut self) {
        self.factory.lock().close(self.id);
    }
}

impl fmt::Debug for SimConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimConnection").field("id", &self.id).field("uses", &self.uses).finish()
    }
}

/// The failure of a planned creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimError {
    /// The number of the creation, the first being 1.
    pub creation: u64,
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "creation {} failed, as planned", self.creation)
    }
}

impl Error for SimError {}

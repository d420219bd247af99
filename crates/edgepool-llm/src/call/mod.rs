//! One call: from the queue to the end of its answer, with its retries.
//!
//! A [`Call`] is a state machine. Whoever drives it asks it by [`poll`](Call::poll) what is to be
//! done, does that, and tells it what came of it:
//!
//! 1. Poll. Carry the [`Step`] out, and poll again until it is [`Step::WaitUntil`],
//!    [`Step::Finished`] or [`Step::Fail`].
//! 2. Set the pool's size to [`Service::places`].
//! 3. Wait until that time, or until something happened: a place came
//!    ([`acquired`](Call::acquired)) or was refused ([`refused`](Call::refused)); an attempt got
//!    [`headers`](Call::headers), [`content`](Call::content), [`bytes`](Call::bytes) of what is
//!    handed out whole or something [`quiet`](Call::quiet), [`ended`](Call::ended) or
//!    [`failed`](Call::failed); or the caller gave up ([`abandoned`](Call::abandoned)). Tell it, and
//!    begin again.
//!
//! A call must not be dropped before it has finished or failed: what it holds at its service would
//! stay held. Where a caller vanishes, such as a request that a runtime has killed, tell it
//! [`abandoned`](Call::abandoned).
//!
//! # Places
//!
//! Each attempt has a place of the pool of its own: asked for by [`Step::Acquire`], used by
//! [`Step::Send`], and given back by the driver when the attempt has ended or failed, or by
//! [`Step::Cancel`]. None is held during a back-off, or while all endpoints are paused. Where a
//! bucket is empty a call waits with its place: nobody could use it sooner, and the queue keeps its
//! order.
//!
//! # What is repeated
//!
//! Attempts are repeated, hedged or sent to another endpoint only before the first content, and each
//! of these takes from the service's budget. A hedge is a second attempt beside one that has sent no
//! content for a while; the first content wins, and the other one is cancelled.
//!
//! # Examples
//!
//! ```
//! use edgepool::Time;
//! use edgepool_llm::bucket::Need;
//! use edgepool_llm::call::{Call, CallOptions, Step};
//! use edgepool_llm::endpoint::EndpointOptions;
//! use edgepool_llm::service::{Service, ServiceOptions};
//! use edgepool_llm::{Class, Failure};
//!
//! let endpoints = ["http://10.0.0.1:8000", "http://10.0.0.2:8000"].map(EndpointOptions::new);
//! let mut now = Time::ZERO;
//! let mut service = Service::new(ServiceOptions::new(endpoints.into()), now);
//! let options = CallOptions::of(&service);
//! let mut call = Call::new(&mut service, options, now);
//!
//! let mut sent_to = Vec::new();
//! loop {
//!     let chance = 4; // drawn anew each time
//!     match call.poll(&mut service, now, chance) {
//!         // Here a place is always free.
//!         Step::Acquire { .. } => assert!(call.acquired()),
//!         // Here the first endpoint cannot be reached, and the second one answers at once.
//!         Step::Send { attempt, endpoint } => {
//!             sent_to.push(endpoint);
//!             if endpoint == 0 {
//!                 let failure = Failure::new(Class::Network, "the connection was refused");
//!                 call.failed(&mut service, attempt, failure, now);
//!             } else {
//!                 call.content(&mut service, attempt, now);
//!                 call.ended(&mut service, attempt, &Need::default(), now);
//!             }
//!         }
//!         Step::WaitUntil(at) => now = at,
//!         Step::Finished => break,
//!         step => panic!("{step:?}"),
//!     }
//! }
//! assert_eq!(sent_to, [0, 1]);
//! assert_eq!(service.counts().retries, 1);
//! ```

mod chain;
mod failing;
mod search;
mod telling;

use core::time::Duration;

use edgepool::{Priority, Time};

pub use chain::{FallbackChain, Next};

use self::failing::{OVER_BUDGET, with_note};
use self::search::Seek;
use crate::bucket::Need;
use crate::clocks::{Deadlines, Timeouts};
use crate::endpoint::Place;
use crate::refusal::Reason;
use crate::service::Service;
use crate::{Class, Failure, Timer};

/// What one call needs, and how it goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallOptions {
    /// Its class in the queue.
    pub priority: Priority,
    /// What it is expected to use.
    pub need: Need,
    /// How long its parts may take.
    pub timeouts: Timeouts,
    /// The most retries; 0 for what must not happen twice, of which no second attempt is sent
    /// beside the first either.
    pub retries: u32,
    /// After which time without content a second attempt is sent.
    pub hedge_after: Option<Duration>,
    /// Which retry of the caller's own this call is (`x-stainless-retry-count`); 0 for none. Such
    /// a call takes from the budget, and has that many retries less.
    pub retried: u32,
}

impl CallOptions {
    /// The options of a service's calls.
    #[must_use]
    pub fn of(service: &Service) -> Self {
        let options = service.options();
        Self {
            priority: Priority::Normal,
            need: Need::default(),
            timeouts: options.timeouts,
            retries: options.policy.retry.retries,
            hedge_after: options.policy.hedge_after,
            retried: 0,
        }
    }
}

/// The number of an attempt of a call: 0 is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u32);

/// What is to be done for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Ask the pool for a place, without a timeout of its own. A hedge asks with low priority.
    Acquire {
        /// The class in the queue.
        priority: Priority,
    },
    /// Leave the pool's queue, or give the place back that came from it and that no attempt was sent
    /// with.
    Release,
    /// Send an attempt with the place that was acquired.
    Send {
        /// Its number.
        attempt: Attempt,
        /// The place of its endpoint among those of the service.
        endpoint: usize,
    },
    /// Break an attempt off and give its place back. Nothing more need be told of it.
    Cancel(Attempt),
    /// Nothing until then, or until something happened. It may be [`Time::NEVER`], and it may be now
    /// for a caller that may not wait at all.
    WaitUntil(Time),
    /// The call failed. Every attempt has ended, and every place is given back.
    Fail(Failure),
    /// The call was answered to the end, likewise.
    Finished,
}

/// An attempt that is under way.
#[derive(Clone, Debug)]
struct Running {
    attempt: Attempt,
    place: Place,
    clocks: Deadlines,
    sent: Time,
    /// Whether it was sent beside another one.
    is_hedge: bool,
    /// How many pings and comments came since the last content.
    quiet: u32,
    /// When the first bytes of an answer came that is handed out whole.
    begun: Option<Time>,
    /// Whether content of it came.
    seen: bool,
}

impl Running {
    /// Adds to the failure of a clock that it was not silence that ran it out.
    fn noted(&self, failure: Failure) -> Failure {
        match self.quiet {
            0 => failure,
            quiet => with_note(failure, &format!("meanwhile {quiet} pings came")),
        }
    }
}

/// One call. See the [module's documentation](self) for how to drive it.
#[derive(Debug)]
#[must_use = "a call does nothing unless it is polled"]
pub struct Call {
    options: CallOptions,
    began: Time,
    /// When the whole must have ended.
    deadline: Time,
    seek: Seek,
    /// When the search began.
    seek_from: Time,
    /// At most two, of which none has content, or one.
    running: Vec<Running>,
    /// Attempts and a place of which the driver must be told that they are not wanted.
    cancels: Vec<Attempt>,
    release: bool,
    /// The endpoints of the attempts so far.
    tried: Vec<usize>,
    retried: u32,
    hedged: bool,
    /// Before when no room for a second attempt is looked for.
    hedge_from: Time,
    /// Whether content came or the answer was taken, so that nothing is repeated.
    content: bool,
    /// Whether somebody else watches the answer.
    taken: bool,
    /// How the last attempt failed, until it is decided what follows.
    failed: Option<Failure>,
    outcome: Option<Result<(), Failure>>,
}

/// The driver's side: what is to be done.
impl Call {
    /// Begins a call.
    pub fn new(service: &mut Service, options: CallOptions, now: Time) -> Self {
        let mut call = Self {
            began: now,
            deadline: options.timeouts.deadline(Timer::Total, now),
            seek: Seek::Nothing,
            seek_from: now,
            running: Vec::new(),
            cancels: Vec::new(),
            release: false,
            tried: Vec::new(),
            retried: options.retried,
            hedged: false,
            hedge_from: Time::ZERO,
            content: false,
            taken: false,
            failed: None,
            outcome: None,
            options,
        };
        if options.retried == 0 {
            service.begin();
        } else if !service.begin_again(now) {
            let code = Some(Reason::OverBudget.code().to_owned());
            let failure = Failure { code, ..Failure::new(Class::Refused, OVER_BUDGET) };
            call.conclude(service, Err(failure), now);
            return call;
        }
        call.seek(service, now);
        call
    }

    /// Returns what is to be done next. `chance` is any number, another one each time.
    pub fn poll(&mut self, service: &mut Service, now: Time, chance: u64) -> Step {
        self.watch_clocks(service, now);
        loop {
            if let Some(attempt) = self.cancels.pop() {
                return Step::Cancel(attempt);
            }
            if core::mem::take(&mut self.release) {
                return Step::Release;
            }
            match &self.outcome {
                Some(Ok(())) => return Step::Finished,
                Some(Err(failure)) => return Step::Fail(failure.clone()),
                None => {}
            }
            if let Some(failure) = self.failed.take() {
                self.judge(service, failure, now, chance);
            } else if let Some(step) = self.go_on(service, now, chance) {
                return step;
            }
        }
    }

    /// Tells whether the call has finished or failed.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.outcome.is_some()
    }

    /// Tells whether content came: what the caller has seen cannot be taken back.
    #[must_use]
    pub const fn has_content(&self) -> bool {
        self.content
    }

    /// Returns the endpoints of the attempts so far, in their order.
    #[must_use]
    pub fn tried(&self) -> &[usize] {
        &self.tried
    }

    /// Carries the search for a place on; `None` if there is more to be done at once.
    fn go_on(&mut self, service: &mut Service, now: Time, chance: u64) -> Option<Step> {
        match self.seek {
            Seek::Nothing if self.hedge_at() <= now => self.hedge(service, now),
            Seek::Rest { until, asked } if until <= now => self.seek = Seek::Asked(asked),
            Seek::Asked(at) if at <= now || self.goes_elsewhere(service, at, now) => {
                self.seek(service, now);
            }
            Seek::Crowded(at) if at <= now => self.seek = Seek::Look,
            Seek::Look => return self.look(service, now),
            Seek::Granted => self.take_place(service, now, chance),
            Seek::Placed(place) if place.at <= now => return self.send(service, place, now),
            _ => return Some(Step::WaitUntil(self.next_deadline())),
        }
        None
    }

    /// Returns when the call has to be polled at the latest.
    fn next_deadline(&self) -> Time {
        let seek = match &self.seek {
            Seek::Rest { until: at, .. } | Seek::Asked(at) | Seek::Crowded(at) => *at,
            Seek::Placed(place) => place.at,
            _ => Time::NEVER,
        };
        let clocks = self.running.iter().map(|running| running.clocks.next());
        let more = [seek, self.deadline, self.acquire_deadline(), self.hedge_at()];
        clocks.chain(more).min().unwrap_or(Time::NEVER)
    }

    fn acquire_deadline(&self) -> Time {
        if !self.seek.is_waiting() {
            return Time::NEVER;
        }
        self.options.timeouts.deadline(Timer::Acquire, self.seek_from)
    }

    /// Fails what has taken too long.
    fn watch_clocks(&mut self, service: &mut Service, now: Time) {
        if self.is_over() {
            return;
        }
        if self.deadline <= now {
            let failure = self.options.timeouts.failure(Timer::Total);
            return self.conclude(service, Err(failure), now);
        }
        if self.acquire_deadline() <= now && self.seek.is_stuck(now) {
            let failure = self.options.timeouts.failure(Timer::Acquire);
            self.stop_seeking(service, failure, now);
        }
        while let Some((place, timer)) = self.overdue(now) {
            let running = self.running.swap_remove(place);
            self.cancels.push(running.attempt);
            let failure = running.noted(self.options.timeouts.failure(timer));
            self.fail_attempt(service, running, failure, now);
        }
    }

    fn overdue(&self, now: Time) -> Option<(usize, Timer)> {
        let mut all = self.running.iter().enumerate();
        all.find_map(|(place, running)| Some((place, running.clocks.overdue(now)?)))
    }
}

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

use core::time::Duration;

use edgepool::{Priority, Time};

pub use chain::{FallbackChain, Next};

use crate::bucket::Need;
use crate::clocks::{Deadlines, Timeouts};
use crate::endpoint::{CROWDED, Ended, Outlook, Place};
use crate::refusal::Reason;
use crate::retry::{Decision, Elsewhere, RetryOptions};
use crate::service::Service;
use crate::{Class, Failure, RateLimits, Timer, text};

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

/// How far the search for a place is that the next attempt is sent with.
#[derive(Clone, Debug)]
enum Seek {
    /// No attempt is to be sent.
    Nothing,
    /// A failure is given time, and then as much more as the provider asked for, if that is longer.
    Rest { until: Time, asked: Time },
    /// The provider asked to wait, and no other endpoint takes the attempt before.
    Asked(Time),
    /// Would an endpoint take it?
    Look,
    /// A place came when there was no room any more; until then it is left to others.
    Crowded(Time),
    /// In the pool's queue.
    Queued,
    /// A place came, for no endpoint yet.
    Granted,
    /// At an endpoint, when its time has come.
    Placed(Place),
}

impl Seek {
    /// Whether somebody waits for room, and not for a back-off.
    const fn is_waiting(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Rest { .. } | Self::Asked(_))
    }

    /// Tells whether there is nothing to be done for it. Who may not wait at all is to get what is
    /// there at once.
    fn is_stuck(&self, now: Time) -> bool {
        match self {
            Self::Queued => true,
            Self::Crowded(at) => *at > now,
            Self::Placed(place) => place.at > now,
            Self::Nothing | Self::Rest { .. } | Self::Asked(_) => false,
            Self::Look | Self::Granted => false,
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

const OVER_BUDGET: &str =
    "not tried again: the budget of retries is spent, as too many calls fail (the option `budget`)";

/// The search for a place.
impl Call {
    fn seek(&mut self, service: &mut Service, now: Time) {
        self.seek = Seek::Look;
        self.seek_from = now;
        service.wait(now);
    }

    /// Asks for a place if an endpoint would take an attempt in time.
    fn look(&mut self, service: &mut Service, now: Time) -> Option<Step> {
        let is_hedge = !self.running.is_empty();
        let limit = if is_hedge { now.saturating_add(NANO) } else { self.last_moment() };
        match service.outlook(&self.options.need, now) {
            Outlook::Open(at) | Outlook::Paused(at) if at > now && at >= limit => {
                self.stop_seeking(service, too_late(at.saturating_since(now)), now);
                None
            }
            Outlook::Paused(at) => Some(Step::WaitUntil(at.min(self.next_deadline()))),
            Outlook::Down(at) => {
                self.stop_seeking(service, all_down(service, at.saturating_since(now), at), now);
                None
            }
            Outlook::Open(_) | Outlook::Full => {
                self.seek = Seek::Queued;
                // Nobody who waits for a first attempt is to wait for a second one.
                let priority = if is_hedge { Priority::Low } else { self.options.priority };
                Some(Step::Acquire { priority })
            }
        }
    }

    /// Returns before which time an attempt must be sent.
    fn last_moment(&self) -> Time {
        self.acquire_deadline().min(self.deadline)
    }

    /// Chooses an endpoint for the place that came.
    fn take_place(&mut self, service: &mut Service, now: Time, chance: u64) {
        match service.bind(&self.options.need, &self.tried, chance, now) {
            Ok(place) if place.at > now && place.at >= self.last_moment() => {
                self.seek = Seek::Placed(place);
                self.stop_seeking(service, too_late(place.at.saturating_since(now)), now);
            }
            Ok(place) => self.seek = Seek::Placed(place),
            Err(outlook) => {
                self.release = true;
                let crowded = outlook == Outlook::Full;
                let at = now.saturating_add(CROWDED);
                self.seek = if crowded { Seek::Crowded(at) } else { Seek::Look };
            }
        }
    }

    /// Sends an attempt, unless its endpoint has been paused or ejected since it was chosen.
    fn send(&mut self, service: &mut Service, mut place: Place, now: Time) -> Option<Step> {
        if !service.endpoints().is_good(&place, now) {
            service.unbind(&place, now);
            self.seek = Seek::Granted;
            return None;
        }
        let is_hedge = !self.running.is_empty();
        if is_hedge && !service.take_budget(now) {
            self.drop_seek(service, now);
            return None;
        }
        if is_hedge {
            service.count_hedge();
        }
        self.seek = Seek::Nothing;
        service.stop_waiting();
        service.send(&mut place, now.saturating_since(self.seek_from), now);
        let attempt = Attempt(self.tried.len() as u32);
        let endpoint = place.endpoint;
        self.tried.push(endpoint);
        let clocks = Deadlines::sent(&self.options.timeouts, now);
        let fresh = Running {
            attempt,
            place,
            clocks,
            sent: now,
            is_hedge,
            quiet: 0,
            begun: None,
            seen: false,
        };
        self.running.push(fresh);
        Some(Step::Send { attempt, endpoint })
    }

    /// Ends the search, and with it the call if no attempt is under way.
    fn stop_seeking(&mut self, service: &mut Service, failure: Failure, now: Time) {
        self.drop_seek(service, now);
        if self.running.is_empty() {
            self.conclude(service, Err(failure), now);
        }
    }

    fn drop_seek(&mut self, service: &mut Service, now: Time) {
        if self.seek.is_waiting() {
            service.stop_waiting();
        }
        match core::mem::replace(&mut self.seek, Seek::Nothing) {
            Seek::Placed(place) => {
                service.unbind(&place, now);
                self.release = true;
            }
            Seek::Queued | Seek::Granted => self.release = true,
            Seek::Nothing | Seek::Rest { .. } | Seek::Asked(_) => {}
            Seek::Look | Seek::Crowded(_) => {}
        }
    }

    /// Returns when a second attempt is to be sent beside the first.
    fn hedge_at(&self) -> Time {
        match (&self.seek, self.options.hedge_after, &self.running[..]) {
            (Seek::Nothing, Some(after), [only])
                if !self.hedged
                    && !self.content
                    && only.begun.is_none()
                    && self.options.retries > 0 =>
            {
                only.sent.saturating_add(after).max(self.hedge_from)
            }
            _ => Time::NEVER,
        }
    }

    /// Looks for a place for a second attempt, where one is free: it is not to stand in the queue
    /// before first attempts, nor to be paid for where it is not sent.
    fn hedge(&mut self, service: &mut Service, now: Time) {
        if !service.has_budget(now) {
            self.hedged = true;
        } else if service.has_free_place(&self.options.need, now) {
            self.hedged = true;
            self.seek(service, now);
        } else {
            self.hedge_from = now.saturating_add(CROWDED);
        }
    }
}

/// What was waited for at least.
const NANO: Duration = Duration::from_nanos(1);

fn too_late(wait: Duration) -> Failure {
    let message = format!(
        "the provider's limits let the call through in {:?}, which is later than it may wait \
         (the timeouts `acquire` and `total`)",
        text::told(wait)
    );
    Failure { retry_after: Some(wait), ..Failure::new(Class::RateLimited, message) }
}

fn all_down(service: &Service, wait: Duration, at: Time) -> Failure {
    let errors = service.endpoints().errors();
    let retry_after = (at != Time::NEVER).then_some(wait);
    let message = format!("no endpoint is up: {errors}");
    let code = Some(Reason::UpstreamUnreachable.code().to_owned());
    Failure { retry_after, code, ..Failure::new(Class::Refused, message) }
}

/// What follows from failures.
impl Call {
    /// Counts the failure of an attempt that is no longer under way.
    fn fail_attempt(
        &mut self,
        service: &mut Service,
        mut running: Running,
        failure: Failure,
        now: Time,
    ) {
        service.end(&mut running.place, Ended::Failed(&failure), now);
        if self.content {
            self.conclude(service, Err(failure), now);
        } else if self.running.is_empty() {
            self.failed = Some(failure);
        }
        // Else the other one decides.
    }

    /// Decides what follows when no attempt is under way any more.
    fn judge(&mut self, service: &mut Service, failure: Failure, now: Time, chance: u64) {
        let seeks = !matches!(self.seek, Seek::Nothing);
        if seeks && failure.is_retryable() && self.retried < self.options.retries {
            return self.retry_by_hedge(service, failure, now);
        }
        let retry =
            RetryOptions { retries: self.options.retries, ..service.options().policy.retry };
        let asked = now.saturating_add(failure.retry_after.unwrap_or(Duration::ZERO));
        let elsewhere = self.elsewhere(service, asked, now);
        let at = match retry.decide(&failure, self.retried, elsewhere, chance) {
            Decision::Retry(wait) => now.saturating_add(wait),
            Decision::Final => return self.conclude(service, Err(failure), now),
            Decision::Spent => return self.fail_after(service, failure, None, now),
            Decision::TooLong(wait) => {
                let cap = retry.retry_after_cap;
                let note = format!(
                    "not tried again: the provider asks to wait {:?}, over the cap of {cap:?} \
                     (the option `retry_after_cap`)",
                    text::told(wait)
                );
                return self.fail_after(service, failure, Some(&note), now);
            }
        };
        if at >= self.deadline {
            let note = "not tried again: no time is left (the timeout `total`)";
            return self.fail_after(service, failure, Some(note), now);
        }
        if !service.take_budget(now) {
            return self.fail_after(service, failure, Some(OVER_BUDGET), now);
        }
        service.count_retry();
        let backoff = now.saturating_add(retry.backoff(self.retried, chance)).min(at);
        let has_others = service.endpoints().all().len() > 1;
        let until = if has_others { backoff } else { at };
        self.retried += 1;
        self.seek = Seek::Rest { until, asked: at };
    }

    /// Tells whether another endpoint takes the next attempt before the one that asked to wait until
    /// `asked`.
    fn elsewhere(&self, service: &Service, asked: Time, now: Time) -> Elsewhere {
        let before = asked.min(self.options.timeouts.deadline(Timer::Acquire, now));
        service.endpoints().elsewhere(&self.tried, &self.options.need, before, now)
    }

    fn goes_elsewhere(&self, service: &Service, asked: Time, now: Time) -> bool {
        self.elsewhere(service, asked, now) != Elsewhere::Nowhere
    }

    /// Has what was to be a hedge be the retry.
    fn retry_by_hedge(&mut self, service: &mut Service, failure: Failure, now: Time) {
        if !service.take_budget(now) {
            return self.fail_after(service, failure, Some(OVER_BUDGET), now);
        }
        service.count_retry();
        self.retried += 1;
    }

    /// Fails for good what might have succeeded at another time.
    fn fail_after(
        &mut self,
        service: &mut Service,
        failure: Failure,
        note: Option<&str>,
        now: Time,
    ) {
        let failure = note.map_or_else(|| failure.clone(), |note| with_note(failure.clone(), note));
        let failure = match service.endpoints().all_failing() {
            Some(errors) => with_note(failure, &format!("all endpoints fail: {errors}")),
            None => failure,
        };
        self.conclude(service, Err(failure), now);
    }

    /// Ends the call: whatever it has is given back.
    fn conclude(&mut self, service: &mut Service, result: Result<(), Failure>, now: Time) {
        self.drop_seek(service, now);
        let is_late = matches!(&result, Err(it) if it.class == Class::Timeout(Timer::Total));
        let whole = now.saturating_since(self.began);
        for mut running in self.running.drain(..) {
            // One that was sent shortly before the end had no time to answer.
            let had_its_time = is_late && now.saturating_since(running.sent) >= whole / 2;
            let ended = if had_its_time { Ended::Overdue } else { Ended::Dropped };
            service.end(&mut running.place, ended, now);
            self.cancels.push(running.attempt);
        }
        self.failed = None;
        let took = now.saturating_since(self.began);
        service.finish(result.as_ref().map(|&()| ()), took, now);
        self.outcome = Some(result);
    }
}

fn with_note(failure: Failure, note: &str) -> Failure {
    // A long message is cut, and not what is to be done about it.
    let room = crate::failure::MAX_MESSAGE.saturating_sub(note.len() + 2);
    let said = &failure.message[..crate::text::boundary(&failure.message, room)];
    let message = Failure::new(failure.class, format!("{said}; {note}")).message;
    Failure { message, ..failure }
}

/// The driver's side: what happened.
impl Call {
    /// A place came. Returns whether it was asked for: if not, give it back.
    #[must_use]
    pub fn acquired(&mut self) -> bool {
        let asked = matches!(self.seek, Seek::Queued);
        if asked {
            self.seek = Seek::Granted;
        }
        asked
    }

    /// The pool refused a place.
    pub fn refused(&mut self, service: &mut Service, failure: Failure, now: Time) {
        if matches!(self.seek, Seek::Queued) {
            // It is not in the queue any more.
            self.seek = Seek::Look;
            self.stop_seeking(service, failure, now);
        }
    }

    /// The headers of an attempt came. Where they tell of an error, read what the body says of it
    /// and tell [`failed`](Self::failed); the clock of the first content runs meanwhile.
    pub fn headers(
        &mut self,
        service: &mut Service,
        attempt: Attempt,
        status: u16,
        told: &RateLimits,
        now: Time,
    ) {
        let Some(running) = self.running.iter_mut().find(|each| each.attempt == attempt) else {
            return;
        };
        running.clocks.start(Timer::FirstContent, &self.options.timeouts, now);
        let took = now.saturating_since(running.sent);
        service.headers(&mut running.place, status, told, took, now);
    }

    /// Content of an attempt came that its caller sees: an event that is no ping, or a piece of a
    /// body. The first wins: whatever else is under way is cancelled.
    pub fn content(&mut self, service: &mut Service, attempt: Attempt, now: Time) {
        if !self.win(service, attempt, now) {
            return;
        }
        let Some(only) = self.running.first_mut() else { return };
        if !core::mem::replace(&mut only.seen, true) {
            let took = only.begun.unwrap_or(now).saturating_since(only.sent);
            service.content(&mut only.place, took, now);
        }
        only.quiet = 0;
        if !self.taken {
            only.clocks.start(Timer::BetweenContent, &self.options.timeouts, now);
        }
    }

    /// The answer of an attempt was handed to the caller, before or after its first content. It wins
    /// as with content, and a failure is final. Whoever has handed it out watches it from then on, as
    /// only they see whether it is the provider that stands still or who reads: tell
    /// [`late`](Self::late).
    pub fn taken(&mut self, service: &mut Service, attempt: Attempt, now: Time) {
        if self.win(service, attempt, now) {
            self.taken = true;
            self.running.iter_mut().for_each(|only| only.clocks.stop());
        }
    }

    /// One of the clocks of an attempt ran out whose answer was [`taken`](Self::taken).
    pub fn late(&mut self, service: &mut Service, attempt: Attempt, timer: Timer, now: Time) {
        if let Some(running) = self.remove(attempt) {
            let failure = running.noted(self.options.timeouts.failure(timer));
            self.fail_attempt(service, running, failure, now);
        }
    }

    /// Has an attempt be the one that counts, if none is; tells whether it is.
    fn win(&mut self, service: &mut Service, attempt: Attempt, now: Time) -> bool {
        let Some(place) = self.running.iter().position(|each| each.attempt == attempt) else {
            return false;
        };
        if core::mem::replace(&mut self.content, true) {
            return true;
        }
        self.drop_seek(service, now);
        let winner = self.running.swap_remove(place);
        for mut loser in self.running.drain(..) {
            let ended = if loser.is_hedge { Ended::Dropped } else { Ended::Overdue };
            service.end(&mut loser.place, ended, now);
            self.cancels.push(loser.attempt);
        }
        if winner.is_hedge {
            service.count_hedge_won();
        }
        self.running.push(winner);
        true
    }

    /// Bytes of an answer came that is handed out whole: nobody has seen them, so that it may still be
    /// repeated, and each starts the clock of the next.
    pub fn bytes(&mut self, attempt: Attempt, now: Time) {
        if let Some(running) = self.running.iter_mut().find(|each| each.attempt == attempt) {
            running.begun.get_or_insert(now);
            running.clocks.start(Timer::BetweenContent, &self.options.timeouts, now);
        }
    }

    /// A ping or a comment came: no clock starts anew, but the error of one that runs out tells.
    pub fn quiet(&mut self, attempt: Attempt) {
        if let Some(running) = self.running.iter_mut().find(|each| each.attempt == attempt) {
            running.quiet = running.quiet.saturating_add(1);
        }
    }

    /// An attempt was answered to the end, and used so much; nothing if nobody knows, and then what
    /// was expected counts at the buckets. Its place is given back.
    pub fn ended(&mut self, service: &mut Service, attempt: Attempt, used: &Need, now: Time) {
        // An answer without any content is one too, and some come with their end in one piece.
        self.content(service, attempt, now);
        if let Some(mut running) = self.remove(attempt) {
            service.settle(&running.place, used, now);
            service.end(&mut running.place, Ended::Answered, now);
            self.conclude(service, Ok(()), now);
        }
    }

    /// An attempt failed. Its place is given back.
    pub fn failed(&mut self, service: &mut Service, attempt: Attempt, failure: Failure, now: Time) {
        if let Some(running) = self.remove(attempt) {
            self.fail_attempt(service, running, failure, now);
        }
    }

    /// Nobody waits for the call any more.
    pub fn abandoned(&mut self, service: &mut Service, now: Time) {
        if !self.is_over() {
            let failure = Failure::new(Class::Cancelled, "the caller gave up");
            self.conclude(service, Err(failure), now);
        }
    }

    /// Removes an attempt that has ended by itself. It need not be cancelled any more.
    fn remove(&mut self, attempt: Attempt) -> Option<Running> {
        self.cancels.retain(|&each| each != attempt);
        let place = self.running.iter().position(|each| each.attempt == attempt)?;
        Some(self.running.swap_remove(place))
    }
}

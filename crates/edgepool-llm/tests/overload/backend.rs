//! Endpoints that answer, are slow, refuse, hang and break.

use std::time::Duration;

use edgepool::Time;
use edgepool_llm::{Allowance, Class, Failure, RateLimits};
use edgepool_sim::Rng;

/// What happens to an attempt at its driver.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Headers(u16, RateLimits),
    Content,
    Quiet,
    Ended,
    Failed(Failure),
}

/// What is wrong with an endpoint for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// It takes that many times as long.
    Slow(u32),
    /// It cannot be reached.
    Gone,
    /// It takes requests and never answers.
    Hangs,
    /// It answers 503.
    Busy,
    /// It asks to wait.
    Limits(Duration),
    /// Its streams end without their end.
    Truncates,
    /// Its headers say that nothing is left, for a time without sense.
    Lies,
    /// Of 1,000 requests that many fail.
    Flaky(u32),
}

/// A trouble and when it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) from: Time,
    pub(crate) until: Time,
    pub(crate) trouble: Trouble,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    /// How many it works on at once.
    pub(crate) room: u32,
    /// How it takes more: by a refusal of this kind, or more slowly.
    pub(crate) refusal: Option<Class>,
    /// How long an answer takes.
    pub(crate) time: Duration,
    pub(crate) faults: Vec<Fault>,
    /// How many it works on.
    pub(crate) busy: u32,
    /// How many it refused as it had no room.
    pub(crate) refused: u32,
    /// How many it answered to the end.
    pub(crate) answered: u32,
}

const QUICK: Duration = Duration::from_millis(2);

impl Backend {
    pub(crate) fn new(room: u32, time: Duration) -> Self {
        let refusal = Some(Class::Overloaded);
        Self { room, refusal, time, faults: Vec::new(), busy: 0, refused: 0, answered: 0 }
    }

    /// Takes a request, and tells what comes of it: each thing so long after the one before. It is
    /// busy with it until the last of these.
    pub(crate) fn take(&mut self, rng: &mut Rng, now: Time) -> Vec<(Duration, Happening)> {
        self.busy += 1;
        let trouble = self.faults.iter().find(|fault| fault.from <= now && now < fault.until);
        match trouble.map(|fault| fault.trouble) {
            Some(Trouble::Gone) => fails(Class::Network, None),
            Some(Trouble::Hangs) => Vec::new(),
            Some(Trouble::Busy) => fails(Class::Overloaded, None),
            Some(Trouble::Limits(wait)) => fails(Class::RateLimited, Some(wait)),
            Some(Trouble::Flaky(odds)) if rng.chance(odds) => fails(Class::Server, None),
            trouble => self.work(trouble, rng),
        }
    }

    fn work(&mut self, trouble: Option<Trouble>, rng: &mut Rng) -> Vec<(Duration, Happening)> {
        if self.busy > self.room
            && let Some(class) = self.refusal
        {
            self.refused += 1;
            return fails(class, None);
        }
        let slower = match trouble {
            Some(Trouble::Slow(times)) => times,
            _ => self.busy.div_ceil(self.room),
        };
        let time = Duration::from_millis(rng.within(500..=1_500)) * slower;
        let time = time.mul_f64(self.time.as_secs_f64());
        let told = if let Some(Trouble::Lies) = trouble { lie(rng) } else { RateLimits::default() };
        let mut all = vec![(time / 2, Happening::Headers(200, told)), (QUICK, Happening::Quiet)];
        all.push((time / 4, Happening::Content));
        all.push(match trouble {
            Some(Trouble::Truncates) => {
                (time / 4, Happening::Failed(Failure::new(Class::Truncated, "it just stopped")))
            }
            _ => (time / 4, Happening::Ended),
        });
        all
    }

    /// It is no longer busy with a request.
    pub(crate) fn let_go(&mut self, answered: bool) {
        self.busy -= 1;
        self.answered += u32::from(answered);
    }
}

fn fails(class: Class, retry_after: Option<Duration>) -> Vec<(Duration, Happening)> {
    let mut failure = Failure::new(class, "the endpoint is in trouble");
    failure.retry_after = retry_after;
    failure.status = match class {
        Class::RateLimited => Some(429),
        Class::Overloaded => Some(503),
        Class::Server => Some(500),
        _ => None,
    };
    let headers = failure.status.map(|status| Happening::Headers(status, RateLimits::default()));
    let headers = headers.map(|headers| (QUICK, headers));
    headers.into_iter().chain([(QUICK, Happening::Failed(failure))]).collect()
}

fn lie(rng: &mut Rng) -> RateLimits {
    let number = |rng: &mut Rng| match rng.below(4) {
        0 => None,
        1 => Some(0),
        2 => Some(rng.below(100)),
        _ => Some(u64::MAX),
    };
    let mut allowance = || {
        let reset = number(rng).map(Duration::from_millis);
        let window = number(rng).map(Duration::from_secs);
        Some(Allowance { limit: number(rng), remaining: number(rng), reset, window })
    };
    RateLimits { requests: allowance(), tokens: allowance(), ..RateLimits::default() }
}

//! How many attempts an endpoint has at once, found out by how it takes them.
//!
//! Off by default. Two ways are known: [`Aimd`](Way::Aimd) goes by refusals, and
//! [`Gradient`](Way::Gradient) also by latency. Both count an attempt only where the limit was made
//! use of, as one that nobody reaches says nothing (RFC 7661).

mod aimd;
mod gradient;

use core::time::Duration;

use edgepool::Time;

use aimd::Aimd;
use gradient::Gradient;

/// How a limit is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// One more in each window without a refusal, and 0.7 times as many after one (additive increase
    /// and multiplicative decrease: Chiu and Jain, 1989; the factor and the pause below what was
    /// refused are those of CUBIC, RFC 9438). It doubles until the first refusal (RFC 5681, "slow
    /// start"). A window is as many answers as the limit.
    #[default]
    Aimd,
    /// As many as keep the time to the headers near to what is usual (after `Gradient2` of
    /// Netflix's concurrency-limits, which takes the mean of all answers for usual), and 0.7 times
    /// as many after a refusal.
    Gradient,
}

/// Between which bounds a limit is sought, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitOptions {
    /// How.
    pub way: Way,
    /// The least, from which it starts; at least 1.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// How long what was refused is not tried again. By default 60 s.
    pub hold: Duration,
}

impl LimitOptions {
    /// From 1 to `max`, by refusals.
    #[must_use]
    pub const fn to(max: u32) -> Self {
        Self { way: Way::Aimd, min: 1, max, hold: Duration::from_secs(60) }
    }
}

/// What an attempt was, as seen by a limit.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// When it was sent.
    pub at: Time,
    /// How many were under way at its endpoint then, itself included.
    pub beside: u32,
}

/// The limit of one endpoint.
#[derive(Clone, Debug)]
pub struct Limit(Option<Kind>);

#[derive(Clone, Debug)]
enum Kind {
    Aimd(Aimd),
    Gradient(Gradient),
}

impl Limit {
    /// Makes a limit; without options there is none.
    #[must_use]
    pub fn new(options: Option<LimitOptions>) -> Self {
        Self(options.map(|options| match options.way {
            Way::Aimd => Kind::Aimd(Aimd::new(options)),
            Way::Gradient => Kind::Gradient(Gradient::new(options)),
        }))
    }

    /// Returns how many may be under way at once; `None` is any number.
    #[must_use]
    pub fn current(&self) -> Option<u32> {
        match self.0.as_ref()? {
            Kind::Aimd(aimd) => Some(aimd.current()),
            Kind::Gradient(gradient) => Some(gradient.current()),
        }
    }

    /// Counts an attempt that was answered, and how long its headers took.
    pub fn answered(&mut self, sent: Sent, latency: Duration, now: Time) {
        match &mut self.0 {
            None => {}
            Some(Kind::Aimd(aimd)) => aimd.answered(sent, now),
            Some(Kind::Gradient(gradient)) => gradient.answered(sent, latency),
        }
    }

    /// Counts an attempt that was refused because there were too many.
    pub fn refused(&mut self, sent: Sent, now: Time) {
        match &mut self.0 {
            None => {}
            Some(Kind::Aimd(aimd)) => aimd.refused(sent, now),
            Some(Kind::Gradient(gradient)) => gradient.refused(sent, now),
        }
    }
}

/// Takes away three tenths, and at least one.
fn cut(limit: u32, min: u32) -> u32 {
    let less = u64::from(limit) * 7 / 10;
    (less as u32).clamp(min, limit.max(min))
}

//! The five clocks of a call: how long each part of it may take, and what is said when one runs
//! out.

use core::time::Duration;

use edgepool::Time;

use crate::{Class, Failure, Timer};

/// How long the parts of a call may take; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The wait for a place, and for whatever else an attempt has to wait for before it is sent.
    /// Each attempt has its own. By default 30 s.
    pub acquire: Option<Duration>,
    /// From sending to the headers of the answer. By default 60 s, and 600 s for [whole
    /// answers](Self::of_whole_answer).
    pub headers: Option<Duration>,
    /// From the headers to the first content. By default 60 s.
    pub first_content: Option<Duration>,
    /// From one piece of content to the next, or to the end. Pings and comments are none. By
    /// default 60 s.
    pub between_content: Option<Duration>,
    /// All of it, with retries. By default there is no limit.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minute = Some(Duration::from_secs(60));
        Self {
            acquire: Some(Duration::from_secs(30)),
            headers: minute,
            first_content: minute,
            between_content: minute,
            total: None,
        }
    }
}

/// What the official SDKs of OpenAI and Anthropic wait for an answer.
const WHOLE: Duration = Duration::from_secs(600);

impl Timeouts {
    /// Returns them for an answer of a model that comes whole: its headers come when all of it has
    /// been made, and whoever gives up before pays for it again. So the default of `headers` becomes
    /// 600 s, as in the official SDKs; any other value stays as it was set.
    #[must_use]
    pub fn of_whole_answer(mut self) -> Self {
        if self.headers == Self::default().headers {
            self.headers = Some(WHOLE);
        }
        self
    }

    /// Returns how long one of the clocks runs.
    #[must_use]
    pub const fn of(&self, timer: Timer) -> Option<Duration> {
        match timer {
            Timer::Acquire => self.acquire,
            Timer::Headers => self.headers,
            Timer::FirstContent => self.first_content,
            Timer::BetweenContent => self.between_content,
            Timer::Total => self.total,
        }
    }

    /// Returns when a clock runs out that starts at `from`.
    pub(crate) fn deadline(&self, timer: Timer, from: Time) -> Time {
        self.of(timer).map_or(Time::NEVER, |timeout| from.saturating_add(timeout))
    }

    /// Returns the failure of a clock that ran out.
    pub(crate) fn failure(&self, timer: Timer) -> Failure {
        let timeout = self.of(timer).unwrap_or(Duration::MAX);
        let (what, advice) = match timer {
            Timer::Acquire => (
                "the call was not sent",
                "raise max if the provider takes more calls at once, or send fewer",
            ),
            Timer::Headers => ("no headers came", "raise it if the provider is that slow"),
            Timer::FirstContent => {
                ("no content came after the headers", "raise it if the model thinks that long")
            }
            Timer::BetweenContent => {
                ("no more content came", "raise it if the model pauses that long")
            }
            Timer::Total => ("the call did not end", "raise it if calls may take that long"),
        };
        let option = timer.name();
        let message = format!("{what} in {timeout:?} (the timeout `{option}`; {advice})");
        Failure::new(Class::Timeout(timer), message)
    }
}

/// When the clocks of one attempt run out: a dense table, of which the next is the minimum.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines([Time; TIMERS.len()]);

/// The clocks of an attempt; those of a call are with the call.
const TIMERS: [Timer; 3] = [Timer::Headers, Timer::FirstContent, Timer::BetweenContent];

impl Deadlines {
    /// The clocks of an attempt that is sent at `now`.
    pub(crate) fn sent(timeouts: &Timeouts, now: Time) -> Self {
        let mut deadlines = Self([Time::NEVER; TIMERS.len()]);
        deadlines.start(Timer::Headers, timeouts, now);
        deadlines
    }

    /// Starts a clock; at most one of them runs.
    pub(crate) fn start(&mut self, timer: Timer, timeouts: &Timeouts, now: Time) {
        let at = timeouts.deadline(timer, now);
        self.0 = TIMERS.map(|each| if each == timer { at } else { Time::NEVER });
    }

    /// Stops all of them.
    pub(crate) const fn stop(&mut self) {
        self.0 = [Time::NEVER; TIMERS.len()];
    }

    /// Returns when the next clock runs out.
    pub(crate) fn next(&self) -> Time {
        self.0.into_iter().min().unwrap_or(Time::NEVER)
    }

    /// Returns a clock that has run out.
    pub(crate) fn overdue(&self, now: Time) -> Option<Timer> {
        let passed = self.0.iter().position(|&at| at <= now && at != Time::NEVER)?;
        Some(TIMERS[passed])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_clock_follows_another() {
        let timeouts = Timeouts { headers: Some(SECOND), ..Timeouts::default() };
        let mut clocks = Deadlines::sent(&timeouts, Time::ZERO);
        let second = Time::ZERO.saturating_add(SECOND);
        assert_eq!((clocks.next(), clocks.overdue(Time::ZERO)), (second, None));
        assert_eq!(clocks.overdue(second), Some(Timer::Headers));
        clocks.start(Timer::BetweenContent, &timeouts, second);
        assert_eq!(clocks.overdue(second), None);
        assert_eq!(clocks.next(), second.saturating_add(60 * SECOND));
    }

    #[test]
    fn a_clock_that_is_off_never_runs_out() {
        let off = Timeouts { headers: None, ..Timeouts::default() };
        let clocks = Deadlines::sent(&off, Time::ZERO);
        assert_eq!((clocks.next(), clocks.overdue(Time::NEVER)), (Time::NEVER, None));
    }

    #[test]
    fn each_clock_names_itself_and_its_option() {
        let timeouts = Timeouts { total: Some(SECOND), ..Timeouts::default() };
        let all = [
            Timer::Acquire,
            Timer::Headers,
            Timer::FirstContent,
            Timer::BetweenContent,
            Timer::Total,
        ];
        for timer in all {
            let failure = timeouts.failure(timer);
            assert_eq!(failure.class, Class::Timeout(timer));
            assert!(failure.message.contains(&format!("`{}`", timer.name())), "{failure}");
        }
    }

    #[test]
    fn whole_answers_have_ten_minutes_unless_something_else_was_set() {
        let usual = Timeouts::default();
        assert_eq!(usual.of_whole_answer(), Timeouts { headers: Some(WHOLE), ..usual });
        for headers in [None, Some(Duration::from_secs(5)), Some(Duration::from_secs(900))] {
            let set = Timeouts { headers, ..usual };
            assert_eq!(set.of_whole_answer(), set);
        }
    }
}

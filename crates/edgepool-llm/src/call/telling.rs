//! What the driver tells of a place and of attempts.

use edgepool::Time;

use super::search::Seek;
use super::{Attempt, Call, Running};
use crate::bucket::Need;
use crate::endpoint::Ended;
use crate::service::Service;
use crate::{Class, Failure, RateLimits, Timer};

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

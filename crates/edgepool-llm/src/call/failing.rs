//! What follows from failures, and the end of a call.

use core::time::Duration;

use edgepool::Time;

use super::search::Seek;
use super::{Call, Running};
use crate::endpoint::Ended;
use crate::retry::{Decision, Elsewhere, RetryOptions};
use crate::service::Service;
use crate::{Class, Failure, Timer, text};

pub(super) const OVER_BUDGET: &str =
    "not tried again: the budget of retries is spent, as too many calls fail (the option `budget`)";

/// What follows from failures.
impl Call {
    /// Counts the failure of an attempt that is no longer under way.
    pub(super) fn fail_attempt(
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
    pub(super) fn judge(
        &mut self,
        service: &mut Service,
        failure: Failure,
        now: Time,
        chance: u64,
    ) {
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

    pub(super) fn goes_elsewhere(&self, service: &Service, asked: Time, now: Time) -> bool {
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
    pub(super) fn conclude(
        &mut self,
        service: &mut Service,
        result: Result<(), Failure>,
        now: Time,
    ) {
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

pub(super) fn with_note(failure: Failure, note: &str) -> Failure {
    // A long message is cut, and not what is to be done about it.
    let room = crate::failure::MAX_MESSAGE.saturating_sub(note.len() + 2);
    let said = &failure.message[..crate::text::boundary(&failure.message, room)];
    let message = Failure::new(failure.class, format!("{said}; {note}")).message;
    Failure { message, ..failure }
}

//! The search for a place that the next attempt is sent with.

use core::time::Duration;

use edgepool::{Priority, Time};

use super::{Attempt, Call, Running, Step};
use crate::clocks::Deadlines;
use crate::endpoint::{CROWDED, Outlook, Place};
use crate::refusal::Reason;
use crate::service::Service;
use crate::{Class, Failure, text};

/// How far the search for a place is that the next attempt is sent with.
#[derive(Clone, Debug)]
pub(super) enum Seek {
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
    pub(super) const fn is_waiting(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Rest { .. } | Self::Asked(_))
    }

    /// Tells whether there is nothing to be done for it. Who may not wait at all is to get what is
    /// there at once.
    pub(super) fn is_stuck(&self, now: Time) -> bool {
        match self {
            Self::Queued => true,
            Self::Crowded(at) => *at > now,
            Self::Placed(place) => place.at > now,
            Self::Nothing | Self::Rest { .. } | Self::Asked(_) => false,
            Self::Look | Self::Granted => false,
        }
    }
}

/// The search for a place.
impl Call {
    pub(super) fn seek(&mut self, service: &mut Service, now: Time) {
        self.seek = Seek::Look;
        self.seek_from = now;
        service.wait(now);
    }

    /// Asks for a place if an endpoint would take an attempt in time.
    pub(super) fn look(&mut self, service: &mut Service, now: Time) -> Option<Step> {
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
    pub(super) fn take_place(&mut self, service: &mut Service, now: Time, chance: u64) {
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
    pub(super) fn send(
        &mut self,
        service: &mut Service,
        mut place: Place,
        now: Time,
    ) -> Option<Step> {
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
    pub(super) fn stop_seeking(&mut self, service: &mut Service, failure: Failure, now: Time) {
        self.drop_seek(service, now);
        if self.running.is_empty() {
            self.conclude(service, Err(failure), now);
        }
    }

    pub(super) fn drop_seek(&mut self, service: &mut Service, now: Time) {
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
    pub(super) fn hedge_at(&self) -> Time {
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
    pub(super) fn hedge(&mut self, service: &mut Service, now: Time) {
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

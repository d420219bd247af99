//! By refusals alone.

use edgepool::Time;

use super::{LimitOptions, Sent, cut};

/// Additive increase, multiplicative decrease.
#[derive(Clone, Debug)]
pub(super) struct Aimd {
    options: LimitOptions,
    limit: u32,
    /// Answers since the limit changed last.
    window: u32,
    /// Whether nothing was refused yet, so that the limit doubles.
    starting: bool,
    /// When it was cut last: what was sent before is the same burst.
    cut_at: Option<Time>,
    /// What was refused, and until when it is not tried again.
    refused: Option<(u32, Time)>,
}

impl Aimd {
    pub(super) fn new(options: LimitOptions) -> Self {
        let limit = options.min.max(1);
        Self { options, limit, window: 0, starting: true, cut_at: None, refused: None }
    }

    pub(super) const fn current(&self) -> u32 {
        self.limit
    }

    pub(super) fn answered(&mut self, sent: Sent, now: Time) {
        // Half of the limit is use enough: a caller between two calls is not seen here.
        if sent.beside.saturating_mul(2) < self.limit {
            return;
        }
        self.window += 1;
        if self.window < self.limit {
            return;
        }
        self.window = 0;
        let more = if self.starting { self.limit.saturating_mul(2) } else { self.limit + 1 };
        self.limit = more.min(self.ceiling(now)).max(self.limit);
    }

    pub(super) fn refused(&mut self, sent: Sent, now: Time) {
        if self.cut_at.is_none_or(|at| sent.at > at) {
            self.cut_at = Some(now);
            self.refused = None;
            self.note(sent, now);
            self.limit = cut(self.limit, self.options.min.max(1));
        } else if self.refused.is_none_or(|(fewest, _)| sent.beside < fewest) {
            self.note(sent, now);
        }
        self.starting = false;
        self.window = 0;
        self.limit = self.limit.min(self.ceiling(now));
    }

    /// Keeps below what was refused for a while. That few were too many says nothing of the limit:
    /// the endpoint was busy with something else.
    fn note(&mut self, sent: Sent, now: Time) {
        if sent.beside.saturating_mul(2) >= self.limit {
            self.refused = Some((sent.beside, now.saturating_add(self.options.hold)));
        }
    }

    /// Returns the most that is tried: for a while less than what was refused.
    fn ceiling(&self, now: Time) -> u32 {
        let min = self.options.min.max(1);
        let max = self.options.max.max(min);
        match self.refused {
            Some((refused, until)) if now < until => refused.saturating_sub(1).clamp(min, max),
            _ => max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    /// Has the limit full all the time before a backend that takes `room` at once, and returns how
    /// many it refused.
    fn rounds(aimd: &mut Aimd, room: u32, times: core::ops::Range<u64>) -> u32 {
        let mut refusals = 0;
        for time in times {
            let all = aimd.current();
            for beside in 1..=all {
                let sent = Sent { at: at(time), beside };
                if beside > room {
                    refusals += 1;
                    aimd.refused(sent, at(time));
                } else {
                    aimd.answered(sent, at(time));
                }
            }
        }
        refusals
    }

    #[test]
    fn it_learns_what_a_backend_takes_and_stays_there() {
        let mut aimd = Aimd::new(LimitOptions::to(100));
        assert!(rounds(&mut aimd, 10, 0..12) <= 7);
        assert_eq!(aimd.current(), 10);
        assert_eq!(rounds(&mut aimd, 10, 12..60), 0);
        // In ten minutes it looks ten times whether there is room for more.
        assert!(rounds(&mut aimd, 10, 60..660) <= 10);
        rounds(&mut aimd, 20, 660..2_000);
        assert_eq!(aimd.current(), 20, "the room that came is found");
    }

    #[test]
    fn a_burst_of_refusals_is_one_cut() {
        let mut aimd = Aimd::new(LimitOptions { min: 2, ..LimitOptions::to(64) });
        aimd.limit = 40;
        for beside in (21..=40).rev() {
            aimd.refused(Sent { at: at(1), beside }, at(2));
        }
        assert_eq!(aimd.current(), 20, "not above the fewest that were refused");
        aimd.refused(Sent { at: at(3), beside: 20 }, at(4));
        assert_eq!(aimd.current(), 14);
    }

    #[test]
    fn it_stays_in_its_bounds() {
        let mut aimd = Aimd::new(LimitOptions { min: 3, ..LimitOptions::to(8) });
        rounds(&mut aimd, 100, 0..50);
        assert_eq!(aimd.current(), 8);
        rounds(&mut aimd, 0, 50..100);
        assert_eq!(aimd.current(), 3);
    }

    #[test]
    fn what_is_not_made_use_of_does_not_grow() {
        let mut aimd = Aimd::new(LimitOptions { min: 8, ..LimitOptions::to(64) });
        for second in 0..1_000 {
            aimd.answered(Sent { at: at(second), beside: 2 }, at(second));
        }
        assert_eq!(aimd.current(), 8);
    }

    #[test]
    fn options_that_make_no_sense_do_no_harm() {
        let wrong = LimitOptions { min: 0, max: 0, hold: Duration::ZERO, ..LimitOptions::to(0) };
        let mut aimd = Aimd::new(wrong);
        rounds(&mut aimd, 5, 0..20);
        rounds(&mut aimd, 0, 20..40);
        assert_eq!(aimd.current(), 1);
    }
}

//! By latency, and by refusals.

use core::time::Duration;

use edgepool::Time;

use super::{LimitOptions, Sent, cut};

/// How much slower than usual answers may come before the limit shrinks.
const TOLERANCE: f64 = 1.5;
/// How much of a faster and of a slower answer is taken over into what is usual.
const FASTER: f64 = 1.0 / 20.0;
const SLOWER: f64 = 1.0 / 600.0;
/// So few at once are not what makes an endpoint slow.
const FEW: u32 = 4;
/// How much of a new limit is taken over at once.
const SMOOTHING: f64 = 0.2;

/// The gradient of latency: what it is in the long run by what it is now.
#[derive(Clone, Debug)]
pub(super) struct Gradient {
    options: LimitOptions,
    limit: f64,
    /// The usual time to the headers, in seconds; 0 if none is known.
    usual: f64,
    /// When it was cut last: what was sent before is the same burst.
    cut_at: Option<Time>,
}

impl Gradient {
    pub(super) fn new(options: LimitOptions) -> Self {
        let limit = f64::from(options.min.max(1));
        Self { options, limit, usual: 0.0, cut_at: None }
    }

    pub(super) const fn current(&self) -> u32 {
        self.limit as u32
    }

    pub(super) fn answered(&mut self, sent: Sent, latency: Duration) {
        let took = latency.as_secs_f64();
        self.learn(sent, took);
        if f64::from(sent.beside) * 2.0 < self.limit {
            return;
        }
        let gradient =
            if took > 0.0 { (TOLERANCE * self.usual / took).clamp(0.5, 1.0) } else { 1.0 };
        // The root is the queue that is allowed: without it nothing would ever grow.
        let aim = self.limit * gradient + self.limit.sqrt();
        self.set(self.limit + (aim - self.limit) * SMOOTHING);
    }

    /// Learns what is usual from answers that nothing held up. From all of them it would follow the
    /// queue that the limit itself lets grow.
    fn learn(&mut self, sent: Sent, took: f64) {
        let share = match self.usual {
            0.0 => 1.0,
            usual if took < usual => FASTER,
            _ if sent.beside <= FEW => FASTER,
            usual if took <= usual * TOLERANCE => SLOWER,
            _ => 0.0,
        };
        self.usual += (took - self.usual) * share;
    }

    pub(super) fn refused(&mut self, sent: Sent, now: Time) {
        if self.cut_at.is_some_and(|at| sent.at <= at) {
            return;
        }
        self.cut_at = Some(now);
        self.set(f64::from(cut(self.current(), self.options.min.max(1))));
    }

    fn set(&mut self, limit: f64) {
        let min = self.options.min.max(1);
        // `clamp` would tell of wrong bounds, and have the module write floats for that.
        self.limit = limit.min(f64::from(self.options.max.max(min))).max(f64::from(min));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn full(gradient: &Gradient) -> Sent {
        Sent { at: Time::ZERO, beside: gradient.current() }
    }

    #[test]
    fn it_stops_growing_where_answers_become_slow() {
        let mut gradient = Gradient::new(LimitOptions::to(1_000));
        // A backend with ten workers: what is more waits.
        for _ in 0..5_000 {
            let beside = gradient.current();
            gradient.answered(full(&gradient), 100 * MS * beside.max(10) / 10);
        }
        let found = gradient.current();
        assert!((10..=25).contains(&found), "{found}");
    }

    #[test]
    fn it_shrinks_when_a_backend_slows_down() {
        let mut gradient = Gradient::new(LimitOptions::to(50));
        for _ in 0..2_000 {
            gradient.answered(full(&gradient), 100 * MS);
        }
        assert_eq!(gradient.current(), 50);
        for _ in 0..50 {
            gradient.answered(full(&gradient), 1_000 * MS);
        }
        assert!(gradient.current() < 20, "{gradient:?}");
    }

    #[test]
    fn a_burst_of_refusals_is_one_cut_within_bounds() {
        let mut gradient = Gradient::new(LimitOptions { min: 5, ..LimitOptions::to(40) });
        gradient.limit = 40.0;
        let second = Time::from_nanos(1_000_000_000);
        for _ in 0..20 {
            gradient.refused(Sent { at: Time::ZERO, beside: 40 }, second);
        }
        assert_eq!(gradient.current(), 28);
        for later in 2..20 {
            let at = Time::from_nanos(later * 1_000_000_000);
            gradient.refused(Sent { at, beside: 1 }, at);
        }
        assert_eq!(gradient.current(), 5);
        for _ in 0..100 {
            gradient.answered(full(&gradient), Duration::ZERO);
        }
        assert_eq!(gradient.current(), 40, "an answer that took no time is no slow one");
    }
}

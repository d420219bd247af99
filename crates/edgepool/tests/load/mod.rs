//! What any executor is asked to run: many tasks that share few connections, and often lose
//! patience.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use edgepool::{AcquireError, Clock, Factory, Lease, Pool};
use futures::future::{Either, select, try_join_all};

pub(crate) const TASKS: u64 = 64;
pub(crate) const MAX: u32 = 4;
const ROUNDS: u32 = 8;

/// A pool, and what its tasks have seen.
pub(crate) struct Load<F: Factory, C: Clock> {
    pool: Pool<F, C>,
    held: AtomicU32,
    served: AtomicU32,
    gave_up: AtomicU32,
}

impl<F: Factory<Error: fmt::Debug>, C: Clock> Load<F, C> {
    pub(crate) fn new(factory: F, clock: C) -> Self {
        let pool = Pool::builder(factory, clock).max(MAX).build();
        let pool = pool.expect("the options are in range");
        Self { pool, held: 0.into(), served: 0.into(), gave_up: 0.into() }
    }

    /// Runs one task: it holds a connection for a moment, several times. `sleep` is the runtime's.
    pub(crate) async fn task<S: Future<Output = ()>>(&self, number: u64, sleep: fn(Duration) -> S) {
        let mut random = Random(number);
        for _ in 0..ROUNDS {
            let lease = loop {
                if let Some(lease) = self.acquire(&mut random, sleep).await {
                    break lease;
                }
                self.gave_up.fetch_add(1, SeqCst);
            };
            assert!(self.held.fetch_add(1, SeqCst) < MAX, "more connections out than may be");
            sleep(random.moment(1_000)).await;
            self.held.fetch_sub(1, SeqCst);
            self.served.fetch_add(1, SeqCst);
            match random.below(8) {
                0 => lease.discard(),
                _ => drop(lease),
            }
        }
    }

    /// Acquires with the runtime's timeout, which drops the future, with the pool's, or with none.
    async fn acquire<S: Future<Output = ()>>(
        &self,
        random: &mut Random,
        sleep: fn(Duration) -> S,
    ) -> Option<Lease<F, C>> {
        let patience = random.moment(20_000);
        let acquire = self.pool.acquire();
        let outcome = match random.below(3) {
            0 => match select(pin!(acquire), pin!(sleep(patience))).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => return None,
            },
            1 => match acquire.timeout(patience).await {
                Err(AcquireError::TimedOut { .. }) => return None,
                outcome => outcome,
            },
            // A wake that was lost shows as the pool's own timeout.
            _ => acquire.await,
        };
        Some(outcome.expect("its turn comes"))
    }

    /// Takes every connection at once, when all tasks have ended: none is lost. That also ends a
    /// creation whose caller lost patience, which stands still while nobody waits.
    pub(crate) async fn end(&self) {
        drop(try_join_all((0..MAX).map(|_| self.pool.acquire())).await.expect("there are as many"));
        self.pool.check().expect("the books are in order");
        let stats = self.pool.stats();
        let (now, so_far) = (stats.gauges, stats.counters);
        assert_eq!((now.size, now.idle, now.waiting), (MAX, MAX, 0), "{now:?}");
        let served = TASKS * u64::from(ROUNDS);
        assert_eq!(u64::from(self.served.load(SeqCst)), served);
        assert_eq!(so_far.direct + so_far.waited, served + u64::from(MAX), "{so_far:?}");
        let gave_up = u64::from(self.gave_up.load(SeqCst));
        assert_eq!(so_far.timed_out + so_far.cancelled, gave_up, "{so_far:?}");
        assert!(so_far.timed_out > 0 && so_far.cancelled > 0, "nobody lost patience: {so_far:?}");
    }
}

/// Numbers that are the same for the same task (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn moment(&mut self, most_micros: u64) -> Duration {
        Duration::from_micros(self.below(most_micros))
    }
}

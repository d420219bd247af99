//! Callers of all tenants, who read their rows, leave a mess, give up, and look at what they see.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use edgepool::StdClock;
use edgepool::tenants::{TenantLease, TenantPools};
use edgepool_postgres::tokio_postgres::{Error, Row};
use tokio::time::{sleep, timeout};

use super::fixtures::{Kind, ROWS, TENANTS, id, name};
use super::sabotage::Sabotaged;

pub(super) type Pools = TenantPools<Sabotaged, StdClock>;
type Lease = TenantLease<Sabotaged, StdClock>;

/// How long a caller waits for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a read asks for: whose the rows are, whose rights it has, and for whom it is.
const READ: &str =
    "SELECT tenant, current_user::text, current_setting('app.tenant', true) FROM notes";

/// A run: the pools, and what was seen through them.
pub(super) struct Run {
    pub(super) kind: Kind,
    pub(super) pools: Pools,
    pub(super) seen: Seen,
    pub(super) over: AtomicBool,
}

/// What callers saw.
#[derive(Default)]
pub(super) struct Seen {
    /// Reads that were answered.
    pub(super) reads: AtomicU64,
    /// Those of them with a row, the rights or the name of another tenant.
    pub(super) foreign: AtomicU64,
    /// Those with fewer or more rows than the tenant has.
    pub(super) wrong: AtomicU64,
    /// Connections that were not had, and reads that failed.
    pub(super) failures: AtomicU64,
    pub(super) last_failure: Mutex<String>,
    /// The leases that each tenant has, and the most that any had at once.
    held: Vec<AtomicUsize>,
    pub(super) most_held: AtomicUsize,
}

/// A lease that is counted.
pub(super) struct Held<'a>(&'a AtomicUsize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { held: (0..TENANTS).map(|_| AtomicUsize::new(0)).collect(), ..Self::default() }
    }

    /// Counts a lease of a tenant, until what this returns is dropped: before the lease is.
    pub(super) fn hold(&self, tenant: usize) -> Held<'_> {
        let held = &self.held[tenant];
        self.most_held.fetch_max(held.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Held(held)
    }

    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn count(&self, kind: Kind, tenant: usize, rows: &[Row]) {
        let (id, role) = (id(tenant), kind.role(tenant));
        let is_own = |row: &Row| {
            let words: [Option<&str>; 3] = [row.get(0), row.get(1), row.get(2)];
            words == [Some(&*id), Some(&*role), Some(&*id)]
        };
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.foreign.fetch_add(u64::from(!rows.iter().all(is_own)), Ordering::Relaxed);
        self.wrong.fetch_add(u64::from(rows.len() != ROWS), Ordering::Relaxed);
    }

    fn failed(&self, why: impl std::fmt::Display) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.last_failure.lock().unwrap() = why.to_string();
    }
}

impl Run {
    /// Reads a tenant's rows, and says whether there was an answer.
    pub(super) async fn read(&self, tenant: usize) -> bool {
        match self.pools.acquire(&id(tenant)).timeout(PATIENCE).await {
            Ok(lease) => self.read_on(&lease, tenant).await,
            Err(error) => {
                self.seen.failed(error);
                false
            }
        }
    }

    async fn read_on(&self, lease: &Lease, tenant: usize) -> bool {
        let read = async {
            let statement = lease.prepare_cached(READ).await?;
            lease.query(&statement, &[]).await
        };
        match timeout(PATIENCE, read).await {
            Ok(Ok(rows)) => {
                self.seen.count(self.kind, tenant, &rows);
                true
            }
            Ok(Err(error)) => {
                self.seen.failed(error);
                false
            }
            Err(late) => {
                self.seen.failed(late);
                false
            }
        }
    }

    /// Waits until there were as many reads.
    pub(super) async fn await_reads(&self, reads: u64) {
        let mut before = (self.seen.reads(), Instant::now());
        while self.seen.reads() < reads {
            sleep(Duration::from_millis(10)).await;
            if self.seen.reads() > before.0 {
                before = (self.seen.reads(), Instant::now());
            }
            let last = self.seen.last_failure.lock().unwrap();
            assert!(before.1.elapsed() < PATIENCE * 5, "there are no reads any more: {last}");
        }
    }

    /// Calls for one tenant after the other until all is over: for the first of them most often.
    pub(super) async fn call(self: Arc<Self>, seed: u64) {
        let mut random = Random(seed);
        while !self.over.load(Ordering::Relaxed) {
            let place = random.below(TENANTS * TENANTS);
            let tenant = TENANTS - 1 - place.isqrt();
            let name = id(tenant);
            let acquire = self.pools.acquire(&name).timeout(PATIENCE);
            let lease = match random.below(20) {
                0 => give_up(acquire, &mut random).await,
                _ => Some(acquire.await),
            };
            match lease {
                Some(Ok(lease)) => self.visit(lease, tenant, &mut random).await,
                Some(Err(error)) => {
                    self.seen.failed(error);
                    sleep(Duration::from_millis(2)).await;
                }
                None => {}
            }
        }
    }

    async fn visit(&self, lease: Lease, tenant: usize, random: &mut Random) {
        let held = self.seen.hold(tenant);
        for _ in 0..=random.below(4) {
            self.read_on(&lease, tenant).await;
        }
        // A mess that cannot be made leaves another one.
        drop(self.make_a_mess(&lease, tenant, random).await);
        drop(held);
        match random.below(20) {
            0 => lease.discard(),
            1..6 => drop(lease.release().await),
            _ => drop(lease),
        }
    }

    /// Leaves on the connection what the next holder would stumble over.
    async fn make_a_mess(
        &self,
        lease: &Lease,
        tenant: usize,
        random: &mut Random,
    ) -> Result<(), Error> {
        let other = random.below(TENANTS);
        let (id, name) = (id(other), name(other));
        match random.below(20) {
            0 => lease.batch_execute("BEGIN; SELECT 1").await,
            1 => lease.batch_execute("BEGIN; SELECT 1/0").await,
            2 => lease.batch_execute(&format!("SET app.tenant TO '{id}'")).await,
            3 => lease.batch_execute(&format!("BEGIN; SET LOCAL app.tenant TO '{id}'")).await,
            4 => lease.batch_execute(&format!("SET search_path TO \"{name}\"")).await,
            5 => lease.batch_execute(&format!("SET ROLE \"{name}\"")).await,
            // In the way of the table of that name.
            6 => {
                let notes = "CREATE TEMP TABLE notes AS SELECT";
                lease.batch_execute(&format!("{notes} '{id}'::text AS tenant")).await
            }
            // What another one left of a transaction would come to light as this one ends.
            7 => {
                lease.batch_execute("BEGIN; SELECT 1; ROLLBACK").await?;
                self.read_on(lease, tenant).await;
                Ok(())
            }
            8 => {
                let wait = Duration::from_micros(random.below(500) as u64);
                drop(timeout(wait, lease.query(READ, &[])).await);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Gives up somewhere on the way, unless that is short.
async fn give_up<T>(acquire: impl IntoFuture<Output = T>, random: &mut Random) -> Option<T> {
    let wait = Duration::from_micros(random.below(2_000) as u64);
    timeout(wait, acquire).await.ok()
}

/// Numbers that are the same in each run: SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) as usize % bound
    }
}

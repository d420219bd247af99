//! Tenants' pools used by many threads at once, under an executor of each.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use edgepool::tenants::{Entry, Strategy, TenantError, TenantFactory, TenantPools};
use edgepool::{Begun, Factory, NoJob, StdClock, Tried};
use futures::FutureExt;
use futures::executor::block_on;

/// A connection that knows whose it is, and that nobody else has it.
struct Line {
    home: Option<String>,
    tenant: Option<String>,
    lent: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.counts.live.fetch_sub(1, SeqCst);
    }
}

#[derive(Default)]
struct Counts {
    live: AtomicU32,
    peak: AtomicU32,
    made: AtomicU32,
    /// How often closings still wake themselves.
    restless: AtomicU32,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Lines {
    home: Option<String>,
    counts: Arc<Counts>,
}

impl Factory for Lines {
    type Connection = Line;
    type Error = Infallible;
    type Create = BoxFuture<Result<Line, Infallible>>;
    type Check = NoJob<Tried<Line, Infallible>>;
    type Reset = BoxFuture<Tried<Line, Infallible>>;
    type Close = BoxFuture<()>;

    fn create(&self) -> Self::Create {
        let (home, counts) = (self.home.clone(), Arc::clone(&self.counts));
        Box::pin(async move {
            let live = counts.live.fetch_add(1, SeqCst) + 1;
            counts.peak.fetch_max(live, SeqCst);
            counts.made.fetch_add(1, SeqCst);
            // Dropped with the creation, if that is given up.
            let line = Line { home, tenant: None, lent: Arc::default(), counts };
            pause().await;
            Ok(line)
        })
    }

    fn reset(&self, mut line: Line) -> Begun<Tried<Line, Infallible>, Self::Reset> {
        line.tenant = None;
        if self.counts.made.load(SeqCst).is_multiple_of(2) {
            return Begun::Done(Ok(line));
        }
        Begun::Later(Box::pin(async {
            pause().await;
            Ok(line)
        }))
    }

    fn close(&self, line: Line) -> Begun<(), Self::Close> {
        let counts = Arc::clone(&self.counts);
        Begun::Later(Box::pin(async move {
            pause().await;
            while counts.restless.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                pause().await;
            }
            drop(line);
        }))
    }
}

struct Tenants(Arc<Counts>);

impl TenantFactory for Tenants {
    type Connection = Line;
    type Error = Infallible;
    type Factory = Lines;
    type Enter = BoxFuture<Tried<Line, Infallible>>;

    fn factory(&self, entry: Option<&Entry>) -> Lines {
        let home = entry.map(|entry| entry.id().to_string());
        Lines { home, counts: Arc::clone(&self.0) }
    }

    fn enter(&self, mut line: Line, entry: &Entry) -> Begun<Tried<Line, Infallible>, Self::Enter> {
        assert_eq!(line.tenant, None, "the context of another is on it");
        line.tenant = Some(entry.id().to_string());
        Begun::Later(Box::pin(async {
            pause().await;
            Ok(line)
        }))
    }
}

/// Lets others go first, once.
async fn pause() {
    let mut paused = false;
    futures::future::poll_fn(|cx| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Eight threads acquire for twenty tenants; returns the most connections that there were.
fn run(strategy: Strategy, budget: Option<u32>) -> u32 {
    let counts = Arc::new(Counts::default());
    let pools = TenantPools::builder(Tenants(Arc::clone(&counts)), StdClock)
        .strategy(strategy)
        .budget(budget)
        .pool(|pool| pool.acquire_timeout(Duration::from_secs(60)))
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            let pools = pools.clone();
            scope.spawn(move || block_on(use_many(&pools, thread)));
        }
    });
    pools.check().unwrap();
    let usage = pools.totals().usage.callers;
    assert_eq!((usage.in_use, usage.waiting, usage.acquired), (0, 0, usage.released));
    block_on(pools.drain(Duration::from_secs(10))).unwrap();
    assert_eq!(counts.live.load(SeqCst), 0);
    counts.peak.load(SeqCst)
}

async fn use_many(pools: &TenantPools<Tenants, StdClock>, thread: usize) {
    for turn in 0..400_usize {
        let tenant = format!("t{}", (turn * 7 + thread * 3) % 20);
        if turn % 13 == 0 {
            // Is begun, and given up.
            let mut acquire = pools.acquire(&tenant);
            let _ = (&mut acquire).now_or_never();
        }
        let lease = match pools.acquire(&tenant).await {
            Ok(lease) => lease,
            Err(TenantError::Removed) => continue,
            Err(error) => panic!("{error}"),
        };
        assert!(!lease.lent.swap(true, SeqCst), "another has it too");
        let owner = lease.home.as_ref().or(lease.tenant.as_ref());
        assert_eq!(owner, Some(&tenant));
        pause().await;
        lease.lent.store(false, SeqCst);
        match turn % 29 {
            0 => lease.discard(),
            1 => drop(lease.release().await),
            _ => drop(lease),
        }
        match turn % 97 {
            0 => drop(pools.remove(&tenant)),
            1 => drop(pools.invalidate(&tenant)),
            _ => {}
        }
    }
}

/// A caller that sees to another's pool is not kept by it.
#[test]
fn a_job_that_wakes_itself_lets_others_go_first() {
    let counts = Arc::new(Counts::default());
    let pools = TenantPools::builder(Tenants(Arc::clone(&counts)), StdClock)
        .strategy(Strategy::PerTenant { max_pools: 1, pool_size: 1 })
        .build()
        .unwrap();
    drop(block_on(pools.acquire("a")).unwrap());
    counts.restless.store(1_000, SeqCst);
    let mut acquire = pools.acquire("b");
    assert!((&mut acquire).now_or_never().is_none(), "the other's connection is being closed");
    assert!(counts.restless.load(SeqCst) > 900, "one poll has done it all");
    drop(block_on(acquire).unwrap());
    block_on(pools.drain(Duration::from_secs(10))).unwrap();
    assert_eq!(counts.live.load(SeqCst), 0);
}

#[test]
fn threads_share_one_pool() {
    assert!(run(Strategy::Shared { size: 3 }, None) <= 3);
}

#[test]
fn threads_take_turns_at_few_pools() {
    assert!(run(Strategy::PerTenant { max_pools: 4, pool_size: 2 }, None) <= 8);
}

#[test]
fn threads_keep_to_a_budget() {
    assert!(run(Strategy::PerTenant { max_pools: 12, pool_size: 3 }, Some(5)) <= 5);
}

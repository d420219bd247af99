//! Fifty tenants, kept apart by rows, schemas and databases, under load and faults: nobody ever sees
//! what is another's, and the server never has more connections than there may be.

mod context;
mod faults;
mod fixtures;
mod load;
mod sabotage;
mod samples;

use std::env::var;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use edgepool::tenants::TenantPools;
use edgepool::{Backoff, CheckOnAcquire, Share, StdClock};
use tokio::task::JoinHandle;

use self::faults::Recovery;
use self::fixtures::Kind;
use self::load::{Run, Seen};
use self::sabotage::{Sabotage, Sabotaged};
use self::samples::Samples;
use crate::server::alone;

/// How many call at once.
const CALLERS: u64 = 24;
/// How many reads there are at least, with a round of faults among them. The variable
/// `EDGEPOOL_READS` asks for more.
const READS: u64 = 20_000;
/// How many are enough to find what is foreign.
const FEW_READS: u64 = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_one_table_are_kept_apart() {
    prove(Kind::Rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_are_kept_apart() {
    prove(Kind::Schemas).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_are_kept_apart() {
    prove(Kind::Databases).await;
}

/// The same load finds what is foreign if there is anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proof_fails_where_tenants_are_not_kept_apart() {
    let _running = alone().await;
    let no_enter = Sabotage { no_enter: true, ..Sabotage::default() };
    let no_reset = Sabotage { no_reset: true, ..Sabotage::default() };
    let one_for_all = Sabotage { one_for_all: true, ..Sabotage::default() };
    let run = sabotaged(Kind::Rows, Sabotage { no_enter: true, ..no_reset }).await;
    assert!(foreign(&run.seen) > 0, "without both, callers see what is another's");
    let run = sabotaged(Kind::Rows, no_reset).await;
    assert!(foreign(&run.seen) > 0, "what a holder left is in the way of the next");
    let run = sabotaged(Kind::Rows, no_enter).await;
    assert_eq!(foreign(&run.seen), 0, "a clean connection shows nothing of anybody");
    assert!(wrong(&run.seen) > 0, "nor of the one who has it");
    for kind in [Kind::Schemas, Kind::Databases] {
        let run = sabotaged(kind, one_for_all).await;
        assert!(foreign(&run.seen) > 0, "{kind:?}");
    }
}

fn foreign(seen: &Seen) -> u64 {
    seen.foreign.load(Ordering::Relaxed)
}

fn wrong(seen: &Seen) -> u64 {
    seen.wrong.load(Ordering::Relaxed)
}

/// Reads under faults, and looks at the server all the while.
async fn prove(kind: Kind) {
    let _running = alone().await;
    let reads = var("EDGEPOOL_READS").map_or(READS, |reads| reads.parse().unwrap());
    let began = Instant::now();
    let run = begin(kind, Sabotage::default()).await;
    let over = Arc::new(AtomicBool::new(false));
    let samples = tokio::spawn(samples::take(kind, Arc::clone(&over)));
    let callers = call(&run);
    let mut recoveries = Vec::new();
    while run.seen.reads() < reads {
        recoveries.extend(faults::round(&run, READS / 5).await);
    }
    end(&run, callers).await;
    over.store(true, Ordering::Relaxed);
    report(&run, &samples.await.unwrap(), &recoveries, began.elapsed());
}

/// Reads through what does not keep tenants apart.
async fn sabotaged(kind: Kind, sabotage: Sabotage) -> Arc<Run> {
    let run = begin(kind, sabotage).await;
    let callers = call(&run);
    run.await_reads(FEW_READS).await;
    end(&run, callers).await;
    run
}

async fn begin(kind: Kind, sabotage: Sabotage) -> Arc<Run> {
    fixtures::ready(kind).await;
    let tenants = Sabotaged::new(kind.tenants(), sabotage);
    let backoff = Backoff { base: Duration::from_millis(20), cap: Duration::from_millis(200) };
    let pools = TenantPools::builder(tenants, StdClock)
        .strategy(kind.strategy())
        .budget(kind.budget())
        .share(Share::new().max(kind.most_leases()))
        .pool(|pool| pool.check_on_acquire(CheckOnAcquire::Always).backoff(backoff))
        .pool(|pool| pool.reset_timeout(Duration::from_millis(500)))
        .build()
        .unwrap();
    tokio::spawn(pools.driver());
    Arc::new(Run { kind, pools, seen: Seen::new(), over: AtomicBool::new(false) })
}

fn call(run: &Arc<Run>) -> Vec<JoinHandle<()>> {
    (0..CALLERS).map(|seed| tokio::spawn(Arc::clone(run).call(seed))).collect()
}

/// Ends the callers and the pools, of which nothing is left at the server.
async fn end(run: &Run, callers: Vec<JoinHandle<()>>) {
    run.over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    run.pools.drain(Duration::from_secs(10)).await.unwrap();
    samples::await_none(run.kind).await;
}

/// Says what was seen, and that it is as it must be.
fn report(run: &Run, samples: &Samples, recoveries: &[Recovery], elapsed: Duration) {
    let (kind, seen) = (run.kind, &run.seen);
    let (foreign, wrong) = (foreign(seen), wrong(seen));
    let (reads, failures) = (seen.reads(), seen.failures.load(Ordering::Relaxed));
    let recoveries: Vec<_> = faults::longest(recoveries).iter().map(ToString::to_string).collect();
    let Samples { taken, most, lingered, over } = samples;
    let (_, cap) = kind.caps();
    println!(
        "isolation {kind:?}: {reads} reads in {} s, {foreign} foreign, {wrong} wrong, {failures} \
         failures; {most} of {cap} connections at most in {taken} samples, one too many listed for \
         {} ms at most; recovery at most: {}",
        elapsed.as_secs(),
        lingered.as_millis(),
        recoveries.join(", "),
    );
    assert_eq!((foreign, wrong), (0, 0), "{kind:?}");
    assert!(over.is_empty(), "{kind:?}: {over:?}");
    let most_held = seen.most_held.load(Ordering::Relaxed);
    assert_eq!(most_held, kind.most_leases() as usize, "leases of a tenant at once, at most");
    assert!(*taken > 100 && *most > 1, "{samples:?}");
}

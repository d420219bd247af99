//! What goes wrong while callers call, and how long it takes until they are served again.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgepool_postgres::tokio_postgres::Client;
use tokio::time::{sleep, timeout};

use super::fixtures::{Kind, id, remember_password};
use super::load::Run;
use crate::server::{ask, outside};

/// Whom a fault is put on. Each of the others is to be served meanwhile, where it has connections
/// of its own.
const VICTIM: usize = 1;
/// Who is looked at after a fault that was everybody's.
const WATCHED: [usize; 4] = [VICTIM, 0, 2, 30];
/// How long a fault lasts.
const LASTS: Duration = Duration::from_millis(400);
/// How many reads there are in that time at least, of those whom it does not concern.
const FEW: u64 = 20;
/// How long it may take until everybody is served again.
const RECOVERY: Duration = Duration::from_secs(10);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Killed,
    Stopped,
    Changed,
    Hung,
    Crashed,
}

impl Fault {
    const ALL: [Self; 5] = [Self::Killed, Self::Stopped, Self::Changed, Self::Hung, Self::Crashed];

    /// Puts it on the server, and takes it away again. It tells how long it took from then on until
    /// tenants were served.
    async fn put_on(self, run: &Arc<Run>) -> Duration {
        match self {
            Self::Killed => killed(run).await,
            Self::Stopped => stopped(run).await,
            Self::Changed => changed(run).await,
            Self::Hung => hung(run).await,
            Self::Crashed => crashed(run).await,
        }
    }
}

/// How long it took until tenants were served again.
#[derive(Clone, Copy)]
pub(super) struct Recovery {
    fault: Fault,
    took: Duration,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.fault {
            Fault::Killed => "killed backends",
            Fault::Stopped => "a stopped database",
            Fault::Changed => "a changed password",
            Fault::Hung => "hung statements",
            Fault::Crashed => "a crashed server",
        };
        write!(f, "{} ms from {fault}", self.took.as_millis())
    }
}

/// Returns the longest recovery from each kind of fault.
pub(super) fn longest(recoveries: &[Recovery]) -> Vec<Recovery> {
    let of = |fault| recoveries.iter().filter(move |one| one.fault == fault);
    let longest = |fault| of(fault).max_by_key(|one| one.took).copied();
    Fault::ALL.into_iter().filter_map(longest).collect()
}

/// Puts one fault after the other on the server, each after some reads without one.
pub(super) async fn round(run: &Arc<Run>, reads_between: u64) -> Vec<Recovery> {
    let mut recoveries = Vec::new();
    for fault in Fault::ALL {
        run.await_reads(run.seen.reads() + reads_between).await;
        let took = fault.put_on(run).await;
        recoveries.push(Recovery { fault, took });
    }
    recoveries
}

/// Half of the processes end, in the middle of whatever they do.
async fn killed(run: &Arc<Run>) -> Duration {
    let text = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE starts_with(application_name, $1) AND random() < 0.5";
    let killed: i64 = outside().await.query_one(text, &[&run.kind.prefix()]).await.unwrap().get(0);
    assert!(killed > 0, "there was nobody to kill");
    recovered(run, &WATCHED).await
}

/// A database takes no connections, and has none left.
async fn stopped(run: &Arc<Run>) -> Duration {
    let outside = outside().await;
    let database = run.kind.database(VICTIM);
    let allow = |allowed| format!("ALTER DATABASE \"{database}\" ALLOW_CONNECTIONS {allowed}");
    outside.batch_execute(&allow(false)).await.unwrap();
    terminate_in(&outside, &database).await;
    let before = run.seen.reads();
    sleep(LASTS).await;
    let meanwhile = run.seen.reads() - before;
    let alone = run.kind == Kind::Databases;
    assert!(!alone || meanwhile > FEW, "the others read {meanwhile} times only");
    outside.batch_execute(&allow(true)).await.unwrap();
    recovered(run, if alone { &WATCHED[..1] } else { &WATCHED }).await
}

async fn terminate_in(outside: &Client, database: &str) {
    let text = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 \
                AND backend_type = 'client backend'";
    outside.execute(text, &[&database]).await.unwrap();
}

/// Another password holds than the one that the program knows, until it is told.
async fn changed(run: &Arc<Run>) -> Duration {
    let outside = outside().await;
    let user = run.kind.login(VICTIM);
    let password = format!("changed at {:?}", Instant::now());
    let alter = format!("ALTER ROLE \"{user}\" PASSWORD '{password}'");
    outside.batch_execute(&alter).await.unwrap();
    terminate_in(&outside, &run.kind.database(VICTIM)).await;
    sleep(LASTS).await;
    remember_password(&user, &password);
    run.pools.invalidate(&id(VICTIM));
    recovered(run, if run.kind == Kind::Databases { &WATCHED[..1] } else { &WATCHED }).await
}

/// As many connections as a tenant may have hang in statements, and are given up. The others are
/// served all the while.
async fn hung(run: &Arc<Run>) -> Duration {
    let before = run.seen.reads();
    let hangs = (0..run.kind.most_leases()).map(|_| {
        let run = Arc::clone(run);
        tokio::spawn(async move {
            let lease = run.pools.acquire(&id(VICTIM)).await.unwrap();
            let held = run.seen.hold(VICTIM);
            drop(timeout(LASTS, lease.simple_query("SELECT pg_sleep(600)")).await);
            drop(held);
        })
    });
    for hang in hangs.collect::<Vec<_>>() {
        hang.await.unwrap();
    }
    let meanwhile = run.seen.reads() - before;
    assert!(meanwhile > FEW, "the others read {meanwhile} times only");
    recovered(run, &WATCHED[..1]).await
}

/// The server ends without a word, and starts again.
async fn crashed(run: &Arc<Run>) -> Duration {
    ask("crash").await;
    sleep(LASTS).await;
    ask("start").await;
    recovered(run, &WATCHED).await
}

/// Waits until each of some tenants has been served since.
async fn recovered(run: &Arc<Run>, tenants: &[usize]) -> Duration {
    let began = Instant::now();
    for &tenant in tenants {
        while !run.read(tenant).await {
            let last = run.seen.last_failure.lock().unwrap().clone();
            assert!(began.elapsed() < RECOVERY, "{} is not served: {last}", id(tenant));
            sleep(Duration::from_millis(5)).await;
        }
    }
    began.elapsed()
}

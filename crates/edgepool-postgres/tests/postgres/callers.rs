//! Many callers on few connections, and the end of the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use edgepool::{AcquireError, PoolState};

use crate::server::{await_backends, backends, outside, pool, shared};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_on_few_connections_get_their_own_rows() {
    const NAME: &str = "callers";
    let _running = shared().await;
    let pool = pool(NAME).max(8).build().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let watch = Arc::clone(&over);
    let samples = tokio::spawn(async move {
        let (outside, mut most, mut taken) = (outside().await, 0, 0);
        while !watch.load(Ordering::Relaxed) {
            most = most.max(backends(&outside, NAME).await);
            taken += 1;
        }
        (most, taken)
    });
    let callers: Vec<_> = (0..64_i64)
        .map(|caller| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for call in 0..25_i64 {
                    let connection = pool.acquire().await.unwrap();
                    let text = "SELECT $1::bigint, $2::bigint, pg_sleep(0.002)::text";
                    let statement = connection.prepare_cached(text).await.unwrap();
                    let row = connection.query_one(&statement, &[&caller, &call]).await.unwrap();
                    assert_eq!((row.get(0), row.get(1)), (caller, call));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let (most, taken) = samples.await.unwrap();
    assert!((1..=8).contains(&most) && taken > 10, "{most} at most in {taken} samples");
    let stats = pool.stats();
    assert!(stats.counters.created <= 8, "{stats:?}");
    assert_eq!(stats.counters.direct + stats.counters.waited, 64 * 25);
    println!("{most} connections at most, in {taken} samples");
}

#[tokio::test]
async fn a_drained_pool_leaves_nothing_at_the_server() {
    const NAME: &str = "drained";
    let _running = shared().await;
    let outside = outside().await;
    let pool = pool(NAME).max(4).build().unwrap();
    let held = pool.acquire_many(4).await.unwrap();
    assert_eq!(backends(&outside, NAME).await, 4);
    let task = tokio::spawn(async move {
        for lease in &held {
            lease.simple_query("SELECT pg_sleep(0.2)").await.unwrap();
        }
    });
    pool.drain(Duration::from_secs(10)).await.unwrap();
    task.await.unwrap();
    assert_eq!(pool.state(), PoolState::Closed);
    await_backends(&outside, NAME, 0).await;
    assert!(matches!(pool.acquire().await, Err(AcquireError::Closed)));
}

#[tokio::test]
async fn a_dropped_pool_leaves_nothing_at_the_server() {
    const NAME: &str = "dropped";
    let _running = shared().await;
    let outside = outside().await;
    let pool = pool(NAME).build().unwrap();
    drop(pool.acquire().await.unwrap());
    assert_eq!(backends(&outside, NAME).await, 1);
    drop(pool);
    await_backends(&outside, NAME, 0).await;
}

#[tokio::test]
async fn a_connection_is_retired_for_its_age() {
    const NAME: &str = "aged";
    let _running = shared().await;
    let outside = outside().await;
    let lifetime = Duration::from_millis(300);
    let pool = pool(NAME).max(1).max_lifetime(lifetime).idle_timeout(lifetime);
    let pool = pool.check_interval(None).lifetime_jitter(0).build().unwrap();
    let first = pool.acquire().await.unwrap();
    let id = |row: Vec<edgepool_postgres::tokio_postgres::Row>| row[0].get::<_, i32>(0);
    let old = id(first.query("SELECT pg_backend_pid()", &[]).await.unwrap());
    drop(first);
    tokio::time::sleep(lifetime * 2).await;
    let second = pool.acquire().await.unwrap();
    let new = id(second.query("SELECT pg_backend_pid()", &[]).await.unwrap());
    assert_ne!(old, new);
    assert_eq!((second.info().id, second.info().uses), (2, 1));
    await_backends(&outside, NAME, 1).await;
}

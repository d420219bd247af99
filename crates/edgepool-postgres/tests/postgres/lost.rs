//! Connections that die, hang, or come to an end with their server.

use std::time::{Duration, Instant};

use edgepool::{AcquireError, Backoff, Failure};
use edgepool_postgres::Error;

use crate::server::{alone, ask, await_backends, backends, outside, pool, shared};

const PID: &str = "SELECT pg_backend_pid()";

#[tokio::test]
async fn a_killed_backend_is_noticed_and_replaced() {
    const NAME: &str = "killed";
    let _running = shared().await;
    let outside = outside().await;
    let pool = pool(NAME).max(2).build().unwrap();
    let idle = pool.acquire().await.unwrap();
    let pid: i32 = idle.query_one(PID, &[]).await.unwrap().get(0);
    idle.release().await.unwrap();
    outside.execute("SELECT pg_terminate_backend($1, 5000)", &[&pid]).await.unwrap();
    // What the server said is on its way for a moment.
    tokio::time::sleep(Duration::from_millis(50)).await;

    let next = pool.acquire().await.unwrap();
    let other: i32 = next.query_one(PID, &[]).await.unwrap().get(0);
    assert_ne!(pid, other);
    assert_eq!(next.info().id, 2);
    assert_eq!(pool.stats().counters.check_failed, 1);

    // One that dies while it is held fails its holder's query, and is not lent again.
    outside.execute("SELECT pg_terminate_backend($1, 5000)", &[&other]).await.unwrap();
    assert!(next.query_one(PID, &[]).await.is_err());
    let failure = next.release().await.unwrap_err();
    let Failure::Error(error) = &failure else { panic!("{failure:?}") };
    assert!(matches!(**error, Error::Lost(_)), "{error:?}");
    assert_eq!(pool.acquire().await.unwrap().info().id, 3);
    await_backends(&outside, NAME, 1).await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_found() {
    const NAME: &str = "restarted";
    let _running = alone().await;
    let pool = pool(NAME).max(4);
    let pool =
        pool.backoff(Backoff { base: Duration::from_millis(50), cap: Duration::from_millis(200) });
    let pool = pool.build().unwrap();
    let leases = pool.acquire_many(4).await.unwrap();
    for lease in leases {
        lease.release().await.unwrap();
    }
    for stop in ["stop", "crash"] {
        ask(stop).await;
        // That the connections are lost is on its way for a moment.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let error = pool.acquire().timeout(Duration::from_secs(5)).await.err().unwrap();
        let cause = match &error {
            AcquireError::CreateFailed(cause) => cause,
            AcquireError::Unavailable { cause: Some(Failure::Error(cause)), .. } => cause,
            other => panic!("{other:?}"),
        };
        assert!(matches!(**cause, Error::Unreachable(_) | Error::Busy(_)), "{cause:?}");
        ask("start").await;
        let began = Instant::now();
        let lease = loop {
            match pool.acquire().await {
                Ok(lease) => break lease,
                Err(AcquireError::Unavailable { retry_in, .. }) => {
                    tokio::time::sleep(retry_in).await
                }
                Err(AcquireError::CreateFailed(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it is not found");
        };
        lease.query_one(PID, &[]).await.unwrap();
        lease.release().await.unwrap();
        let outside = outside().await;
        assert_eq!(backends(&outside, NAME).await, 1);
    }
}

#[tokio::test]
async fn a_hanging_statement_is_cancelled_with_its_connection() {
    const NAME: &str = "hanging";
    let _running = shared().await;
    let outside = outside().await;
    let pool = pool(NAME).max(1).reset_timeout(Duration::from_millis(300)).build().unwrap();
    for discard in [true, false] {
        let stuck = pool.acquire().await.unwrap();
        let query = stuck.simple_query("SELECT pg_sleep(600)");
        assert!(tokio::time::timeout(Duration::from_millis(200), query).await.is_err());
        let id = stuck.info().id;
        match discard {
            true => stuck.discard(),
            false => drop(stuck),
        }
        let next = pool.acquire().await.unwrap();
        assert_eq!(next.info().id, id + 1);
        next.query_one(PID, &[]).await.unwrap();
        next.release().await.unwrap();
        await_backends(&outside, NAME, 1).await;
    }
    let counters = pool.stats().counters;
    assert_eq!((counters.discarded, counters.reset_failed), (1, 1));
}

#[tokio::test]
async fn a_connection_that_the_server_does_not_answer_on_fails_its_check() {
    const NAME: &str = "silent";
    let _running = shared().await;
    let outside = outside().await;
    let pool = pool(NAME).max(1).check_timeout(Duration::from_millis(300)).build().unwrap();
    let held = pool.acquire().await.unwrap();
    let pid: i32 = held.query_one(PID, &[]).await.unwrap().get(0);
    held.release().await.unwrap();
    let stop = stop_process(pid);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let next = pool.acquire().await.unwrap();
    assert_eq!(next.info().id, 2);
    assert_eq!(pool.stats().counters.check_failed, 1);
    drop(stop);
    await_backends(&outside, NAME, 1).await;
}

/// Stops a process until it is dropped.
struct Stopped(String);

fn stop_process(pid: i32) -> Stopped {
    signal("-STOP", &pid.to_string());
    Stopped(pid.to_string())
}

fn signal(signal: &str, pid: &str) {
    let status = std::process::Command::new("kill").args([signal, pid]).status();
    assert!(status.unwrap().success(), "kill {signal} {pid}");
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

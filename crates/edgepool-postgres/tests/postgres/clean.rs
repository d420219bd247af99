//! That nothing of one holder reaches the next.

use std::time::Duration;

use edgepool_postgres::tokio_postgres::error::SqlState;
use edgepool_postgres::{PgPool, Reset};

use crate::server::{connector, outside, shared};

fn pool_of_one(name: &str, reset: Reset) -> PgPool {
    connector(name).reset(reset).pool_of(1).unwrap()
}

/// Leaves what a careless holder would.
async fn litter(pool: &PgPool) {
    let held = pool.acquire().await.unwrap();
    let mess = "SET search_path TO nowhere; SET statement_timeout TO 12345; LISTEN gossip; \
                CREATE TEMP TABLE secrets AS SELECT 42 AS secret; SELECT pg_advisory_lock(7); \
                DECLARE rows CURSOR WITH HOLD FOR SELECT 1";
    held.batch_execute(mess).await.unwrap();
    held.batch_execute("BEGIN; SET LOCAL lock_timeout TO 99").await.unwrap();
}

#[tokio::test]
async fn the_next_holder_sees_nothing_of_the_last() {
    let _running = shared().await;
    let outside = outside().await;
    for reset in [Reset::Session, Reset::DiscardAll] {
        let pool = pool_of_one("clean", reset.clone());
        litter(&pool).await;
        let next = pool.acquire().await.unwrap();
        assert_eq!((next.info().id, next.info().uses), (1, 2), "it is the same connection");
        let shown = |name: &'static str| {
            let next = &next;
            async move {
                let row = next.query_one(&format!("SHOW {name}"), &[]).await.unwrap();
                row.get::<_, String>(0)
            }
        };
        assert_eq!(shown("search_path").await, "\"$user\", public", "{reset:?}");
        assert_eq!(shown("statement_timeout").await, "0");
        assert_eq!(shown("lock_timeout").await, "0");
        let error = next.query("SELECT secret FROM secrets", &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE));
        let left = "SELECT (SELECT count(*) FROM pg_cursors WHERE is_holdable) \
                    + (SELECT count(*) FROM pg_listening_channels())";
        assert_eq!(next.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
        let free = "SELECT pg_try_advisory_lock(7), pg_advisory_unlock(7)";
        assert!(outside.query_one(free, &[]).await.unwrap().get::<_, bool>(0));
    }
}

#[tokio::test]
async fn an_open_transaction_is_rolled_back_as_its_lease_is_dropped() {
    let _running = shared().await;
    let outside = outside().await;
    outside.batch_execute("CREATE TABLE open_transactions (id int)").await.unwrap();
    let count = "SELECT count(*) FROM open_transactions";
    let custom = Reset::Custom("SET search_path TO public".into());
    for reset in [Reset::Session, Reset::DiscardAll, Reset::Rollback, custom] {
        let pool = pool_of_one("rollback", reset.clone());
        let held = pool.acquire().await.unwrap();
        held.batch_execute("BEGIN; INSERT INTO open_transactions VALUES (1)").await.unwrap();
        drop(held);
        // Nobody polls the pool: what the drop began has to be enough for the locks to go.
        let exclusive = "SET lock_timeout TO '3s'; BEGIN; \
                         LOCK TABLE open_transactions IN ACCESS EXCLUSIVE MODE; COMMIT";
        outside.batch_execute(exclusive).await.unwrap();
        assert_eq!(outside.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);

        let failed = pool.acquire().await.unwrap();
        failed.batch_execute("BEGIN; SELECT 1/0").await.unwrap_err();
        failed.release().await.unwrap();
        let next = pool.acquire().await.unwrap();
        assert_eq!(next.info().id, 1, "a failed transaction is no reason for a new connection");
        assert_eq!(next.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0, "{reset:?}");
        drop(next);
        pool.drain(Duration::from_secs(5)).await.unwrap();
    }
}

#[tokio::test]
async fn cached_statements_live_on_where_the_reset_keeps_them() {
    let _running = shared().await;
    for (reset, kept) in [(Reset::Session, 2), (Reset::DiscardAll, 0), (Reset::Rollback, 2)] {
        let pool = connector("cached").statement_cache(2).reset(reset).pool_of(1).unwrap();
        for _ in 0..2 {
            let held = pool.acquire().await.unwrap();
            for number in ["1", "2", "3", "2", "1"] {
                let text = format!("SELECT {number}::text");
                let statement = held.prepare_cached(&text).await.unwrap();
                let row = held.query_one(&statement, &[]).await.unwrap();
                assert_eq!(row.get::<_, &str>(0), number);
            }
            assert_eq!(held.cached_statements(), 2);
        }
        assert_eq!(pool.acquire().await.unwrap().cached_statements(), kept);
    }
}

/// The driver reads a type of the database's own with statements that it prepares once.
#[tokio::test]
async fn types_are_read_after_a_reset_too() {
    let _running = shared().await;
    outside()
        .await
        .batch_execute("CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE tone AS ENUM ('low')")
        .await
        .unwrap();
    let pool = pool_of_one("types", Reset::Session);
    for text in ["SELECT 'ok'::mood", "SELECT 'low'::tone"] {
        let held = pool.acquire().await.unwrap();
        held.query_one(text, &[]).await.unwrap();
        held.release().await.unwrap();
    }
    assert_eq!(pool.stats().counters.created, 1);
}

#[tokio::test]
async fn a_reset_that_fails_costs_the_connection() {
    let _running = shared().await;
    let pool = pool_of_one("custom", Reset::Custom("SELECT 1/0".into()));
    let failure = pool.acquire().await.unwrap().release().await.unwrap_err();
    let said = failure.to_string();
    assert!(said.contains("could not be cleaned: division by zero (22012)"), "{said}");
    assert_eq!(pool.acquire().await.unwrap().info().id, 2);
}

//! What keeps connections from being made, and how it is told.

use edgepool::{AcquireError, StdClock};
use edgepool_postgres::tokio_postgres::Config;
use edgepool_postgres::{Error, PgConnector};

use crate::server::{config, outside, password, shared};

async fn refusal(config: Config) -> std::sync::Arc<Error> {
    let pool = PgConnector::new(config).pool(StdClock).min_idle(0).build().unwrap();
    match pool.acquire().await {
        Err(AcquireError::CreateFailed(error)) => error,
        other => panic!("{:?}", other.map(drop)),
    }
}

/// All that is shown of an error.
fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut below = std::error::Error::source(error);
    while let Some(cause) = below {
        text += &format!(" {cause} {cause:?}");
        below = cause.source();
    }
    text
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_shown_nowhere() {
    let _running = shared().await;
    let mut wrong = config("refused");
    wrong.password("wr0ng-s3cr3t");
    let error = refusal(wrong).await;
    assert!(matches!(*error, Error::Denied(_)), "{error:?}");
    assert_eq!(error.code(), Some("28P01"));
    let shown = shown(&error);
    assert!(!shown.contains("wr0ng-s3cr3t") && !shown.contains(&password()), "{shown}");
    assert!(shown.contains("PostgreSQL denies access"), "{shown}");
}

#[tokio::test]
async fn every_refusal_has_its_kind() {
    let _running = shared().await;
    let mut database = config("refused");
    database.dbname("no-such-database");
    let error = refusal(database).await;
    assert!(matches!(*error, Error::Denied(_)) && error.code() == Some("3D000"), "{error:?}");

    let mut host = config("refused");
    host.user("nobody-knows");
    assert_eq!(refusal(host).await.code(), Some("28P01"));

    let mut silent = Config::new();
    silent.host("127.0.0.1").port(1).user("x").password("s3cr3t").dbname("x");
    let error = refusal(silent).await;
    assert!(matches!(*error, Error::Unreachable(_)), "{error:?}");
    assert!(!shown(&error).contains("s3cr3t"));

    let mut missing = Config::new();
    let there = config("refused");
    missing.host("127.0.0.1").port(there.get_ports()[0]).user(there.get_user().unwrap());
    missing.dbname("postgres");
    assert!(matches!(*refusal(missing).await, Error::Denied(_)));
}

#[tokio::test]
async fn a_server_without_places_is_busy() {
    let _running = shared().await;
    let outside = outside().await;
    let role = "CREATE ROLE crowded LOGIN CONNECTION LIMIT 1 PASSWORD 'crowded-s3cr3t'";
    outside.batch_execute(role).await.unwrap();
    let mut config = config("crowded");
    config.user("crowded").password("crowded-s3cr3t");
    let pool = PgConnector::new(config).pool(StdClock).min_idle(0).max(2).build().unwrap();
    let _first = pool.acquire().await.unwrap();
    let second = pool.acquire().await.err().unwrap();
    let cause = match second {
        AcquireError::CreateFailed(cause) => cause,
        other => panic!("{other:?}"),
    };
    assert!(matches!(*cause, Error::Busy(_)), "{cause:?}");
    assert_eq!(cause.code(), Some("53300"));
}

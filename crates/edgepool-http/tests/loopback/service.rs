//! A pool of connections to a service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use edgepool::{AcquireError, CheckOnAcquire, Failure, StdClock};
use edgepool_http::{HttpConnector, ServiceError};
use edgepool_llm::Secret;

use crate::faults::speaking;
use crate::server::{Pieces, Server, Version};
use crate::{get, read};

/// Answers with the status that is set, and counts the checks that come with the key.
async fn service(status: &Arc<AtomicU16>, checks: &Arc<AtomicUsize>) -> Server {
    let (status, checks) = (Arc::clone(status), Arc::clone(checks));
    Server::http(Version::Http1, move |request: http::Request<_>| {
        let (status, checks) = (Arc::clone(&status), Arc::clone(&checks));
        async move {
            if request.method() == "HEAD" {
                assert_eq!(request.uri().path(), "/v1/health");
                assert_eq!(request.headers()["authorization"], "Bearer sk-1");
                checks.fetch_add(1, Ordering::Relaxed);
            }
            let status = status.load(Ordering::Relaxed);
            http::Response::builder().status(status).body(Pieces::whole("")).unwrap()
        }
    })
    .await
}

fn connector(server: &Server) -> HttpConnector {
    let url = format!("{}/health", server.url());
    let connector = HttpConnector::new(url, speaking(Version::Http1)).unwrap();
    connector.header("authorization", Secret::new("Bearer sk-1"))
}

#[tokio::test]
async fn what_blames_the_request_is_alive_and_what_fails_is_not() {
    let (status, checks) = (Arc::new(AtomicU16::new(404)), Arc::default());
    let server = service(&status, &checks).await;
    let pool = connector(&server).pool(StdClock).min_idle(0).max(2);
    let pool = pool.check_on_acquire(CheckOnAcquire::Always).build().unwrap();
    for answer in [200, 301, 401, 404, 405, 429] {
        status.store(answer, Ordering::Relaxed);
        let connection = pool.acquire().await.unwrap();
        let answered = connection.send(get(format!("{}/orders", server.url()))).await.unwrap();
        assert_eq!(answered.status, answer);
        read(answered.body).await.unwrap();
    }
    assert_eq!(pool.stats().counters.created, 1);
    assert_eq!((checks.load(Ordering::Relaxed), server.accepted()), (6, 1));

    status.store(503, Ordering::Relaxed);
    let error = pool.acquire().await.err().unwrap();
    let AcquireError::CreateFailed(cause) = &error else { panic!("{error:?}") };
    assert!(matches!(**cause, ServiceError::Unwell(503)), "{cause:?}");
    let said = "a connection could not be created: the service is not well: it answers 503";
    assert_eq!(error.to_string(), said);
    assert_eq!(pool.stats().counters.check_failed, 1);

    status.store(200, Ordering::Relaxed);
    let next = loop {
        match pool.acquire().await {
            Ok(next) => break next,
            Err(AcquireError::Unavailable { retry_in, .. }) => tokio::time::sleep(retry_in).await,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert!(next.info().id > 1);
}

#[tokio::test]
async fn callers_share_as_many_sockets_as_there_may_be() {
    let (status, checks) = (Arc::new(AtomicU16::new(200)), Arc::default());
    let server = service(&status, &checks).await;
    let pool = connector(&server).pool(StdClock).min_idle(0).max(3).build().unwrap();
    let url = format!("{}/orders", server.url());
    let callers = (0..30).map(|_| {
        let (pool, url) = (pool.clone(), url.clone());
        tokio::spawn(async move {
            let connection = pool.acquire().await.unwrap();
            let answer = connection.send(get(url)).await.unwrap();
            read(answer.body).await.unwrap();
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    assert!((1..=3).contains(&server.accepted()), "{} sockets", server.accepted());
}

#[tokio::test]
async fn a_service_that_is_gone_is_told_by_its_cause() {
    let (status, checks) = (Arc::new(AtomicU16::new(200)), Arc::default());
    let server = service(&status, &checks).await;
    let connector = connector(&server);
    drop(server);
    let pool = connector.pool(StdClock).build().unwrap();
    let error = pool.acquire().await.err().unwrap();
    let cause = match &error {
        AcquireError::CreateFailed(cause) => cause,
        AcquireError::Unavailable { cause: Some(Failure::Error(cause)), .. } => cause,
        other => panic!("{other:?}"),
    };
    assert!(matches!(**cause, ServiceError::Http(_)), "{cause:?}");
    assert!(!format!("{error:?}").contains("sk-1"));
}

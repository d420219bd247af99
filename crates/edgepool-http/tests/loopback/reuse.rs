//! Connections that are used again, shared, limited and closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use edgepool_http::{Error, HttpTransport, Protocol};
use edgepool_llm::transport::Transport as _;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Barrier;

use crate::server::{Pieces, Server, Version, Watch, read_head, until};
use crate::{ask, get, ok};

#[tokio::test]
async fn one_connection_serves_requests_one_after_another() {
    let server = Server::http(Version::Http1, |_| async { ok("fine") }).await;
    let transport = HttpTransport::default();
    for _ in 0..10 {
        // The clones share what is kept.
        let answer = ask(&transport.clone(), get(server.url())).await.unwrap();
        assert_eq!(answer, (200, b"fine".to_vec()));
    }
    let stats = transport.stats();
    assert_eq!((stats.requests, stats.opened, stats.open), (10, 1, 1));
    assert_eq!(server.accepted(), 1);
    drop(transport);
}

/// Answers only once so many requests are there at the same time.
async fn together(version: Version, count: usize) -> Server {
    let barrier = Arc::new(Barrier::new(count));
    Server::http(version, move |_| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            ok("fine")
        }
    })
    .await
}

#[tokio::test]
async fn http1_takes_a_connection_for_each_request_under_way() {
    let server = together(Version::Http1, 4).await;
    let transport = HttpTransport::builder().protocol(Protocol::Http1).build().unwrap();
    for _ in 0..3 {
        let answers = join_all((0..4).map(|_| ask(&transport, get(server.url())))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        // A connection is back once hyper's task has seen the end of its request.
        until("idle connections", || transport.stats().open == 4).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(transport.stats().opened, 4);
}

#[tokio::test]
async fn http2_shares_one_connection() {
    let server = together(Version::Http2, 32).await;
    let transport = HttpTransport::builder().protocol(Protocol::Http2).build().unwrap();
    for _ in 0..3 {
        let answers = join_all((0..32).map(|_| ask(&transport, get(server.url())))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    assert_eq!(server.accepted(), 1);
    let stats = transport.stats();
    assert_eq!((stats.requests, stats.opened), (96, 1));
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_not_missed() {
    let server = Server::raw(|mut socket| async move {
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
    })
    .await;
    let transport = HttpTransport::default();
    for number in 1..=5 {
        assert_eq!(ask(&transport, get(server.url())).await.unwrap().1, b"hi");
        until("the close", || transport.stats().open == 0).await;
        assert_eq!(server.accepted(), number);
    }
}

#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let server = Server::http(Version::Http1, |_| async { ok("fine") }).await;
    let builder = HttpTransport::builder();
    let transport = builder.idle_timeout(Duration::from_millis(30)).build().unwrap();
    ask(&transport, get(server.url())).await.unwrap();
    assert_eq!(transport.stats().open, 1);
    until("the idle connection's end", || transport.stats().open == 0).await;
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_asked_for() {
    for most in [0, 1] {
        let server = together(Version::Http1, 3).await;
        let transport = HttpTransport::builder().max_idle(most).build().unwrap();
        let answers = join_all((0..3).map(|_| ask(&transport, get(server.url())))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        until("the others' end", || transport.stats().open == most as u64).await;
    }
}

#[tokio::test]
async fn the_last_clone_closes_what_is_idle() {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let server = Server::raw(move |mut socket| {
        let count = Arc::clone(&count);
        async move {
            read_head(&mut socket).await;
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            read_head(&mut socket).await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let transport = HttpTransport::default();
    let clone = transport.clone();
    ask(&transport, get(server.url())).await.unwrap();
    drop(transport);
    assert_eq!(clone.stats().open, 1);
    drop(clone);
    until("the close", || closed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn the_limit_of_connections_holds() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let server = Server::http(Version::Http1, move |_| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            ok("fine")
        }
    })
    .await;
    let transport = HttpTransport::builder().max_connections(2).build().unwrap();
    let answers = join_all((0..9).map(|_| ask(&transport, get(server.url())))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    assert!(transport.stats().open <= 2, "{:?}", transport.stats());
}

#[tokio::test]
async fn who_finds_no_connection_in_time_is_told() {
    let watch = Arc::new(Watch::default());
    let server = {
        let watch = Arc::clone(&watch);
        Server::http(Version::Http1, move |_| {
            let answer = http::Response::new(Pieces::stalled("data: first\n\n", &watch));
            async { answer }
        })
    }
    .await;
    let builder = HttpTransport::builder().max_connections(1);
    let transport = builder.connect_timeout(Duration::from_millis(50)).build().unwrap();
    let mut held = transport.send(get(server.url())).await.unwrap().body;
    held.next().await.unwrap().unwrap();
    let answer = ask(&transport, get(server.url())).await;
    assert!(matches!(answer, Err(Error::Connections(1))), "{answer:?}");
    // Another origin has places of its own: this one refuses.
    let other = ask(&transport, get("http://127.0.0.1:1/")).await;
    assert!(matches!(other, Err(Error::Connect(_))), "{other:?}");
    // The place is free again with the body.
    drop(held);
    until("the stalled answer's end", || watch.dropped() == 1).await;
    until("the place", || transport.stats().open == 0).await;
    assert_eq!(transport.send(get(server.url())).await.unwrap().status, 200);
}

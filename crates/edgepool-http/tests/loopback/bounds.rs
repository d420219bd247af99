//! Answers that are larger than they may be.

use std::sync::Arc;
use std::time::Duration;

use edgepool_http::{Error, HttpTransport, OptionsError};
use edgepool_llm::Class;
use edgepool_llm::transport::Transport as _;
use futures_util::StreamExt as _;

use crate::faults::speaking;
use crate::server::{Pieces, Server, Version, Watch, until};
use crate::{ask, get, read};

const PIECE: usize = 65_536;

/// What sockets, hyper and the windows of HTTP/2 hold between server and client, generously.
const BETWEEN: u64 = 64 << 20;

/// Answers with 10 GiB.
async fn ten_gigabytes(version: Version) -> (Server, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    let seen = Arc::clone(&watch);
    let server = Server::http(version, move |_| {
        let pieces = (10 << 30) / PIECE as u64;
        let answer = http::Response::new(Pieces::many(PIECE, pieces, &seen));
        async { answer }
    })
    .await;
    (server, watch)
}

#[tokio::test]
async fn a_body_past_its_bound_is_broken_off() {
    for version in [Version::Http1, Version::Http2] {
        let (server, watch) = ten_gigabytes(version).await;
        let transport = speaking(version).max_body(1 << 20).build().unwrap();
        let mut body = transport.send(get(server.url())).await.unwrap().body;
        let mut received = 0;
        let error = loop {
            match body.next().await.expect("it fails before it ends") {
                Ok(piece) => received += piece.len(),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::BodyTooLarge(1_048_576)), "{error:?}");
        assert_eq!(error.class(), Class::TooLarge);
        assert!(received <= 1 << 20, "{received}");
        assert!(body.next().await.is_none());
        // The body is still held, and the server stopped nevertheless.
        until("the server's end", || watch.dropped() == 1).await;
        assert!(watch.sent() < BETWEEN, "{}", watch.sent());
    }
}

#[tokio::test]
async fn a_body_that_is_not_read_is_not_sent() {
    for version in [Version::Http1, Version::Http2] {
        let (server, watch) = ten_gigabytes(version).await;
        let transport = speaking(version).build().unwrap();
        let mut body = transport.send(get(server.url())).await.unwrap().body;
        body.next().await.unwrap().unwrap();
        let mut before = u64::MAX;
        while before != watch.sent() {
            before = watch.sent();
            assert!(before < BETWEEN, "{before}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(watch.dropped(), 0, "it waits for its reader");
    }
}

#[tokio::test]
async fn a_bound_takes_what_fits_exactly() {
    for version in [Version::Http1, Version::Http2] {
        for (pieces, fits) in [(4, true), (5, false)] {
            let server = Server::http(version, move |_| async move {
                http::Response::new(Pieces::many(25, pieces, &Arc::default()))
            })
            .await;
            let transport = speaking(version).max_body(100).build().unwrap();
            let answer = ask(&transport, get(server.url())).await;
            assert_eq!(answer.is_ok_and(|(_, body)| body.len() == 100), fits, "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_length_past_the_bound_is_refused_unread() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n";
    let server = Server::saying(head).await;
    let transport = HttpTransport::builder().max_body(1 << 20).build().unwrap();
    let answer = transport.send(get(server.url())).await.unwrap();
    let error = read(answer.body).await.unwrap_err();
    assert!(matches!(error, Error::BodyTooLarge(_)), "{error:?}");
}

#[tokio::test]
async fn headers_are_bounded() {
    let many = |count| "x-many: 1\r\n".repeat(count);
    for (headers, most, fits) in [
        (many(99), 100, true),
        (many(101), 100, false),
        (format!("x-long: {}\r\n", "y".repeat(4_000)), 100, true),
        (format!("x-long: {}\r\n", "y".repeat(20_000)), 100, false),
    ] {
        let body = "content-length: 0\r\n\r\n";
        let server = Server::saying(format!("HTTP/1.1 200 OK\r\n{headers}{body}")).await;
        let builder = HttpTransport::builder().max_headers(most).max_header_bytes(8_192);
        let answer = ask(&builder.build().unwrap(), get(server.url())).await;
        match answer {
            Ok((status, _)) => assert!(fits && status == 200, "{} bytes", headers.len()),
            Err(Error::HeadersTooLarge(_)) => assert!(!fits, "{} bytes", headers.len()),
            Err(error) => panic!("{} bytes: {error:?}", headers.len()),
        }
    }
}

#[tokio::test]
async fn headers_are_bounded_on_http2() {
    for (length, fits) in [(4_000, true), (40_000, false)] {
        let server = Server::http(Version::Http2, move |_| {
            let answer = http::Response::builder().header("x-long", "y".repeat(length));
            let answer = answer.body(Pieces::whole("fine")).unwrap();
            async { answer }
        })
        .await;
        let transport = speaking(Version::Http2).max_header_bytes(8_192).build().unwrap();
        let answer = ask(&transport, get(server.url())).await;
        match answer {
            Ok((status, _)) => assert!(fits && status == 200, "{length}"),
            Err(Error::Headers(_)) => assert!(!fits, "{length}"),
            Err(error) => panic!("{length}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn headers_that_never_end_are_given_up() {
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(1 << 20));
    let server = Server::saying(endless).await;
    let error = ask(&HttpTransport::default(), get(server.url())).await.unwrap_err();
    assert!(matches!(error, Error::HeadersTooLarge(_)), "{error:?}");
}

#[test]
fn options_that_do_not_fit_are_named() {
    let zero = Duration::ZERO;
    let some = Duration::from_secs(1);
    let new = HttpTransport::builder;
    for (builder, error) in [
        (new().max_connections(0), OptionsError::Zero("max_connections")),
        (new().idle_timeout(zero), OptionsError::Zero("idle_timeout")),
        (new().connect_timeout(zero), OptionsError::Zero("connect_timeout")),
        (new().handshake_timeout(zero), OptionsError::Zero("handshake_timeout")),
        (new().ping(zero, some), OptionsError::Zero("ping")),
        (new().ping(some, zero), OptionsError::Zero("ping")),
        (new().max_headers(0), OptionsError::Range("max_headers", 1..=16_384)),
        (new().max_headers(16_385), OptionsError::Range("max_headers", 1..=16_384)),
        (new().max_header_bytes(8_191), OptionsError::Range("max_header_bytes", 8_192..=524_288)),
        (new().max_header_bytes(1 << 20), OptionsError::Range("max_header_bytes", 8_192..=524_288)),
        (new().root_certificate(*b"no"), OptionsError::RootCertificate),
    ] {
        assert_eq!(builder.build().unwrap_err(), error);
    }
}

#[tokio::test]
async fn the_largest_options_work() {
    let server = Server::http(Version::Http2, |_| async { crate::ok("fine") }).await;
    let longest = Duration::MAX;
    let builder = speaking(Version::Http2).ping(longest, longest).idle_timeout(longest);
    let builder = builder.connect_timeout(longest).handshake_timeout(longest);
    let builder = builder.max_connections(usize::MAX).max_idle(usize::MAX).max_body(u64::MAX);
    let builder = builder.max_headers(16_384).max_header_bytes(524_288);
    let answer = ask(&builder.build().unwrap(), get(server.url())).await;
    assert_eq!(answer.unwrap().1, b"fine");
}

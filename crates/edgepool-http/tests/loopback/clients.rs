//! The clients of `edgepool_llm` over the transport.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use edgepool::StdClock;
use edgepool_http::HttpTransport;
use edgepool_llm::chat::{ChatRequest, Message, Role};
use edgepool_llm::client::{ClientError, ClientPool};
use edgepool_llm::{Class, Secret};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::faults::speaking;
use crate::server::{Pieces, Server, Version, Watch, read_head, until};

type Clients = ClientPool<HttpTransport, StdClock>;

/// Makes clients with one provider, `p`, of so many places.
fn clients(transport: &HttpTransport, server: &Server, places: u32) -> Clients {
    let pool = ClientPool::builder(transport.clone(), StdClock).seed(1).build();
    let provider = pool.provider("p", "openai").base_url(server.url()).key(Secret::new("sk-1"));
    pool.register_provider(provider.model("m").max(places).build().unwrap()).unwrap();
    pool
}

fn question() -> ChatRequest {
    let messages = vec![Message::text(Role::User, "Why?")];
    ChatRequest { messages, ..ChatRequest::default() }
}

const WORD: &str = r#"data: {"choices":[{"delta":{"content":"so "}}]}"#;
const STREAM: &str = "text/event-stream";

fn streaming(body: Pieces) -> http::Response<Pieces> {
    http::Response::builder().header("content-type", STREAM).body(body).unwrap()
}

/// Answers with a stream of three words, and counts how many answers there are at once.
async fn talking(version: Version, most: &Arc<AtomicUsize>) -> Server {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::clone(most));
    Server::http(version, move |_| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            let words = [WORD; 3].join("\n\n");
            streaming(Pieces::whole(format!("{words}\n\ndata: [DONE]\n\n")))
        }
    })
    .await
}

#[tokio::test]
async fn streams_of_many_callers_share_few_connections() {
    for version in [Version::Http1, Version::Http2] {
        let most = Arc::default();
        let server = talking(version, &most).await;
        let transport = speaking(version).max_connections(4).build().unwrap();
        let pool = clients(&transport, &server, 4);
        let ask = || async {
            let stream = pool.stream("p", &question()).await?;
            Ok::<_, ClientError>(stream.collect_answer().await?.text)
        };
        let answers = join_all((0..40).map(|_| ask())).await;
        assert!(answers.iter().all(|text| text.as_deref() == Ok("so so so ")), "{answers:?}");
        assert!(most.load(Ordering::SeqCst) <= 4, "{most:?}");
        let stats = transport.stats();
        assert_eq!(stats.requests, 40);
        let connections = if version == Version::Http1 { 4 } else { 1 };
        assert!(stats.open <= connections, "{stats:?}");
        assert_eq!(pool.stats("p").unwrap().in_flight, 0);
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_gives_its_place_to_the_next() {
    for version in [Version::Http1, Version::Http2] {
        let watch = Arc::new(Watch::default());
        let seen = Arc::clone(&watch);
        let server = Server::http(version, move |_| {
            let answer = streaming(Pieces::stalled(format!("{WORD}\n\n"), &seen));
            async { answer }
        })
        .await;
        let transport = speaking(version).build().unwrap();
        let pool = clients(&transport, &server, 1);
        for dropped in 1..=3 {
            let mut stream = pool.stream("p", &question()).await.unwrap();
            while !stream.next().await.unwrap().unwrap().is_content() {}
            assert_eq!(pool.stats("p").unwrap().in_flight, 1);
            drop(stream);
            assert_eq!(pool.stats("p").unwrap().in_flight, 0);
            until("the end at the server", || watch.dropped() == dropped).await;
        }
    }
}

#[tokio::test]
async fn what_fails_has_its_class() {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {STREAM}\r\n");
    let error = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    for (answer, class) in [
        (format!("{head}\r\n{WORD}\n\n"), Class::Truncated),
        (format!("{head}content-length: 999\r\n\r\n{WORD}\n\n"), Class::Network),
        (error("401 Unauthorized", r#"{"error":{"message":"no sk-1"}}"#), Class::Unauthorised),
        (error("404 Not Found", ""), Class::NotFound),
        (error("302 Found", ""), Class::Malformed),
        (error("200 OK\r\ncontent-type: text/html", "<html>"), Class::Malformed),
    ] {
        let server = Server::saying(&answer[..]).await;
        let pool = clients(&HttpTransport::default(), &server, 1);
        let failure = match pool.stream("p", &question()).await {
            Ok(stream) => stream.collect_answer().await.unwrap_err(),
            Err(ClientError::Failed(failure)) => failure,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(failure.class, class, "{answer}: {failure}");
        assert!(!failure.to_string().contains("sk-1"), "{failure}");
    }
}

#[tokio::test]
async fn a_lost_connection_is_tried_again_before_content() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::raw(move |mut socket| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            read_head(&mut socket).await;
            if first {
                return;
            }
            let body = format!("{WORD}\n\ndata: [DONE]\n\n");
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: {STREAM}\r\n\r\n{body}");
            socket.write_all(answer.as_bytes()).await.unwrap();
            // Until the client closes: a close while there is something to read would be a reset.
            while socket.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {}
        }
    })
    .await;
    let pool = clients(&HttpTransport::default(), &server, 1);
    let stream = pool.stream("p", &question()).await.unwrap();
    assert_eq!(stream.collect_answer().await.unwrap().text, "so ");
    assert_eq!(server.accepted(), 2);
}

/// Answers each request with a stream whose body ends a while after its protocol, or never.
async fn ending(after: Option<Duration>) -> Server {
    Server::raw(move |mut socket| async move {
        while !read_head(&mut socket).await.is_empty() {
            let body = format!("{WORD}\n\ndata: [DONE]\n\n");
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: ";
            let answer = format!("{head}{STREAM}\r\n\r\n{:x}\r\n{body}\r\n", body.len());
            socket.write_all(answer.as_bytes()).await.unwrap();
            match after {
                Some(time) => tokio::time::sleep(time).await,
                None => pending().await,
            }
            // The client may have left.
            let _ = socket.write_all(b"0\r\n\r\n").await;
        }
    })
    .await
}

#[tokio::test]
async fn a_body_that_ends_after_its_protocol_keeps_its_connection() {
    let server = ending(Some(Duration::from_millis(20))).await;
    let transport = HttpTransport::default();
    let pool = clients(&transport, &server, 1);
    for _ in 0..5 {
        let stream = pool.stream("p", &question()).await.unwrap();
        assert_eq!(stream.collect_answer().await.unwrap().text, "so ");
        assert_eq!(pool.stats("p").unwrap().in_flight, 0, "its place is free at once");
        // The next one comes when the end is there.
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    assert_eq!((server.accepted(), transport.stats().open), (1, 1));
}

#[tokio::test]
async fn a_body_that_does_not_end_with_its_protocol_is_broken_off() {
    let server = ending(None).await;
    let transport = HttpTransport::default();
    let pool = clients(&transport, &server, 1);
    let stream = pool.stream("p", &question()).await.unwrap();
    assert_eq!(stream.collect_answer().await.unwrap().text, "so ");
    until("the connection's end", || transport.stats().open == 0).await;
}

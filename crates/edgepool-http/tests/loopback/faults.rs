//! What fails, and what is broken off.

use std::sync::Arc;
use std::time::Duration;

use edgepool_http::{Builder, Error, HttpTransport, Protocol};
use edgepool_llm::transport::{HttpRequest, Transport as _};
use edgepool_llm::{Class, Failure};
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::server::{Pieces, Server, Version, Watch, read_head, until};
use crate::{ask, get, ok};

/// Starts to make a transport that speaks one version without TLS.
pub(crate) fn speaking(version: Version) -> Builder {
    HttpTransport::builder().protocol(match version {
        Version::Http1 => Protocol::Http1,
        Version::Http2 => Protocol::Http2,
    })
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = ask(&HttpTransport::default(), get(format!("http://{closed}/"))).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    let failure = Failure::from(error);
    assert_eq!(failure.class, Class::Network);
    assert!(failure.is_retryable());
    assert!(failure.message.to_lowercase().contains("refused"), "{failure}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_is_not_answered_takes_no_longer_than_it_may() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts: Linux leaves those unanswered that come after the queue is full.
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 64, "the queue is never full");
    }
    let time = Duration::from_millis(50);
    let transport = HttpTransport::builder().connect_timeout(time).build().unwrap();
    let error = ask(&transport, get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, Error::ConnectTimeout(after) if after == time), "{error:?}");
    assert_eq!(transport.stats().opened, 0);
}

#[tokio::test]
async fn what_is_cut_or_no_http_is_told_by_where() {
    let head = "HTTP/1.1 200 OK\r\n";
    for (answer, class, what) in [
        ("", Class::Network, "before"),
        ("HTTP/1.1 200 OK\r\ncontent-le", Class::Network, "before"),
        ("<html>no</html>\r\n\r\n", Class::Malformed, "not HTTP"),
        ("SSH-2.0-OpenSSH_9.6\r\n", Class::Malformed, "not HTTP"),
        (&format!("{head}content-length: x\r\n\r\n"), Class::Malformed, "not HTTP"),
        (&format!("{head}content-length: 5\r\n\r\nabc"), Class::Network, "within"),
        (
            &format!("{head}transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n"),
            Class::Network,
            "within",
        ),
        (&format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n"), Class::Network, "within"),
    ] {
        let server = Server::saying(answer).await;
        let error = ask(&HttpTransport::default(), get(server.url())).await.unwrap_err();
        assert_eq!(error.class(), class, "{answer:?}: {error:?}");
        assert!(error.to_string().contains(what), "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn what_speaks_no_http2_is_told() {
    let server = Server::saying("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let transport = speaking(Version::Http2).build().unwrap();
    let error = ask(&transport, get(server.url())).await.unwrap_err();
    assert_eq!(error.class(), Class::Network, "{error:?}");
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_whole() {
    let server = Server::saying("HTTP/1.1 200 OK\r\n\r\nall of it").await;
    let answer = ask(&HttpTransport::default(), get(server.url())).await.unwrap();
    assert_eq!(answer, (200, b"all of it".to_vec()));
}

#[tokio::test]
async fn an_answer_before_the_request_is_sent_whole_is_read() {
    let answered = Arc::new(Notify::new());
    let read = Arc::clone(&answered);
    let server = Server::raw(move |mut socket| {
        let read = Arc::clone(&read);
        async move {
            read_head(&mut socket).await;
            let answer = b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 4\r\n\r\nlong";
            socket.write_all(answer).await.unwrap();
            // It reads no more, and closes once the client has its answer.
            read.notified().await;
        }
    })
    .await;
    let transport = HttpTransport::default();
    let mut request = HttpRequest::new("POST", server.url());
    request.body = vec![b' '; 64 << 20].into();
    assert_eq!(ask(&transport, request).await.unwrap(), (413, b"long".to_vec()));
    answered.notify_one();
    until("the connection's end", || transport.stats().open == 0).await;
}

#[tokio::test]
async fn answers_that_have_no_body_keep_their_connection() {
    let server = Server::raw(|mut socket| async move {
        for answer in ["200 OK", "304 Not Modified", "204 No Content"] {
            read_head(&mut socket).await;
            // The length is that of an answer to GET.
            let length = if answer.starts_with("204") { "" } else { "content-length: 9\r\n" };
            let answer = format!("HTTP/1.1 {answer}\r\n{length}\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
        read_head(&mut socket).await;
    })
    .await;
    let transport = HttpTransport::builder().max_body(1).build().unwrap();
    for (method, status) in [("HEAD", 200), ("GET", 304), ("DELETE", 204)] {
        let answer = ask(&transport, HttpRequest::new(method, server.url())).await;
        assert_eq!(answer.unwrap(), (status, Vec::new()));
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn dropped_before_the_headers_the_connection_is_closed() {
    let (seen, mut closed) = mpsc::unbounded_channel();
    let server = Server::raw(move |mut socket| {
        let seen = seen.clone();
        async move {
            read_head(&mut socket).await;
            seen.send("asked").unwrap();
            let end = socket.read(&mut [0; 16]).await;
            assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
            seen.send("closed").unwrap();
        }
    })
    .await;
    let transport = HttpTransport::default();
    let mut sent = Box::pin(transport.send(get(server.url())));
    tokio::select! {
        _ = &mut sent => panic!("nothing was answered"),
        asked = closed.recv() => assert_eq!(asked, Some("asked")),
    }
    drop(sent);
    let end = timeout(Duration::from_secs(10), closed.recv()).await;
    assert_eq!(end.unwrap(), Some("closed"));
    until("the connection's end", || transport.stats().open == 0).await;
}

#[tokio::test]
async fn a_body_dropped_early_ends_its_request_alone() {
    for version in [Version::Http1, Version::Http2] {
        let watch = Arc::new(Watch::default());
        let stalled = Arc::clone(&watch);
        let server = Server::http(version, move |request: http::Request<_>| {
            let answer = match request.uri().path() {
                "/v1/stall" => http::Response::new(Pieces::stalled("data: first\n\n", &stalled)),
                _ => ok("fine"),
            };
            async { answer }
        })
        .await;
        let transport = speaking(version).build().unwrap();
        let url = format!("{}/stall", server.url());
        let mut first = transport.send(get(&url)).await.unwrap().body;
        let mut second = transport.send(get(&url)).await.unwrap().body;
        for body in [&mut first, &mut second] {
            assert_eq!(body.next().await.unwrap().unwrap(), "data: first\n\n");
        }
        drop(first);
        until("the first one's end", || watch.dropped() == 1).await;
        assert_eq!(ask(&transport, get(server.url())).await.unwrap().1, b"fine");
        assert_eq!(watch.dropped(), 1, "the second goes on");
        drop(second);
        until("the second one's end", || watch.dropped() == 2).await;
        let connections = if version == Version::Http1 { 3 } else { 1 };
        assert_eq!(server.accepted(), connections, "{version:?}");
    }
}

#[tokio::test]
async fn pings_find_a_connection_that_is_dead() {
    // It takes everything, and answers nothing.
    let server = Server::raw(|mut socket| async move {
        while socket.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let time = Duration::from_millis(50);
    let transport = speaking(Version::Http2).ping(time, time).build().unwrap();
    let answer = timeout(Duration::from_secs(10), ask(&transport, get(server.url()))).await;
    let error = answer.expect("the ping ends it").unwrap_err();
    assert_eq!(error.class(), Class::Network, "{error:?}");
}

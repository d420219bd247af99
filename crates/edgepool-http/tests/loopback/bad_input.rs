//! Providers that answer what they should not: each is told by its class, and keeps nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use edgepool::StdClock;
use edgepool_http::HttpTransport;
use edgepool_llm::chat::{Answer, ChatRequest, Message, Role};
use edgepool_llm::client::ClientPool;
use edgepool_llm::clocks::Timeouts;
use edgepool_llm::service::Policy;
use edgepool_llm::{Class, Failure, Secret, Timer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::server::{Server, read_head, until};
use crate::shared::{self, Clients, is_quiet};

const FINE: &str = r#"{"choices":[{"message":{"content":"fine"}}]}"#;
const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"so \"}}]}\n\n";

fn clients(server: &Server, transport: HttpTransport, timeouts: Timeouts) -> Clients {
    let pool = ClientPool::builder(transport, StdClock).seed(1).build();
    let mut policy = Policy::default();
    policy.retry.base = Duration::from_millis(10);
    let provider = pool.provider("p", "openai").base_url(server.url()).key(Secret::new("sk-1"));
    let provider = provider.model("m").embedding_model("m").max(1).policy(policy);
    pool.register_provider(provider.timeouts(timeouts).build().unwrap()).unwrap();
    pool
}

fn usual(server: &Server) -> Clients {
    clients(server, HttpTransport::default(), Timeouts::default())
}

fn question() -> ChatRequest {
    let messages = vec![Message::text(Role::User, "Why?")];
    ChatRequest { messages, ..ChatRequest::default() }
}

async fn ask(pool: &Clients, stream: bool) -> Result<Answer, Failure> {
    shared::ask(pool, &question(), stream).await
}

fn whole(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

/// Answers so at first, and well from then on.
async fn at_first(answer: String) -> Server {
    let (count, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
    Server::raw(move |mut socket| {
        let (count, answer) = (Arc::clone(&count), Arc::clone(&answer));
        async move {
            while !read_head(&mut socket).await.is_empty() {
                let fine = whole("200 OK", "content-type: application/json\r\n", FINE);
                let first = count.fetch_add(1, Ordering::SeqCst) == 0;
                let answer = if first { &answer } else { &fine };
                if socket.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn retry_after_is_kept_to_in_all_its_forms() {
    for (headers, at_least, at_most) in [
        ("retry-after: 1", 1_000, 3_000),
        ("retry-after: 0.2", 200, 2_000),
        ("retry-after-ms: 150", 150, 2_000),
        ("retry-after-ms: 150\r\nretry-after: 60", 150, 2_000),
        // Two seconds from now on, of which the date has whole ones.
        ("retry-after: SOON", 900, 5_000),
        ("retry-after: Sun, 06 Nov 1994 08:49:37 GMT", 0, 2_000),
        ("retry-after: soon", 0, 2_000),
        ("retry-after: -5", 0, 2_000),
        ("retry-after: NaN", 0, 2_000),
        ("retry-after:", 0, 2_000),
    ] {
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
        let headers = headers.replace("SOON", &soon);
        let server = at_first(whole("429 Too Many", &format!("{headers}\r\n"), "{}")).await;
        let pool = usual(&server);
        let started = Instant::now();
        assert_eq!(ask(&pool, false).await.unwrap().text, "fine", "{headers}");
        let took = started.elapsed();
        let (at_least, at_most) = (Duration::from_millis(at_least), Duration::from_millis(at_most));
        assert!((at_least..at_most).contains(&took), "{headers}: {took:?}");
        assert_eq!(pool.stats("p").unwrap().counts.sent, 2, "{headers}");
        is_quiet(&pool);
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_named_at_once() {
    for headers in ["retry-after: 2592000", "retry-after: 1e12", "retry-after-ms: 3600000"] {
        let server = at_first(whole("429 Too Many", &format!("{headers}\r\n"), "{}")).await;
        let pool = usual(&server);
        let started = Instant::now();
        let failure = ask(&pool, false).await.unwrap_err();
        assert_eq!(failure.class, Class::RateLimited, "{headers}: {failure}");
        assert!(failure.retry_after >= Some(Duration::from_secs(3_600)), "{headers}: {failure}");
        assert!(failure.to_string().contains("asks to wait"), "{failure}");
        assert!(started.elapsed() < Duration::from_secs(5), "{headers}");
        is_quiet(&pool);
    }
}

#[tokio::test]
async fn what_was_paid_for_is_used_up_for_good() {
    let body = r#"{"error":{"message":"You exceeded","code":"insufficient_quota"}}"#;
    let server = at_first(whole("429 Too Many", "retry-after: 1\r\n", body)).await;
    let pool = usual(&server);
    let failure = ask(&pool, true).await.unwrap_err();
    assert_eq!(failure.class, Class::QuotaExhausted, "{failure}");
    assert_eq!(pool.stats("p").unwrap().counts.sent, 1);
    is_quiet(&pool);
}

#[tokio::test]
async fn html_and_other_texts_are_no_answers() {
    let html = "<!doctype html><title>Sign in</title>";
    for (kind, body) in [
        ("text/html", html),
        ("application/json", html),
        ("application/json", ""),
        ("application/json", "[1, 2"),
        ("application/json", r#"{"fine": true}"#),
        ("text/plain", "\u{0}\u{1}\u{2}"),
    ] {
        for stream in [false, true] {
            let headers = format!("content-type: {kind}\r\n");
            let server = at_first(whole("200 OK", &headers, body)).await;
            let pool = usual(&server);
            let failure = ask(&pool, stream).await.unwrap_err();
            let expected = matches!(failure.class, Class::Malformed | Class::Truncated);
            assert!(expected, "{kind}, {body:?}, {stream}: {failure:?}");
            assert!(!failure.to_string().is_empty());
            is_quiet(&pool);
        }
    }
}

/// Sends a head, and then what has no end.
async fn endless(head: &'static str, written: &Arc<AtomicU64>) -> Server {
    let written = Arc::clone(written);
    Server::raw(move |mut socket: TcpStream| {
        let written = Arc::clone(&written);
        async move {
            read_head(&mut socket).await;
            socket.write_all(head.as_bytes()).await.unwrap();
            let piece = [b' '; 65_536];
            while socket.write_all(&piece).await.is_ok() {
                written.fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_of_ten_gigabytes_is_bounded() {
    const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
    const TOLD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n";
    const ERROR: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 10000000000\r\n\r\n";
    for (head, stream, max_body, class, most) in [
        (JSON, false, None, Class::TooLarge, 64 << 20),
        (JSON, false, Some(1 << 20), Class::TooLarge, 1 << 20),
        // Of this nothing is read.
        (TOLD, false, None, Class::TooLarge, 0),
        (STREAM, true, None, Class::TooLarge, 8 << 20),
        (ERROR, false, None, Class::Invalid, 65_536),
    ] {
        let written = Arc::new(AtomicU64::new(0));
        let server = endless(head, &written).await;
        let transport = match max_body {
            Some(most) => HttpTransport::builder().max_body(most).build().unwrap(),
            None => HttpTransport::default(),
        };
        let pool = clients(&server, transport.clone(), Timeouts::default());
        let failure = ask(&pool, stream).await.unwrap_err();
        assert_eq!(failure.class, class, "{head:?}: {failure}");
        is_quiet(&pool);
        until("the connection's end", || transport.stats().open == 0).await;
        // What the sockets hold comes on top.
        let written = written.load(Ordering::SeqCst);
        assert!(written < most + (16 << 20), "{head:?}: {written} bytes were sent");
    }
}

/// Sends some, and then a byte at a time.
async fn trickling(first: &'static [&'static str]) -> Server {
    Server::raw(move |mut socket: TcpStream| async move {
        read_head(&mut socket).await;
        for text in first {
            socket.write_all(text.as_bytes()).await.unwrap();
        }
        // A comment that never ends.
        let mut byte = b":";
        while socket.write_all(byte).await.is_ok() {
            byte = b"x";
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_byte_now_and_then_is_no_content() {
    let short = Some(Duration::from_millis(300));
    let clocks = Timeouts { first_content: short, between_content: short, ..Timeouts::default() };
    let total = Timeouts { total: short, ..Timeouts::default() };
    for (first, stream, timeouts, timer, sent) in [
        // The first content may be asked for again.
        (&[STREAM][..], true, clocks, Timer::FirstContent, 3),
        (&[STREAM, WORD], true, clocks, Timer::BetweenContent, 1),
        (&[STREAM, WORD], true, total, Timer::Total, 1),
        (&["HTTP/1.1 200 OK\r\n\r\n{"], false, total, Timer::Total, 1),
        (&["HTTP/1.1 200 OK\r\nx-slow: "], false, total, Timer::Total, 1),
    ] {
        let server = trickling(first).await;
        let transport = HttpTransport::default();
        let pool = clients(&server, transport.clone(), timeouts);
        let failure = ask(&pool, stream).await.unwrap_err();
        assert_eq!(failure.class, Class::Timeout(timer), "{first:?}: {failure}");
        assert_eq!(pool.stats("p").unwrap().counts.sent, sent, "{first:?}");
        is_quiet(&pool);
        until("the connection's end", || transport.stats().open == 0).await;
    }
}

#[tokio::test]
async fn headers_with_nonsense_numbers_hold_nobody_up() {
    let nonsense = ["-1", "1e999", "NaN", "99999999999999999999999", "12 apples", "0x10", "", "½"];
    for number in nonsense {
        let names = ["limit", "remaining", "reset"];
        let headers = names.map(|name| {
            let both = ["requests", "tokens"];
            both.map(|what| format!("x-ratelimit-{name}-{what}: {number}\r\n")).concat()
        });
        let headers = format!("{}retry-after: {number}\r\n", headers.concat());
        let server = Server::raw(move |mut socket| {
            let answer = whole("200 OK", &headers, FINE);
            async move {
                while !read_head(&mut socket).await.is_empty() {
                    socket.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        })
        .await;
        let pool = usual(&server);
        let started = Instant::now();
        for _ in 0..3 {
            assert_eq!(ask(&pool, false).await.unwrap().text, "fine", "{number}");
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{number}");
        is_quiet(&pool);
    }
}

#[tokio::test]
async fn a_key_that_is_wrong_is_said_without_it() {
    let body = r#"{"error":{"message":"Incorrect API key provided: sk-1"}}"#;
    let server = at_first(whole("401 Unauthorized", "", body)).await;
    let pool = usual(&server);
    let failure = ask(&pool, true).await.unwrap_err();
    assert_eq!(failure.class, Class::Unauthorised);
    let shown = format!("{failure} {failure:?}");
    assert!(!shown.contains("sk-1") && shown.contains("Check the key"), "{shown}");
    let gone = pool.stats("p").unwrap().endpoints[0].last_error.clone();
    assert!(gone.is_none_or(|error| !error.contains("sk-1")));
    is_quiet(&pool);
}

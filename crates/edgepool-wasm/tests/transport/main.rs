//! Requests by `fetch` to a server on loopback, in Node.
#![cfg(target_family = "wasm")]

mod server;

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use edgepool::Clock as _;
use edgepool_llm::chat::{ChatRequest, Message, Role};
use edgepool_llm::client::ClientPool;
use edgepool_llm::transport::{HttpRequest, HttpResponse, Transport as _};
use edgepool_llm::{Class, Failure, Secret};
use edgepool_wasm::{
    FetchBody, FetchTransport, JsClock, TransportError, fetch_clients, readable_stream,
};
use futures::StreamExt as _;
use js_sys::{Promise, Reflect, Uint8Array};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::ReadableStream;

use server::Server;

async fn sleep(ms: u64) {
    JsClock.alarm(JsClock.now().saturating_add(Duration::from_millis(ms))).await;
}

/// Waits until something is so.
async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is() {
            return;
        }
        sleep(10).await;
    }
    panic!("not within 5 s: {what}");
}

fn get(server: &Server, path: &str) -> HttpRequest {
    HttpRequest::new("GET", format!("{}{path}", server.url))
}

async fn headers(request: HttpRequest) -> Result<HttpResponse<FetchBody>, TransportError> {
    FetchTransport::new().send(request).await
}

async fn whole(mut body: FetchBody) -> Result<Vec<u8>, TransportError> {
    let mut all = Vec::new();
    while let Some(piece) = body.next().await {
        all.extend(piece?);
    }
    Ok(all)
}

async fn ask(request: HttpRequest) -> Result<(u16, Vec<u8>), TransportError> {
    let answer = headers(request).await?;
    Ok((answer.status, whole(answer.body).await?))
}

#[wasm_bindgen_test]
async fn a_request_arrives_as_it_was_made() {
    let server = Server::start().await;
    let mut request = HttpRequest::new("POST", format!("{}/echo?a=1", server.url));
    request.headers.push(("authorization".into(), Secret::new("Bearer sk-1")));
    request.headers.push(("x-name".into(), Secret::new("é")));
    request.body = Arc::from(&br#"{"a":"b"}"#[..]);
    let answer = headers(request).await.unwrap();
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers().get("x-bytes"), Some(&[0xe9, 0x21][..]));
    assert_eq!(answer.headers().text("x-tag"), Some("a, b"));
    let body = whole(answer.body).await.unwrap();
    let told = js_sys::JSON::parse(std::str::from_utf8(&body).unwrap()).unwrap();
    let text = |of: &JsValue, name: &str| Reflect::get(of, &name.into()).unwrap().as_string();
    assert_eq!(text(&told, "method").as_deref(), Some("POST"));
    assert_eq!(text(&told, "url").as_deref(), Some("/echo?a=1"));
    assert_eq!(text(&told, "body").as_deref(), Some(r#"{"a":"b"}"#));
    let sent = Reflect::get(&told, &"headers".into()).unwrap();
    assert_eq!(text(&sent, "authorization").as_deref(), Some("Bearer sk-1"));
    // The bytes of its UTF-8, a character each.
    assert_eq!(text(&sent, "x-name").as_deref(), Some("\u{c3}\u{a9}"));
    assert_eq!(text(&sent, "cookie"), None);
}

#[wasm_bindgen_test]
async fn any_status_is_an_answer_and_no_redirect_is_followed() {
    let server = Server::start().await;
    let mut request = get(&server, "/redirect");
    request.headers.push(("authorization".into(), Secret::new("Bearer sk-1")));
    let answer = headers(request).await.unwrap();
    assert_eq!((answer.status, answer.headers().text("location")), (307, Some("/echo")));
    drop(answer);
    assert_eq!(server.seen("asked"), 1, "the key went nowhere else");
    assert_eq!(ask(get(&server, "/nothing")).await.unwrap(), (404, Vec::new()));
    assert_eq!(ask(get(&server, "/empty")).await.unwrap(), (204, Vec::new()));
}

#[wasm_bindgen_test]
async fn a_body_comes_in_pieces() {
    let server = Server::start().await;
    let mut body = headers(get(&server, "/pieces")).await.unwrap().body;
    assert_eq!(body.next().await.unwrap().unwrap(), b"one");
    assert_eq!(whole(body).await.unwrap(), b"twothree");
}

#[wasm_bindgen_test]
async fn what_was_decompressed_has_no_headers_that_say_otherwise() {
    let server = Server::start().await;
    let answer = headers(get(&server, "/gzip")).await.unwrap();
    for gone in ["content-encoding", "content-length"] {
        assert_eq!(answer.headers().get(gone), None);
    }
    assert_eq!(whole(answer.body).await.unwrap(), b"hello");
}

#[wasm_bindgen_test]
async fn what_is_not_read_waits_at_the_server() {
    let server = Server::start().await;
    let mut body = headers(get(&server, "/flood")).await.unwrap().body;
    body.next().await.unwrap().unwrap();
    // As much as the buffers on the way hold.
    let mut written = 0.0;
    until("the server waits", || {
        let before = std::mem::replace(&mut written, f64::from(server.seen("written")));
        before > 0.0 && before == written
    })
    .await;
    assert!(written < f64::from(64 << 20), "{written} bytes are under way");
    let mut read = 0;
    while (read as f64) < written {
        read += body.next().await.unwrap().unwrap().len();
    }
    assert!(f64::from(server.seen("written")) > written, "it goes on");
    drop(body);
    until("the server sees the end", || server.seen("closed") == 1).await;
}

#[wasm_bindgen_test]
async fn nothing_is_sent_before_it_is_polled() {
    let server = Server::start().await;
    let unsent = FetchTransport::new().send(get(&server, "/silent"));
    sleep(30).await;
    drop(unsent);
    assert_eq!(server.seen("asked"), 0);
}

#[wasm_bindgen_test]
async fn dropped_before_the_headers_the_request_is_broken_off() {
    let server = Server::start().await;
    let mut silent = Box::pin(headers(get(&server, "/silent")));
    assert!(poll_fn(|cx| Poll::Ready(silent.as_mut().poll(cx).is_pending())).await);
    until("it arrives", || server.seen("asked") == 1).await;
    assert_eq!(server.seen("closed"), 0);
    drop(silent);
    until("the server sees the end", || server.seen("closed") == 1).await;
}

#[wasm_bindgen_test]
async fn a_body_dropped_while_it_is_read_is_broken_off() {
    let server = Server::start().await;
    let mut body = headers(get(&server, "/hang")).await.unwrap().body;
    assert_eq!(body.next().await.unwrap().unwrap(), b"first");
    assert!(poll_fn(|cx| Poll::Ready(body.poll_next_unpin(cx).is_pending())).await);
    sleep(30).await;
    assert_eq!(server.seen("closed"), 0);
    drop(body);
    until("the server sees the end", || server.seen("closed") == 1).await;
}

#[wasm_bindgen_test]
async fn a_body_is_no_longer_than_it_may_be() {
    let server = Server::start().await;
    for (path, most) in [("/long", 999), ("/pieces", 5), ("/gzip", 4), ("/flood", 1 << 20)] {
        let sent = FetchTransport::new().max_body(most).send(get(&server, path));
        let error = whole(sent.await.unwrap().body).await.unwrap_err();
        assert_eq!((error.class(), error), (Class::TooLarge, TransportError::BodyTooLarge(most)));
    }
    for (path, most) in [("/long", 1_000), ("/pieces", 11), ("/gzip", 5)] {
        let sent = FetchTransport::new().max_body(most).send(get(&server, path));
        assert_eq!(whole(sent.await.unwrap().body).await.unwrap().len() as u64, most);
    }
    until("all have ended", || server.seen("closed") == 7).await;
}

#[wasm_bindgen_test]
async fn lost_connections_say_where() {
    let server = Server::start().await;
    let error = ask(get(&server, "/reset")).await.unwrap_err();
    assert!(matches!(error, TransportError::Headers(_)), "{error:?}");
    let error = ask(get(&server, "/cut")).await.unwrap_err();
    assert!(matches!(error, TransportError::Body(_)), "{error:?}");
    let closed = Server::start().await;
    let request = get(&closed, "/v1?key=sk-in-url");
    closed.close().await;
    let failure = Failure::from(ask(request).await.unwrap_err());
    assert_eq!((failure.class, failure.is_retryable()), (Class::Network, true));
    let shown = failure.to_string();
    assert!(shown.contains("ECONNREFUSED") && shown.contains("base URL"), "{shown}");
    assert!(!shown.contains("sk-"), "{shown}");
}

#[wasm_bindgen_test]
async fn what_cannot_be_sent_is_refused_without_being_shown() {
    let url = "https://example.com/v1";
    let with = |name: &'static str, value: &str| {
        let mut request = HttpRequest::new("GET", url);
        request.headers.push((name.into(), Secret::new(value)));
        request
    };
    let mut body = HttpRequest::new("GET", url);
    body.body = Arc::from(&b"sk-in-body"[..]);
    for request in [
        HttpRequest::new("GET", ""),
        HttpRequest::new("GET", "/v1/models"),
        HttpRequest::new("GET", "ftp://example.com/"),
        HttpRequest::new("GET", "https://sk-user@example.com/"),
        HttpRequest::new("GET", "https:///v1"),
        HttpRequest::new("GET", "https://example.com/a b"),
        HttpRequest::new("GET", "data:text/plain,hello"),
        HttpRequest::new("GET", format!("{url}/{}", "a".repeat(100_000))),
        HttpRequest::new("CONNECT", url),
        HttpRequest::new("trace", url),
        HttpRequest::new("G T", url),
        HttpRequest::new("", url),
        with("a b", "1"),
        with("x-key", "sk-split\r\nx-other: 1"),
        with("Content-Length", "1"),
        with("host", "example.org"),
        body,
    ] {
        let error = headers(request.clone()).await.expect_err(&format!("{request:?}"));
        assert!(matches!(error, TransportError::Request(_)), "{request:?}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("sk-"), "{error}");
    }
}

fn question() -> ChatRequest {
    let messages = vec![Message::text(Role::User, "Why?")];
    ChatRequest { messages, model: Some("m".to_owned()), ..ChatRequest::default() }
}

#[wasm_bindgen_test]
async fn clients_speak_by_it_and_keep_the_connection_past_the_protocols_end() {
    let server = Server::start().await;
    let clients: ClientPool<_, _> = fetch_clients(FetchTransport::new()).build();
    let provider = clients.provider("p", "openai").base_url(format!("{}/v1", server.url));
    clients.register_provider(provider.key(Secret::new("sk-1")).max(1).build().unwrap()).unwrap();
    for _ in 0..4 {
        let stream = clients.stream("p", &question()).await.unwrap();
        assert_eq!(stream.collect_answer().await.unwrap().text, "so ");
        assert_eq!(clients.stats("p").unwrap().in_flight, 0, "its place is free at once");
        // The next one comes when the end is there.
        sleep(100).await;
    }
    assert_eq!((server.seen("asked"), server.seen("connections")), (4, 1));
}

#[wasm_bindgen]
extern "C" {
    type Reader;
    #[wasm_bindgen(method)]
    fn read(this: &Reader) -> Promise;
    #[wasm_bindgen(method)]
    fn cancel(this: &Reader) -> Promise;
}

/// Reads a piece; none at the end.
async fn read(reader: &Reader) -> Result<Option<Vec<u8>>, JsValue> {
    let read = JsFuture::from(reader.read()).await?;
    let value = Reflect::get(&read, &"value".into())?;
    Ok(value.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec))
}

fn reader_of(stream: &ReadableStream) -> Reader {
    stream.get_reader().unchecked_into()
}

#[wasm_bindgen_test]
async fn an_answer_is_passed_on_as_it_is_asked_for() {
    let server = Server::start().await;
    let body = headers(get(&server, "/pieces")).await.unwrap().body;
    let reader = reader_of(&readable_stream(body).unwrap());
    let mut all = Vec::new();
    while let Some(piece) = read(&reader).await.unwrap() {
        all.extend(piece);
    }
    assert_eq!(all, b"onetwothree");

    let cut = headers(get(&server, "/cut")).await.unwrap().body;
    let reader = reader_of(&readable_stream(cut).unwrap());
    assert_eq!(read(&reader).await.unwrap().as_deref(), Some(&b"half"[..]));
    let error = read(&reader).await.unwrap_err();
    let message = String::from(error.unchecked_ref::<js_sys::Error>().message());
    assert!(message.contains("within the answer"), "{message}");
}

#[wasm_bindgen_test]
async fn a_stream_that_is_cancelled_lets_its_answer_go() {
    let server = Server::start().await;
    for waits in [false, true] {
        let before = server.seen("closed");
        let body = headers(get(&server, "/hang")).await.unwrap().body;
        let reader = reader_of(&readable_stream(body).unwrap());
        assert_eq!(read(&reader).await.unwrap().as_deref(), Some(&b"first"[..]));
        let next = waits.then(|| reader.read());
        sleep(20).await;
        assert_eq!(server.seen("closed"), before);
        JsFuture::from(reader.cancel()).await.unwrap();
        until("the server sees the end", || server.seen("closed") > before).await;
        if let Some(next) = next {
            JsFuture::from(next).await.unwrap();
        }
    }
}

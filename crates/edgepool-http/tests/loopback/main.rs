//! The transport against servers on loopback.

mod bad_input;
mod bounds;
mod clients;
mod faults;
mod reuse;
mod server;
mod service;
#[path = "../shared/mod.rs"]
mod shared;
mod tls;

use edgepool_http::{Body, Error, HttpTransport, Sending};
use edgepool_llm::Secret;
use edgepool_llm::transport::{HttpRequest, HttpResponse, Transport as _};
use futures_util::StreamExt as _;

use self::server::{Pieces, Server, Version};

fn get(url: impl Into<String>) -> HttpRequest {
    HttpRequest::new("GET", url)
}

async fn read(mut body: Body) -> Result<Vec<u8>, Error> {
    let mut whole = Vec::new();
    while let Some(piece) = body.next().await {
        whole.extend_from_slice(&piece?);
    }
    Ok(whole)
}

/// Sends a request and reads its answer whole.
async fn ask(transport: &HttpTransport, request: HttpRequest) -> Result<(u16, Vec<u8>), Error> {
    let answer = transport.send(request).await?;
    Ok((answer.status, read(answer.body).await?))
}

fn ok(text: &'static str) -> http::Response<Pieces> {
    http::Response::new(Pieces::whole(text))
}

#[test]
fn what_clients_hold_may_go_between_threads() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_shared::<HttpTransport>();
    is_shared::<Error>();
    is_send::<Sending>();
    is_send::<HttpResponse<Body>>();
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made() {
    for version in [Version::Http1, Version::Http2] {
        let server = Server::http(version, |request: http::Request<_>| async move {
            let (head, body) = request.into_parts();
            let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
            let shown = format!(
                "{} {} {:?} {:?} {}",
                head.method,
                head.uri.path_and_query().unwrap(),
                head.headers["authorization"],
                head.headers["content-length"],
                String::from_utf8_lossy(&body),
            );
            let answer = http::Response::builder().status(529).header("x-tag", "a");
            answer.header("x-tag", "b").body(Pieces::whole(shown)).unwrap()
        })
        .await;
        let transport = faults::speaking(version).build().unwrap();
        let mut request = HttpRequest::new("POST", format!("{}/chat?a=1", server.url()));
        request.headers.push(("authorization".into(), Secret::new("Bearer sk-1")));
        request.body = (&b"{\"model\":\"m\"}"[..]).into();
        let answer = transport.send(request).await.unwrap();
        assert_eq!(answer.status, 529, "any status is an answer");
        let tags = answer.headers.iter().filter(|(name, _)| name == "x-tag").count();
        assert_eq!(tags, 2, "{:?}", answer.headers);
        let shown = String::from_utf8(read(answer.body).await.unwrap()).unwrap();
        assert_eq!(shown, r#"POST /v1/chat?a=1 "Bearer sk-1" "13" {"model":"m"}"#);
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_its_target_gets_nothing() {
    let other = Server::http(Version::Http1, |_| async { ok("stolen") }).await;
    for status in [301, 302, 303, 307, 308] {
        let target = other.url();
        let server = Server::http(Version::Http1, move |_| {
            let answer = http::Response::builder().status(status).header("location", &target);
            let answer = answer.body(Pieces::whole("elsewhere")).unwrap();
            async { answer }
        })
        .await;
        let mut request = get(server.url());
        request.headers.push(("x-api-key".into(), Secret::new("sk-1")));
        let answer = ask(&HttpTransport::default(), request).await.unwrap();
        assert_eq!(answer, (status, b"elsewhere".to_vec()));
    }
    assert_eq!(other.accepted(), 0);
}

#[test]
fn without_a_runtime_there_is_an_error() {
    let sent = HttpTransport::default().send(get("http://127.0.0.1:1/"));
    let answer = futures_util::FutureExt::now_or_never(sent).expect("it waits for nothing");
    assert!(matches!(answer, Err(Error::Runtime)), "{answer:?}");
}

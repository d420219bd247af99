//! TLS: who is trusted, which HTTP is agreed upon, and for how long that may take.

use std::time::Duration;

use edgepool_http::{Builder, Error, HttpTransport, Protocol};
use edgepool_llm::Class;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{Identity, Pieces, Server, read_head, until};
use crate::{ask, get};

/// Tells which version it was asked in.
async fn telling(identity: &Identity) -> Server {
    Server::tls(identity, |request: http::Request<_>| async move {
        http::Response::new(Pieces::whole(format!("{:?}", request.version())))
    })
    .await
}

fn url(server: &Server) -> String {
    format!("https://localhost:{}/v1", server.port)
}

fn trusting(identity: &Identity) -> Builder {
    HttpTransport::builder().root_certificate(identity.certificate.clone())
}

#[tokio::test]
async fn the_version_is_agreed_upon() {
    let identity = Identity::new();
    let server = telling(&identity).await;
    for (protocol, version) in
        [(Protocol::Auto, "HTTP/2.0"), (Protocol::Http1, "HTTP/1.1"), (Protocol::Http2, "HTTP/2.0")]
    {
        let builder = trusting(&identity).protocol(protocol).without_public_roots();
        let transport = builder.build().unwrap();
        for _ in 0..3 {
            let (_, told) = ask(&transport, get(url(&server))).await.unwrap();
            assert_eq!(String::from_utf8(told).unwrap(), version);
        }
        assert_eq!(transport.stats().opened, 1, "{protocol:?}");
    }
}

#[tokio::test]
async fn requests_that_begin_together_end_up_on_one_connection() {
    let identity = Identity::new();
    let server = telling(&identity).await;
    let transport = trusting(&identity).build().unwrap();
    for _ in 0..2 {
        let answers = join_all((0..8).map(|_| ask(&transport, get(url(&server))))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        until("the others' end", || transport.stats().open == 1).await;
    }
}

#[tokio::test]
async fn who_is_not_trusted_gets_no_request() {
    let identity = Identity::new();
    let server = telling(&identity).await;
    let stranger = Identity::new();
    let by_address = format!("https://127.0.0.1:{}/", server.port);
    for (builder, url) in [
        (HttpTransport::builder(), url(&server)),
        (HttpTransport::builder().without_public_roots(), url(&server)),
        (trusting(&stranger), url(&server)),
        // It is trusted, but is not for that name.
        (trusting(&identity), by_address),
    ] {
        let transport = builder.build().unwrap();
        let error = ask(&transport, get(url)).await.unwrap_err();
        assert!(matches!(error, Error::Handshake(_)), "{error:?}");
        assert_eq!(error.class(), Class::Network);
        until("the connection's end", || transport.stats().open == 0).await;
    }
}

#[tokio::test]
async fn what_answers_without_tls_is_told() {
    let server = Server::raw(|mut socket| async move {
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        read_head(&mut socket).await;
    })
    .await;
    let error = ask(&HttpTransport::default(), get(url(&server))).await;
    assert!(matches!(error, Err(Error::Handshake(_))), "{error:?}");
}

#[tokio::test]
async fn a_handshake_takes_no_longer_than_it_may() {
    let server = Server::raw(|mut socket| async move {
        while socket.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let time = Duration::from_millis(50);
    let transport = HttpTransport::builder().handshake_timeout(time).build().unwrap();
    let error = ask(&transport, get(url(&server))).await.unwrap_err();
    assert!(matches!(error, Error::HandshakeTimeout(after) if after == time), "{error:?}");
    until("the connection's end", || transport.stats().open == 0).await;
}

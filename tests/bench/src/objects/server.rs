//! The server: says the same to everybody, and counts connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server on loopback, for as long as its runtime runs.
#[derive(Debug)]
pub struct Server {
    /// Where it is.
    pub url: String,
    /// Its certificate, where it speaks TLS.
    pub certificate: Option<Vec<u8>>,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// There is no free port.
    pub async fn start(tls: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (acceptor, certificate) = if tls { identity() } else { (None, None) };
        tokio::spawn(accept(listener, acceptor, Arc::clone(&accepted)));
        let scheme = if tls { "https" } else { "http" };
        Self { url: format!("{scheme}://localhost:{port}/v1"), certificate, accepted }
    }

    /// Returns how many connections there were since this was asked last.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.accepted.swap(0, Ordering::Relaxed)
    }
}

fn identity() -> (Option<TlsAcceptor>, Option<Vec<u8>>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().expect("ring has them");
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key);
    let config = config.expect("the key is that of the certificate");
    (Some(TlsAcceptor::from(Arc::new(config))), Some(certificate.to_vec()))
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, count: Arc<AtomicUsize>) {
    while let Ok((socket, _)) = listener.accept().await {
        count.fetch_add(1, Ordering::Relaxed);
        socket.set_nodelay(true).ok();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match acceptor {
                None => serve(socket).await,
                Some(acceptor) => {
                    if let Ok(socket) = acceptor.accept(socket).await {
                        serve(socket).await;
                    }
                }
            }
        });
    }
}

async fn serve(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    // How it ends is for the client to tell.
    http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)).await.ok();
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = r#"{"object":"list","data":[{"id":"simulator","object":"model"}]}"#;
    let answer = Response::builder().header("content-type", "application/json");
    Ok(answer.body(Full::from(body)).expect("it has nothing odd"))
}

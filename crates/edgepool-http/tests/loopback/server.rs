//! Servers on loopback that count what they are asked.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A server that goes with this value.
pub(crate) struct Server {
    pub(crate) port: u16,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves each connection by a closure.
    pub(crate) async fn raw<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(socket));
            }
        });
        Self { port, accepted, task }
    }

    /// Answers the first request of each connection with these bytes, then closes it.
    pub(crate) async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::raw(move |mut socket| {
            let answer = Arc::clone(&answer);
            async move {
                read_head(&mut socket).await;
                // The client may have seen enough before its end.
                let _ = socket.write_all(&answer).await;
                let _ = socket.shutdown().await;
            }
        })
        .await
    }

    /// Answers requests of one version of HTTP by a closure.
    pub(crate) async fn http<F>(version: Version, answer: impl Answer<F>) -> Self
    where
        F: Future<Output = Response<Pieces>> + Send + 'static,
    {
        Self::raw(move |socket| serve(version, socket, answer.clone())).await
    }

    /// Answers requests over TLS, in the version that ALPN finds.
    pub(crate) async fn tls<F>(identity: &Identity, answer: impl Answer<F>) -> Self
    where
        F: Future<Output = Response<Pieces>> + Send + 'static,
    {
        let acceptor = identity.acceptor();
        Self::raw(move |socket| {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            async move {
                // Whether it fails is for the client to tell.
                let Ok(tls) = acceptor.accept(socket).await else { return };
                let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                serve(if h2 { Version::Http2 } else { Version::Http1 }, tls, answer).await;
            }
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Returns how many connections there were.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// What answers a request.
pub(crate) trait Answer<F>:
    Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static
{
}

impl<F, A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static> Answer<F> for A {}

async fn serve<F>(
    version: Version,
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answer: impl Answer<F>,
) where
    F: Future<Output = Response<Pieces>> + Send + 'static,
{
    let socket = TokioIo::new(socket);
    let service = hyper::service::service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, io::Error>(answer.await) }
    });
    // How a connection ends is for the client to tell.
    let _ = match version {
        Version::Http1 => http1::Builder::new().serve_connection(socket, service).await,
        Version::Http2 => {
            http2::Builder::new(TokioExecutor::new()).serve_connection(socket, service).await
        }
    };
}

/// Reads a request up to the end of its headers, or of the connection.
pub(crate) async fn read_head(socket: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    head
}

/// The body of an answer: the same piece, so many times, then an end or silence.
pub(crate) struct Pieces {
    piece: Bytes,
    left: u64,
    silent: bool,
    watch: Arc<Watch>,
}

/// What is seen of a body from outside.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) sent: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

impl Watch {
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::SeqCst)
    }
}

impl Pieces {
    pub(crate) fn whole(text: impl Into<Bytes>) -> Self {
        Self { piece: text.into(), left: 1, silent: false, watch: Arc::default() }
    }

    pub(crate) fn many(length: usize, times: u64, watch: &Arc<Watch>) -> Self {
        let piece = Bytes::from(vec![b'x'; length]);
        Self { piece, left: times, silent: false, watch: Arc::clone(watch) }
    }

    /// A piece, and then nothing for ever.
    pub(crate) fn stalled(piece: impl Into<Bytes>, watch: &Arc<Watch>) -> Self {
        Self { piece: piece.into(), left: 1, silent: true, watch: Arc::clone(watch) }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.watch.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            // The connection that polls it wakes for its own reasons, such as its end.
            return if self.silent { Poll::Pending } else { Poll::Ready(None) };
        }
        self.left -= 1;
        self.watch.sent.fetch_add(self.piece.len() as u64, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

/// A certificate for `localhost`, signed by itself.
pub(crate) struct Identity {
    pub(crate) certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self { certificate: made.cert.der().to_vec(), key: made.signing_key.serialize_der() }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from(self.certificate.clone());
        let key = PrivateKeyDer::try_from(self.key.clone()).unwrap();
        let config = ServerConfig::builder_with_provider(ring);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Waits until something is so, for as long as a busy machine may take.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never came: {what}");
}

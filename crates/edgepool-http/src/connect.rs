//! Connections: made in time, within their limit, and counted.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::error::Error;
use crate::options::{Builder, Protocol};
use crate::socket::{Socket, Stream};

/// Opens connections for hyper's client.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Inner>);

struct Inner {
    tls: TlsConnector,
    tcp: HttpConnector,
    connect_timeout: Duration,
    handshake_timeout: Duration,
    limit: Option<Limit>,
    counts: Arc<Counts>,
}

/// How many connections there are.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) opened: AtomicU64,
    pub(crate) open: AtomicU64,
}

/// What an open connection holds; all of it goes as it closes.
pub(crate) struct Held {
    counts: Arc<Counts>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn new(counts: &Arc<Counts>, permit: Option<OwnedSemaphorePermit>) -> Self {
        counts.opened.fetch_add(1, Ordering::Relaxed);
        counts.open.fetch_add(1, Ordering::Relaxed);
        Self { counts: Arc::clone(counts), _permit: permit }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many connections may be open to each origin.
struct Limit {
    most: usize,
    /// The places of an origin go with its last connection.
    origins: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Limit {
    fn of(most: usize) -> Self {
        Self { most: most.min(Semaphore::MAX_PERMITS), origins: Mutex::default() }
    }

    fn places(&self, uri: &Uri) -> Arc<Semaphore> {
        let scheme = uri.scheme_str().unwrap_or_default();
        let origin = format!("{scheme}://{}", uri.authority().map_or("", |host| host.as_str()));
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = origins.get(&origin).and_then(Weak::upgrade) {
            return places;
        }
        origins.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.most));
        origins.insert(origin, Arc::downgrade(&places));
        places
    }
}

impl Connector {
    pub(crate) fn new(options: &Builder, roots: RootCertStore) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // A connection without a request is found to be dead before it is used again.
        tcp.set_keepalive(Some(Duration::from_secs(15)));
        Self(Arc::new(Inner {
            tls: TlsConnector::from(Arc::new(tls(options.protocol, roots))),
            tcp,
            connect_timeout: options.connect_timeout,
            handshake_timeout: options.handshake_timeout,
            limit: options.max_connections.map(Limit::of),
            counts: Arc::default(),
        }))
    }

    pub(crate) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.0.counts)
    }
}

/// Which TLS is spoken: the versions that rustls takes for safe, with ring.
fn tls(protocol: Protocol, roots: RootCertStore) -> ClientConfig {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of both versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    let names: &[&[u8]] = match protocol {
        Protocol::Auto => &[b"h2", b"http/1.1"],
        Protocol::Http1 => &[b"http/1.1"],
        Protocol::Http2 => &[b"h2"],
    };
    config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
    config
}

impl Inner {
    async fn connect(&self, uri: Uri) -> Result<TokioIo<Socket>, Error> {
        let permit = self.place(&uri).await?;
        let encrypted = uri.scheme_str() == Some("https");
        let name = if encrypted { Some(server_name(&uri)?) } else { None };
        let tcp = self.dial(uri).await?;
        // Counted from here: what fails before never was a connection.
        let held = Held::new(&self.counts, permit);
        let stream = match name {
            Some(name) => Stream::Tls(Box::new(self.encrypt(tcp, name).await?)),
            None => Stream::Plain(tcp),
        };
        Ok(TokioIo::new(Socket::new(stream, held)))
    }

    async fn place(&self, uri: &Uri) -> Result<Option<OwnedSemaphorePermit>, Error> {
        let Some(limit) = &self.limit else { return Ok(None) };
        let place = timeout(self.connect_timeout, limit.places(uri).acquire_owned()).await;
        match place {
            Ok(Ok(permit)) => Ok(Some(permit)),
            // It is never closed: this is the time-out.
            Ok(Err(_)) | Err(_) => Err(Error::Connections(limit.most)),
        }
    }

    async fn dial(&self, uri: Uri) -> Result<TcpStream, Error> {
        let dialled = timeout(self.connect_timeout, self.tcp.clone().call(uri)).await;
        let connected = dialled.map_err(|_| Error::ConnectTimeout(self.connect_timeout))?;
        Ok(connected.map_err(|error| Error::Connect(Arc::new(error)))?.into_inner())
    }

    async fn encrypt(
        &self,
        tcp: TcpStream,
        name: ServerName<'static>,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Error> {
        let agreed = timeout(self.handshake_timeout, self.tls.connect(name, tcp)).await;
        let stream = agreed.map_err(|_| Error::HandshakeTimeout(self.handshake_timeout))?;
        stream.map_err(|error| Error::Handshake(Arc::new(error)))
    }
}

/// Returns the name that the server's certificate must be for.
fn server_name(uri: &Uri) -> Result<ServerName<'static>, Error> {
    let host = uri.host().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned())
        .map_err(|_| Error::Request("the URL's host is no name that a certificate can be for"))
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.connect(uri).await })
    }
}

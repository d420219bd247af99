//! Connections to a service over HTTP, for a pool of the caller's own.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::sync::Arc;

use edgepool::{Clock, Connect, Connection, ConnectionFactory, Pool};
use edgepool_llm::Secret;
use edgepool_llm::transport::{HttpRequest, Transport as _};

use crate::error::{Error, OptionsError};
use crate::options::Builder;
use crate::transport::{HttpTransport, Sending};

/// Opens connections to a service over HTTP, each with a transport of its own, so that a pool of
/// them bounds the sockets to the service.
///
/// The clients of LLM providers have such pools already. This is for any other service:
///
/// ```
/// use edgepool::StdClock;
/// use edgepool_http::{HttpConnector, HttpTransport};
/// use edgepool_llm::transport::HttpRequest;
///
/// # async fn serve() -> String {
/// #     use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
/// #     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
/// #     let url = format!("http://{}", listener.local_addr().unwrap());
/// #     tokio::spawn(async move {
/// #         let (mut socket, _) = listener.accept().await.unwrap();
/// #         while socket.read(&mut [0; 1024]).await.unwrap() > 0 {
/// #             let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
/// #             socket.write_all(answer).await.unwrap();
/// #         }
/// #     });
/// #     url
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let url = serve().await;
/// let connector = HttpConnector::new(format!("{url}/health"), HttpTransport::builder())?;
/// let pool = connector.pool(StdClock).max(4).build()?;
///
/// let connection = pool.acquire().await?;
/// let answer = connection.send(HttpRequest::new("GET", format!("{url}/orders"))).await?;
/// assert_eq!(answer.status, 204);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a connector opens nothing until a pool asks it to"]
pub struct HttpConnector {
    /// What a check asks.
    question: Arc<HttpRequest>,
    transport: Builder,
}

impl HttpConnector {
    /// Makes a connector. Its connections are checked by a `HEAD` to the URL: an answer that blames
    /// the request, 4xx, comes from a service that is alive.
    ///
    /// # Errors
    ///
    /// Tells which option of the transport does not fit. Its `max_connections` and `max_idle` are
    /// set here, to one.
    pub fn new(url: impl Into<String>, transport: Builder) -> Result<Self, OptionsError> {
        let transport = transport.max_connections(1).max_idle(1);
        transport.clone().build()?;
        Ok(Self { question: Arc::new(HttpRequest::new("HEAD", url)), transport })
    }

    /// Adds a header to the checks, such as a key that the service asks for. Its name is in lower
    /// case.
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: Secret) -> Self {
        Arc::make_mut(&mut self.question).headers.push((name.into(), value));
        self
    }

    /// Starts to set a pool up, by [`Pool::for_service`].
    pub fn pool<C: Clock>(self, clock: C) -> edgepool::Builder<ConnectionFactory<Self>, C> {
        Pool::for_service(ConnectionFactory::new(self), clock)
    }
}

impl Connect for HttpConnector {
    type Connection = HttpConnection;
    type Connecting = Pin<Box<dyn Future<Output = Result<HttpConnection, ServiceError>> + Send>>;

    fn connect(&self) -> Self::Connecting {
        let Self { question, transport } = self.clone();
        Box::pin(async move {
            let transport = transport.build().expect("it was built before");
            let mut connection = HttpConnection { question, transport };
            connection.check().await?;
            Ok(connection)
        })
    }
}

impl fmt::Debug for HttpConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnector").field("question", &self.question).finish_non_exhaustive()
    }
}

/// A connection to a service over HTTP: on HTTP/1.1 one socket, for one request at a time.
#[derive(Debug)]
pub struct HttpConnection {
    question: Arc<HttpRequest>,
    transport: HttpTransport,
}

impl HttpConnection {
    /// Sends a request. The next one waits until the body of the answer has been read or dropped.
    ///
    /// Give the connection back only then. The body does not hold it: whoever got it next would
    /// wait for that body, and so would a check, which fails when it has waited for too long.
    pub fn send(&self, request: HttpRequest) -> Sending {
        self.transport.send(request)
    }

    /// Returns what sends the requests.
    #[must_use]
    pub const fn transport(&self) -> &HttpTransport {
        &self.transport
    }
}

impl Connection for HttpConnection {
    type Error = ServiceError;

    async fn check(&mut self) -> Result<(), ServiceError> {
        let sending = self.transport.send(HttpRequest::clone(&self.question));
        match sending.await.map_err(ServiceError::Http)?.status {
            status @ 500.. => Err(ServiceError::Unwell(status)),
            _ => Ok(()),
        }
    }
}

/// Why a service over HTTP has no connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServiceError {
    /// It was not reached, or lost.
    Http(Error),
    /// It answers that it is not well, with this status of 5xx.
    Unwell(u16),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::Unwell(status) => write!(f, "the service is not well: it answers {status}"),
        }
    }
}

impl StdError for ServiceError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Http(error) => error.source(),
            Self::Unwell(_) => None,
        }
    }
}

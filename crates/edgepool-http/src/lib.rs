//! Sends the requests of [`edgepool_llm`]'s clients over hyper: HTTP/1.1 and HTTP/2, TLS by rustls,
//! connections that are kept and used again.
//!
//! [`HttpTransport`] is a [`Transport`](edgepool_llm::transport::Transport) for programs on tokio.
//!
//! ```
//! use edgepool_http::HttpTransport;
//! use edgepool_llm::transport::{HttpRequest, Transport as _};
//! use futures_util::StreamExt as _;
//!
//! # async fn serve() -> String {
//! #     use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! #     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! #     let url = format!("http://{}", listener.local_addr().unwrap());
//! #     tokio::spawn(async move {
//! #         let (mut socket, _) = listener.accept().await.unwrap();
//! #         socket.read(&mut [0; 1024]).await.unwrap();
//! #         let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"data\":[]}";
//! #         socket.write_all(answer).await.unwrap();
//! #     });
//! #     url
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = HttpTransport::builder().max_body(1 << 20).build()?;
//! # let base = serve().await;
//! let request = HttpRequest::new("GET", format!("{base}/v1/models"));
//! let mut answer = transport.send(request).await?;
//! assert_eq!(answer.status, 200);
//! while let Some(piece) = answer.body.next().await {
//!     print!("{}", String::from_utf8_lossy(&piece?));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`HttpConnector`] pools connections to services of any other kind, with checks by `HEAD`.
//!
//! # What it does and leaves
//!
//! - **Any status is an answer.** No redirect is followed, as a request may hold a key, and a key
//!   must not leave its origin.
//! - **Nothing is sent twice**, but a request that met a kept connection as its server closed it,
//!   before any of it was sent. Retries, and the clocks of a call, are the driver's business.
//! - **Dropping breaks off**: the future that waits for the headers, or the body. On HTTP/1.1 that
//!   closes the connection, on HTTP/2 it resets the stream.
//! - **Nothing is read ahead**: what is not read of a body waits at the server.
//! - **No proxy, no cookies, no compression**, whatever the environment says.
//!
//! # Bounds
//!
//! | what | option | default |
//! |---|---|---|
//! | connections to one origin | [`max_connections`](Builder::max_connections) | as many as there are requests under way |
//! | connections kept without a request, for each origin | [`max_idle`](Builder::max_idle) | 32 |
//! | for how long | [`idle_timeout`](Builder::idle_timeout) | 60 s |
//! | addresses and TCP | [`connect_timeout`](Builder::connect_timeout) | 10 s |
//! | TLS | [`handshake_timeout`](Builder::handshake_timeout) | 10 s |
//! | a dead connection of HTTP/2 | [`ping`](Builder::ping) | 30 s and 20 s |
//! | headers of an answer | [`max_header_bytes`](Builder::max_header_bytes), [`max_headers`](Builder::max_headers) | 64 KiB, 256 |
//! | the body of an answer | [`max_body`](Builder::max_body) | none: it is read as it is asked for |
#![forbid(unsafe_code)]

mod body;
mod connect;
mod error;
mod options;
mod request;
mod service;
mod socket;
mod transport;

pub use body::Body;
pub use error::{Error, OptionsError, Source};
pub use options::{Builder, Protocol};
pub use service::{HttpConnection, HttpConnector, ServiceError};
pub use transport::{HttpTransport, Sending, Stats};

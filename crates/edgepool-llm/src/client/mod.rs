//! Clients over a [`Transport`]: the calls that [`call`](crate::call) decides about, carried out.
//!
//! A [`ClientPool`] has providers by their names. Each has a limit of requests at once, to the end
//! of their bodies, and a queue in which callers wait in their order. It needs no executor and no
//! task of its own: whoever waits for a call does what is to be done.
//!
//! A program that makes many client pools for the same services has them share limits and queues by
//! a [`Registry`].
//!
//! # Examples
//!
//! ```
//! use std::future::{Ready, ready};
//!
//! use edgepool::StdClock;
//! use edgepool_llm::Failure;
//! use edgepool_llm::chat::{ChatRequest, Message, Role};
//! use edgepool_llm::client::ClientPool;
//! use edgepool_llm::transport::{HttpRequest, HttpResponse, Transport};
//! use futures::stream::{Iter, iter};
//!
//! /// Answers the same to everything; a real one has connections.
//! struct Echo;
//!
//! impl Transport for Echo {
//!     type Chunk = Vec<u8>;
//!     type Error = Failure;
//!     type Body = Iter<std::vec::IntoIter<Result<Vec<u8>, Failure>>>;
//!     type Send = Ready<Result<HttpResponse<Self::Body>, Failure>>;
//!
//!     fn send(&self, _: HttpRequest) -> Self::Send {
//!         let body = br#"{"message":{"content":"Light scatters."},"done":true}"#;
//!         ready(Ok(HttpResponse::new(200, Vec::new(), iter(vec![Ok(body.to_vec())]))))
//!     }
//! }
//!
//! let pool = ClientPool::builder(Echo, StdClock).defaults(|provider| provider.max(4)).build();
//! pool.register_provider(pool.provider("local", "ollama").model("llama3.2").build()?)?;
//!
//! let messages = vec![Message::text(Role::User, "Why is the sky blue?")];
//! let asked = ChatRequest { messages, ..ChatRequest::default() };
//! # futures::executor::block_on(async {
//! let answer = pool.chat("local", &asked).await?;
//! assert_eq!(answer.text, "Light scatters.");
//!
//! let mut stream = pool.stream("local", &asked).await?;
//! while let Some(event) = stream.next().await {
//!     println!("{:?}", event?);
//! }
//! pool.drain(None).await?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod alerts;
mod drive;
mod driver;
mod gate;
mod hub;
mod pool;
mod registry;
mod seat;
mod single;
mod stream;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use edgepool::Clock;

pub use pool::{Builder, ClientError, ClientPool, DrainError};
pub use registry::{Registry, RegistryStats, ShareError};
pub use single::{Client, ClientLease};
pub use stream::{ChatStream, HttpAnswer};

use crate::failure::Failure;
use crate::transport::Transport;
use alerts::OnAlert;
use gate::Gate;

/// What the clients of one client pool have in common.
struct Core<T> {
    transport: T,
    /// Tells the time since 1970, for headers with dates.
    wall: fn() -> Duration,
    gate: Arc<Gate>,
    on_alert: Option<OnAlert>,
}

/// Makes embeddings of texts over a pooled client; clones share it.
pub struct PooledEmbeddingClient<T: Transport, C: Clock>(Client<T, C>);

impl<T: Transport, C: Clock> PooledEmbeddingClient<T, C> {
    /// Makes one over a provider's client.
    #[must_use]
    pub const fn new(client: Client<T, C>) -> Self {
        Self(client)
    }

    /// Makes the embedding of a text.
    ///
    /// # Errors
    ///
    /// How the call failed.
    pub async fn get_embedding(&self, text: &str) -> Result<Vec<f32>, Failure> {
        self.0.embed(text).await
    }

    /// Makes the embeddings of texts, in their order.
    ///
    /// # Errors
    ///
    /// How a call failed.
    pub async fn get_embeddings(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Failure> {
        Ok(self.0.embed_all(texts.iter().copied()).await?.vectors)
    }
}

impl<T: Transport, C: Clock> Clone for PooledEmbeddingClient<T, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Transport, C: Clock> fmt::Debug for PooledEmbeddingClient<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PooledEmbeddingClient").field(&self.0).finish()
    }
}

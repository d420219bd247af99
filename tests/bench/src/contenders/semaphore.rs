//! The pool that most programs write themselves.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, Semaphore};

use super::{Connection, Contender};
use crate::output::About;

/// A semaphore beside a stack of connections.
#[derive(Clone)]
pub struct TokioSemaphore(Arc<Shared>);

struct Shared {
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

/// A connection of [`TokioSemaphore`].
pub struct Permitted {
    shared: Arc<Shared>,
    /// `None` only while the lease is being dropped.
    connection: Option<Connection>,
}

impl Deref for Permitted {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a lease holds its connection")
    }
}

impl Drop for Permitted {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let idle = &self.shared.idle;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            self.shared.permits.add_permits(1);
        }
    }
}

impl Contender for TokioSemaphore {
    const ABOUT: About = About {
        id: "semaphore",
        name: "tokio semaphore, by hand",
        package: Some("tokio"),
        settings: "tokio's semaphore beside a Mutex<Vec>; a lease returns its permit after it",
    };

    type Lease<'a> = Permitted;
    type Error = AcquireError;

    async fn open(size: usize) -> Self {
        let idle = Mutex::new((0..size as u64).map(Connection).collect());
        Self(Arc::new(Shared { permits: Semaphore::new(size), idle }))
    }

    async fn get(&self) -> Result<Permitted, AcquireError> {
        self.0.permits.acquire().await?.forget();
        let connection = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(Permitted { shared: Arc::clone(&self.0), connection })
    }
}

//! A client for each provider object, beside one that all of them share.
//!
//! A program that makes a provider object wherever it needs one, such as once for each task, has a
//! client in each of them unless they share one. Each variant is measured in a process of its own;
//! the server is in another one, and counts the connections that are opened to it.

mod client;
mod server;

use serde::{Deserialize, Serialize};

pub use client::measure;
pub use server::Server;

/// How many provider objects there are.
pub const OBJECTS: usize = 50;

/// How often each of them is asked.
pub const REQUESTS: usize = 20;

/// Whose clients, and what they speak.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Variant {
    /// Whether all objects share one.
    pub shared: bool,
    /// The certificate that is trusted, where it is TLS.
    pub certificate: Option<Vec<u8>>,
    /// Where the server is.
    pub url: String,
}

/// What was measured in one process.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Measured {
    /// The median of the first request of each object, in nanoseconds.
    pub first: f64,
    /// The median of its later ones.
    pub later: f64,
    /// The processors' time for all, that for making the objects included, by request.
    pub each: f64,
    /// What the process has grown by, in bytes.
    pub memory: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_that_share_open_fewer_connections() {
        for tls in [false, true] {
            let server = Server::start(tls).await;
            for (shared, most) in [(true, 5), (false, OBJECTS)] {
                let certificate = server.certificate.clone();
                let variant = Variant { shared, certificate, url: server.url.clone() };
                let measured = measure(&variant).await;
                let connections = server.connections();
                assert!((1..=most).contains(&connections), "{connections}, {shared}");
                assert!(shared || connections == OBJECTS, "{connections}");
                assert!(measured.first > 0.0 && measured.later > 0.0 && measured.each > 0.0);
            }
        }
    }
}

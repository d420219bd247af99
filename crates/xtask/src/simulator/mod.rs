//! The provider simulator: an OpenAI-compatible backend with a hard limit that it counts itself.
//!
//! It stands in for a real provider in tests, benches and first tries. What it shows says that it
//! is a simulator: the header `x-simulator`, the model's name, the ids, and the text.
//!
//! One request may override the settings by headers: `x-sim-latency-ms` (before the headers),
//! `x-sim-first-token-ms` (from the headers to the first content), `x-sim-chunk-ms` (between
//! chunks), `x-sim-chunks`. And it may ask for a fault with `x-sim-fault`:
//!
//! | fault | what the client sees |
//! |---|---|
//! | `garbage` | 200, with bytes that are neither JSON nor an event stream |
//! | `disconnect` | the connection is cut after three chunks |
//! | `stall` | three chunks, then silence on an open connection |
//! | `silent` | headers, then no byte of the body ever |
//! | `never-ends` | chunks for ever |
//! | `status=N` | an error of that status (400 to 599) in the OpenAI envelope |

mod answer;
mod body;
mod gate;
mod http;
mod settings;
#[cfg(test)]
mod tests;
mod text;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::net::TcpListener;

pub(crate) use settings::SimulateArgs;

/// Serves the simulator on loopback, and prints its address, until this future is dropped.
///
/// # Errors
/// If the port is in use.
pub(crate) async fn run(args: SimulateArgs) -> anyhow::Result<()> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(wanted)
        .await
        .with_context(|| format!("--port {}: cannot listen on {wanted}", args.port))?;
    let address = listener.local_addr()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "simulator http://{address}")?;
    out.flush()?;
    drop(out);
    Ok(http::serve(listener, args).await?)
}

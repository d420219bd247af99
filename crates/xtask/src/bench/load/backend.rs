//! The backend that is put under load: the provider simulator, in a process of its own.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::task::JoinSet;

use crate::bench::load::data::Backend;
use crate::process::{Cmd, Group};
use crate::workspace;

/// How many it takes at once.
const MAX: u32 = 8;

/// What it does in its time: headers, a first chunk, and chunks with pauses; 320 ms on average,
/// from half of that to one and a half times as much.
const SETTINGS: [(&str, &str); 6] = [
    ("--latency-ms", "120"),
    ("--first-token-ms", "40"),
    ("--chunk-ms", "40"),
    ("--chunks", "4"),
    ("--spread-percent", "50"),
    ("--refuse-with", "503"),
];

const PROMPT: &str = r#"{"stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;

/// The process, which ends with this value.
pub(super) struct Running {
    pub(super) url: String,
    _group: Group,
    /// Kept, as it would fail to write to a pipe that nobody reads.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let cmd = Cmd::new(workspace::program()).args(["simulate", "--max", &MAX.to_string()]);
        let settings = SETTINGS.iter().flat_map(|(name, value)| [*name, *value]);
        let (group, stdout) = cmd.args(settings).guarded().start_piped()?;
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next_line().await?.unwrap_or_default();
        let url = line.strip_prefix("simulator ").context("the simulator did not start")?;
        Ok(Self { url: url.to_owned(), _group: group, _lines: lines })
    }

    /// Finds out what it can do: keeps it busy for a while with exactly as many as it takes.
    pub(super) async fn find_out(&self, time: Duration) -> anyhow::Result<Backend> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let until = Instant::now() + time;
        let mut callers = JoinSet::new();
        for _ in 0..MAX {
            let (client, url) = (client.clone(), format!("{}/v1/chat/completions", self.url));
            callers.spawn(async move {
                while Instant::now() < until {
                    ask(&client, "POST", &url, PROMPT).await?;
                }
                anyhow::Ok(())
            });
        }
        for called in callers.join_all().await {
            called?;
        }
        let stats = ask(&client, "GET", &format!("{}/_sim/stats", self.url), "").await?;
        let Counts { held_us, completed } = serde_json::from_slice(&stats)?;
        let millis = held_us as f64 / 1_000.0 / completed.max(1) as f64;
        Ok(Backend { max: MAX, millis, capacity: 1_000.0 * f64::from(MAX) / millis })
    }
}

#[derive(Deserialize)]
struct Counts {
    held_us: u64,
    completed: u64,
}

async fn ask(
    client: &Client<HttpConnector, Full<bytes::Bytes>>,
    method: &str,
    url: &str,
    body: &'static str,
) -> anyhow::Result<bytes::Bytes> {
    let request = axum::http::Request::builder().method(method).uri(url);
    let answer = client.request(request.body(Full::from(body))?).await?;
    Ok(answer.into_body().collect().await?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn the_simulator_takes_the_settings() {
        let settings = SETTINGS.iter().flat_map(|(name, value)| [*name, *value]);
        let args = ["xtask", "simulate"].into_iter().chain(settings);
        crate::cli::Cli::try_parse_from(args).expect("it takes them");
    }
}

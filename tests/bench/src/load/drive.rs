//! Sends requests at their times, and counts what becomes of them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use edgepool_http::HttpTransport;
use edgepool_llm::transport::{HttpRequest, Transport as _};
use fastrand::Rng;
use futures::StreamExt as _;
use serde::Deserialize;
use tokio::time::{sleep_until, timeout};

use super::senders::{Outcome, Sender};
use super::{Figures, Plan};

/// Runs the load of a plan. It is called within a runtime of tokio.
///
/// # Errors
///
/// The backend does not tell its counts.
pub async fn drive(plan: &Plan, sender: &Sender) -> Result<Figures, String> {
    let transport = HttpTransport::default();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let start = Instant::now() + Duration::from_millis(20);
    let sending = tokio::spawn(send_all(plan.clone(), sender.clone(), start, Arc::clone(&tally)));
    sleep_until((start + plan.warm()).into()).await;
    let warm = counts(&transport, plan).await?;
    reset(&transport, plan).await?;
    let begun = Instant::now();
    lock(&tally).open = true;
    sleep_until((begun + plan.window()).into()).await;
    let mut tally = std::mem::take(&mut *lock(&tally));
    let seconds = begun.elapsed().as_secs_f64();
    let told = counts(&transport, plan).await?;
    sending.abort();
    Ok(tally.figures(seconds, told, warm.refused))
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().expect("nobody panics")
}

/// Sends each request at its time, and does not wait for it.
async fn send_all(plan: Plan, sender: Sender, start: Instant, tally: Arc<Mutex<Tally>>) {
    let url: Arc<str> = format!("{}/v1/chat/completions", plan.backend).into();
    let patience = Duration::from_millis(plan.patience_ms);
    for due in arrivals(&plan) {
        let due = start + due;
        sleep_until(due.into()).await;
        let (sender, url, tally) = (sender.clone(), Arc::clone(&url), Arc::clone(&tally));
        tokio::spawn(async move {
            lock(&tally).arrived(due);
            let ended = timeout(patience, sender.send(&url)).await;
            lock(&tally).ended(due, ended.ok());
        });
    }
}

/// How much longer than the window requests come: it may begin late on a busy machine.
const LONGER: Duration = Duration::from_secs(5);

/// Draws the times of arrivals: each independent of the others.
fn arrivals(plan: &Plan) -> impl Iterator<Item = Duration> + use<> {
    let mut random = Rng::with_seed(plan.seed);
    let (rate, until) = (plan.rate, (plan.warm() + plan.window() + LONGER).as_secs_f64());
    let mut time = 0.0;
    std::iter::from_fn(move || {
        time -= (1.0 - random.f64()).ln() / rate;
        (time < until).then(|| Duration::from_secs_f64(time))
    })
}

/// What the backend counts.
#[derive(Deserialize)]
struct Counts {
    max: u32,
    refused: u64,
    completed: u64,
    cancelled: u64,
    peak: u32,
    held_us: u64,
}

async fn counts(transport: &HttpTransport, plan: &Plan) -> Result<Counts, String> {
    let request = HttpRequest::new("GET", format!("{}/_sim/stats", plan.backend));
    let mut answer = transport.send(request).await.map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    while let Some(piece) = answer.body.next().await {
        text.extend_from_slice(&piece.map_err(|error| error.to_string())?);
    }
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

async fn reset(transport: &HttpTransport, plan: &Plan) -> Result<(), String> {
    let request = HttpRequest::new("POST", format!("{}/_sim/reset", plan.backend));
    transport.send(request).await.map(drop).map_err(|error| error.to_string())
}

/// What became of calls while it is open.
#[derive(Default)]
struct Tally {
    open: bool,
    arrived: u32,
    turned_away: u32,
    gave_up: u32,
    failed: u32,
    latencies: Vec<f64>,
    firsts: Vec<f64>,
    /// How late requests were sent.
    delays: Vec<f64>,
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

impl Tally {
    fn arrived(&mut self, due: Instant) {
        if self.open {
            self.arrived += 1;
            self.delays.push(millis(due.elapsed()));
        }
    }

    /// Counts one that was due then; `None` gave up.
    fn ended(&mut self, due: Instant, outcome: Option<Outcome>) {
        if !self.open {
            return;
        }
        match outcome {
            None => self.gave_up += 1,
            Some(Outcome::TurnedAway) => self.turned_away += 1,
            Some(Outcome::Failed) => self.failed += 1,
            Some(Outcome::Answered(first)) => {
                self.latencies.push(millis(due.elapsed()));
                self.firsts.push(millis(first.saturating_duration_since(due)));
            }
        }
    }

    fn figures(&mut self, seconds: f64, told: Counts, refused_warm: u64) -> Figures {
        let answered = self.latencies.len() as f64;
        let each = told.held_us as f64 / 1e6 / (told.completed.max(1) as f64);
        let part = |count: u32| 100.0 * f64::from(count) / f64::from(self.arrived.max(1));
        let (turned_away, gave_up) = (part(self.turned_away), part(self.gave_up));
        let failed = part(self.failed);
        self.latencies.sort_by(f64::total_cmp);
        self.firsts.sort_by(f64::total_cmp);
        self.delays.sort_by(f64::total_cmp);
        Figures {
            goodput: answered / seconds,
            share: 100.0 * answered * each / (f64::from(told.max) * seconds),
            refused: told.refused as f64 / seconds,
            refused_warm: refused_warm as f64,
            peak: told.peak.into(),
            cut: told.cancelled as f64 / seconds,
            turned_away,
            gave_up,
            failed,
            latency_p50: quantile(&self.latencies, 0.5),
            latency_p99: quantile(&self.latencies, 0.99),
            first_p50: quantile(&self.firsts, 0.5),
            first_p99: quantile(&self.firsts, 0.99),
            late: quantile(&self.delays, 0.9),
        }
    }
}

/// Returns the figure of the nearest rank.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

//! The provider objects, and what asking them takes.

use std::time::Instant;

use cpu_time::ProcessTime;
use edgepool::StdClock;
use edgepool_http::{HttpTransport, Protocol};
use edgepool_llm::client::{ClientPool, Registry};
use edgepool_llm::provider::Provider;
use serde_json::json;

use super::{Measured, OBJECTS, REQUESTS, Variant};

type Clients = ClientPool<HttpTransport, StdClock>;

/// Makes the objects and asks each of them in turn, again and again.
///
/// # Panics
///
/// The server does not answer.
pub async fn measure(variant: &Variant) -> Measured {
    let before = resident();
    let start = ProcessTime::now();
    let objects = objects(variant);
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for turn in 0..REQUESTS {
        for object in &objects {
            let asked = Instant::now();
            let models = object.models("provider").await.expect("the server answers");
            assert_eq!(models, ["simulator"]);
            let took = asked.elapsed().as_nanos() as f64;
            if turn == 0 { first.push(took) } else { later.push(took) }
        }
    }
    let each = start.elapsed().as_nanos() as f64 / (OBJECTS * REQUESTS) as f64;
    // All of them are still there.
    let memory = resident() - before;
    Measured { first: median(first), later: median(later), each, memory }
}

fn objects(variant: &Variant) -> Vec<Clients> {
    let shared = variant.shared.then(|| (transport(variant), Registry::new()));
    let object = |_| {
        let (transport, registry) =
            shared.clone().unwrap_or_else(|| (transport(variant), Registry::new()));
        let clients = ClientPool::builder(transport, StdClock).registry(&registry).build();
        let options = json!({"kind": "openai", "baseURL": variant.url, "apiKey": "none"});
        let provider = Provider::from_json("provider", &options, &|_| None);
        clients.register_provider(provider.expect("the options fit")).expect("it is the same");
        clients
    };
    (0..OBJECTS).map(object).collect()
}

fn transport(variant: &Variant) -> HttpTransport {
    let builder = HttpTransport::builder().protocol(Protocol::Http1);
    let builder = match &variant.certificate {
        None => builder,
        Some(certificate) => builder.root_certificate(certificate.clone()),
    };
    builder.build().expect("the options fit")
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Returns the bytes that this process has in memory; 0 where the system does not tell.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibi = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kibi.unwrap_or(0.0) * 1_024.0
}

//! Puts the load of one plan on a backend. `load PLAN`, where the plan is JSON; it prints one line,
//! its figures or why there are none.
#![forbid(unsafe_code)]

use edgepool_bench::load::{Plan, Sender, drive};
use edgepool_http::HttpTransport;
use serde_json::json;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let plan = std::env::args().nth(1).unwrap_or_default();
    let line = match measure(&plan).await {
        Ok(figures) => json!({ "figures": figures }),
        Err(problem) => json!({ "failed": problem }),
    };
    println!("{line}");
}

async fn measure(plan: &str) -> Result<serde_json::Value, String> {
    let plan: Plan = serde_json::from_str(plan).map_err(|error| error.to_string())?;
    let transport = HttpTransport::default();
    let sender = Sender::of(&plan, &transport).ok_or("there is no such sender")?;
    Ok(json!(drive(&plan, &sender).await?))
}

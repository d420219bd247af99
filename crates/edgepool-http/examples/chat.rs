//! A chat in the terminal: each line is a question, each answer is shown as it comes.
//!
//! It asks whichever provider the environment names, by the variables of the official SDKs, and
//! takes the model's name as its argument. Against the simulator, or a gateway that
//! `cargo xtask serve` runs:
//!
//! ```sh
//! cargo xtask simulate --port 8081 &
//! export OPENAI_BASE_URL=http://127.0.0.1:8081/v1 OPENAI_API_KEY=none
//! cargo run -p edgepool-http --example chat -- simulator
//! ```

use std::error::Error;
use std::io::{Write as _, stdin, stdout};
use std::process::ExitCode;

use edgepool::StdClock;
use edgepool_http::HttpTransport;
use edgepool_llm::chat::{Answer, ChatRequest, Collector, Message, Role, StreamEvent};
use edgepool_llm::client::{ChatStream, ClientPool};
use edgepool_llm::provider::from_environment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match converse().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn converse() -> Result<(), Box<dyn Error>> {
    let transport = HttpTransport::builder().max_body(1 << 30).build()?;
    let pool = ClientPool::builder(transport.clone(), StdClock).build();
    for provider in from_environment(|name| std::env::var(name).ok())? {
        pool.register_provider(provider)?;
    }
    let names = pool.provider_names();
    let provider = names.first().ok_or("set OPENAI_API_KEY, or what another provider takes")?;
    let model = std::env::args().nth(1).ok_or("name a model")?;
    let mut chat = ChatRequest { model: Some(model), ..ChatRequest::default() };
    for line in stdin().lines() {
        chat.messages.push(Message::text(Role::User, line?));
        let answer = show(pool.stream(provider, &chat).await?).await?;
        chat.messages.push(Message::text(Role::Assistant, answer.text));
    }
    let stats = transport.stats();
    println!("{} requests over {} connections", stats.requests, stats.opened);
    Ok(())
}

/// Shows an answer as it comes.
async fn show(mut stream: ChatStream<HttpTransport, StdClock>) -> Result<Answer, Box<dyn Error>> {
    let mut collector = Collector::default();
    while let Some(event) = stream.next().await {
        let event = event?;
        if let StreamEvent::Text(text) = &event {
            print!("{text}");
            stdout().flush()?;
        }
        collector.add(event)?;
    }
    println!("  ({:?})", stream.usage());
    Ok(collector.finish())
}

//! A chat in the terminal: each line is a question, each answer is shown as it comes.
//!
//! It asks whichever provider the environment names, by the variables of the official SDKs, and
//! takes the model's name as its argument. Against the simulator, or a gateway that is served by
//! `cargo xtask serve`:
//!
//! ```sh
//! cargo xtask simulate --port 8081 &
//! export OPENAI_BASE_URL=http://127.0.0.1:8081/v1 OPENAI_API_KEY=none
//! cargo run -p edgepool-http --example chat -- simulator
//! ```

use std::error::Error;
use std::io::{Write as _, stdin, stdout};
use std::process::ExitCode;

use edgepool_http::{Body, HttpTransport};
use edgepool_llm::chat::{Answer, ChatRequest, Collector, Message, Role, StreamEvent};
use edgepool_llm::provider::{Provider, from_environment};
use edgepool_llm::stream::{Decoder, MAX_EVENT};
use edgepool_llm::transport::{HttpRequest, HttpResponse, Transport as _};
use edgepool_llm::{Failure, MAX_ERROR_BODY, request};
use futures_util::StreamExt as _;

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
    let providers = from_environment(|name| std::env::var(name).ok())?;
    let provider = providers.first().ok_or("set OPENAI_API_KEY, or what another provider takes")?;
    let model = std::env::args().nth(1).ok_or("name a model")?;
    let transport = HttpTransport::builder().max_body(1 << 30).build()?;
    let mut chat = ChatRequest { model: Some(model), ..ChatRequest::default() };
    for line in stdin().lines() {
        chat.messages.push(Message::text(Role::User, line?));
        let answer = ask(&transport, provider, &chat).await?;
        println!("  ({:?}, {:?})", answer.finish, answer.usage);
        chat.messages.push(Message::text(Role::Assistant, answer.text));
    }
    let stats = transport.stats();
    println!("{} requests over {} connections", stats.requests, stats.opened);
    Ok(())
}

/// Asks, and shows the answer as it comes.
async fn ask(
    transport: &HttpTransport,
    provider: &Provider,
    chat: &ChatRequest,
) -> Result<Answer, Box<dyn Error>> {
    let made = request::chat(provider, chat, true)?;
    let url = made.url(&provider.endpoints[0].base)?;
    let mut asked = HttpRequest::new(made.method, url);
    asked.headers = made.headers;
    asked.body = made.body.into();
    let mut answer = transport.send(asked).await.map_err(Failure::from)?;
    if answer.status >= 400 {
        return Err(refused(provider, answer).await?.into());
    }
    let keys = provider.secrets().cloned().collect();
    let dialect = provider.flavour.dialect;
    let mut decoder = Decoder::new(dialect, &answer.headers(), MAX_EVENT, keys)?;
    let mut collector = Collector::default();
    // To the end of the body, which may come after that of the protocol: only then is the
    // connection used again.
    while let Some(piece) = answer.body.next().await {
        decoder.push(&piece.map_err(Failure::from)?);
        show(&mut decoder, &mut collector)?;
    }
    decoder.end();
    show(&mut decoder, &mut collector)?;
    Ok(collector.finish())
}

/// Shows what has come, and collects it.
fn show(decoder: &mut Decoder, collector: &mut Collector) -> Result<(), Box<dyn Error>> {
    while let Some(event) = decoder.poll() {
        let event = event?;
        if let StreamEvent::Text(text) = &event {
            print!("{text}");
            stdout().flush()?;
        }
        collector.add(event)?;
    }
    Ok(())
}

/// Reads why an answer is none.
async fn refused(provider: &Provider, mut answer: HttpResponse<Body>) -> Result<Failure, Failure> {
    let mut body = Vec::new();
    while body.len() < MAX_ERROR_BODY {
        let Some(piece) = answer.body.next().await else { break };
        body.extend_from_slice(&piece?);
    }
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let keys: Vec<_> = provider.secrets().cloned().collect();
    let headers = answer.headers();
    Ok(Failure::of_answer(answer.status, &headers, &body, wall.unwrap_or_default(), &keys))
}

//! Requests to a provider through a pool of clients: a chat, an answer passed on as it comes, and
//! embeddings.

use std::time::Duration;

use edgepool_llm::Secret;
use edgepool_llm::chat::{ChatRequest, Message, Role};
use edgepool_llm::client::{Client, ClientPool};
use edgepool_llm::provider::Provider;
use edgepool_llm::service::Policy;
use edgepool_llm::transport::HttpRequest;
use edgepool_wasm::{FetchTransport, JsClock, fetch_clients, readable_stream, request_scope};
use js_sys::Promise;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use worker::{Env, Headers, Request, Response};

type Clients = ClientPool<FetchTransport, JsClock>;
type Answer = Result<Response, Box<dyn std::error::Error>>;

/// What the provider is called.
const PROVIDER: &str = "provider";

thread_local! {
    // All requests share it. It is made as the first of them comes.
    static CLIENTS: Clients = fetch_clients(FetchTransport::new().max_body(1 << 20)).build();
}

/// Answers a request: of the path `/chat`, `/stream`, `/embed`, each with a text as its body and
/// the model's name behind, or `/clients`, which tells how the provider stands.
#[wasm_bindgen]
pub fn handle(request: web_sys::Request, env: Env) -> Promise {
    request_scope(async move {
        let answer = answer(request.into(), &env).await;
        let answer = answer.or_else(|error| Response::error(error.to_string(), 502));
        let answer = answer.map_err(|error| JsValue::from(error.to_string()))?;
        Ok(web_sys::Response::from(answer).into())
    })
}

async fn answer(mut request: Request, env: &Env) -> Answer {
    let client = client(env)?;
    let text = request.text().await?;
    let url = request.url()?;
    let mut path = url.path()[1..].splitn(2, '/');
    let [task, model] = [(); 2].map(|()| path.next().unwrap_or_default());
    match task {
        "chat" => Ok(Response::ok(client.chat(&question(model, text)).await?.text)?),
        "stream" => stream(&client, model, &text).await,
        "embed" => embed(&client, &text).await,
        _ => standing(&client),
    }
}

/// Returns the provider's client. It has one place, which the requests take in turns.
fn client(env: &Env) -> Result<Client<FetchTransport, JsClock>, Box<dyn std::error::Error>> {
    let clients = CLIENTS.with(Clients::clone);
    if !clients.has_provider(PROVIDER) {
        clients.register_provider(provider(&clients, &env.var("PROVIDER")?.to_string())?)?;
    }
    Ok(clients.client(PROVIDER)?)
}

fn provider(clients: &Clients, at: &str) -> Result<Provider, Box<dyn std::error::Error>> {
    let mut policy = Policy::default();
    policy.retry.base = Duration::from_millis(20);
    let provider = clients.provider(PROVIDER, "openai").base_url(format!("{at}/v1"));
    let provider = provider.key(Secret::new("sk-worker")).embedding_model("small");
    Ok(provider.policy(policy).max(1).build()?)
}

fn question(model: &str, text: String) -> ChatRequest {
    let messages = vec![Message::text(Role::User, text)];
    ChatRequest { messages, model: Some(model.to_owned()), ..ChatRequest::default() }
}

/// Passes an answer on as it comes. The place is held until it has ended, or its reader has gone.
async fn stream(client: &Client<FetchTransport, JsClock>, model: &str, text: &str) -> Answer {
    let mut asked = HttpRequest::new("POST", "/chat/completions");
    let messages = serde_json::json!([{"role": "user", "content": text}]);
    let body = serde_json::json!({"model": model, "stream": true, "messages": messages});
    asked.body = body.to_string().into_bytes().into();
    asked.headers.push(("content-type".into(), Secret::new("application/json")));
    let answer = client.send(asked).await?;
    let headers = Headers::new();
    for (name, value) in answer.headers() {
        if name == "content-type" || name.starts_with("x-") {
            headers.append(name, &String::from_utf8_lossy(value))?;
        }
    }
    let builder = Response::builder().with_status(answer.status()).with_headers(headers);
    let body = readable_stream(answer).map_err(|_| "the runtime has no streams of its own")?;
    Ok(builder.stream(body))
}

/// Makes the embedding of each word.
async fn embed(client: &Client<FetchTransport, JsClock>, text: &str) -> Answer {
    let vectors = client.embed_all(text.split_whitespace()).await?.vectors;
    Ok(Response::from_json(&vectors)?)
}

fn standing(client: &Client<FetchTransport, JsClock>) -> Answer {
    let stats = client.stats();
    Ok(Response::from_json(&serde_json::json!({
        "inFlight": stats.in_flight,
        "waiting": stats.waiting,
        "sent": stats.counts.sent,
        "retries": stats.counts.retries,
    }))?)
}

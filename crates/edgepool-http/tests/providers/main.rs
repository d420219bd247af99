//! The clients against servers that were written by others. `cargo xtask test --only providers`
//! starts them, and names their addresses in the environment; see `tests/providers/serve.py`.

mod aimock;
mod llmock;
mod minilm;
#[path = "../shared/mod.rs"]
mod shared;

use std::time::Duration;

use edgepool::StdClock;
use edgepool_http::HttpTransport;
use edgepool_llm::Secret;
use edgepool_llm::chat::{ChatRequest, Message, Role, Tool};
use edgepool_llm::client::ClientPool;
use edgepool_llm::clocks::Timeouts;
use edgepool_llm::provider::Builder;
use serde_json::json;

use self::shared::{Clients, ask, is_quiet};

/// Returns the address of a server, such as `LLMOCK`.
fn address(server: &str) -> String {
    let name = format!("EDGEPOOL_{server}");
    std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set: see the top of this file"))
}

/// Makes clients with one provider, `p`.
fn clients(kind: &str, base_url: &str, more: impl FnOnce(Builder) -> Builder) -> Clients {
    let pool = ClientPool::builder(HttpTransport::default(), StdClock).build();
    let provider = pool.provider("p", kind).base_url(base_url).key(Secret::new("sk-test"));
    let provider = provider.model("gpt-4o").max(4);
    pool.register_provider(more(provider).build().unwrap()).unwrap();
    pool
}

fn say(text: &str) -> ChatRequest {
    let messages = vec![Message::text(Role::User, text)];
    ChatRequest { messages, ..ChatRequest::default() }
}

fn weather() -> Tool {
    Tool {
        name: "weather".to_owned(),
        description: Some("Tells the weather of a city".to_owned()),
        parameters: json!({
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        }),
    }
}

const fn ms(time: u64) -> Option<Duration> {
    Some(Duration::from_millis(time))
}

fn timeouts() -> Timeouts {
    Timeouts { total: ms(20_000), ..Timeouts::default() }
}

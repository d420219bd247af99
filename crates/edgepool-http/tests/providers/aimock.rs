//! aimock: a second opinion on OpenAI and Anthropic, and the one that speaks Ollama's NDJSON.

use edgepool_llm::chat::{Message, Role};
use edgepool_llm::{Class, Failure, Secret};
use serde_json::{Value, json};

use crate::{address, ask, clients, is_quiet, say, timeouts, weather};

const KINDS: [(&str, &str); 4] =
    [("ollama", ""), ("openai", "/v1"), ("openai-responses", "/v1"), ("anthropic", "")];
/// As in `tests/js/providers/fixtures`.
const ANSWER: &str = "Light scatters, and the blue of it most.";

fn of(kind: &str, path: &str) -> crate::Clients {
    clients(kind, &format!("{}{path}", address("AIMOCK")), |it| it.timeouts(timeouts()))
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn chats_come_whole_and_as_streams() {
    for (kind, path) in KINDS {
        let pool = of(kind, path);
        for stream in [false, true] {
            let answer = ask(&pool, &say("Why is the sky blue?"), stream).await;
            let answer = answer.unwrap_or_else(|it| panic!("{kind}, {stream}: {it}"));
            assert_eq!(answer.text, ANSWER, "{kind}");
        }
        let counts = pool.stats("p").unwrap().counts;
        assert_eq!((counts.sent, counts.answered), (2, 2), "{kind}");
        is_quiet(&pool);
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn a_wrong_key_is_told_without_it() {
    for (kind, path) in KINDS {
        let at = format!("{}{path}", address("AIMOCK"));
        let pool = clients(kind, &at, |it| it.key(Secret::new("sk-wrong")));
        for stream in [false, true] {
            let failure = ask(&pool, &say("Why is the sky blue?"), stream).await.unwrap_err();
            assert_eq!(failure.class, Class::Unauthorised, "{kind}: {failure}");
            let shown = format!("{failure} {failure:?}");
            assert!(shown.contains("Check the key") && !shown.contains("sk-wrong"), "{shown}");
        }
        assert_eq!(pool.stats("p").unwrap().counts.sent, 2, "{kind}: it is not tried again");
        is_quiet(&pool);
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn tools_are_called() {
    for (kind, path) in KINDS {
        let pool = of(kind, path);
        for stream in [false, true] {
            let mut chat = say("What is the weather?");
            chat.tools.push(weather());
            let answer = ask(&pool, &chat, stream).await.unwrap();
            let [call] = &answer.tool_calls[..] else { panic!("{kind}: {answer:?}") };
            assert_eq!(call.name, "weather", "{kind}");
            let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
            assert_eq!(arguments, json!({"city": "Berlin"}), "{kind}");
        }
        is_quiet(&pool);
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn a_stream_that_is_dropped_gives_its_place_back() {
    for (kind, path) in KINDS {
        let pool = of(kind, path);
        let mut stream = pool.stream("p", &say("Why is the sky blue?")).await.unwrap();
        while !stream.next().await.unwrap().unwrap().is_content() {}
        drop(stream);
        is_quiet(&pool);
        assert_eq!(ask(&pool, &say("Why is the sky blue?"), true).await.unwrap().text, ANSWER);
        is_quiet(&pool);
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn what_it_does_not_know_is_not_found() {
    for (kind, path) in KINDS {
        let pool = of(kind, path);
        let mut chat = say("What does nobody know?");
        chat.messages.insert(0, Message::text(Role::User, "Hello"));
        let failure: Failure = ask(&pool, &chat, true).await.unwrap_err();
        assert_eq!(failure.class, Class::NotFound, "{kind}: {failure}");
        assert_eq!(pool.stats("p").unwrap().counts.sent, 1, "{kind}");
        is_quiet(&pool);
    }
    let models = of("ollama", "").client("p").unwrap().models().await.unwrap();
    assert!(models.contains(&"gpt-4o".to_owned()), "{models:?}");
}

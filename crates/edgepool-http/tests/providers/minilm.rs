//! Real embeddings, by a small model.

use edgepool_http::HttpTransport;
use edgepool_llm::client::PooledEmbeddingClient;
use edgepool_llm::request::EmbedRequest;
use edgepool_llm::transport::{HttpRequest, Transport as _};
use edgepool_llm::{Class, Secret};
use serde_json::json;

use crate::{Clients, address, clients, is_quiet, say};

const MODEL: &str = "all-MiniLM-L6-v2";

/// The first two say much the same, and are as near as 0.57; the third is at -0.02 of the first.
const ALIKE: [&str; 3] =
    ["The cat sat on the mat", "A feline rested on the rug", "Quarterly revenue grew by 12%"];

/// One kind asks for base64, the other for numbers.
const KINDS: [&str; 2] = ["openai", "vllm"];

fn embedding(kind: &str) -> Clients {
    let at = format!("{}/v1", address("MINILM"));
    clients(kind, &at, |it| it.embedding_model(MODEL).dimensions(384))
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn is_near(value: f32, to: f32, by: f32) -> bool {
    (value - to).abs() <= by
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn what_is_alike_is_near() {
    for kind in KINDS {
        let pool = embedding(kind);
        let client = PooledEmbeddingClient::new(pool.client("p").unwrap());
        let mut vectors = Vec::new();
        for text in ALIKE {
            vectors.push(client.get_embedding(text).await.unwrap());
        }
        let [feline, revenue] = [1, 2].map(|other| cosine(&vectors[0], &vectors[other]));
        println!("{kind}: cat and feline {feline:.3}, cat and revenue {revenue:.3}");
        assert!(is_near(feline, 0.57, 0.02), "{feline}");
        assert!(is_near(revenue, -0.02, 0.02), "{revenue}");
        is_quiet(&pool);
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn batches_keep_their_order_in_base64_and_as_numbers() {
    let words = ["sea", "bread", "engine", "music", "winter", "justice", "river", "bee"];
    let texts: Vec<_> = (0..40).map(|i| format!("{} {i}", words[i % words.len()])).collect();
    let mut found = Vec::new();
    for kind in KINDS {
        let pool = embedding(kind);
        let client = pool.client("p").unwrap();
        let all = client.embed_all(texts.iter().cloned()).await.unwrap();
        assert!(all.usage.is_some_and(|usage| usage.input_tokens > 40), "{:?}", all.usage);
        assert!(all.vectors.iter().all(|vector| vector.len() == 384));
        // Weights of 8 bits are rounded by what else is in the batch.
        for i in [0, 7, 21, 39] {
            let alone = client.embed(texts[i].as_str()).await.unwrap();
            let nearest = (0..40).max_by(|&a, &b| {
                cosine(&alone, &all.vectors[a]).total_cmp(&cosine(&alone, &all.vectors[b]))
            });
            assert_eq!(nearest, Some(i), "{kind}");
        }
        found.push(all.vectors);
        is_quiet(&pool);
    }
    let same = found[0].iter().zip(&found[1]).all(|(a, b)| is_near(cosine(a, b), 1.0, 1e-5));
    assert!(same, "base64 and numbers are the same");
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn what_is_asked_for_wrongly_is_told() {
    let pool = embedding("openai");
    let client = pool.client("p").unwrap();
    assert_eq!(client.models().await.unwrap(), [MODEL]);
    client.probe().await.unwrap();
    let class = |asked: EmbedRequest| async move { pool_class(&embedding("openai"), &asked).await };
    let inputs = vec!["cat".to_owned()];
    let unknown = EmbedRequest { model: Some("no-model".to_owned()), ..EmbedRequest::default() };
    assert_eq!(class(EmbedRequest { inputs: inputs.clone(), ..unknown }).await, Class::NotFound);
    let longer = EmbedRequest { dimensions: Some(512), inputs, ..EmbedRequest::default() };
    assert_eq!(class(longer).await, Class::Malformed, "of another length than asked for");
    // A wrong path, and a server that makes no chats.
    let at = format!("{}/nothing/v1", address("MINILM"));
    let nowhere = clients("openai", &at, |it| it.embedding_model(MODEL));
    let failure = nowhere.client("p").unwrap().embed("cat").await.unwrap_err();
    assert_eq!(failure.class, Class::NotFound);
    assert!(failure.to_string().contains("base URL"), "{failure}");
    let failure = crate::ask(&pool, &say("cat"), true).await.unwrap_err();
    assert_eq!(failure.class, Class::NotFound);
    for pool in [&pool, &nowhere] {
        is_quiet(pool);
    }
}

async fn pool_class(pool: &Clients, asked: &EmbedRequest) -> Class {
    let failure = pool.client("p").unwrap().embeddings(asked).await.unwrap_err();
    is_quiet(pool);
    failure.class
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn a_request_of_ones_own_is_passed_on() {
    let pool = embedding("openai");
    let mut request = HttpRequest::new("POST", "/embeddings");
    let body = json!({"model": MODEL, "input": "cat", "encoding_format": "float"});
    request.body = body.to_string().into_bytes().into();
    request.headers.push(("content-type".into(), Secret::new("application/json")));
    let answer = pool.client("p").unwrap().send(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: serde_json::Value =
        serde_json::from_slice(&answer.bytes(1 << 20).await.unwrap()).unwrap();
    assert_eq!(body["data"][0]["embedding"].as_array().unwrap().len(), 384);
    is_quiet(&pool);
    // Below the clients it is the same transport.
    let health = HttpRequest::new("GET", format!("{}/health", address("MINILM")));
    assert_eq!(HttpTransport::default().send(health).await.unwrap().status, 200);
}

use std::time::Duration;

use edgepool_llm::answer::{self, Embeddings, Gather, MAX_ANSWER, Received};
use edgepool_llm::chat::{Finish, ToolCall, Usage};
use edgepool_llm::dialect::{Dialect, Flavour};
use edgepool_llm::{Class, Failure, Headers};

fn read<T>(
    status: u16,
    body: &str,
    read: impl FnOnce(&Received<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let headers: Headers<'_> = [("content-type", &b"application/json"[..])].into_iter().collect();
    let body = body.as_bytes();
    read(&Received { status, headers: &headers, body, wall: Duration::ZERO, keys: &[] })
}

fn tool(id: &str, arguments: &str) -> Vec<ToolCall> {
    let (name, arguments) = ("weather".to_owned(), arguments.to_owned());
    vec![ToolCall { id: id.to_owned(), name, arguments }]
}

#[test]
fn whole_chats_are_read_in_every_dialect() {
    let openai = r#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant",
        "content":"Salü","reasoning_content":"Hm","tool_calls":[{"id":"t","type":"function",
        "function":{"name":"weather","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}],
        "usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":
        {"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}"#;
    let responses = r#"{"id":"c","model":"m","status":"completed","error":null,"output":[
        {"type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}]},
        {"type":"message","content":[{"type":"output_text","text":"Sal"},
        {"type":"output_text","text":"ü"}]},
        {"type":"function_call","call_id":"t","name":"weather","arguments":"{\"a\":1}"}],
        "usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":4},
        "output_tokens_details":{"reasoning_tokens":2}}}"#;
    let anthropic = r#"{"id":"c","type":"message","model":"m","stop_reason":"tool_use","content":[
        {"type":"thinking","thinking":"Hm","signature":"s"},{"type":"text","text":"Salü"},
        {"type":"tool_use","id":"t","name":"weather","input":{"a":1}}],
        "usage":{"input_tokens":6,"cache_read_input_tokens":4,"output_tokens":5}}"#;
    let ollama = r#"{"model":"m","message":{"role":"assistant","content":"Salü","thinking":"Hm",
        "tool_calls":[{"id":"t","function":{"name":"weather","arguments":{"a":1}}}]},
        "done":true,"done_reason":"stop","prompt_eval_count":10,"eval_count":5}"#;
    for (dialect, body, cached, reasoned) in [
        (Dialect::OpenAi, openai, 4, 2),
        (Dialect::OpenAiResponses, responses, 4, 2),
        (Dialect::Anthropic, anthropic, 4, 0),
        (Dialect::Ollama, ollama, 0, 0),
    ] {
        let answer = read(200, body, |received| answer::chat(dialect, received)).unwrap();
        assert_eq!((&answer.text[..], &answer.reasoning[..]), ("Salü", "Hm"), "{dialect:?}");
        assert_eq!(answer.model.as_deref(), Some("m"));
        assert_eq!(answer.tool_calls, tool("t", "{\"a\":1}"), "{dialect:?}");
        assert_eq!(answer.finish, Some(Finish::ToolCalls), "{dialect:?}");
        let usage = Usage {
            input_tokens: 10,
            output_tokens: 5,
            cached_tokens: cached,
            reasoning_tokens: reasoned,
        };
        assert_eq!(answer.usage, Some(usage), "{dialect:?}");
    }
}

#[test]
fn what_is_left_out_is_left_out() {
    for (dialect, body) in [
        (Dialect::OpenAi, r#"{"choices":[{"message":{"content":null}}]}"#),
        (Dialect::OpenAiResponses, r#"{"output":[]}"#),
        (Dialect::Anthropic, r#"{"content":[]}"#),
        (Dialect::Ollama, r#"{"message":{}}"#),
    ] {
        let answer = read(200, body, |received| answer::chat(dialect, received)).unwrap();
        assert_eq!(answer, Default::default(), "{dialect:?}");
    }
    let nameless = r#"{"choices":[{"message":{"tool_calls":[{"function":{"name":"weather"}}]}}]}"#;
    let answer = read(200, nameless, |received| answer::chat(Dialect::OpenAi, received)).unwrap();
    assert_eq!(answer.tool_calls, tool("call_0", "{}"));
}

#[test]
fn what_is_no_answer_is_malformed() {
    let dialects = [Dialect::OpenAi, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Ollama];
    for dialect in dialects {
        let deep = "[".repeat(100_000);
        for body in
            ["", "<html></html>", "null", "[]", "{}", "{\"a\":", "1e999", "\u{feff}{}", &deep]
        {
            let failure = read(200, body, |it| answer::chat(dialect, it)).unwrap_err();
            assert_eq!(failure.class, Class::Malformed, "{dialect:?} {body:.20}");
            assert_eq!(failure.status, Some(200));
        }
        let failure = read(200, r#"{"error":{"message":"no"}}"#, |it| answer::chat(dialect, it));
        assert_eq!(failure.unwrap_err().message, "no");
        let failure = read(401, r#"{"error":"no"}"#, |it| answer::chat(dialect, it)).unwrap_err();
        assert_eq!(failure.class, Class::Unauthorised);
    }
    let failed = r#"{"status":"failed","error":{"code":"rate_limit_exceeded","message":"no"}}"#;
    let failure = read(200, failed, |it| answer::chat(Dialect::OpenAiResponses, it)).unwrap_err();
    assert_eq!(failure.class, Class::RateLimited);
}

fn embed(body: &str, count: usize, dimensions: Option<usize>) -> Result<Embeddings, Failure> {
    read(200, body, |it| answer::embeddings(Dialect::OpenAi, it, count, dimensions))
}

#[test]
fn embeddings_are_read_in_order_as_numbers_and_as_base64() {
    // 1.0, -2.5 and 0.5, 4.0 as floats of 32 bits, the low byte first.
    let numbers = r#"{"data":[{"index":1,"embedding":[0.5,4]},{"index":0,"embedding":[1,-2.5]}],
        "usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    let base64 = r#"{"data":[{"index":1,"embedding":"AAAAPwAAgEA="},
        {"index":0,"embedding":"AACAPwAAIMA="}],"usage":{"prompt_tokens":8}}"#;
    let ordered = r#"{"data":[{"embedding":[1,-2.5]},{"embedding":[0.5,4]}],
        "usage":{"prompt_tokens":8}}"#;
    for body in [numbers, base64, ordered] {
        let read = embed(body, 2, Some(2)).unwrap();
        assert_eq!(read.vectors, [[1.0, -2.5], [0.5, 4.0]], "{body}");
        assert_eq!(read.usage.unwrap().input_tokens, 8);
    }
    let ollama = r#"{"embeddings":[[1,-2.5],[0.5,4]],"prompt_eval_count":8}"#;
    let read = read(200, ollama, |it| answer::embeddings(Dialect::Ollama, it, 2, None)).unwrap();
    assert_eq!(read.vectors, [[1.0, -2.5], [0.5, 4.0]]);
    assert_eq!(read.usage.unwrap().input_tokens, 8);
}

#[test]
fn wrong_embeddings_are_malformed() {
    for (body, count, dimensions) in [
        (r#"{"data":[]}"#, 1, None),
        (r#"{"data":[{"embedding":[1]},{"embedding":[1]}]}"#, 1, None),
        (r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}"#, 2, None),
        (r#"{"data":[{"index":7,"embedding":[1]}]}"#, 1, None),
        (r#"{"data":[{"index":-1,"embedding":[1]}]}"#, 1, None),
        (r#"{"data":[{"index":18446744073709551615,"embedding":[1]}]}"#, 1, None),
        (r#"{"data":[{"embedding":[1]},{"embedding":[1,2]}]}"#, 2, None),
        (r#"{"data":[{"embedding":[1,2]}]}"#, 1, Some(3)),
        (r#"{"data":[{"embedding":[]}]}"#, 1, None),
        (r#"{"data":[{"embedding":["1"]}]}"#, 1, None),
        (r#"{"data":[{"embedding":[1e300]}]}"#, 1, None),
        (r#"{"data":[{"embedding":"AAAA"}]}"#, 1, None),
        (r#"{"data":[{"embedding":"!!!!"}]}"#, 1, None),
        // Not a number.
        (r#"{"data":[{"embedding":"AADAfw=="}]}"#, 1, None),
        (r#"{"data":[{"embedding":{}}]}"#, 1, None),
        (r#"{"data":{}}"#, 1, None),
        ("{}", 1, None),
    ] {
        let failure = embed(body, count, dimensions).unwrap_err();
        assert_eq!(failure.class, Class::Malformed, "{body}");
    }
}

#[test]
fn batches_of_embeddings_are_put_together() {
    let batch = |vectors: Vec<Vec<f32>>, tokens| {
        let usage = Some(Usage { input_tokens: tokens, ..Usage::default() });
        Embeddings { vectors, usage }
    };
    let mut all = Embeddings::default();
    all.append(batch(vec![vec![1.0, 2.0]], 3)).unwrap();
    all.append(batch(vec![vec![3.0, 4.0]], 4)).unwrap();
    assert_eq!(all, batch(vec![vec![1.0, 2.0], vec![3.0, 4.0]], 7));
    assert_eq!(all.append(batch(vec![vec![1.0]], 1)).unwrap_err().class, Class::Malformed);
}

#[test]
fn models_are_listed() {
    let openai = r#"{"object":"list","data":[{"id":"a"},{"id":"b"},{"id":7}]}"#;
    let ollama = r#"{"models":[{"name":"a","size":1},{"name":"b"}]}"#;
    for (dialect, body) in
        [(Dialect::OpenAi, openai), (Dialect::Anthropic, openai), (Dialect::Ollama, ollama)]
    {
        let models = read(200, body, |it| answer::models(dialect, it)).unwrap();
        assert_eq!(models, ["a", "b"]);
        assert!(read(200, "{}", |it| answer::models(dialect, it)).is_err());
    }
}

#[test]
fn probes_are_judged() {
    let alive = |kind, status| answer::probe(Flavour::named(kind).unwrap(), status);
    assert!(alive("vllm", 200) && !alive("vllm", 503) && !alive("ollama", 404));
    assert!(alive("http", 404) && alive("http", 405) && !alive("http", 500));
}

#[test]
fn a_body_is_bounded_before_and_while_it_comes() {
    let mut body = Gather::new(10);
    let length = |text: &'static str| -> Headers<'static> {
        [("content-length", text.as_bytes())].into_iter().collect()
    };
    assert_eq!(body.expect(&length("10")), Ok(()));
    assert_eq!(body.expect(&length("nonsense")), Ok(()));
    assert_eq!(body.expect(&length("10737418240")).unwrap_err().class, Class::TooLarge);
    body.push(b"12345").unwrap();
    assert_eq!(body.push(b"678901").unwrap_err().class, Class::TooLarge);
    body.push(b"67890").unwrap();
    assert_eq!(body.bytes(), b"1234567890");
    assert!(Gather::default().expect(&length("67108865")).is_err());
    assert_eq!(MAX_ANSWER, 67_108_864);
}

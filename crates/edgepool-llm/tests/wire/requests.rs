use edgepool_llm::chat::{
    ChatRequest, Image, Message, Parameters, Part, Role, Tool, ToolCall, ToolChoice,
};
use edgepool_llm::provider::{Builder, Provider};
use edgepool_llm::request::{self, EmbedRequest, Keying, Request};
use edgepool_llm::{Class, Headers, Secret};
use serde_json::{Value, json};

fn builder(kind: &str) -> Builder {
    let builder = Provider::builder("p", kind).key(Secret::new("k-1")).model("m");
    match kind {
        "azure" => builder.base_url("https://r.openai.azure.com/openai").api_version("2024-10-21"),
        "openai-compatible" | "http" => builder.base_url("https://e.com/v1"),
        _ => builder,
    }
}

fn provider(kind: &str) -> Provider {
    builder(kind).build().unwrap()
}

/// A request with everything: a system prompt, history, an image, tools and their calls.
fn full() -> ChatRequest {
    let image = Image::from_url("data:image/png;base64,iVBO");
    let mut asked = Message::text(Role::User, "What is it?");
    asked.content.push(Part::Image(image));
    let call = |id: &str, arguments: &str| ToolCall {
        id: id.to_owned(),
        name: "look".to_owned(),
        arguments: arguments.to_owned(),
    };
    let mut calls = Message::text(Role::Assistant, "I look.");
    calls.tool_calls = vec![call("t-1", "{\"a\":1}"), call("t-2", "")];
    ChatRequest {
        system: Some("Be brief.".to_owned()),
        messages: vec![asked, calls, Message::tool("t-1", "a cat"), Message::tool("t-2", "asleep")],
        tools: vec![Tool {
            name: "look".to_owned(),
            description: Some("Looks.".to_owned()),
            parameters: json!({"type": "object"}),
        }],
        parameters: Parameters {
            max_tokens: Some(100),
            temperature: Some(0.5),
            top_p: Some(0.75),
            ..Parameters::default()
        },
        ..ChatRequest::default()
    }
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let found = request.headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.expose())
}

fn sent(kind: &str, chat: &ChatRequest, stream: bool) -> Request {
    request::chat(&provider(kind), chat, stream).unwrap()
}

#[test]
fn openai_is_asked_as_its_documents_say() {
    let request = sent("openai", &full(), true);
    assert_eq!(header(&request, "authorization"), Some("Bearer k-1"));
    assert_eq!(header(&request, "accept"), Some("text/event-stream"));
    assert_eq!(header(&request, "content-type"), Some("application/json"));
    let expected = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
            ]},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "t-1", "type": "function",
                    "function": {"name": "look", "arguments": "{\"a\":1}"}},
                {"id": "t-2", "type": "function", "function": {"name": "look", "arguments": ""}},
            ]},
            {"role": "tool", "tool_call_id": "t-1", "content": "a cat"},
            {"role": "tool", "tool_call_id": "t-2", "content": "asleep"},
        ],
        "tools": [{"type": "function", "function":
            {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}],
        "max_completion_tokens": 100, "temperature": 0.5, "top_p": 0.75,
        "stream": true, "stream_options": {"include_usage": true},
    });
    assert_eq!(body(&request), expected);
}

#[test]
fn responses_are_asked_for_as_the_documents_say() {
    let expected = json!({
        "model": "m",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "What is it?"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBO"},
            ]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
            {"type": "function_call", "call_id": "t-1", "name": "look", "arguments": "{\"a\":1}"},
            {"type": "function_call", "call_id": "t-2", "name": "look", "arguments": ""},
            {"type": "function_call_output", "call_id": "t-1", "output": "a cat"},
            {"type": "function_call_output", "call_id": "t-2", "output": "asleep"},
        ],
        "tools": [{"type": "function", "name": "look", "description": "Looks.",
            "parameters": {"type": "object"}, "strict": false}],
        "max_output_tokens": 100, "temperature": 0.5, "top_p": 0.75,
    });
    assert_eq!(body(&sent("openai-responses", &full(), false)), expected);
}

#[test]
fn anthropic_is_asked_as_its_documents_say() {
    let request = sent("anthropic", &full(), true);
    assert_eq!(header(&request, "x-api-key"), Some("k-1"));
    assert_eq!(header(&request, "authorization"), None);
    assert_eq!(header(&request, "anthropic-version"), Some("2023-06-01"));
    let expected = json!({
        "model": "m",
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image", "source":
                    {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t-1", "name": "look", "input": {"a": 1}},
                {"type": "tool_use", "id": "t-2", "name": "look", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t-1", "content": "a cat"},
                {"type": "tool_result", "tool_use_id": "t-2", "content": "asleep"},
            ]},
        ],
        "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}],
        "temperature": 0.5, "top_p": 0.75, "stream": true,
    });
    assert_eq!(body(&request), expected);
    let short = ChatRequest {
        messages: vec![
            Message::text(Role::System, "One."),
            Message::text(Role::User, "Hi"),
            Message::text(Role::User, "there"),
        ],
        ..ChatRequest::default()
    };
    let expected = json!({
        "model": "m", "max_tokens": 4_096,
        "system": [{"type": "text", "text": "One."}],
        "messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": "there"}],
    });
    assert_eq!(body(&sent("anthropic", &short, false)), expected);
}

#[test]
fn ollama_is_asked_as_its_documents_say() {
    let expected = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is it?", "images": ["iVBO"]},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "t-1", "function": {"name": "look", "arguments": {"a": 1}}},
                {"id": "t-2", "function": {"name": "look", "arguments": {}}},
            ]},
            {"role": "tool", "content": "a cat", "tool_call_id": "t-1", "tool_name": "look"},
            {"role": "tool", "content": "asleep", "tool_call_id": "t-2", "tool_name": "look"},
        ],
        "tools": [{"type": "function", "function":
            {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}],
        "options": {"num_predict": 100, "temperature": 0.5, "top_p": 0.75},
        "stream": false,
    });
    let request = sent("ollama", &full(), false);
    assert_eq!(body(&request), expected);
    let mut quiet = full();
    quiet.tool_choice = Some(ToolChoice::None);
    let request = sent("ollama", &quiet, true);
    assert_eq!(body(&request)["tools"], Value::Null);
    assert_eq!(header(&request, "accept"), Some("application/x-ndjson"));
}

#[test]
fn requests_go_where_each_kind_has_them() {
    for (kind, url) in [
        ("openai", "https://api.openai.com/v1/chat/completions"),
        ("openai-compatible", "https://e.com/v1/chat/completions"),
        ("openai-responses", "https://api.openai.com/v1/responses"),
        (
            "azure",
            "https://r.openai.azure.com/openai/deployments/m/chat/completions?api-version=2024-10-21",
        ),
        ("groq", "https://api.groq.com/openai/v1/chat/completions"),
        ("mistral", "https://api.mistral.ai/v1/chat/completions"),
        ("cerebras", "https://api.cerebras.ai/v1/chat/completions"),
        ("vllm", "http://127.0.0.1:8000/v1/chat/completions"),
        ("lm-studio", "http://127.0.0.1:1234/v1/chat/completions"),
        ("llama-cpp", "http://127.0.0.1:8080/v1/chat/completions"),
        ("anthropic", "https://api.anthropic.com/v1/messages"),
        ("ollama", "http://127.0.0.1:11434/api/chat"),
    ] {
        let provider = provider(kind);
        let request = request::chat(&provider, &full(), false).unwrap();
        assert_eq!(request.method, "POST");
        assert_eq!(request.url(&provider.endpoints[0].base).unwrap(), url);
    }
}

#[test]
fn azure_has_its_deployments_in_paths_but_not_in_its_newer_api() {
    let of = |base: &str, version: Option<&str>| {
        let builder = Provider::builder("p", "azure").base_url(base).key(Secret::new("k"));
        let builder = version.into_iter().fold(builder, Builder::api_version);
        let provider = builder.build().unwrap();
        let chat = ChatRequest { model: Some("a/b ..".to_owned()), ..full() };
        let request = request::chat(&provider, &chat, false).unwrap();
        assert_eq!(header(&request, "api-key"), Some("k"));
        request.url(&provider.endpoints[0].base).unwrap()
    };
    let host = "https://r.openai.azure.com/openai";
    assert_eq!(
        of(host, Some("v")),
        format!("{host}/deployments/a%2Fb%20../chat/completions?api-version=v")
    );
    let inner = format!("{host}/deployments/x");
    assert_eq!(of(&inner, Some("v")), format!("{inner}/chat/completions?api-version=v"));
    assert_eq!(of(&format!("{host}/v1/"), None), format!("{host}/v1/chat/completions"));
    assert_eq!(of(&format!("{host}/v1"), Some("v")), format!("{host}/v1/chat/completions"));
    let builder = Provider::builder("p", "azure").base_url(format!("{host}/v1"));
    let provider = builder.key(Secret::new("k")).api_version("v").build().unwrap();
    let base = &provider.endpoints[0].base;
    assert_eq!(request::models(&provider).unwrap().url(base).unwrap(), format!("{host}/v1/models"));
    assert_eq!(request::probe(&provider).url(base).unwrap(), format!("{host}/v1/models"));
}

#[test]
fn anthropic_gets_no_texts_that_are_empty() {
    let mut turn = Message::text(Role::Assistant, "");
    turn.tool_calls =
        full().messages.iter().find_map(|it| it.tool_calls.first().cloned()).into_iter().collect();
    assert_eq!(turn.tool_calls.len(), 1);
    let messages = vec![Message::text(Role::User, "a"), turn, Message::text(Role::Assistant, "")];
    let chat = ChatRequest { messages, system: Some(String::new()), ..ChatRequest::default() };
    let body = body(&sent("anthropic", &chat, false));
    let messages = body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[1]["content"][0]["type"], "tool_use");
    assert!(body["system"].is_null());
}

#[test]
fn flavours_have_their_own_words() {
    let mut chat = full();
    chat.parameters.seed = Some(7);
    let words = |kind: &str| {
        let body = body(&sent(kind, &chat, true));
        let has = |name: &str| !body[name].is_null();
        (has("max_tokens"), has("seed"), has("stream_options"))
    };
    assert_eq!(words("openai"), (false, true, true));
    assert_eq!(words("vllm"), (true, true, true));
    assert_eq!(words("mistral"), (true, false, false));
    assert_eq!(body(&sent("mistral", &chat, true))["random_seed"], 7);
}

#[test]
fn what_a_dialect_has_no_word_for_is_an_error_that_names_it() {
    let with = |set: fn(&mut ChatRequest)| {
        let mut chat = full();
        set(&mut chat);
        chat
    };
    for (kind, chat, word) in [
        ("anthropic", with(|chat| chat.parameters.seed = Some(1)), "seed"),
        ("openai-responses", with(|chat| chat.parameters.stop = vec!["x".to_owned()]), "stop"),
        ("ollama", with(|chat| chat.tool_choice = Some(ToolChoice::Required)), "tool_choice"),
        (
            "ollama",
            with(|chat| {
                let image = Image::Url("https://e.com/a.png".to_owned());
                chat.messages[0].content.push(Part::Image(image));
            }),
            "images as data",
        ),
        ("ollama", with(|chat| chat.messages[0].content.push(Part::Raw(json!({})))), "parts"),
        ("openai", with(|chat| chat.messages.clear()), "message"),
        ("openai", with(|chat| chat.messages[2].tool_call_id = None), "tool_call_id"),
        ("openai-responses", with(|chat| chat.messages[2].tool_call_id = None), "tool_call_id"),
        ("anthropic", with(|chat| chat.messages[2].tool_call_id = None), "tool_call_id"),
        ("ollama", with(|chat| chat.messages[2].tool_call_id = None), "tool_call_id"),
        (
            "anthropic",
            with(|chat| chat.messages[1].tool_calls[0].arguments = "{".to_owned()),
            "t-1",
        ),
        ("openai", with(|chat| chat.parameters.temperature = Some(f64::NAN)), "temperature"),
        ("http", full(), "http"),
    ] {
        let failure = request::chat(&provider(kind), &chat, false).unwrap_err();
        assert_eq!(failure.class, Class::Invalid);
        assert!(failure.message.contains(word), "{kind}: {failure}");
    }
    let nameless = Provider::builder("p", "vllm").build().unwrap();
    let failure = request::chat(&nameless, &full(), false).unwrap_err();
    assert!(failure.message.contains("\"model\" of \"p\""), "{failure}");
}

#[test]
fn the_call_comes_before_the_provider_and_extra_fields_before_all() {
    let defaults = Parameters {
        temperature: Some(0.1),
        stop: vec!["end".to_owned()],
        ..Parameters::default()
    };
    let provider = builder("vllm").parameters(defaults).build().unwrap();
    let mut chat = full();
    chat.model = Some("other".to_owned());
    chat.extra.insert("top_p".to_owned(), json!(0.9));
    chat.extra.insert("guided_json".to_owned(), json!({"a": [1, null, 2.5]}));
    let body = body(&request::chat(&provider, &chat, false).unwrap());
    assert_eq!(body["model"], "other");
    assert_eq!((&body["temperature"], &body["top_p"]), (&json!(0.5), &json!(0.9)));
    assert_eq!(body["stop"], json!(["end"]));
    assert_eq!(body["guided_json"], json!({"a": [1, null, 2.5]}));
}

#[test]
fn images_by_url_and_raw_parts_are_passed_through() {
    let mut chat = full();
    let url = Image::Url("https://e.com/a.png".to_owned());
    let raw = json!({"type": "input_audio", "input_audio": {"data": "x"}});
    chat.messages[0].content = vec![Part::Image(url), Part::Raw(raw.clone())];
    let of = |kind: &str| body(&sent(kind, &chat, false));
    let there = "https://e.com/a.png";
    let openai = &of("openai")["messages"][1]["content"];
    assert_eq!(openai, &json!([{"type": "image_url", "image_url": {"url": there}}, raw]));
    let anthropic = &of("anthropic")["messages"][0]["content"];
    let source = json!({"type": "url", "url": there});
    assert_eq!(anthropic, &json!([{"type": "image", "source": source}, raw]));
    let responses = &of("openai-responses")["input"][0]["content"];
    assert_eq!(responses, &json!([{"type": "input_image", "image_url": there}, raw]));
}

#[test]
fn tool_choices_are_said_in_each_dialect() {
    use ToolChoice::{Auto, Named, None, Required};
    let named = Named("look".to_owned());
    for (kind, choice, said) in [
        ("openai", Auto, json!("auto")),
        ("openai", None, json!("none")),
        ("openai", Required, json!("required")),
        ("openai", named.clone(), json!({"type": "function", "function": {"name": "look"}})),
        ("openai-responses", Required, json!("required")),
        ("openai-responses", named.clone(), json!({"type": "function", "name": "look"})),
        ("anthropic", Auto, json!({"type": "auto"})),
        ("anthropic", None, json!({"type": "none"})),
        ("anthropic", Required, json!({"type": "any"})),
        ("anthropic", named, json!({"type": "tool", "name": "look"})),
    ] {
        let chat = ChatRequest { tool_choice: Some(choice), ..full() };
        assert_eq!(body(&sent(kind, &chat, false))["tool_choice"], said, "{kind}");
    }
}

#[test]
fn embeddings_are_asked_for_in_batches() {
    let provider = builder("openai").embedding_model("e").dimensions(8).build().unwrap();
    let inputs = (0..5_000).map(|it| it.to_string()).collect();
    let request = EmbedRequest { inputs, ..EmbedRequest::default() };
    let sizes: Vec<_> = request.batches(&provider).map(<[String]>::len).collect();
    assert_eq!(sizes, [2_048, 2_048, 904]);
    let inputs = [100_000, 200_000, 1, 300_001, 300_000].map(|length| "a".repeat(length)).into();
    let long = EmbedRequest { inputs, ..EmbedRequest::default() };
    let sizes: Vec<_> = long.batches(&provider).map(<[String]>::len).collect();
    assert_eq!(sizes, [2, 1, 1, 1], "no batch has more tokens than OpenAI takes");
    assert_eq!(EmbedRequest::default().batches(&provider).count(), 0);
    let sent = request::embeddings(&provider, &request, &request.inputs[..2]).unwrap();
    let expected =
        json!({"model": "e", "input": ["0", "1"], "dimensions": 8, "encoding_format": "base64"});
    assert_eq!(body(&sent), expected);
    let base = &provider.endpoints[0].base;
    assert_eq!(sent.url(base).unwrap(), "https://api.openai.com/v1/embeddings");

    let of = |kind: &str| {
        let provider = builder(kind).embedding_model("e").dimensions(8).build().unwrap();
        let sent = request::embeddings(&provider, &request, &request.inputs[..1])?;
        let url = sent.url(&provider.endpoints[0].base).unwrap();
        Ok::<_, edgepool_llm::Failure>((url, body(&sent)))
    };
    let expected = json!({"model": "e", "input": ["0"], "output_dimension": 8});
    assert_eq!(of("mistral").unwrap().1, expected);
    let (url, asked) = of("ollama").unwrap();
    assert_eq!(url, "http://127.0.0.1:11434/api/embed");
    assert_eq!(asked, json!({"model": "e", "input": ["0"], "dimensions": 8}));
    assert!(of("azure").unwrap().0.contains("/deployments/e/embeddings?api-version="));
    for kind in ["anthropic", "http"] {
        assert!(of(kind).unwrap_err().message.contains(kind));
    }
    assert!(request::embeddings(&provider, &request, &[]).is_err());
}

#[test]
fn probes_and_lists_are_free_requests() {
    for (kind, probe, models) in [
        ("openai", "GET https://api.openai.com/v1/models", "https://api.openai.com/v1/models"),
        (
            "azure",
            "GET https://r.openai.azure.com/openai/models?api-version=2024-10-21",
            "https://r.openai.azure.com/openai/models?api-version=2024-10-21",
        ),
        ("vllm", "GET http://127.0.0.1:8000/health", "http://127.0.0.1:8000/v1/models"),
        ("llama-cpp", "GET http://127.0.0.1:8080/health", "http://127.0.0.1:8080/v1/models"),
        ("ollama", "GET http://127.0.0.1:11434/api/version", "http://127.0.0.1:11434/api/tags"),
        (
            "anthropic",
            "GET https://api.anthropic.com/v1/models",
            "https://api.anthropic.com/v1/models?limit=1000",
        ),
    ] {
        let provider = provider(kind);
        let base = &provider.endpoints[0].base;
        let asked = request::probe(&provider);
        assert_eq!(format!("{} {}", asked.method, asked.url(base).unwrap()), probe);
        assert!(asked.body.is_empty());
        assert_eq!(request::models(&provider).unwrap().url(base).unwrap(), models);
    }
    let provider = provider("http");
    let asked = request::probe(&provider);
    let url = asked.url(&provider.endpoints[0].base).unwrap();
    assert_eq!((asked.method, &url[..]), ("HEAD", "https://e.com/v1/"));
}

#[test]
fn a_callers_key_is_kept_or_replaced() {
    let theirs: Headers<'_> = [("Authorization", &b"Bearer x"[..])].into_iter().collect();
    let none = Headers::default();
    let keyed = provider("anthropic");
    let ours = Keying::Ours(Some(("x-api-key", Secret::new("k-1"))));
    assert_eq!(request::keying(&keyed, &theirs), ours);
    assert_eq!(request::keying(&keyed, &none), ours);
    let passing = builder("anthropic").pass_client_key(true).build().unwrap();
    assert_eq!(request::keying(&passing, &theirs), Keying::Theirs);
    assert_eq!(request::keying(&passing, &none), ours);
    let keyless = Provider::builder("p", "ollama").build().unwrap();
    assert_eq!(request::keying(&keyless, &theirs), Keying::Theirs);
    let closed = Provider::builder("p", "ollama").pass_client_key(false).build().unwrap();
    assert_eq!(request::keying(&closed, &theirs), Keying::Ours(None));
}

#[test]
fn own_headers_are_sent_and_no_debug_shows_a_secret() {
    let provider = builder("openai").header("X-Team", Secret::new("t-9")).build().unwrap();
    let request = request::chat(&provider, &full(), false).unwrap();
    assert_eq!(header(&request, "x-team"), Some("t-9"));
    let shown = format!("{request:?} {provider:?} {:?}", provider.identity());
    assert!(!shown.contains("k-1") && !shown.contains("t-9"), "{shown}");
}

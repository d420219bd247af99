use std::collections::HashMap;
use std::time::Duration;

use edgepool_llm::Secret;
use edgepool_llm::dialect::FLAVOURS;
use edgepool_llm::provider::{OnRefusal, OptionError, Provider, from_environment, from_json};
use serde_json::{Value, json};

fn read(options: Value) -> Result<Provider, OptionError> {
    Provider::from_json("p", &options, &|name| (name == "MY_KEY").then(|| "k-2".to_owned()))
}

fn environment(variables: &[(&str, &str)]) -> Result<Vec<Provider>, OptionError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    from_environment(|name| variables.get(name).map(|value| (*value).to_owned()))
}

#[test]
fn a_kind_alone_has_its_defaults() {
    let provider = read(json!({"kind": "ollama"})).unwrap();
    assert_eq!(provider.endpoints[0].base.to_string(), "http://127.0.0.1:11434");
    assert_eq!((provider.max, provider.max_waiting), (10, 1_000));
    assert_eq!(provider.timeouts.acquire, Some(Duration::from_secs(30)));
    assert_eq!(provider.timeouts.total, None);
    assert!(provider.pass_client_key && provider.is_local() && !provider.needs_key());
    assert_eq!((provider.kind(), provider.on_refusal), ("ollama", OnRefusal::Throw));
    let openai = read(json!({"kind": "openai", "apiKey": "k"})).unwrap();
    assert!(!openai.pass_client_key && !openai.is_local() && openai.needs_key());
    assert_eq!(openai.on_refusal, OnRefusal::Respond);
}

#[test]
fn every_option_of_a_configuration_counts() {
    let provider = read(json!({
        "kind": "vllm",
        "endpoints": ["http://a:1/v1", {"baseURL": "http://b:2/v1", "weight": 3}],
        "apiKeyEnv": "MY_KEY",
        "headers": {"X-Team": "t"},
        "model": "m", "embeddingModel": "e", "dimensions": 384,
        "parameters": {"maxTokens": 9, "temperature": 0.5, "topP": 1, "topK": 4.0, "stop": "x",
            "seed": -1, "frequencyPenalty": 0.1, "presencePenalty": 0.2},
        "max": 3, "maxWaiting": 0, "passClientKey": true, "onRefusal": "throw",
        "acquireTimeout": 0, "headersTimeout": 1.5, "firstContentTimeout": 2, "stallTimeout": null,
        "totalTimeout": 5,
    }))
    .unwrap();
    let endpoints: Vec<_> =
        provider.endpoints.iter().map(|it| (it.base.to_string(), it.weight)).collect();
    let [a, b] = ["http://a:1/v1", "http://b:2/v1"].map(str::to_owned);
    assert_eq!(endpoints, [(a, 1), (b, 3)]);
    assert_eq!(provider.key, Some(Secret::new("k-2")));
    assert_eq!(provider.headers, [("x-team".to_owned(), Secret::new("t"))]);
    assert_eq!(provider.model.as_deref(), Some("m"));
    assert_eq!(provider.embedding_model.as_deref(), Some("e"));
    assert_eq!(provider.dimensions, Some(384));
    let it = &provider.parameters;
    assert_eq!((it.max_tokens, it.top_k, it.seed), (Some(9), Some(4), Some(-1)));
    assert_eq!((it.temperature, it.top_p), (Some(0.5), Some(1.0)));
    assert_eq!((it.frequency_penalty, it.presence_penalty), (Some(0.1), Some(0.2)));
    assert_eq!(it.stop, ["x"]);
    assert_eq!((provider.max, provider.max_waiting), (3, 0));
    assert!(provider.pass_client_key);
    assert_eq!(provider.on_refusal, OnRefusal::Throw);
    let times = provider.timeouts;
    assert_eq!(times.acquire, Some(Duration::ZERO));
    assert_eq!(times.headers, Some(Duration::from_micros(1_500)));
    assert_eq!(times.first_content, Some(Duration::from_millis(2)));
    assert_eq!(times.between_content, None);
    assert_eq!(times.total, Some(Duration::from_millis(5)));
    assert_eq!(provider.secrets().count(), 2);
}

#[test]
fn wrong_options_are_named_with_what_is_accepted() {
    for (options, option, accepted) in [
        (json!({}), "kind", "openai-compatible"),
        (json!({"kind": "gpt"}), "kind", "anthropic"),
        (json!({"kind": 7}), "kind", "text"),
        (json!({"kind": "ollama", "baseUrl": "http://a"}), "baseUrl", "baseURL"),
        (json!({"kind": "http"}), "baseURL", "needed"),
        (json!({"kind": "http", "baseURL": "a.com"}), "baseURL", "http or https"),
        (json!({"kind": "http", "baseURL": "http://a?key=1"}), "baseURL", "query"),
        (
            json!({"kind": "http", "endpoints": ["http://a", {"baseURL": "a.com"}]}),
            "endpoints[1].baseURL",
            "http or https",
        ),
        (json!({"kind": "ollama", "endpoints": []}), "endpoints", "list"),
        (json!({"kind": "ollama", "endpoints": [{}]}), "endpoints[0].baseURL", "needed"),
        (json!({"kind": "ollama", "endpoints": [7]}), "endpoints[0]", "object"),
        (
            json!({"kind": "ollama", "endpoints": ["http://a", "http://A:80/"]}),
            "endpoints",
            "twice",
        ),
        (
            json!({"kind": "ollama", "baseURL": "http://a", "endpoints": ["http://b"]}),
            "endpoints",
            "baseURL",
        ),
        (
            json!({"kind": "ollama", "endpoints": ["http://b", {"baseURL": "http://a", "weight": 0}]}),
            "endpoints[1].weight",
            "1 to 1000",
        ),
        (
            json!({"kind": "ollama", "endpoints": [{"baseURL": "http://a", "wait": 1}]}),
            "endpoints[0].wait",
            "weight",
        ),
        (json!({"kind": "openai", "apiKey": "a b"}), "apiKey", "printable"),
        (json!({"kind": "openai", "apiKey": ""}), "apiKey", "not empty"),
        (json!({"kind": "openai", "apiKey": "a", "apiKeyEnv": "MY_KEY"}), "apiKeyEnv", "apiKey"),
        (json!({"kind": "openai", "apiKeyEnv": "NO_KEY"}), "apiKeyEnv", "NO_KEY"),
        (json!({"kind": "openai", "passClientKey": false}), "apiKey", "OPENAI_API_KEY"),
        (json!({"kind": "openai", "passClientKey": 1}), "passClientKey", "true or false"),
        (json!({"kind": "openai", "headers": {"a b": "c"}}), "headers", "names"),
        (json!({"kind": "openai", "headers": {"a": "c\r\nd: e"}}), "headers", "printable"),
        (json!({"kind": "openai", "headers": {"Host": "a"}}), "headers", "host"),
        (json!({"kind": "openai", "headers": []}), "headers", "texts"),
        (json!({"kind": "openai", "apiVersion": "1"}), "apiVersion", "openai"),
        (
            json!({"kind": "azure", "baseURL": "https://a.com/openai"}),
            "apiVersion",
            "OPENAI_API_VERSION",
        ),
        (
            json!({"kind": "azure", "baseURL": "https://a.com", "apiVersion": "1&x"}),
            "apiVersion",
            "letters",
        ),
        (json!({"kind": "ollama", "max": 0}), "max", "1 to 65535"),
        (json!({"kind": "ollama", "max": 1.5}), "max", "whole"),
        (json!({"kind": "ollama", "max": -1}), "max", "whole"),
        (json!({"kind": "ollama", "max": 1e300}), "max", "whole"),
        (json!({"kind": "ollama", "maxWaiting": 500_001}), "maxWaiting", "500000"),
        (json!({"kind": "ollama", "dimensions": 0}), "dimensions", "1"),
        (json!({"kind": "ollama", "headersTimeout": 0}), "headersTimeout", "more than 0"),
        (json!({"kind": "ollama", "stallTimeout": -1}), "stallTimeout", "milliseconds"),
        (json!({"kind": "ollama", "totalTimeout": 1e300}), "totalTimeout", "milliseconds"),
        (json!({"kind": "ollama", "onRefusal": "maybe"}), "onRefusal", "respond, throw"),
        (
            json!({"kind": "ollama", "parameters": {"max_tokens": 1}}),
            "parameters.max_tokens",
            "maxTokens",
        ),
        (json!({"kind": "ollama", "parameters": {"stop": [1]}}), "parameters.stop", "texts"),
        (json!({"kind": "ollama", "parameters": {"seed": 0.5}}), "parameters.seed", "whole"),
        (json!({"kind": "ollama", "parameters": {"topP": "1"}}), "parameters.topP", "number"),
        (json!([]), "provider", "object"),
    ] {
        let error = read(options.clone()).unwrap_err();
        assert_eq!((&error.provider[..], &error.option[..]), ("p", option), "{options}");
        assert!(error.message.contains(accepted), "{options}: {error}");
    }
    let error = Provider::builder("", "http").build().unwrap_err();
    assert_eq!(error.option, "name");
}

#[test]
fn no_error_repeats_a_secret() {
    for options in [
        json!({"kind": "openai", "apiKey": "geheim x"}),
        json!({"kind": "openai", "baseURL": "https://me:geheim@e.com"}),
        json!({"kind": "openai", "baseURL": "https://e.com?key=geheim"}),
        json!({"kind": "openai", "headers": {"x": "geheim\n"}}),
    ] {
        let error = read(options).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("geheim"), "{error}");
    }
}

#[test]
fn setters_may_come_in_any_order_and_the_last_counts() {
    let build = |builder: edgepool_llm::provider::Builder| builder.build().unwrap();
    let one =
        build(Provider::builder("p", "vllm").max(1).base_url("http://a/v1").max(2).model("m"));
    let two = build(
        Provider::builder("p", "vllm")
            .model("m")
            .base_url("http://b")
            .max(2)
            .base_url("http://a/v1"),
    );
    assert_eq!(one, two);
    let header = |value: &str| Secret::new(value.to_owned());
    let three =
        build(Provider::builder("p", "vllm").header("A", header("1")).header("a", header("2")));
    assert_eq!(three.headers, [("a".to_owned(), header("2"))]);
}

#[test]
fn a_configuration_names_its_providers() {
    let options = json!({"one": {"kind": "ollama"}, "two": {"kind": "openai", "apiKey": "k"}});
    let providers = from_json(&options, &|_| None).unwrap();
    let names: Vec<_> = providers.iter().map(|provider| &provider.name[..]).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(from_json(&json!([]), &|_| None).unwrap_err().option, "providers");
}

#[test]
fn the_environment_is_read_by_the_names_of_the_sdks() {
    let providers = environment(&[
        ("OPENAI_API_KEY", " k-1 "),
        ("OPENAI_BASE_URL", "https://proxy.example/v1/"),
        ("OPENAI_ORG_ID", "org-1"),
        ("ANTHROPIC_API_KEY", "k-2"),
        ("OLLAMA_HOST", "0.0.0.0"),
        ("GROQ_API_KEY", "k-3"),
        ("GROQ_BASE_URL", "https://api.groq.example"),
        ("MISTRAL_API_KEY", ""),
        ("AZURE_OPENAI_API_KEY", "k-4"),
        ("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com/"),
        ("OPENAI_API_VERSION", "2024-10-21"),
    ])
    .unwrap();
    let told: Vec<_> = providers
        .iter()
        .map(|provider| format!("{} {}", provider.name, provider.endpoints[0].base))
        .collect();
    assert_eq!(
        told,
        [
            "openai https://proxy.example/v1",
            "azure https://r.openai.azure.com/openai",
            "groq https://api.groq.example/openai/v1",
            "anthropic https://api.anthropic.com",
            "ollama http://127.0.0.1:11434",
        ]
    );
    assert_eq!(providers[0].key, Some(Secret::new("k-1")));
    assert_eq!(providers[0].headers[0].0, "openai-organization");
    assert_eq!(providers[1].api_version.as_deref(), Some("2024-10-21"));
}

#[test]
fn an_environment_that_says_nothing_gives_nothing() {
    assert_eq!(environment(&[]).unwrap(), []);
    // A base without a key is not enough where a key is needed.
    assert_eq!(environment(&[("OPENAI_BASE_URL", "https://e.com")]).unwrap(), []);
    assert_eq!(environment(&[("OLLAMA_API_KEY", "k")]).unwrap(), []);
    assert_eq!(environment(&[("AZURE_OPENAI_API_KEY", "k")]).unwrap(), []);
    let error = environment(&[("OLLAMA_HOST", "http://a b")]).unwrap_err();
    assert_eq!((&error.provider[..], &error.option[..]), ("ollama", "baseURL"));
}

#[test]
fn ollamas_host_is_read_as_its_own_client_does() {
    for (value, base) in [
        ("127.0.0.1:11500", "http://127.0.0.1:11500"),
        ("box", "http://box:11434"),
        (":56789", "http://127.0.0.1:56789"),
        ("0.0.0.0:80", "http://127.0.0.1"),
        ("http://box", "http://box"),
        ("https://ollama.com", "https://ollama.com"),
        ("https://box:8443/ollama/", "https://box:8443/ollama"),
        ("[::1]", "http://[::1]:11434"),
        ("[::]:8000", "http://[::1]:8000"),
        ("box/path", "http://box:11434/path"),
    ] {
        let providers = environment(&[("OLLAMA_HOST", value)]).unwrap();
        assert_eq!(providers[0].endpoints[0].base.to_string(), base, "{value}");
    }
}

#[test]
fn every_kind_can_be_made_and_asked() {
    for flavour in &FLAVOURS {
        let builder = Provider::builder("p", flavour.name).key(Secret::new("k"));
        let builder = builder.base_url("https://e.com/v1");
        let provider = builder.build().unwrap();
        assert_eq!(provider.flavour, flavour);
        assert_eq!(provider.identity().service, flavour.name);
        let names = FLAVOURS.iter().filter(|other| other.name == flavour.name);
        assert_eq!(names.count(), 1);
    }
}

#[test]
fn no_error_repeats_what_may_be_a_key() {
    let wrong =
        |value: Value| Provider::from_json("p", &value, &|_: &str| None).unwrap_err().to_string();
    let key = "sk-proj-abcdefghijklmnop";
    let error = wrong(json!({"kind": "openai", "apiKeyEnv": key}));
    assert!(error.contains("apiKeyEnv") && !error.contains(key), "{error}");
    let error = wrong(json!({"kind": "openai", "apiKeyEnv": "MY_KEY"}));
    assert!(error.contains("MY_KEY"), "{error}");
    let twice = ["https://gw/tok_SECRET/v1"; 2];
    let error = wrong(json!({"kind": "vllm", "endpoints": twice}));
    assert!(error.contains("twice") && !error.contains("SECRET"), "{error}");
    let builder = Provider::builder("p", "vllm").base_url("https://user:hunter2@host/v1");
    assert!(!format!("{builder:?}").contains("hunter2"));
}

#[test]
fn azure_has_one_kind_of_address_and_its_path_once() {
    let base = "https://r.openai.azure.com/openai";
    let two = [(format!("{base}/v1"), 1), ("https://s.openai.azure.com/openai".to_owned(), 1)];
    let builder = Provider::builder("p", "azure").key(Secret::new("k")).api_version("v");
    let error = builder.endpoints(two).build().unwrap_err();
    assert_eq!(error.option, "endpoints");

    let read = |name: &str| match name {
        "AZURE_OPENAI_API_KEY" => Some("k".to_owned()),
        "AZURE_OPENAI_ENDPOINT" => Some(format!("{base}/v1/")),
        _ => None,
    };
    let providers = from_environment(read).unwrap();
    assert_eq!(providers[0].endpoints[0].base.to_string(), format!("{base}/v1"));
}

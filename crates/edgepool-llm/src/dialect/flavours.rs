use core::time::Duration;

use super::{Auth, BaseVariable, Dialect, Flavour, Probe, Quirks};
use crate::headers::{LimitHeaders, Reset, Subject};

const MINUTE: Option<Duration> = Some(Duration::from_secs(60));
const DAY: Option<Duration> = Some(Duration::from_secs(86_400));

const fn row(
    subject: Subject,
    names: [&'static str; 3],
    unit: Reset,
    window: Option<Duration>,
) -> LimitHeaders {
    let [limit, remaining, reset] = names;
    LimitHeaders { subject, limit, remaining, reset, unit, window }
}

const REQUESTS: [&str; 3] =
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
const TOKENS: [&str; 3] =
    ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];

/// OpenAI, "Rate limits", "Rate limits in headers": resets are durations. Its example refills one
/// request of 60 in a second, so the window is a minute.
const OPENAI_LIMITS: &[LimitHeaders] = &[
    row(Subject::Requests, REQUESTS, Reset::Duration, MINUTE),
    row(Subject::Tokens, TOKENS, Reset::Duration, MINUTE),
];

/// Azure, "Manage Azure OpenAI quota": the same names, resets in whole seconds, `-1` for unknown.
const AZURE_LIMITS: &[LimitHeaders] = &[
    row(Subject::Requests, REQUESTS, Reset::Seconds, MINUTE),
    row(Subject::Tokens, TOKENS, Reset::Seconds, MINUTE),
];

/// Groq, "Rate Limits": the same names, but requests are those of a day.
const GROQ_LIMITS: &[LimitHeaders] = &[
    row(Subject::Requests, REQUESTS, Reset::Duration, DAY),
    row(Subject::Tokens, TOKENS, Reset::Duration, MINUTE),
];

/// Mistral's answers; the older `ratelimitbysize-*` counts tokens too, with a reset in seconds.
const MISTRAL_LIMITS: &[LimitHeaders] = &[
    row(
        Subject::Requests,
        ["x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", ""],
        Reset::Seconds,
        MINUTE,
    ),
    row(
        Subject::Tokens,
        ["x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", ""],
        Reset::Seconds,
        MINUTE,
    ),
    row(
        Subject::Tokens,
        ["ratelimitbysize-limit", "ratelimitbysize-remaining", "ratelimitbysize-reset"],
        Reset::Seconds,
        MINUTE,
    ),
];

/// Cerebras, "Rate limits": requests of a day, tokens of a minute, resets in seconds with a
/// fraction.
const CEREBRAS_LIMITS: &[LimitHeaders] = &[
    row(
        Subject::Requests,
        [
            "x-ratelimit-limit-requests-day",
            "x-ratelimit-remaining-requests-day",
            "x-ratelimit-reset-requests-day",
        ],
        Reset::Seconds,
        DAY,
    ),
    row(
        Subject::Tokens,
        [
            "x-ratelimit-limit-tokens-minute",
            "x-ratelimit-remaining-tokens-minute",
            "x-ratelimit-reset-tokens-minute",
        ],
        Reset::Seconds,
        MINUTE,
    ),
];

macro_rules! anthropic {
    ($subject:ident, $name:literal) => {
        row(
            Subject::$subject,
            [
                concat!("anthropic-ratelimit-", $name, "-limit"),
                concat!("anthropic-ratelimit-", $name, "-remaining"),
                concat!("anthropic-ratelimit-", $name, "-reset"),
            ],
            Reset::Time,
            MINUTE,
        )
    };
}

/// Anthropic, "Rate limits", "Response headers": resets are times of RFC 3339; limits are per
/// minute.
const ANTHROPIC_LIMITS: &[LimitHeaders] = &[
    anthropic!(Requests, "requests"),
    anthropic!(Tokens, "tokens"),
    anthropic!(InputTokens, "input-tokens"),
    anthropic!(OutputTokens, "output-tokens"),
];

/// Numbers written out take ten times the memory while they are read.
const FEW_INPUTS: usize = 256;

const QUIRKS: Quirks = Quirks {
    stream_options: true,
    max_tokens: "max_tokens",
    seed: "seed",
    dimensions: "dimensions",
    base64: true,
    // OpenAI, "Create embeddings": an array of at most 2,048.
    max_inputs: 2_048,
    deployments: false,
};

/// A provider that speaks as OpenAI does, of which nothing else is known.
const COMPATIBLE: Flavour = Flavour {
    name: "openai-compatible",
    dialect: Dialect::OpenAi,
    base_url: None,
    base_variables: &[],
    key_variables: &[],
    header_variables: &[],
    headers: &[],
    version_variable: None,
    auth: Auth::Bearer,
    needs_key: false,
    limits: OPENAI_LIMITS,
    probe: Probe::Base("/models"),
    quirks: QUIRKS,
};

const OPENAI: Flavour = Flavour {
    name: "openai",
    base_url: Some("https://api.openai.com/v1"),
    base_variables: &[BaseVariable { name: "OPENAI_BASE_URL", suffix: "" }],
    key_variables: &["OPENAI_API_KEY"],
    header_variables: &[
        ("openai-organization", "OPENAI_ORG_ID"),
        ("openai-project", "OPENAI_PROJECT_ID"),
    ],
    needs_key: true,
    quirks: Quirks { max_tokens: "max_completion_tokens", ..QUIRKS },
    ..COMPATIBLE
};

/// All flavours. Their variables are those that the official SDKs read.
pub static FLAVOURS: [Flavour; 13] = [
    COMPATIBLE,
    OPENAI,
    Flavour { name: "openai-responses", dialect: Dialect::OpenAiResponses, ..OPENAI },
    // The SDK's client for Azure puts `/openai` behind the endpoint.
    Flavour {
        name: "azure",
        base_variables: &[BaseVariable { name: "AZURE_OPENAI_ENDPOINT", suffix: "/openai" }],
        key_variables: &["AZURE_OPENAI_API_KEY"],
        version_variable: Some("OPENAI_API_VERSION"),
        auth: Auth::Header("api-key"),
        needs_key: true,
        limits: AZURE_LIMITS,
        quirks: Quirks { max_tokens: "max_completion_tokens", deployments: true, ..QUIRKS },
        ..COMPATIBLE
    },
    // Groq has no embeddings; its SDK puts the path behind the base.
    Flavour {
        name: "groq",
        base_url: Some("https://api.groq.com/openai/v1"),
        base_variables: &[BaseVariable { name: "GROQ_BASE_URL", suffix: "/openai/v1" }],
        key_variables: &["GROQ_API_KEY"],
        needs_key: true,
        limits: GROQ_LIMITS,
        quirks: Quirks { max_tokens: "max_completion_tokens", ..QUIRKS },
        ..COMPATIBLE
    },
    // Mistral, "API": it refuses fields that it does not know, and tells usage in every stream.
    Flavour {
        name: "mistral",
        base_url: Some("https://api.mistral.ai/v1"),
        key_variables: &["MISTRAL_API_KEY"],
        needs_key: true,
        limits: MISTRAL_LIMITS,
        quirks: Quirks {
            stream_options: false,
            seed: "random_seed",
            dimensions: "output_dimension",
            base64: false,
            max_inputs: FEW_INPUTS,
            ..QUIRKS
        },
        ..COMPATIBLE
    },
    Flavour {
        name: "cerebras",
        base_url: Some("https://api.cerebras.ai/v1"),
        base_variables: &[BaseVariable { name: "CEREBRAS_BASE_URL", suffix: "/v1" }],
        key_variables: &["CEREBRAS_API_KEY"],
        needs_key: true,
        limits: CEREBRAS_LIMITS,
        quirks: Quirks { max_tokens: "max_completion_tokens", ..QUIRKS },
        ..COMPATIBLE
    },
    // vLLM answers 503 there while it loads.
    Flavour {
        name: "vllm",
        base_url: Some("http://127.0.0.1:8000/v1"),
        limits: &[],
        probe: Probe::Origin("/health"),
        ..COMPATIBLE
    },
    // LM Studio sends floats whatever it is asked for.
    Flavour {
        name: "lm-studio",
        base_url: Some("http://127.0.0.1:1234/v1"),
        limits: &[],
        quirks: Quirks { base64: false, max_inputs: FEW_INPUTS, ..QUIRKS },
        ..COMPATIBLE
    },
    // llama.cpp answers 503 there while it loads.
    Flavour {
        name: "llama-cpp",
        base_url: Some("http://127.0.0.1:8080/v1"),
        limits: &[],
        probe: Probe::Origin("/health"),
        ..COMPATIBLE
    },
    // Anthropic, "Versioning". The list of models is free.
    Flavour {
        name: "anthropic",
        dialect: Dialect::Anthropic,
        base_url: Some("https://api.anthropic.com"),
        base_variables: &[BaseVariable { name: "ANTHROPIC_BASE_URL", suffix: "" }],
        key_variables: &["ANTHROPIC_API_KEY"],
        headers: &[("anthropic-version", "2023-06-01")],
        auth: Auth::Header("x-api-key"),
        needs_key: true,
        limits: ANTHROPIC_LIMITS,
        probe: Probe::Base("/v1/models"),
        ..COMPATIBLE
    },
    // A key is for the hosted service alone.
    Flavour {
        name: "ollama",
        dialect: Dialect::Ollama,
        base_url: Some("http://127.0.0.1:11434"),
        base_variables: &[BaseVariable { name: "OLLAMA_HOST", suffix: "" }],
        key_variables: &["OLLAMA_API_KEY"],
        limits: &[],
        probe: Probe::Base("/api/version"),
        quirks: Quirks { base64: false, max_inputs: FEW_INPUTS, ..QUIRKS },
        ..COMPATIBLE
    },
    Flavour { name: "http", dialect: Dialect::Http, limits: &[], probe: Probe::Head, ..COMPATIBLE },
];

//! Bytes as what a provider, a network or a configuration might send.

use std::time::Duration;

use edgepool_llm::answer::{self, Received};
use edgepool_llm::dialect::{Dialect, FLAVOURS};
use edgepool_llm::headers::{MAX_RETRY_AFTER, retry_after};
use edgepool_llm::provider::Provider;
use edgepool_llm::request;
use edgepool_llm::stream::{Decoder, MAX_EVENT};
use edgepool_llm::url::BaseUrl;
use edgepool_llm::watch::BodyWatch;
use edgepool_llm::{Failure, Headers, MAX_MESSAGE, RateLimits};

const DIALECTS: [Dialect; 5] =
    [Dialect::OpenAi, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Ollama, Dialect::Http];

const KINDS: [&[u8]; 4] = [b"text/event-stream", b"application/x-ndjson", b"application/json", b""];

/// Reads bytes in every way there is: the first two choose the dialect and where the rest is split.
pub(crate) fn drive(bytes: &[u8]) {
    let [pick, cut, rest @ ..] = bytes else { return };
    let pick = usize::from(*pick);
    let dialect = DIALECTS[pick % DIALECTS.len()];
    let kind: Headers<'_> =
        [("content-type", KINDS[pick / DIALECTS.len() % KINDS.len()])].into_iter().collect();
    let cut = usize::from(*cut).min(rest.len());
    streams(dialect, &kind, rest, cut);
    answers(dialect, rest);
    headers(rest);
    if let Ok(text) = std::str::from_utf8(rest) {
        addresses(text, cut);
        configurations(text);
    }
}

fn streams(dialect: Dialect, headers: &Headers<'_>, bytes: &[u8], cut: usize) {
    let decode = |pieces: &[&[u8]], max: usize| {
        let mut decoder = Decoder::new(dialect, headers, max, Vec::new()).ok()?;
        for piece in pieces {
            decoder.push(piece);
        }
        decoder.end();
        Some(std::iter::from_fn(|| decoder.poll()).collect::<Vec<_>>())
    };
    let (one, two) = bytes.split_at(cut);
    let split = decode(&[one, two], MAX_EVENT);
    assert_eq!(split, decode(&[bytes], MAX_EVENT));
    if let Some(events) = split {
        // There is always an end, and it is the last.
        let over = |event: &Result<_, Failure>| {
            matches!(event, Err(_) | Ok(edgepool_llm::chat::StreamEvent::Done))
        };
        assert_eq!(events.iter().filter(|event| over(event)).count(), 1);
        assert!(events.last().is_some_and(over));
    }
    decode(&[one, two], 16);
    let mut watch = BodyWatch::new(dialect, headers, Vec::new());
    watch.push(one);
    watch.push(two);
    let _ = watch.end();
}

fn answers(dialect: Dialect, body: &[u8]) {
    for status in [200, 429] {
        let (headers, wall) = (Headers::default(), Duration::ZERO);
        let received = Received { status, headers: &headers, body, wall, keys: &[] };
        let failures = [
            answer::chat(dialect, &received).err(),
            answer::embeddings(dialect, &received, 2, Some(2)).err(),
            answer::models(dialect, &received).err(),
        ];
        for failure in failures.into_iter().flatten() {
            assert!(failure.message.len() <= MAX_MESSAGE);
        }
    }
}

fn headers(bytes: &[u8]) {
    let wall = Duration::from_secs(1_770_984_000);
    for flavour in &FLAVOURS {
        let names = flavour.limits.iter().flat_map(|row| [row.limit, row.remaining, row.reset]);
        let all = names.chain(["retry-after", "retry-after-ms"]).map(|name| (name, bytes));
        let headers: Headers<'_> = all.collect();
        let limits = RateLimits::read(flavour.limits, &headers, wall);
        let resets = [limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens];
        let resets = resets.into_iter().flatten().filter_map(|allowance| allowance.reset);
        for wait in resets.chain(retry_after(&headers, wall)) {
            assert!(wait <= MAX_RETRY_AFTER);
        }
    }
}

fn addresses(text: &str, cut: usize) {
    let cut = (0..=cut).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (base, path) = text.split_at(cut);
    for base in [BaseUrl::parse(base), BaseUrl::parse("https://e.com/v1")].into_iter().flatten() {
        // Its own form is its canonical one.
        assert_eq!(BaseUrl::parse(&base.to_string()).as_ref(), Ok(&base));
        if let Ok(whole) = base.join(path) {
            let rest = whole.strip_prefix(base.origin()).unwrap_or("?");
            assert!(rest.is_empty() || rest.starts_with(['/', '?']), "{whole}");
        }
    }
}

fn configurations(text: &str) {
    let Ok(value) = serde_json::from_str(text) else { return };
    if let Ok(provider) = Provider::from_json("p", &value, &|_| None) {
        let probe = request::probe(&provider);
        for endpoint in &provider.endpoints {
            let _ = probe.url(&endpoint.base);
        }
    }
}

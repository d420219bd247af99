use std::time::Duration;

use edgepool_llm::dialect::Flavour;
use edgepool_llm::headers::{MAX_HEADER, MAX_HEADERS, MAX_RETRY_AFTER, retry_after, should_retry};
use edgepool_llm::{Allowance, Headers, RateLimits};

/// Friday, 13 February 2026, 12:00:00 GMT.
const WALL: Duration = Duration::from_secs(1_770_984_000);

fn headers<'a>(pairs: &[(&'a str, &'a str)]) -> Headers<'a> {
    pairs.iter().map(|(name, value)| (*name, value.as_bytes())).collect()
}

fn read(kind: &str, pairs: &[(&str, &str)]) -> RateLimits {
    RateLimits::read(Flavour::named(kind).unwrap().limits, &headers(pairs), WALL)
}

const fn ms(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis))
}

#[test]
fn retry_after_is_read_in_all_its_forms_and_clamped() {
    let max = Some(MAX_RETRY_AFTER);
    for (name, value, wait) in [
        ("retry-after", "7", ms(7_000)),
        ("Retry-After", " 0.5 ", ms(500)),
        ("retry-after", "0", ms(0)),
        ("retry-after", "2592000", ms(2_592_000_000)),
        ("retry-after", ".5", ms(500)),
        ("retry-after", "2.", ms(2_000)),
        ("retry-after", "1.50000000000000000000000000001", ms(1_500)),
        ("retry-after", "15e-1", None),
        ("retry-after", "99999999999999999999999", max),
        ("retry-after", "1e12", max),
        ("retry-after", "1E+3", ms(1_000_000)),
        ("retry-after", "1e999", None),
        ("retry-after", "-1", None),
        ("retry-after", "NaN", None),
        ("retry-after", "inf", None),
        ("retry-after", "infinity", None),
        ("retry-after", "", None),
        ("retry-after", ".", None),
        ("retry-after", "1.2.3", None),
        ("retry-after", "+5", None),
        ("retry-after", "0x10", None),
        ("retry-after", "5 seconds", None),
        ("retry-after", "soon", None),
        ("retry-after", "Fri, 13 Feb 2026 12:00:30 GMT", ms(30_000)),
        ("retry-after", "Friday, 13-Feb-26 12:00:30 GMT", ms(30_000)),
        ("retry-after", "Fri Feb 13 12:00:30 2026", ms(30_000)),
        ("retry-after", "Fri, 13 Feb 2026 11:59:59 GMT", ms(0)),
        ("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT", ms(0)),
        ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT", max),
        ("retry-after", "Fri, 99 Feb 2026 12:00:30 GMT", None),
        ("retry-after", "2026-02-13T12:00:10Z", ms(10_000)),
        ("retry-after", "2026-02-13T13:00:10.5+01:00", ms(10_500)),
        ("retry-after", "2026-02-30T12:00:10Z", None),
        ("retry-after-ms", "1500", ms(1_500)),
        ("retry-after-ms", "0.25", Some(Duration::from_micros(250))),
        ("retry-after-ms", "1e18", max),
        ("retry-after-ms", "-3", None),
        ("x-ms-retry-after-ms", "20", ms(20)),
    ] {
        assert_eq!(retry_after(&headers(&[(name, value)]), WALL), wait, "{name}: {value}");
    }
}

#[test]
fn the_exact_wait_comes_before_the_rough_one() {
    let both = [("retry-after", "2"), ("retry-after-ms", "1200")];
    assert_eq!(retry_after(&headers(&both), WALL), ms(1_200));
    let nonsense = [("retry-after-ms", "soon"), ("retry-after", "2")];
    assert_eq!(retry_after(&headers(&nonsense), WALL), ms(2_000));
    assert_eq!(retry_after(&Headers::default(), WALL), None);
    let bytes: Headers<'_> = [("retry-after", &b"\xff\xfe"[..])].into_iter().collect();
    assert_eq!(retry_after(&bytes, WALL), None);
}

#[test]
fn a_wish_to_retry_is_read() {
    for (value, wish) in
        [("true", Some(true)), ("false", Some(false)), ("", None), ("TRUE", None), ("1", None)]
    {
        assert_eq!(should_retry(&headers(&[("X-Should-Retry", value)])), wish, "{value}");
    }
}

#[test]
fn limits_are_read_by_each_providers_table() {
    let minute = Some(Duration::from_secs(60));
    let day = Some(Duration::from_secs(86_400));
    let of = |limit, remaining, reset, window| Some(Allowance { limit, remaining, reset, window });
    let same = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ];
    let openai = read("openai", &same);
    assert_eq!(openai.requests, of(Some(60), Some(59), ms(1_000), minute));
    assert_eq!(openai.tokens, of(Some(150_000), Some(149_984), ms(360_000), minute));
    assert_eq!(openai.input_tokens, None);
    assert_eq!(read("groq", &same).requests, of(Some(60), Some(59), ms(1_000), day));
    assert_eq!(read("vllm", &same), RateLimits::default());

    let azure = [
        ("x-ratelimit-limit-requests", "-1"),
        ("x-ratelimit-remaining-requests", "3"),
        ("x-ratelimit-reset-requests", "20"),
    ];
    assert_eq!(read("azure", &azure).requests, of(None, Some(3), ms(20_000), minute));

    let mistral = [
        ("x-ratelimit-limit-req-minute", "60"),
        ("x-ratelimit-remaining-req-minute", "1"),
        ("ratelimitbysize-limit", "500000"),
        ("ratelimitbysize-remaining", "499000"),
        ("ratelimitbysize-reset", "12"),
    ];
    let limits = read("mistral", &mistral);
    assert_eq!(limits.requests, of(Some(60), Some(1), None, minute));
    assert_eq!(limits.tokens, of(Some(500_000), Some(499_000), ms(12_000), minute));

    let cerebras = [
        ("x-ratelimit-remaining-requests-day", "14399"),
        ("x-ratelimit-reset-requests-day", "33011.5"),
        ("x-ratelimit-remaining-tokens-minute", "59000"),
    ];
    let limits = read("cerebras", &cerebras);
    assert_eq!(limits.requests, of(None, Some(14_399), ms(33_011_500), day));
    assert_eq!(limits.tokens, of(None, Some(59_000), None, minute));

    let anthropic = [
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-02-13T12:00:05Z"),
        ("anthropic-ratelimit-output-tokens-remaining", "8000"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-02-13T11:00:00Z"),
    ];
    let limits = read("anthropic", &anthropic);
    assert_eq!(limits.requests, of(Some(50), Some(0), ms(5_000), minute));
    assert_eq!(limits.output_tokens, of(None, Some(8_000), ms(0), minute));
    assert_eq!(limits.tokens, None);
}

#[test]
fn durations_are_read_as_go_writes_them() {
    for (value, reset) in [
        ("12ms", ms(12)),
        ("1m30.5s", ms(90_500)),
        ("1h0m0s", ms(3_600_000)),
        ("1d2h", ms(93_600_000)),
        ("250us", Some(Duration::from_micros(250))),
        ("250µs", Some(Duration::from_micros(250))),
        ("3ns", Some(Duration::from_nanos(3))),
        ("0", ms(0)),
        ("2.5", ms(2_500)),
        ("99999999999h", Some(MAX_RETRY_AFTER)),
        ("30d23h99999h", Some(MAX_RETRY_AFTER)),
    ] {
        let limits = read("openai", &[("x-ratelimit-reset-requests", value)]);
        assert_eq!(limits.requests.unwrap().reset, reset, "{value}");
    }
    for value in ["", "s", "1x", "1s2", "-1s", "1m-2s", "ms", "..s", "NaN", "1 s", "infs", "٣s"] {
        let limits = read("openai", &[("x-ratelimit-reset-requests", value)]);
        assert_eq!(limits.requests, None, "{value}");
    }
}

#[test]
fn nonsense_numbers_are_left_out() {
    for value in ["-1", "NaN", "", "ten", "0x10", "1e400", "--", "1,000"] {
        let limits = read("openai", &[("x-ratelimit-remaining-requests", value)]);
        assert_eq!(limits.requests, None, "{value}");
    }
    for (value, count) in [("12.9", 12), ("1e3", 1_000), ("99999999999999999999999", u64::MAX)] {
        let limits = read("openai", &[("x-ratelimit-remaining-requests", value)]);
        assert_eq!(limits.requests.unwrap().remaining, Some(count), "{value}");
    }
}

#[test]
fn headers_are_bounded_and_found_without_case() {
    let long = "x".repeat(MAX_HEADER + 1);
    let found = headers(&[("a", &long), ("A", "1"), ("a", "2")]);
    assert_eq!(found.text("a"), Some("1"));
    let many: Vec<_> = (0..MAX_HEADERS + 1).map(|it| it.to_string()).collect();
    let kept: Headers<'_> = many.iter().map(|name| (&name[..], &b"1"[..])).collect();
    assert_eq!(kept.get(&many[MAX_HEADERS - 1]), Some(&b"1"[..]));
    assert_eq!(kept.get(&many[MAX_HEADERS]), None);
}

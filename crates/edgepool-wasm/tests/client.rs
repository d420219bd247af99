//! The JS clock and the fetch-backed client, in a JavaScript runtime.
#![cfg(target_family = "wasm")]

use std::time::Duration;

use edgepool::{AcquireError, Clock as _};
use edgepool_wasm::{FetchClient, FetchError, JsClock};
use wasm_bindgen_test::wasm_bindgen_test;

const HELLO: &str = "data:text/plain,hello";

#[wasm_bindgen_test]
async fn the_clock_goes_on_and_waits() {
    let start = JsClock.now();
    JsClock.alarm(start.saturating_add(Duration::from_millis(30))).await;
    let waited = JsClock.now().saturating_since(start);
    assert!(waited >= Duration::from_millis(28), "{waited:?}");
    drop(JsClock.alarm(start));
}

#[wasm_bindgen_test]
async fn a_body_is_read() {
    let client = FetchClient::new(1, Duration::from_secs(1)).unwrap();
    for _ in 0..3 {
        let answer = client.get(HELLO).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(client.stats().gauges.in_use, 1);
        assert_eq!(answer.text().await.unwrap(), "hello");
        assert_eq!(client.stats().gauges.in_use, 0);
    }
}

#[wasm_bindgen_test]
async fn a_place_is_held_until_the_answer_is_dropped() {
    let client = FetchClient::new(1, Duration::from_millis(20)).unwrap();
    let held = client.get(HELLO).await.unwrap();
    let refused = client.get(HELLO).await.unwrap_err();
    assert!(matches!(refused, FetchError::Acquire(AcquireError::TimedOut { .. })), "{refused}");
    drop(held);
    assert_eq!(client.get(HELLO).await.unwrap().text().await.unwrap(), "hello");
}

#[wasm_bindgen_test]
async fn a_request_that_fails_gives_its_place_back() {
    let client = FetchClient::new(1, Duration::from_millis(20)).unwrap();
    // Nothing listens on this port, which `fetch` may also refuse to call.
    let error = client.get("http://127.0.0.1:1/").await.unwrap_err();
    assert!(matches!(error, FetchError::Fetch(_)), "{error}");
    assert!(matches!(client.get("no url").await, Err(FetchError::Fetch(_))));
    assert_eq!(client.stats().gauges.in_use, 0);
    assert!(client.get(HELLO).await.is_ok());
}

//! A Worker in Rust: its requests share one place, and each does I/O once the place is its own. With
//! the pool itself, and by its clients of a provider.

pub mod clients;

use std::future::pending;
use std::time::Duration;

use edgepool::{Clock as _, Pool};
use edgepool_wasm::{FetchClient, JsClock, Places, Wakes, request_scope, request_scope_with};
use js_sys::Promise;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// A request or a response, with a body that belongs to one request.
    pub type Message;
    #[wasm_bindgen(method, catch)]
    fn text(this: &Message) -> Result<Promise, JsValue>;
    #[wasm_bindgen(js_name = fetch, catch)]
    fn js_fetch(url: &str) -> Result<Promise, JsValue>;
}

thread_local! {
    static POOL: Pool<Places, JsClock> = {
        let pool = Pool::builder(Places, JsClock).max(1).acquire_timeout(Duration::from_secs(30));
        pool.build().expect("the options are in range")
    };
    static CLIENT: FetchClient =
        FetchClient::new(1, Duration::from_secs(30)).expect("the options are in range");
}

/// What one request does.
#[wasm_bindgen]
pub struct Visit {
    message: Message,
    url: String,
    hold: u32,
    patient: bool,
}

#[wasm_bindgen]
impl Visit {
    /// Visits `url` with the body of a request, and keeps the place for `hold` ms. A patient visit
    /// waits for the place without a timeout, and so without a timer.
    #[wasm_bindgen(constructor)]
    pub fn new(message: Message, url: String, hold: u32, patient: bool) -> Self {
        Self { message, url, hold, patient }
    }

    /// Visits in a scope of this request.
    pub fn scoped(self) -> Promise {
        request_scope(self.run())
    }

    /// Visits in a scope that is woken by its doorbell.
    pub fn doorbell(self) -> Promise {
        request_scope_with(Wakes::Doorbell, self.run())
    }

    /// Visits in a scope that is woken by polling.
    pub fn polling(self) -> Promise {
        request_scope_with(Wakes::Polling, self.run())
    }

    /// Visits as a task of the queue that all requests share.
    pub async fn unscoped(self) -> Result<JsValue, JsValue> {
        self.run().await
    }

    /// Waits for the place, and does in it what only works in its own request.
    async fn run(self) -> Result<JsValue, JsValue> {
        let pool = POOL.with(Pool::clone);
        let acquire = match self.patient {
            true => pool.acquire().timeout(None),
            false => pool.acquire(),
        };
        let place = acquire.await.map_err(|error| error.to_string())?;
        let body = read(&self.message).await?;
        let answer: Message = JsFuture::from(js_fetch(&self.url)?).await?.into();
        sleep(self.hold).await;
        let answer = read(&answer).await?;
        drop(place);
        Ok(format!("{body}: {answer}").into())
    }
}

/// Fetches a URL through a client that has one request under way.
#[wasm_bindgen]
pub fn fetched(url: String) -> Promise {
    request_scope(async move {
        let client = CLIENT.with(FetchClient::clone);
        let answer = client.get(&url).await.map_err(|error| error.to_string())?;
        let text = answer.text().await.map_err(|error| error.to_string())?;
        Ok(text.into())
    })
}

/// Waits for nothing, in a scope.
#[wasm_bindgen]
pub fn idle() -> Promise {
    request_scope(pending())
}

/// Panics, once it has waited.
#[wasm_bindgen]
pub fn broken() -> Promise {
    request_scope(async {
        sleep(5).await;
        panic!("on purpose");
    })
}

/// Tells how the pool and the client stand.
#[wasm_bindgen]
pub fn standing() -> String {
    let all = [POOL.with(Pool::stats), CLIENT.with(FetchClient::stats)];
    let busy = all.each_ref().map(|stats| stats.gauges.in_use + stats.gauges.offered);
    let waiting = all.each_ref().map(|stats| stats.gauges.waiting);
    format!("{} in use, {} waiting", busy.iter().sum::<u32>(), waiting.iter().sum::<u32>())
}

async fn read(message: &Message) -> Result<String, JsValue> {
    let text = JsFuture::from(message.text()?).await?;
    Ok(text.as_string().unwrap_or_default())
}

async fn sleep(ms: u32) {
    let until = JsClock.now().saturating_add(Duration::from_millis(ms.into()));
    JsClock.alarm(until).await;
}

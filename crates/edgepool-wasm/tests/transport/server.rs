//! A server on loopback, as Node has one.

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::{Closure, JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen(module = "node:http")]
extern "C" {
    type Listener;
    #[wasm_bindgen(js_name = createServer)]
    fn create_server(handler: &Function) -> Listener;
    #[wasm_bindgen(method)]
    fn listen(this: &Listener, port: u16, host: &str, ready: &Function);
    #[wasm_bindgen(method)]
    fn address(this: &Listener) -> JsValue;
    #[wasm_bindgen(method)]
    fn on(this: &Listener, event: &str, listener: &JsValue);
    #[wasm_bindgen(method)]
    fn close(this: &Listener, done: &Function);
    #[wasm_bindgen(method, js_name = closeAllConnections)]
    fn close_all_connections(this: &Listener);
}

/// Runs until it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    listener: Listener,
    seen: Object,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let seen = Object::new();
        let make = Function::new_with_args("seen", include_str!("server.js"));
        let handler = make.call1(&JsValue::UNDEFINED, &seen).unwrap();
        let listener = create_server(handler.unchecked_ref());
        count_connections(&listener, &seen);
        let ready = Promise::new(&mut |resolve, _| listener.listen(0, "127.0.0.1", &resolve));
        JsFuture::from(ready).await.unwrap();
        let port = Reflect::get(&listener.address(), &"port".into()).unwrap().as_f64().unwrap();
        Self { url: format!("http://127.0.0.1:{port}"), listener, seen }
    }

    /// Returns a number that it has told.
    pub(crate) fn seen(&self, name: &str) -> u32 {
        Reflect::get(&self.seen, &name.into()).unwrap().as_f64().unwrap_or_default() as u32
    }

    /// Closes it, so that nobody listens there.
    pub(crate) async fn close(self) {
        let closed = Promise::new(&mut |resolve, _| self.listener.close(&resolve));
        JsFuture::from(closed).await.unwrap();
    }
}

fn count_connections(listener: &Listener, seen: &Object) {
    let seen = seen.clone();
    let name = JsValue::from("connections");
    let count = Closure::<dyn Fn()>::new(move || {
        let before = Reflect::get(&seen, &name).unwrap().as_f64().unwrap_or_default();
        Reflect::set(&seen, &name, &(before + 1.0).into()).unwrap();
    });
    listener.on("connection", &count.into_js_value());
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listener.close_all_connections();
        self.listener.close(&Function::new_no_args(""));
    }
}

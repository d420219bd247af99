//! Requests as `fetch` takes them.

use edgepool_llm::transport::HttpRequest;
use edgepool_llm::url::MAX_URL;
use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::prelude::JsValue;
use web_sys::{RequestCredentials, RequestInit, RequestRedirect, Url};

use super::error::TransportError;

/// What says how the body and the connection are to be read: the runtime alone writes it.
const OURS: [&str; 8] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The methods that `fetch` never sends.
const UNSENT: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

thread_local! {
    /// Workers have no cookies, and throw at whoever names them.
    static HAS_CREDENTIALS: bool = has_credentials().unwrap_or(false);
}

fn has_credentials() -> Result<bool, JsValue> {
    let request = Reflect::get(&js_sys::global(), &"Request".into())?;
    Reflect::has(&Reflect::get(&request, &"prototype".into())?, &"credentials".into())
}

/// Makes what `fetch` takes beside the address. What it would refuse is refused here, as it may say
/// in its error what a value was.
pub(super) fn of(request: &HttpRequest) -> Result<RequestInit, TransportError> {
    check(request).map_err(TransportError::Request)?;
    let init = RequestInit::new();
    init.set_method(&request.method);
    init.set_redirect(RequestRedirect::Manual);
    if HAS_CREDENTIALS.with(|there| *there) {
        init.set_credentials(RequestCredentials::Omit);
    }
    let headers = Array::new();
    for (name, value) in &request.headers {
        // A character of JavaScript for each byte, which is how it sends them.
        let value: String = value.expose().bytes().map(char::from).collect();
        headers.push(&Array::of2(&JsValue::from(&name[..]), &JsValue::from(value)));
    }
    init.set_headers(&headers);
    if !request.body.is_empty() {
        init.set_body(&Uint8Array::from(&request.body[..]));
    }
    Ok(init)
}

fn check(request: &HttpRequest) -> Result<(), &'static str> {
    let method = &request.method[..];
    if !is_token(method) || UNSENT.iter().any(|unsent| method.eq_ignore_ascii_case(unsent)) {
        return Err("the method is not one that can be sent");
    }
    if !request.body.is_empty() && ["GET", "HEAD"].iter().any(|it| method.eq_ignore_ascii_case(it))
    {
        return Err("a request of GET or HEAD has no body");
    }
    check_address(&request.url)?;
    request.headers.iter().try_for_each(|(name, value)| check_header(name, value.expose()))
}

fn check_header(name: &str, value: &str) -> Result<(), &'static str> {
    if !is_token(name) {
        return Err("a header's name is not one that can be sent");
    }
    if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        return Err("headers of the connection, the host and the length are the runtime's");
    }
    match value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
        true => Ok(()),
        false => Err("a header's value has a character that cannot be sent"),
    }
}

fn check_address(address: &str) -> Result<(), &'static str> {
    if address.len() > MAX_URL {
        return Err("the URL is too long");
    }
    // What the runtime would mend might be taken for another address than was meant.
    let (scheme, rest) = address.split_once("://").unwrap_or_default();
    let plain = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let host = !rest.is_empty() && !rest.starts_with(['/', '\\', '?', '#', ':']);
    if !plain || !host {
        return Err("the URL must be an absolute one of http or https");
    }
    let clean = address.bytes().all(|byte| byte > b' ' && byte != 0x7f);
    let url = Url::new(address).ok().filter(|_| clean).ok_or("the URL cannot be read")?;
    match url.username().is_empty() && url.password().is_empty() {
        true => Ok(()),
        false => Err("the URL must not have a user or password"),
    }
}

fn is_token(text: &str) -> bool {
    let marks = b"!#$%&'*+-.^_`|~";
    let may = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
    !text.is_empty() && text.bytes().all(may)
}

/// Returns the bytes of a header's value, of which `fetch` makes a character each. A runtime that
/// has decoded them gives their text.
pub(super) fn bytes_of(value: String) -> Vec<u8> {
    let bytes: Option<_> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    match bytes {
        Some(bytes) => bytes,
        None => value.into_bytes(),
    }
}

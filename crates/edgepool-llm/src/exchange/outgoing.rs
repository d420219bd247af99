use core::fmt;
use std::borrow::Cow;
use std::sync::Arc;

use crate::failure::{Class, Failure};
use crate::headers::Headers;
use crate::provider::Provider;
use crate::request::{KEY_HEADERS, Keying, Request, Target, keying};
use crate::secret::Secret;
use crate::url::BaseUrl;

/// A request, for whichever endpoints its attempts are sent to.
#[derive(Debug)]
pub struct Outgoing {
    method: Cow<'static, str>,
    target: Target,
    headers: Vec<(Cow<'static, str>, Secret)>,
    body: Arc<[u8]>,
    keyed: bool,
}

/// Headers that belong to the transport.
const ITS_OWN: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

impl Outgoing {
    /// Takes what a caller has made: a path below the base, or a URL of its origin. Where there are
    /// several endpoints, a URL of any of them stands for the same path at each.
    ///
    /// # Errors
    ///
    /// When it sets a header that belongs to the transport.
    pub fn of_caller(provider: &Provider, request: HttpRequest) -> Result<Self, Failure> {
        let HttpRequest { method, url, mut headers, body } = request;
        if let Some((name, _)) = headers.iter().find(|(name, _)| is_its_own(name)) {
            let text = format!("the header {name} is set by the transport");
            return Err(Failure::new(Class::Invalid, text));
        }
        let pairs = headers.iter().map(|(name, value)| (&name[..], value.expose().as_bytes()));
        let mut keyed = !provider.headers.is_empty();
        if let Keying::Ours(ours) = keying(provider, &Headers::from_iter(pairs)) {
            keyed |= ours.is_some();
            headers
                .retain(|(name, _)| !KEY_HEADERS.iter().any(|key| name.eq_ignore_ascii_case(key)));
            headers.extend(ours.map(|(name, value)| (Cow::Borrowed(name), value)));
        }
        let usual = provider.flavour.headers.iter();
        let usual = usual.map(|(name, value)| (Cow::Borrowed(*name), Secret::new(*value)));
        let own = provider.headers.iter().map(|(name, value)| (name.clone().into(), value.clone()));
        for (name, value) in own.chain(usual) {
            if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                headers.push((name, value));
            }
        }
        Ok(Self { method, target: target(provider, url), headers, body, keyed })
    }

    /// Returns the body that every attempt is sent with; empty for none.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Tells whether it has a key of the provider's, or headers of its own, which may be one: it
    /// must not follow a redirect, as a key must not leave its origin.
    #[must_use]
    pub const fn is_keyed(&self) -> bool {
        self.keyed
    }

    /// Makes the request for an endpoint.
    ///
    /// # Errors
    ///
    /// When its address cannot be sent, or is of another origin.
    pub fn to(&self, base: &BaseUrl) -> Result<HttpRequest, Failure> {
        let url = match &self.target {
            Target::Base(path) => base.join(path),
            Target::Origin(path) => base.join_origin(path),
        };
        let url = url.map_err(|error| Failure::new(Class::Invalid, error.to_string()))?;
        let mut request = HttpRequest::new(self.method.clone(), url);
        request.headers.clone_from(&self.headers);
        request.body = Arc::clone(&self.body);
        Ok(request)
    }
}

/// Finds where a caller's URL goes at whichever endpoint.
fn target(provider: &Provider, url: String) -> Target {
    let several = provider.endpoints.len() > 1;
    let bases = provider.endpoints.iter().map(|endpoint| &endpoint.base).filter(|_| several);
    let found: Vec<_> = bases.filter_map(|base| base.split(&url)).collect();
    match found.iter().find(|(_, is_below)| *is_below).or_else(|| found.first()) {
        Some((path, true)) => Target::Base(path.clone()),
        Some((path, false)) => Target::Origin(path.clone()),
        None => Target::Base(url),
    }
}

/// Tells whether a header is set by the transport, and not by callers.
#[must_use]
pub fn is_its_own(name: &str) -> bool {
    ITS_OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
}

impl From<Request> for Outgoing {
    fn from(request: Request) -> Self {
        let Request { method, target, headers, body } = request;
        // What the pool makes itself has no need of redirects.
        Self { method: method.into(), target, headers, body: body.into(), keyed: true }
    }
}

/// A request to an address. `Debug` shows no value of a header and nothing of the body.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpRequest {
    /// Such as `POST`.
    pub method: Cow<'static, str>,
    /// An absolute URL of the scheme `http` or `https`.
    pub url: String,
    /// Names in lower case, with values of which any may be a key. Those that the transport sets
    /// itself are not among them: `host`, `content-length` and what belongs to the connection.
    pub headers: Vec<(Cow<'static, str>, Secret)>,
    /// Empty for none. It is shared with further attempts.
    pub body: Arc<[u8]>,
}

impl HttpRequest {
    /// Makes a request without headers and body.
    #[must_use]
    pub fn new(method: impl Into<Cow<'static, str>>, url: impl Into<String>) -> Self {
        let (headers, body) = (Vec::new(), Arc::default());
        Self { method: method.into(), url: url.into(), headers, body }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        // What follows the path may hold a key.
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &url)
            .field("headers", &names)
            .field("body", &self.body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_holds_is_not_shown() {
        let mut request = HttpRequest::new("GET", "https://e.com/v1/models?key=sk-in-url");
        request.headers.push(("authorization".into(), Secret::new("Bearer sk-in-header")));
        request.body = Arc::from(&b"sk-in-body"[..]);
        let shown = format!("{request:?}");
        assert!(!shown.contains("sk-"), "{shown}");
        assert!(shown.contains("https://e.com/v1/models") && shown.contains("authorization"));
    }
}

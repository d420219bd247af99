use std::borrow::Cow;
use std::sync::Arc;

use crate::failure::{Class, Failure};
use crate::headers::Headers;
use crate::provider::Provider;
use crate::request::{KEY_HEADERS, Keying, Request, Target, keying};
use crate::secret::Secret;
use crate::transport::HttpRequest;
use crate::url::BaseUrl;

/// A request, for whichever endpoints its attempts are sent to.
#[derive(Debug)]
pub(super) struct Outgoing {
    method: Cow<'static, str>,
    target: Target,
    headers: Vec<(Cow<'static, str>, Secret)>,
    body: Arc<[u8]>,
}

/// Headers that belong to the transport.
const ITS_OWN: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

impl Outgoing {
    /// Takes what a caller has made: a path below the base, or a URL of its origin.
    pub(super) fn of_caller(provider: &Provider, request: HttpRequest) -> Result<Self, Failure> {
        let HttpRequest { method, url, mut headers, body } = request;
        if let Some((name, _)) = headers.iter().find(|(name, _)| is_its_own(name)) {
            let text = format!("the header {name} is set by the transport");
            return Err(Failure::new(Class::Invalid, text));
        }
        let pairs = headers.iter().map(|(name, value)| (&name[..], value.expose().as_bytes()));
        if let Keying::Ours(ours) = keying(provider, &Headers::from_iter(pairs)) {
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
        Ok(Self { method, target: Target::Base(url), headers, body })
    }

    /// Makes the request for an endpoint.
    pub(super) fn to(&self, base: &BaseUrl) -> Result<HttpRequest, Failure> {
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

fn is_its_own(name: &str) -> bool {
    ITS_OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
}

impl From<Request> for Outgoing {
    fn from(request: Request) -> Self {
        let Request { method, target, headers, body } = request;
        Self { method: method.into(), target, headers, body: body.into() }
    }
}

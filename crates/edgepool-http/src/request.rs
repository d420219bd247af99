//! Requests as hyper takes them.

use bytes::Bytes;
use edgepool_llm::transport::HttpRequest;
use edgepool_llm::url::MAX_URL;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;

use crate::error::Error;

/// What says how the body and the connection are to be read: of two opinions on it one would be
/// wrong, so that hyper alone writes it.
const OURS: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Makes the request that hyper sends.
pub(crate) fn of(request: HttpRequest) -> Result<Request<Full<Bytes>>, Error> {
    let method = Method::from_bytes(request.method.as_bytes())
        .ok()
        .filter(|method| *method != Method::CONNECT)
        .ok_or(Error::Request("the method is not one that can be sent"))?;
    let body = if request.body.is_empty() {
        Bytes::new()
    } else {
        // Shared with further attempts, not copied.
        Bytes::from_owner(request.body)
    };
    let mut made = Request::new(Full::new(body));
    *made.method_mut() = method;
    *made.uri_mut() = address(request.url)?;
    for (name, value) in request.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Error::Request("a header's name is not one that can be sent"))?;
        if OURS.contains(&name) {
            return Err(Error::Request(
                "headers of the connection, the host and the length are the transport's",
            ));
        }
        let mut value = HeaderValue::from_bytes(value.expose().as_bytes())
            .map_err(|_| Error::Request("a header's value has a character that cannot be sent"))?;
        // Not shown by `Debug`, and not kept in the tables of HTTP/2.
        value.set_sensitive(true);
        made.headers_mut()
            .try_append(name, value)
            .map_err(|_| Error::Request("there are too many headers"))?;
    }
    Ok(made)
}

/// Reads an absolute URL. What is checked here is what the rest relies on: the provider's own
/// addresses were checked as they were made.
fn address(url: String) -> Result<Uri, Error> {
    if url.len() > MAX_URL {
        return Err(Error::Request("the URL is too long"));
    }
    let uri = Uri::try_from(url).map_err(|_| Error::Request("the URL cannot be read"))?;
    let plain = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().is_some_and(|host| !host.is_empty());
    let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match (plain && host, user) {
        (true, false) => Ok(uri),
        (true, true) => Err(Error::Request("the URL must not have a user or password")),
        (false, _) => Err(Error::Request("the URL must be an absolute one of http or https")),
    }
}

#[cfg(test)]
mod tests {
    use edgepool_llm::Secret;

    use super::*;

    fn asked(method: &'static str, url: &str, headers: &[(&'static str, &str)]) -> HttpRequest {
        let mut request = HttpRequest::new(method, url);
        let headers = headers.iter().map(|(name, value)| ((*name).into(), Secret::new(*value)));
        request.headers = headers.collect();
        request
    }

    #[test]
    fn what_cannot_be_sent_is_refused_without_being_shown() {
        let url = "https://example.com/v1";
        for request in [
            asked("GET", "", &[]),
            asked("GET", "/v1/models", &[]),
            asked("GET", "example.com", &[]),
            asked("GET", "ftp://example.com/", &[]),
            asked("GET", "https://sk-user@example.com/", &[]),
            asked("GET", "https:///v1", &[]),
            asked("GET", "https://example.com/a b", &[]),
            asked("GET", &format!("https://example.com/{}", "a".repeat(MAX_URL)), &[]),
            asked("CONNECT", url, &[]),
            asked("G T", url, &[]),
            asked("", url, &[]),
            asked("GET", url, &[("a b", "1")]),
            asked("GET", url, &[("x-key", "sk-split\r\nx-other: 1")]),
            asked("GET", url, &[("host", "example.org")]),
            asked("GET", url, &[("Content-Length", "1")]),
            asked("GET", url, &[("transfer-encoding", "chunked")]),
        ] {
            let error = of(request.clone()).expect_err(&format!("{request:?}"));
            assert!(matches!(error, Error::Request(_)), "{request:?}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("sk-"), "{error}");
        }
    }

    #[test]
    fn values_are_sensitive_and_repeated_names_are_kept() {
        let headers = [("authorization", "Bearer sk-1"), ("x-tag", "a"), ("x-tag", "b")];
        let made = of(asked("post", "https://example.com/v1?a=1", &headers)).unwrap();
        assert_eq!(made.headers().get_all("x-tag").iter().count(), 2);
        assert!(made.headers().values().all(HeaderValue::is_sensitive));
        assert!(!format!("{made:?}").contains("sk-1"), "{made:?}");
    }
}

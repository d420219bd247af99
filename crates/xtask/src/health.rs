//! Waits for a gateway to answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);
/// How long one request may take: one that is taken and never answered is not the end of it all.
const TRY: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(20);

/// Returns an address of this machine at which a listener on `address` answers.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Waits until `/healthz` says 200.
pub(crate) async fn wait(address: SocketAddr) -> anyhow::Result<()> {
    let url = format!("http://{address}/healthz");
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut last = None;
    let healthy = async {
        loop {
            match timeout(TRY, ask(&client, &url)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(anyhow::anyhow!("no answer in {} s", TRY.as_secs())),
            }
            sleep(INTERVAL).await;
        }
    };
    if timeout(PATIENCE, healthy).await.is_ok() {
        return Ok(());
    }
    let error = last.unwrap_or_else(|| anyhow::anyhow!("it does not answer"));
    Err(error).with_context(|| format!("{url} is not healthy after {} s", PATIENCE.as_secs()))
}

async fn ask(client: &Client<HttpConnector, Empty<Bytes>>, url: &str) -> anyhow::Result<()> {
    let answer = client.get(url.parse()?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!("{status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_request_that_is_never_answered_is_followed_by_another() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let _unanswered = listener.accept().await.unwrap();
            let (mut second, _) = listener.accept().await.unwrap();
            // An answer before its question would be an error.
            assert!(second.read(&mut [0; 1024]).await.unwrap() > 0);
            second.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            result = timeout(PATIENCE / 2, wait(address)) => result.unwrap().unwrap(),
            () = server => unreachable!("it never ends"),
        }
    }

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        let asked = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(asked("[::]:80"), "[::1]:80");
        assert_eq!(asked("127.0.0.2:80"), "127.0.0.2:80");
    }
}

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
            match timeout(PATIENCE, ask(&client, &url)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => last = Some(error),
                Err(_) => {}
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
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        let asked = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(asked("[::]:80"), "[::1]:80");
        assert_eq!(asked("127.0.0.2:80"), "127.0.0.2:80");
    }
}

//! `cargo xtask serve`: the gateway in a runtime, and the provider simulator beside it.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::ChildStdout;

use crate::cli::{ServeArgs, SimArgs};
use crate::config::provider::Name;
use crate::config::tenants::Tenants;
use crate::config::{SIMULATOR, Serve};
use crate::process::{Cmd, Group};
use crate::progress::Step;
use crate::{build, capnp, health, runtime, workspace};

/// Serves until a process ends by itself, which is an error, or until this future is dropped.
pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let mut serve = Serve::load(args)?;
    // Said before the build, which may take minutes.
    free_port(&serve)?;
    build::everything().await?;
    let mut simulator = match &serve.simulator {
        Some(settings) => Some(Simulator::start(settings, &serve.sources).await?),
        None => None,
    };
    if let Some(simulator) = &simulator {
        serve.set_simulator_url(&simulator.url);
    }
    let address = SocketAddr::new(serve.bind, free_port(&serve)?);
    let mut gateway = Gateway::start(&serve, address)?;
    gateway.ready().await?;
    announce(&serve, address, simulator.as_ref())?;
    tokio::select! {
        error = gateway.ended() => Err(error),
        error = ended(&mut simulator) => Err(error),
    }
}

/// Returns the port to serve on: the one that was asked for, if it is free.
fn free_port(serve: &Serve) -> anyhow::Result<u16> {
    let (bind, port) = (serve.bind, serve.port);
    match TcpListener::bind((bind, port)) {
        Ok(listener) => Ok(listener.local_addr()?.port()),
        Err(error) => match error.kind() {
            ErrorKind::AddrInUse => bail!(
                "port {port} of {bind} is in use: stop what listens there, or choose another \
                 with `--port N` (0 takes a free one)"
            ),
            ErrorKind::AddrNotAvailable => bail!("--bind {bind} is no address of this machine"),
            ErrorKind::PermissionDenied => bail!("--port {port} is not allowed to this user"),
            _ => Err(error).with_context(|| format!("cannot listen on {bind}, port {port}")),
        },
    }
}

fn announce(
    serve: &Serve,
    address: SocketAddr,
    simulator: Option<&Simulator>,
) -> anyhow::Result<()> {
    let tenants = serve.gateway.tenants.as_ref();
    if !serve.bind.is_loopback() {
        let bind = serve.bind;
        if tenants.is_some_and(Tenants::ask_for_a_key) {
            eprintln!(
                "warning: the page, /stats and /metrics ask for no key, and --bind {bind} lets \
                 other machines read them"
            );
        } else {
            eprintln!(
                "warning: the gateway has no authentication, and --bind {bind} lets other \
                 machines use it and its keys"
            );
        }
    }
    if tenants.is_some() {
        eprintln!(
            "note: the page, /stats and /metrics name all tenants: what passes requests on to \
             this address must not pass on those"
        );
    }
    let own = format!("http://{}/", health::reachable(address));
    let mut out = std::io::stdout().lock();
    writeln!(out, "gateway   {own}  ({})", serve.runtime.name())?;
    if let Some(tenants) = tenants {
        writeln!(out, "tenants   {}", tenants.summary())?;
    }
    let base = format!("{own}{}", tenants.map_or("", Tenants::path));
    for (name, provider) in &serve.gateway.providers {
        let mut target = provider.addresses();
        if let Some(simulator) = simulator.filter(|_| name.as_str() == SIMULATOR) {
            target = format!("simulator {}", simulator.url);
        }
        writeln!(out, "provider  {name} -> {base}{name}{} ({target})", provider.client_path())?;
    }
    for (name, route) in &serve.gateway.routes {
        let first = route.first().and_then(|first| serve.gateway.providers.get(first));
        let path = first.map_or("", |first| first.client_path());
        let names: Vec<_> = route.iter().map(Name::as_str).collect();
        writeln!(out, "route     {name} -> {base}{name}{path} ({})", names.join(", then "))?;
    }
    writeln!(out, "ready")?;
    Ok(out.flush()?)
}

/// The runtime that serves the gateway.
struct Gateway {
    name: &'static str,
    group: Group,
    address: SocketAddr,
    step: Option<Step>,
}

impl Gateway {
    fn start(serve: &Serve, address: SocketAddr) -> anyhow::Result<Self> {
        let name = serve.runtime.name();
        let step = Some(Step::start(format!("gateway in {name}")));
        let Serve { runtime, gateway, keys, sources, .. } = serve;
        let cmd = runtime::gateway(*runtime, address, gateway, keys, sources)?;
        Ok(Self { name, group: cmd.guarded().start()?, address, step })
    }

    /// Waits until the gateway answers.
    async fn ready(&mut self) -> anyhow::Result<()> {
        let address = health::reachable(self.address);
        tokio::select! {
            biased;
            error = self.ended() => return Err(error),
            result = health::wait(address) => result?,
        }
        if let Some(step) = self.step.take() {
            step.done();
        }
        Ok(())
    }

    /// Waits for the runtime to end, which it never should by itself.
    async fn ended(&mut self) -> anyhow::Error {
        match self.group.wait().await {
            Ok(status) => {
                anyhow::anyhow!("the gateway in {} ended by itself ({status})", self.name)
            }
            Err(error) => error,
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        capnp::remove(self.address);
    }
}

/// The embedded provider simulator: this program again, in a process of its own.
struct Simulator {
    group: Group,
    url: String,
    /// Kept, as the simulator would fail to write to a pipe that nobody reads.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Simulator {
    async fn start(settings: &SimArgs, sources: &BTreeSet<String>) -> anyhow::Result<Self> {
        let cmd = Cmd::new(workspace::program()).args(["simulate", "--port", "0"]);
        let cmd = cmd.args(settings.to_args()).withhold(sources);
        let (group, stdout) = cmd.guarded().start_piped()?;
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next_line().await?.unwrap_or_default();
        let url = line.strip_prefix("simulator ").context("the simulator did not start")?;
        Ok(Self { group, url: url.to_owned(), _lines: lines })
    }
}

/// Waits for the simulator to end, which it never should by itself.
async fn ended(simulator: &mut Option<Simulator>) -> anyhow::Error {
    match simulator {
        Some(simulator) => match simulator.group.wait().await {
            Ok(status) => anyhow::anyhow!("the simulator ended by itself ({status})"),
            Err(error) => error,
        },
        None => std::future::pending().await,
    }
}

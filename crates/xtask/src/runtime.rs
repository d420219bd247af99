//! The runtimes that serve the gateway, and how each is started.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::config::{Gateway, Keys};
use crate::process::Cmd;
use crate::{build, capnp, workspace};

/// What runs the gateway.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Runtime {
    Workerd,
    Deno,
    Node,
    Bun,
}

impl Runtime {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Workerd => "workerd",
            Self::Deno => "deno",
            Self::Node => "node",
            Self::Bun => "bun",
        }
    }

    /// Returns the program itself, which the npm packages of the gateway carry: their launchers
    /// would stand between it and the signals that end it.
    pub(crate) fn binary(self) -> anyhow::Result<PathBuf> {
        let candidates = match self {
            Self::Node => return Ok("node".into()),
            Self::Workerd => workerd_binaries(),
            Self::Deno => deno_binaries(),
            Self::Bun => bun_binaries(),
        };
        let modules = workspace::path("www/node_modules");
        let found = candidates.iter().map(|name| modules.join(name)).find(|path| path.exists());
        found.with_context(|| {
            format!(
                "the npm package of {} has no binary for this machine ({} {}); remove \
                 www/node_modules to install it anew, or take another --runtime",
                self.name(),
                std::env::consts::OS,
                std::env::consts::ARCH
            )
        })
    }
}

/// What a limit of the gateway holds for.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// The isolate that a request is in, or the process.
    #[default]
    Isolate,
    /// All isolates of workerd, whose requests go through one Durable Object.
    Object,
}

/// Returns the system and the processor as npm's packages name them.
fn platform() -> (&'static str, &'static str) {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    (system, processor)
}

fn workerd_binaries() -> Vec<String> {
    let (system, processor) = platform();
    // Its packages alone write 64 for x64.
    let processor = if processor == "x64" { "64" } else { processor };
    vec![format!("@cloudflare/workerd-{system}-{processor}/bin/workerd")]
}

fn deno_binaries() -> Vec<String> {
    let (system, processor) = platform();
    let suffix = if system == "linux" { "-glibc" } else { "" };
    vec![format!("@deno/{system}-{processor}{suffix}/deno")]
}

/// An install that ran the package's own script has moved the binary into `bun/bin`.
fn bun_binaries() -> Vec<String> {
    let (system, processor) = platform();
    let mut names = vec![format!("@oven/bun-{system}-{processor}-baseline/bin/bun")];
    if has_avx2() {
        names.insert(0, format!("@oven/bun-{system}-{processor}/bin/bun"));
    }
    names.push("bun/bin/bun.exe".into());
    names
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

/// Only bun's builds for x64 differ by it.
#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    true
}

/// Tells a program of the JavaScript suites and benches where the runtimes are.
pub(crate) fn name_binaries(cmd: Cmd) -> anyhow::Result<Cmd> {
    let cmd = cmd.env("EDGEPOOL_WORKERD", Runtime::Workerd.binary()?);
    let cmd = cmd.env("EDGEPOOL_DENO", Runtime::Deno.binary()?);
    Ok(cmd.env("EDGEPOOL_BUN", Runtime::Bun.binary()?))
}

/// Returns the command that serves the gateway on an address. The configuration and the keys are
/// in its environment, and nowhere else. Of `sources`, the variables that keys were found in, it has
/// none: those of tenants are not for it.
pub(crate) fn gateway(
    runtime: Runtime,
    address: SocketAddr,
    config: &Gateway,
    keys: &Keys,
    sources: &BTreeSet<String>,
) -> anyhow::Result<Cmd> {
    let bundle = |name: &str| build::gateway_folder().join(name);
    let program = Cmd::new(runtime.binary()?);
    let cmd = match runtime {
        Runtime::Workerd => program.arg("serve").arg(capnp::write(address, keys, config.scope)?),
        Runtime::Node => program.arg(bundle("node.mjs")),
        Runtime::Bun => program.arg("run").arg(bundle("bun.mjs")),
        Runtime::Deno => program
            .args(["run", "--quiet", "--no-prompt", "--no-config", "--no-lock", "--allow-net"])
            // A request's signal is to tell that its client has gone, and nothing else.
            .arg("--unstable-no-legacy-abort")
            .arg(format!("--allow-env={}", variables(keys).join(",")))
            .arg(format!("--allow-read={}", build::gateway_folder().display()))
            .arg(bundle("deno.mjs"))
            .env("DENO_DIR", workspace::path("target/deno"))
            .env("DENO_NO_UPDATE_CHECK", "1"),
    };
    let cmd = cmd
        .withhold(sources)
        .env("EDGEPOOL_CONFIG", serde_json::to_string(config)?)
        .env("EDGEPOOL_HOST", address.ip().to_string())
        .env("EDGEPOOL_PORT", address.port().to_string());
    Ok(keys.0.iter().fold(cmd, |cmd, (name, key)| cmd.env(name, key)))
}

/// Returns the names of the variables that the gateway reads.
fn variables(keys: &Keys) -> Vec<&str> {
    let own = ["EDGEPOOL_CONFIG", "EDGEPOOL_HOST", "EDGEPOOL_PORT"];
    own.into_iter().chain(keys.0.keys().map(String::as_str)).collect()
}

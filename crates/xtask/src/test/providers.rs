//! The servers that were written by others, which the clients are tried with.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::fingerprint::Fingerprint;
use crate::process::Cmd;
use crate::{tools, workspace};

/// Where Python's packages are.
fn folder() -> PathBuf {
    workspace::path("target/tools/python")
}

fn python() -> PathBuf {
    folder().join("bin/python")
}

/// Has a command run beside the servers, which are started on free ports before it and stopped
/// after it. It finds their addresses in its environment; see `tests/providers/serve.py`.
pub(crate) fn beside(cmd: Cmd) -> Cmd {
    let serve = Cmd::new(python()).arg(workspace::path("tests/providers/serve.py"));
    cmd.behind(serve.env("EDGEPOOL_SERVER_LOGS", workspace::path("target/test-logs/servers")))
}

/// Installs them, each by its exact version, unless they are there.
pub(crate) async fn install() -> anyhow::Result<()> {
    tools::check_node().await?;
    tools::npm_packages("tests/js/providers").await?;
    let version = Cmd::new("python3").arg("--version").output().await;
    let version = version.context("Python is missing, 3.11 or newer: there is no `python3`")?;
    let requirements = workspace::path("tests/providers/requirements.txt");
    let stamp = Fingerprint::default().text(&version).tree(&requirements)?;
    let stamp = stamp.stamp(folder().join(".xtask-stamp"));
    if stamp.is_current(&[python()]) {
        return Ok(());
    }
    stamp.clear();
    check_venv().await?;
    let venv = Cmd::new("python3").args(["-m", "venv", "--clear"]).arg(folder());
    venv.step("virtual environment of Python").await?;
    let pip = Cmd::new(python()).args(["-m", "pip", "install", "--quiet", "--no-deps"]);
    // What they need is named there too.
    let pip = pip.args(["--disable-pip-version-check", "--only-binary", ":all:", "-r"]);
    pip.arg(requirements).step("Python packages of tests/providers").await?;
    stamp.write()
}

/// Checks that virtual environments can be made, for which Debian has a package of its own.
async fn check_venv() -> anyhow::Result<()> {
    let there = Cmd::new("python3").args(["-c", "import venv, ensurepip"]);
    if there.output().await.is_ok() {
        return Ok(());
    }
    let may_install = Cmd::new("id").arg("-u").output().await.is_ok_and(|user| user == "0")
        && Cmd::new("apt-get").arg("--version").output().await.is_ok();
    if !may_install {
        bail!("Python's module venv is missing: run `apt-get install python3-venv`");
    }
    let apt = Cmd::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive");
    apt.clone().arg("update").step("lists of Debian's packages").await?;
    let install = ["install", "--yes", "--no-install-recommends", "python3-venv"];
    apt.args(install).step("python3-venv").await
}

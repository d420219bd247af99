//! The tools that the build needs beside Rust and Node: got once, of exactly the locked versions.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::fingerprint::Fingerprint;
use crate::process::Cmd;
use crate::workspace;

const WASM_TARGET: &str = "wasm32-unknown-unknown";
const OLDEST_NODE: u32 = 20;
const GET_NODE: &str = "install Node.js 20 or newer, from https://nodejs.org/ or your system";

/// Checks that Node.js and npm are there, and new enough.
pub(crate) async fn check_node() -> anyhow::Result<()> {
    let Ok(version) = Cmd::new("node").arg("--version").output().await else {
        bail!("Node.js is missing, there is no `node` on the PATH: {GET_NODE}");
    };
    check_node_version(&version)?;
    if Cmd::new("npm").arg("--version").output().await.is_err() {
        bail!("npm is missing, it comes with Node.js in most packages: {GET_NODE}");
    }
    Ok(())
}

fn check_node_version(version: &str) -> anyhow::Result<()> {
    let major = version.trim_start_matches('v').split('.').next().unwrap_or_default();
    match major.parse::<u32>() {
        Ok(major) if major >= OLDEST_NODE => Ok(()),
        Ok(_) => bail!("Node.js {version} is too old: {GET_NODE}"),
        Err(_) => bail!("`node --version` says {version:?}, which is no version: {GET_NODE}"),
    }
}

/// Adds the wasm target to the toolchain unless it is there.
pub(crate) async fn wasm_target() -> anyhow::Result<()> {
    let sysroot = Cmd::new("rustc").args(["--print", "sysroot"]).output().await;
    let sysroot = PathBuf::from(sysroot.context("rustc does not run")?);
    if sysroot.join("lib/rustlib").join(WASM_TARGET).join("lib").is_dir() {
        return Ok(());
    }
    let add = Cmd::new("rustup").args(["target", "add", WASM_TARGET]);
    add.step(&format!("rust target {WASM_TARGET}")).await
}

/// Returns where the programs of the locked version of wasm-bindgen are, once they were got.
pub(crate) fn wasm_bindgen_folder() -> anyhow::Result<PathBuf> {
    let version = workspace::locked_version("wasm-bindgen")?;
    Ok(workspace::path(&format!("target/tools/wasm-bindgen-{version}/bin")))
}

/// Returns the folder with the wasm-bindgen CLI and test runner of the version in `Cargo.lock`.
pub(crate) async fn wasm_bindgen() -> anyhow::Result<PathBuf> {
    let version = workspace::locked_version("wasm-bindgen")?;
    let bin = wasm_bindgen_folder()?;
    if bin.join("wasm-bindgen").exists() && bin.join("wasm-bindgen-test-runner").exists() {
        return Ok(bin);
    }
    // Without --locked: the lock file in the crate of the CLI names versions of its dependencies
    // that today's toolchain does not build. The version of the CLI itself is exact, which is what
    // its output depends on.
    // A debug build runs fast enough, and is ready in a third of the time.
    let objects = workspace::path(&format!("target/tools/build-{}", std::process::id()));
    let install = Cmd::new("cargo")
        .args(["install", "wasm-bindgen-cli", "--debug", "--force", "--version"])
        .arg(&version)
        .args(["--bin", "wasm-bindgen", "--bin", "wasm-bindgen-test-runner"])
        .arg("--root")
        .arg(bin.parent().expect("bin is in a folder"))
        .env("CARGO_TARGET_DIR", &objects)
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false");
    let result = install.step(&format!("wasm-bindgen CLI {version} (once)")).await;
    fs::remove_dir_all(&objects).ok();
    result.map(|()| bin)
}

/// Installs the packages of an npm project with its lock file, unless they are there.
pub(crate) async fn npm_packages(project: &str) -> anyhow::Result<()> {
    let folder = workspace::path(project);
    let lock = folder.join("package-lock.json");
    if !lock.exists() {
        bail!("{project}/package-lock.json is missing");
    }
    let modules = folder.join("node_modules");
    let stamp = Fingerprint::default().tree(&lock)?.stamp(modules.join(".xtask-stamp"));
    if stamp.is_current(&[]) {
        return Ok(());
    }
    stamp.clear();
    // The packages carry their binaries: no script of theirs needs to run.
    let install = Cmd::new("npm").dir(&folder);
    let install = install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    install.step(&format!("npm packages of {project}")).await?;
    // A project without any package has no folder of them.
    fs::create_dir_all(&modules)?;
    stamp.write()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_must_be_new_enough() {
        assert!(check_node_version("v20.0.0").is_ok());
        assert!(check_node_version("v26.1.0").is_ok());
        let error = check_node_version("v18.19.1").unwrap_err().to_string();
        assert!(error.contains("v18.19.1 is too old") && error.contains("20 or newer"), "{error}");
        assert!(check_node_version("what").is_err());
    }
}

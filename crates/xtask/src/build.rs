//! The build: Rust to wasm, wasm to the npm package, the package to the gateway of each runtime.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::fingerprint::Fingerprint;
use crate::process::Cmd;
use crate::progress::Step;
use crate::tools;
use crate::workspace::{self, VERSION, path};

const TS_PROJECT: &str = "crates/edgepool-wasm/ts";
const GATEWAY_PROJECT: &str = "www";
const GLUE: &str = "target/npm/glue";
const PACKAGE: &str = "target/npm/package";
const GATEWAY: &str = "target/www";

/// Set by the tests for what they start: all is built, and is not to change while they run.
pub(crate) const USE_BUILT: &str = "EDGEPOOL_USE_BUILT";

/// What LLVM does at the end, once more: it finds then that the module reads no text of a panic, so
/// that neither they are in it nor what would have told them.
const PASSES: &str = "passes=deadargelim,globaldce";

/// What LLVM takes to be worth a copy. With its own limit, nearly twice that, the module would be
/// 4 % larger once compressed, and hand a lease on 2 % faster as seen from JavaScript.
const INLINING: &str = "llvm-args=-inline-threshold=125";

/// The options of wasm-opt. It may use what rustc enables, and every engine since 2022 has: with all
/// features it makes modules that no engine loads.
const WASM_OPT: [&str; 9] = [
    "-O3",
    "--strip-debug",
    "--strip-producers",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Returns the folder of the built npm package.
pub(crate) fn package_folder() -> PathBuf {
    path(PACKAGE)
}

/// Returns the npm tarball.
pub(crate) fn tarball() -> PathBuf {
    path(&format!("target/npm/edgepool-{VERSION}.tgz"))
}

/// Returns the folder of the bundled gateway.
pub(crate) fn gateway_folder() -> PathBuf {
    path(GATEWAY)
}

/// Runs `cargo xtask build`.
pub(crate) async fn run() -> anyhow::Result<()> {
    everything().await?;
    println!("package   {}", workspace::relative(&tarball()));
    println!("gateway   {}/", workspace::relative(&gateway_folder()));
    Ok(())
}

/// Builds the package and the gateway. One process at a time builds; others wait for it.
pub(crate) async fn everything() -> anyhow::Result<()> {
    tools::check_node().await?;
    if std::env::var_os(USE_BUILT).is_some() {
        return Ok(());
    }
    let _lock = lock().await?;
    package().await?;
    gateway().await
}

async fn lock() -> anyhow::Result<Flock<fs::File>> {
    fs::create_dir_all(path("target"))?;
    let mut file = fs::File::create(path("target/.xtask-lock"))?;
    let mut step: Option<Step> = None;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                if let Some(step) = step {
                    step.done();
                }
                return Ok(lock);
            }
            Err((file, Errno::EWOULDBLOCK)) => file,
            Err((_, error)) => return Err(error).context("target/.xtask-lock"),
        };
        step.get_or_insert_with(|| Step::start("waiting for another build"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn package() -> anyhow::Result<()> {
    let bindgen = tools::wasm_bindgen().await?;
    tools::npm_packages(TS_PROJECT).await?;
    let module = wasm_module().await?;
    let print = Fingerprint::default()
        .text(VERSION)
        .text(&bindgen.to_string_lossy())
        .text(&WASM_OPT.join(" "))
        .tree(&module)?
        .tree(&path(TS_PROJECT))?
        .tree(&path("LICENSE-MIT"))?
        .tree(&path("LICENSE-APACHE"))?;
    let stamp = print.stamp(path("target/npm/.stamp"));
    if stamp.is_current(&[package_folder().join("package.json"), tarball()]) {
        return Ok(());
    }
    stamp.clear();
    glue(&bindgen, &module).await?;
    typescript().await?;
    pack().await?;
    stamp.write()
}

/// Compiles the module. Cargo itself knows best whether there is anything to do. `--locked`, as a
/// build is to take the versions in `Cargo.lock`, and never to change them.
async fn wasm_module() -> anyhow::Result<PathBuf> {
    tools::wasm_target().await?;
    let cargo = Cmd::new("cargo")
        .args(["rustc", "--locked", "--package", "edgepool-wasm", "--features", "exports"])
        // As a library for Rust too it would be linked without optimising across crates.
        .args(["--lib", "--crate-type", "cdylib", "--profile", "wasm"])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(path("target"))
        .args(["--", "-C", PASSES, "-C", INLINING]);
    cargo.step("wasm module").await?;
    Ok(path("target/wasm32-unknown-unknown/wasm/edgepool_wasm.wasm"))
}

async fn glue(bindgen: &Path, module: &Path) -> anyhow::Result<()> {
    remove(&path(GLUE))?;
    let glue = Cmd::new(bindgen.join("wasm-bindgen"))
        .args(["--target", "web", "--omit-default-module-path", "--out-dir"])
        .arg(path(GLUE))
        .arg(module);
    glue.step("JavaScript glue").await?;
    let wasm = path(GLUE).join("edgepool_wasm_bg.wasm");
    let opt = Cmd::new("node")
        .arg(path(TS_PROJECT).join("node_modules/binaryen/bin/wasm-opt"))
        .args(WASM_OPT)
        .arg(&wasm)
        .arg("-o")
        .arg(&wasm);
    opt.step("wasm-opt").await
}

async fn typescript() -> anyhow::Result<()> {
    remove(&package_folder())?;
    let build = Cmd::new("node")
        .arg(path(TS_PROJECT).join("build.mjs"))
        .arg("--glue")
        .arg(path(GLUE))
        .arg("--out")
        .arg(package_folder())
        .args(["--version", VERSION]);
    build.step("npm package").await
}

async fn pack() -> anyhow::Result<()> {
    remove(&tarball())?;
    let pack = Cmd::new("npm")
        .args(["pack", "--ignore-scripts"])
        .arg(package_folder())
        .arg("--pack-destination")
        .arg(path("target/npm"));
    pack.step("npm tarball").await?;
    if !tarball().exists() {
        bail!("npm pack made no {}", workspace::relative(&tarball()));
    }
    Ok(())
}

async fn gateway() -> anyhow::Result<()> {
    tools::npm_packages(GATEWAY_PROJECT).await?;
    let print = Fingerprint::default().tree(&path(GATEWAY_PROJECT))?.tree(&package_folder())?;
    let stamp = print.stamp(path("target/.gateway-stamp"));
    let outputs = ["manifest.json", "worker.js", "node.mjs", "deno.mjs", "bun.mjs"];
    if stamp.is_current(&outputs.map(|name| gateway_folder().join(name))) {
        return Ok(());
    }
    stamp.clear();
    remove(&gateway_folder())?;
    let build = Cmd::new("node")
        .arg(path(GATEWAY_PROJECT).join("build.mjs"))
        .arg("--package")
        .arg(package_folder())
        .arg("--out")
        .arg(gateway_folder());
    build.step("gateway").await?;
    stamp.write()
}

/// Removes a file or a folder that may not be there.
fn remove(target: &Path) -> anyhow::Result<()> {
    let result = match target.is_dir() {
        true => fs::remove_dir_all(target),
        false => fs::remove_file(target),
    };
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| workspace::relative(target))
        }
        _ => Ok(()),
    }
}

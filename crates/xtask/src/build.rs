//! The build: Rust to wasm, wasm to the npm package, the package to the gateway of each runtime.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::future::try_join;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::fingerprint::Fingerprint;
use crate::process::Cmd;
use crate::progress::Step;
use crate::tools;
use crate::workspace::{self, VERSION, path};

const TS_PROJECT: &str = "crates/edgepool-wasm/ts";
const GATEWAY_PROJECT: &str = "www";
const PACKAGE: &str = "target/npm/package";
const GATEWAY: &str = "target/www";

/// Set by the tests for what they start: all is built, and is not to change while they run.
pub(crate) const USE_BUILT: &str = "EDGEPOOL_USE_BUILT";

/// A wasm module of the package, and how it is made.
struct Module {
    /// What a step that makes it is called.
    name: &'static str,
    package: &'static str,
    /// The name of its file.
    file: &'static str,
    profile: &'static str,
    /// What cargo is told beside that.
    cargo: &'static [&'static str],
    /// What rustc is told.
    rustc: &'static [&'static str],
    /// What it is told of everything that the module is made of.
    flags: &'static str,
    bindgen: &'static [&'static str],
    wasm_opt: &'static str,
    /// The folder of the glue.
    glue: &'static str,
}

/// The pool's. Of what rustc is told, the first is what LLVM does at the end, once more: it finds
/// then that the module reads no text of a panic, so that neither they are in it nor what would have
/// told them. The second is what LLVM takes to be worth a copy: with its own limit, nearly twice
/// that, the module would be 4 % larger once compressed, and hand a lease on 2 % faster as seen from
/// JavaScript.
const POOL: Module = Module {
    name: "wasm module",
    package: "edgepool-wasm",
    file: "edgepool_wasm",
    profile: "wasm",
    cargo: &["--features", "exports"],
    rustc: &["-C", "passes=deadargelim,globaldce", "-C", "llvm-args=-inline-threshold=125"],
    flags: "",
    bindgen: &[],
    wasm_opt: "-O3",
    glue: "target/npm/glue",
};

/// That of the pools which tenants share, with what the other one has besides.
const TENANTS: Module = Module {
    name: "wasm module with tenants",
    profile: "wasm-tenants",
    cargo: &["--features", "tenants"],
    glue: "target/npm/glue-tenants",
    ..POOL
};

/// That of the clients. Its glue can begin again with a new instance, as what has trapped is of no
/// use any more. The hash is of a few keys, for which that in a loop is fast enough, and a quarter of
/// the code.
const CLIENTS: Module = Module {
    name: "wasm module of the clients",
    package: "edgepool-clients",
    file: "edgepool_clients",
    profile: "wasm-small",
    cargo: &[],
    rustc: &[],
    flags: "--cfg sha2_backend_soft=\"compact\"",
    bindgen: &["--experimental-reset-state-function"],
    wasm_opt: "-Oz",
    glue: "target/npm/glue-clients",
};

/// The options of wasm-opt for all. It may use what rustc enables, and every engine since 2022 has:
/// with all features it makes modules that no engine loads.
const WASM_OPT: [&str; 8] = [
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
    tools::wasm_target().await?;
    // Side by side, as the last crate of each occupies one core for long. Their profiles, and with
    // them cargo's locks, are not the same.
    let pools = try_join(compile(&POOL), compile(&TENANTS));
    let ((pool, tenants), clients) = try_join(pools, compile(&CLIENTS)).await?;
    let print = Fingerprint::default()
        .text(VERSION)
        .text(&bindgen.to_string_lossy())
        .text(&WASM_OPT.join(" "))
        .text(&[POOL.wasm_opt, CLIENTS.wasm_opt].join(" "))
        .tree(&pool)?
        .tree(&tenants)?
        .tree(&clients)?
        .tree(&path(TS_PROJECT))?
        .tree(&path("LICENSE-MIT"))?
        .tree(&path("LICENSE-APACHE"))?;
    let stamp = print.stamp(path("target/npm/.stamp"));
    if stamp.is_current(&[package_folder().join("package.json"), tarball()]) {
        return Ok(());
    }
    stamp.clear();
    let pools = try_join(glue(&bindgen, &POOL, &pool), glue(&bindgen, &TENANTS, &tenants));
    try_join(pools, glue(&bindgen, &CLIENTS, &clients)).await?;
    typescript().await?;
    pack().await?;
    stamp.write()
}

/// Compiles a module. Cargo itself knows best whether there is anything to do. `--locked`, as a
/// build is to take the versions in `Cargo.lock`, and never to change them.
async fn compile(module: &Module) -> anyhow::Result<PathBuf> {
    let cargo = Cmd::new("cargo")
        .args(["rustc", "--locked", "--package", module.package])
        .args(module.cargo)
        // As a library for Rust too it would be linked without optimising across crates.
        .args(["--lib", "--crate-type", "cdylib", "--profile", module.profile])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(path("target"))
        .arg("--")
        .args(module.rustc)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", module.flags);
    cargo.step(module.name).await?;
    let Module { profile, file, .. } = module;
    Ok(path(&format!("target/wasm32-unknown-unknown/{profile}/{file}.wasm")))
}

async fn glue(bindgen: &Path, module: &Module, wasm: &Path) -> anyhow::Result<()> {
    let folder = path(module.glue);
    remove(&folder)?;
    let glue = Cmd::new(bindgen.join("wasm-bindgen"))
        .args(["--target", "web", "--omit-default-module-path"])
        .args(module.bindgen)
        .arg("--out-dir")
        .arg(&folder)
        .arg(wasm);
    glue.step(&format!("JavaScript glue of the {}", module.name)).await?;
    let wasm = folder.join(format!("{}_bg.wasm", module.file));
    let opt = Cmd::new("node")
        .arg(path(TS_PROJECT).join("node_modules/binaryen/bin/wasm-opt"))
        .arg(module.wasm_opt)
        .args(WASM_OPT)
        .arg(&wasm)
        .arg("-o")
        .arg(&wasm);
    opt.step(&format!("wasm-opt of the {}", module.name)).await
}

async fn typescript() -> anyhow::Result<()> {
    remove(&package_folder())?;
    let build = Cmd::new("node")
        .arg(path(TS_PROJECT).join("build.mjs"))
        .arg("--glue")
        .arg(path(POOL.glue))
        .arg("--tenants-glue")
        .arg(path(TENANTS.glue))
        .arg("--clients-glue")
        .arg(path(CLIENTS.glue))
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

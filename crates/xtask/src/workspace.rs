//! Where things are in the checkout, and the versions that its lock files name.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context as _;
use serde::Deserialize;

/// The root of the checkout that this program was built from.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("crates/xtask is two levels down").to_path_buf()
});

/// The file of this program. The system is asked at the start: once a build has put another file in
/// its place, it gives a path that does not exist.
static PROGRAM: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::current_exe().expect("the system names the running program"));

/// Returns the path of this program, and must be called before anything is built.
pub(crate) fn program() -> &'static Path {
    &PROGRAM
}

/// Returns a path in the checkout; `""` is its root.
pub(crate) fn path(relative: &str) -> PathBuf {
    ROOT.join(relative)
}

/// Returns a path as it is written from the root of the checkout.
pub(crate) fn relative(path: &Path) -> String {
    match path.strip_prefix(&*ROOT) {
        Ok(inside) if inside.as_os_str().is_empty() => ".".into(),
        Ok(inside) => inside.display().to_string(),
        Err(_) => path.display().to_string(),
    }
}

/// The version of every crate here, and of the npm package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The oldest version of Rust that the crates promise to be built by.
pub(crate) const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// Returns the version of a dependency that `Cargo.lock` names.
pub(crate) fn locked_version(package: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path("Cargo.lock")).context("Cargo.lock")?;
    version_in_lock(&text, package)
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: String,
}

/// Returns the version of a package that the text of a lock file names.
pub(crate) fn version_in_lock(text: &str, package: &str) -> anyhow::Result<String> {
    let lock: Lock = toml::from_str(text).context("Cargo.lock")?;
    let found = lock.package.into_iter().find(|locked| locked.name == package);
    Ok(found.with_context(|| format!("Cargo.lock names no {package}"))?.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_read() {
        let text = "[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n";
        assert_eq!(version_in_lock(text, "a").unwrap(), "1.2.3");
        assert!(version_in_lock(text, "b").is_err());
    }
}

//! workerd's configuration file. It names variables, and holds no value of one.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Deserialize;

use crate::build;
use crate::config::Keys;
use crate::runtime::Scope;

/// The behaviour of workerd that the gateway is written for.
const COMPATIBILITY_DATE: &str = "2026-11-01";

/// Lets a Worker see in `request.signal` that its client has gone.
const COMPATIBILITY_FLAGS: &str = r#"["enable_request_signal"]"#;

/// The class of the Durable Object that the gateway is in where its scope is `object`.
const CLASS: &str = "GatewayObject";

/// What the build of the gateway says of itself: the files of the Worker, its script first.
#[derive(Deserialize)]
struct Manifest {
    modules: Vec<String>,
}

/// Writes the file for a gateway on `address`, and returns its path. Each address has its own, so that
/// gateways can run side by side.
pub(crate) fn write(address: SocketAddr, keys: &Keys, scope: Scope) -> anyhow::Result<PathBuf> {
    let manifest = fs::read(build::gateway_folder().join("manifest.json"));
    let manifest: Manifest = serde_json::from_slice(&manifest.context("the built gateway")?)?;
    let path = file(address);
    let names: Vec<_> = keys.0.keys().map(String::as_str).collect();
    fs::write(&path, text(address, &manifest.modules, &names, scope))
        .context("workerd's configuration")?;
    Ok(path)
}

/// Removes the file for a gateway on `address`, if there is one.
pub(crate) fn remove(address: SocketAddr) {
    fs::remove_file(file(address)).ok();
}

fn file(address: SocketAddr) -> PathBuf {
    let ip = address.ip().to_string().replace(':', "_");
    build::gateway_folder().join(format!("workerd-{ip}-{}.capnp", address.port()))
}

fn text(address: SocketAddr, modules: &[String], keys: &[&str], scope: Scope) -> String {
    let mut out = String::from("using Workerd = import \"/workerd/workerd.capnp\";\n\n");
    out.push_str("const config :Workerd.Config = (\n  services = [\n");
    out.push_str("    (name = \"gateway\", worker = .gateway),\n    (name = \"internet\", network");
    // Providers may be on this machine; the real ones have certificates that browsers trust.
    out.push_str(" = (\n      allow = [\"public\", \"private\"],\n");
    out.push_str("      tlsOptions = (trustBrowserCas = true)\n    )),\n  ],\n");
    out.push_str("  sockets = [(name = \"http\", service = \"gateway\", http = (), ");
    out.push_str(&format!("address = \"{address}\")]\n);\n\n"));
    out.push_str("const gateway :Workerd.Worker = (\n  modules = [\n");
    for module in modules {
        let kind = if module.ends_with(".wasm") { "wasm" } else { "esModule" };
        out.push_str(&format!("    (name = \"{module}\", {kind} = embed \"{module}\"),\n"));
    }
    out.push_str("  ],\n  bindings = [\n");
    for name in ["EDGEPOOL_CONFIG", "EDGEPOOL_HOST"].iter().chain(keys) {
        out.push_str(&format!("    (name = \"{name}\", fromEnvironment = \"{name}\"),\n"));
    }
    if scope == Scope::Object {
        out.push_str(&format!(
            "    (name = \"EDGEPOOL_OBJECT\", durableObjectNamespace = \"{CLASS}\"),\n"
        ));
        out.push_str("  ],\n  durableObjectNamespaces = [\n");
        out.push_str(&format!("    (className = \"{CLASS}\", uniqueKey = \"edgepool\"),\n"));
        // What the object knows is of the moment, and lives as long as the process.
        out.push_str("  ],\n  durableObjectStorage = (inMemory = void),\n");
    } else {
        out.push_str("  ],\n");
    }
    out.push_str(&format!("  compatibilityDate = \"{COMPATIBILITY_DATE}\",\n"));
    out.push_str(&format!("  compatibilityFlags = {COMPATIBILITY_FLAGS}\n);\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_a_file_of_its_own() {
        let addresses = ["127.0.0.1:9", "127.0.0.1:19", "127.0.0.2:9", "0.0.0.0:9", "[::1]:9"];
        let mut files: Vec<_> = addresses.iter().map(|text| file(text.parse().unwrap())).collect();
        assert!(files[4].ends_with("workerd-__1-9.capnp"), "{:?}", files[4]);
        files.sort();
        files.dedup();
        assert_eq!(files.len(), addresses.len());
    }

    #[test]
    fn keys_are_named_and_modules_embedded() {
        let address = "127.0.0.1:9".parse().unwrap();
        let modules = ["worker.js".into(), "a.wasm".into()];
        let text = text(address, &modules, &["EDGEPOOL_KEY_A"], Scope::Isolate);
        assert!(text.contains(r#"(name = "EDGEPOOL_KEY_A", fromEnvironment = "EDGEPOOL_KEY_A")"#));
        assert!(text.contains(r#"(name = "worker.js", esModule = embed "worker.js")"#));
        assert!(text.contains(r#"(name = "a.wasm", wasm = embed "a.wasm")"#));
        assert!(text.contains(r#"address = "127.0.0.1:9""#));
        assert!(!text.contains("durableObject"));
    }

    #[test]
    fn a_scope_of_all_isolates_has_an_object() {
        let text = text("127.0.0.1:9".parse().unwrap(), &[], &[], Scope::Object);
        let binding = r#"(name = "EDGEPOOL_OBJECT", durableObjectNamespace = "GatewayObject")"#;
        assert!(text.contains(binding));
        assert!(text.contains(r#"(className = "GatewayObject", uniqueKey = "edgepool")"#));
        assert!(text.contains("durableObjectStorage = (inMemory = void)"));
    }
}

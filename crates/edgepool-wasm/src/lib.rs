//! edgepool-wasm

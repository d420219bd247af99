//! Chance from the runtime.

use js_sys::{Reflect, Uint32Array};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    type Crypto;
    #[wasm_bindgen(method, catch, js_name = getRandomValues)]
    fn get_random_values(this: &Crypto, into: &Uint32Array) -> Result<Uint32Array, JsValue>;
    #[wasm_bindgen(js_namespace = Math, catch)]
    fn random() -> Result<f64, JsValue>;
}

/// Draws a seed. In a Worker there is none outside of a request.
pub(crate) fn seed() -> Option<u64> {
    from_crypto().or_else(|| random().ok().map(|chance| chance.to_bits()))
}

fn from_crypto() -> Option<u64> {
    let crypto = Reflect::get(&js_sys::global(), &"crypto".into()).ok()?;
    if !crypto.is_object() {
        return None;
    }
    let drawn = Uint32Array::new_with_length(2);
    let crypto: Crypto = wasm_bindgen::JsCast::unchecked_into(crypto);
    crypto.get_random_values(&drawn).ok()?;
    Some(u64::from(drawn.get_index(0)) << 32 | u64::from(drawn.get_index(1)))
}

#[cfg(all(test, target_family = "wasm"))]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::{from_crypto, random, seed};

    #[wasm_bindgen_test]
    fn two_seeds_are_not_the_same() {
        assert!(seed().is_some() && seed() != seed());
        assert_ne!(from_crypto(), None);
        assert_ne!(random().unwrap().to_bits(), random().unwrap().to_bits());
    }
}

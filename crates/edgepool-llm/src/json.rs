use serde_json::Value;

/// Parses JSON. The parser is large, and a module has it once.
#[inline(never)]
pub(crate) fn parse(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

/// Returns the entries of a list, and of what is none nothing.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

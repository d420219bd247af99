//! What a refusal of the pool's own looks like to each SDK.

//! What a provider is, from code, from a configuration or from the environment.

//! What is counted of a provider and its endpoints.

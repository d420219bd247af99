//! Limits of concurrency that follow what a provider bears.

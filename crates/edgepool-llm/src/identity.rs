//! Which providers are the same service, and may share a pool.

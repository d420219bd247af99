//! Addresses of requests: a path goes below the base, and nothing leaves its origin.

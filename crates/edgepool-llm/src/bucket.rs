//! Buckets of requests and tokens, corrected by what providers tell of their limits.

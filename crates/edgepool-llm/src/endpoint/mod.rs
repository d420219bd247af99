//! The endpoints of a provider: which one is next, and which ones are out.

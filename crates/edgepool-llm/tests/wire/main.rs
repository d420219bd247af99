//! What is sent to providers and what they answer, in tables.

mod answers;
mod failures;
mod fixtures;
mod headers;
mod json;
mod nonsense;
mod policy;
mod providers;
mod requests;
mod streams;

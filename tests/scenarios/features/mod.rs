//! What the pool can do, each feature a test of its own name.

mod factories;
mod failures;
mod filling;
mod leases;
mod operators;
mod queue;
mod telling;
mod tenants;
mod time_outs;
mod unattended;
mod upkeep;

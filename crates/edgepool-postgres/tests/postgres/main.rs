//! The pool over a real PostgreSQL: the one that `cargo xtask postgres` runs beside these tests and
//! names in the environment. Without one they fail, and say how they are run.

mod server;

mod callers;
mod clean;
mod lost;
mod refused;
mod tenants;

//! A runtime-agnostic pool of connections with an injected clock and factory.
#![forbid(unsafe_code)]

mod clock;
mod factory;
pub mod ledger;

pub use clock::{Clock, Time};
pub use factory::{Factory, FactoryFn, factory_fn};

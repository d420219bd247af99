//! One exchange with an endpoint: the request that an attempt sends, and what is made of its answer.
//!
//! Whoever drives a [`Call`](crate::call::Call) makes an [`Outgoing`] of what is asked. For each
//! attempt that the call wants sent it sends [`Outgoing::to`] that endpoint, makes a [`Reader`] of
//! the head of the answer, hands it the bytes of the body, and tells the call what each
//! [`Reading`] says. None of this has a socket or a clock.

mod outgoing;
mod reader;

pub use outgoing::{HttpRequest, Outgoing, is_its_own};
pub use reader::{Head, Kind, Output, Reader, Reading};

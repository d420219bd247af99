//! One logical call over a service: its attempts, and what is to be done next.

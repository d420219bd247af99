//! What a body that is passed on unread has shown so far.

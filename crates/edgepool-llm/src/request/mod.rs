//! What is sent: method, path, headers and body.

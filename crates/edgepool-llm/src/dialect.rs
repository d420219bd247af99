//! What providers speak, and how those that speak alike differ.

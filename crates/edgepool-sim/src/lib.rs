//! edgepool-sim

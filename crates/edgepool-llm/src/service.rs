//! What the calls to one provider share.

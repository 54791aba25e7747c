//! One file an upstream.

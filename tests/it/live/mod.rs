//! Live mode through the whole gateway, against doubles of every upstream.

mod catalogue;
mod failover;
mod gateway;
mod options;
mod runs;
mod tap;
mod troubles;

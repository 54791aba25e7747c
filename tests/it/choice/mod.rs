//! Which route serves a request, and how the health of routes steers that.

mod circuits;
mod noise;
mod oracle;

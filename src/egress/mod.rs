//! Outgoing connections to addresses that strangers name: webhooks and input files. Resolve, check, pin, no redirects.
//!
//! [`Egress`] is the only way to such an address, and makes no request whose URL was not checked. A host name is
//! checked where it is resolved for the connection itself, so a name that answers differently the second time gains
//! nothing.

mod connector;
mod guard;

pub use connector::{Egress, trusted_client, use_ring};
pub use guard::{Refused, is_public};

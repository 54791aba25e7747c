//! Outgoing connections to addresses that strangers name: webhooks and input files. Resolve, check, pin, no redirects.

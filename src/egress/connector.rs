//! The HTTP client behind the guard.

use std::{error::Error as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use reqwest::{
    Client, Method, RequestBuilder, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};

use super::guard::{self, Refused};

/// How long a connection may take to stand.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a request may take, where the caller sets no other limit.
const REQUEST_LIMIT: Duration = Duration::from_mins(1);

/// Calls addresses that strangers name.
#[derive(Clone, Debug)]
pub struct Egress {
    client: Client,
    allow_private: bool,
}

impl Egress {
    /// Resolves names by the system's resolver. `allow_private` lets calls go to any address.
    pub fn new(allow_private: bool) -> anyhow::Result<Self> {
        Self::with_resolver(allow_private, Arc::new(System))
    }

    /// Resolves names by another resolver; its answers are checked all the same.
    pub fn with_resolver(allow_private: bool, resolver: Arc<dyn Resolve>) -> anyhow::Result<Self> {
        use_ring();
        let client = Client::builder()
            .dns_resolver(Guarded { resolver, allow_private })
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_LIMIT)
            .timeout(REQUEST_LIMIT)
            .user_agent(concat!("Doitong/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("no HTTP client for outgoing calls (are the system's root certificates installed?)")?;
        Ok(Self { client, allow_private })
    }

    /// Whether this URL may be called, as far as that shows without resolving its host.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        guard::check(url, self.allow_private)
    }

    /// A request to this URL.
    pub fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, Refused> {
        self.check(&url)?;
        Ok(self.client.request(method, url))
    }

    /// The refusal behind a failed request: the host's addresses are not public.
    pub fn refusal(error: &reqwest::Error) -> Option<Refused> {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(refused) = error.downcast_ref() {
                return Some(*refused);
            }
            cause = error.source();
        }
        None
    }
}

/// A client for addresses that the operator names, which are not checked.
pub fn trusted_client() -> anyhow::Result<Client> {
    use_ring();
    let client = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_LIMIT).timeout(REQUEST_LIMIT);
    client.build().context("no HTTP client")
}

/// Makes ring the process's TLS provider, unless another one is chosen already. Needed before any client is built.
pub fn use_ring() {
    // Already installed is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// Hands the connector only addresses that may be called.
struct Guarded {
    resolver: Arc<dyn Resolve>,
    allow_private: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        if self.allow_private {
            return self.resolver.resolve(name);
        }
        if guard::is_local_name(name.as_str()) {
            return Box::pin(async { Err(Refused::NotPublic.into()) });
        }
        let answer = self.resolver.resolve(name);
        Box::pin(async move {
            let all: Vec<SocketAddr> = answer.await?.collect();
            let public: Vec<_> = all.iter().copied().filter(|address| guard::is_public(address.ip())).collect();
            if public.is_empty() && !all.is_empty() {
                return Err(Refused::NotPublic.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// The system's resolver.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

//! Addresses of stored files: made from their paths, and recognised as ours.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::OnceLock,
};

use url::{Host, Url};

const FOLDER: &str = "/media/";

/// Where stored files are served.
#[derive(Debug)]
pub struct Links {
    public: Option<Url>,
    listening: OnceLock<Url>,
}

impl Links {
    /// Links under the configured public address, else under the address listened on, once that is known.
    pub const fn new(public: Option<Url>) -> Self {
        Self { public, listening: OnceLock::new() }
    }

    /// Tells the address that is listened on. Told once; "any address" is called by way of loopback.
    pub fn listening_on(&self, address: SocketAddr) {
        let ip = match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        if let Ok(url) = Url::parse(&format!("http://{}", SocketAddr::new(ip, address.port()))) {
            self.listening.get_or_init(|| url);
        }
    }

    /// Whether files have an address that others can reach.
    pub const fn is_public(&self) -> bool {
        self.public.is_some()
    }

    /// The address of a stored file; `None` in a process that neither listens nor knows the public address.
    pub fn url(&self, path: &str) -> Option<Url> {
        let mut url = self.public.as_ref().or_else(|| self.listening.get())?.clone();
        url.set_path(&format!("{}{FOLDER}{path}", url.path().trim_end_matches('/')));
        Some(url)
    }

    /// The path of a stored file whose address this is.
    pub fn path_of(&self, url: &Url) -> Option<String> {
        let public = self.public.as_ref().filter(|base| base.origin() == url.origin());
        let base = public.or_else(|| self.listening.get().filter(|base| is_same_listener(base, url)))?;
        let path = url.path().strip_prefix(base.path().trim_end_matches('/'))?.strip_prefix(FOLDER)?;
        Some(path.to_owned())
    }
}

/// Whether a URL leads to the listener: its address, or this machine by another name.
fn is_same_listener(base: &Url, url: &Url) -> bool {
    base.scheme() == url.scheme()
        && base.port_or_known_default() == url.port_or_known_default()
        && (base.host() == url.host() || is_loopback(base) && is_loopback(url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(public: Option<&str>, listening: Option<&str>) -> Links {
        let links = Links::new(public.map(|url| url.parse().unwrap()));
        if let Some(address) = listening {
            links.listening_on(address.parse().unwrap());
        }
        links
    }

    fn path(links: &Links, url: &str) -> Option<String> {
        links.path_of(&url.parse().unwrap())
    }

    #[test]
    fn the_public_address_goes_before_the_one_listened_on() {
        let url = |links: &Links| links.url("ab/cd.png").map(String::from);
        assert_eq!(url(&links(None, None)), None);
        assert_eq!(url(&links(None, Some("127.0.0.1:80"))).unwrap(), "http://127.0.0.1/media/ab/cd.png");
        assert_eq!(url(&links(None, Some("0.0.0.0:8080"))).unwrap(), "http://127.0.0.1:8080/media/ab/cd.png");
        assert_eq!(url(&links(None, Some("[::]:8080"))).unwrap(), "http://[::1]:8080/media/ab/cd.png");
        let both = links(Some("https://ai.example/gate/"), Some("127.0.0.1:80"));
        assert_eq!(url(&both).unwrap(), "https://ai.example/gate/media/ab/cd.png");
    }

    #[test]
    fn our_addresses_are_recognised() {
        let both = links(Some("https://ai.example/gate"), Some("127.0.0.1:8080"));
        for ours in [
            "https://ai.example/gate/media/a",
            "https://ai.example:443/gate/media/a?x=1",
            "http://127.0.0.1:8080/media/a",
            "http://localhost:8080/media/a",
            "http://[::1]:8080/media/a",
        ] {
            assert_eq!(path(&both, ours).as_deref(), Some("a"), "{ours}");
        }
        for other in [
            "https://ai.example/media/a",
            "https://ai.example/gate/graphql",
            "http://ai.example/gate/media/a",
            "https://other.example/gate/media/a",
            "http://127.0.0.1:8081/media/a",
            "http://10.0.0.1:8080/media/a",
        ] {
            assert_eq!(path(&both, other), None, "{other}");
        }
    }
}

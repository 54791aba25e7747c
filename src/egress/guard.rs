//! What may be called: the address table and the URL policy. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Why an address is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither http nor https.
    #[error("only http and https addresses are called")]
    Scheme,
    /// A user name or password in the URL.
    #[error("an address with a user name or password is not called")]
    Userinfo,
    /// No host.
    #[error("the address names no host")]
    NoHost,
    /// A private, loopback, link-local, metadata or otherwise special address, or a name of one.
    #[error("the address is not on the public internet")]
    NotPublic,
}

/// IPv4 blocks that are not the public internet: network and prefix length.
const SPECIAL_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::UNSPECIFIED, 8),            // "this network"; Linux connects to itself
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carrier-grade NAT; metadata of some clouds
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's platform service
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local; metadata of most clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments; metadata of Oracle's cloud
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, broadcast
];

/// Blocks within the global unicast space (`2000::/3`) that are not the public internet.
const SPECIAL_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments: Teredo, ORCHID, benchmarks
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4: leads to any IPv4 address
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Names that mean this machine or its network, whatever they resolve to; they and all names below them.
const LOCAL_NAMES: &[&str] =
    &["localhost", "localdomain", "local", "internal", "intranet", "lan", "home.arpa", "ip6-localhost", "ip6-loopback"];

/// Whether an address is an ordinary one of the public internet.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// Checks everything about a URL that shows without resolving its host.
pub(super) fn check(url: &Url, allow_private: bool) -> Result<(), Refused> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refused::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::Userinfo);
    }
    // The parser has turned every spelling of an IPv4 address (octal, hex, short, one number) into the address.
    let public = match url.host().ok_or(Refused::NoHost)? {
        Host::Domain(name) if name.trim_end_matches('.').is_empty() => return Err(Refused::NoHost),
        Host::Domain(name) => !is_local_name(name),
        Host::Ipv4(ip) => is_public_v4(ip),
        Host::Ipv6(ip) => is_public_v6(ip),
    };
    if public || allow_private { Ok(()) } else { Err(Refused::NotPublic) }
}

/// Whether a name is one of this machine or its network.
pub(super) fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    LOCAL_NAMES.iter().any(|local| name.strip_suffix(local).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let within = |&(net, prefix): &(Ipv4Addr, u32)| (ip.to_bits() ^ net.to_bits()) >> (32 - prefix) == 0;
    !SPECIAL_V4.iter().any(within)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let embedded = || Ipv4Addr::from_bits(u32::try_from(ip.to_bits() & 0xffff_ffff).unwrap_or(0));
    match ip.segments() {
        // IPv4-mapped, and NAT64 as networks without IPv4 use it: as public as the address within.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(embedded()),
        // ISATAP: an interface id that tunnels to the IPv4 address within.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => false,
        [first, ..] if first & 0xe000 != 0x2000 => false,
        _ => {
            let within = |&(net, prefix): &(Ipv6Addr, u32)| (ip.to_bits() ^ net.to_bits()) >> (128 - prefix) == 0;
            !SPECIAL_V6.iter().any(within)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = include_str!("../../tests/fixtures/egress/refused.txt");
    const PUBLIC: &str = include_str!("../../tests/fixtures/egress/public.txt");

    fn urls(text: &str) -> impl Iterator<Item = &str> {
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
    }

    #[test]
    fn every_way_in_is_refused() {
        assert!(urls(REFUSED).count() >= 180, "the table lost lines");
        // What the parser takes for no URL at all is refused there.
        let passed: Vec<_> =
            urls(REFUSED).filter(|url| Url::parse(url).is_ok_and(|url| check(&url, false).is_ok())).collect();
        assert_eq!(passed, [""; 0]);
    }

    #[test]
    fn ordinary_addresses_pass() {
        let refused: Vec<_> = urls(PUBLIC).filter(|url| check(&Url::parse(url).unwrap(), false).is_err()).collect();
        assert_eq!(refused, [""; 0]);
    }

    #[test]
    fn the_edges_of_every_block_are_where_they_should_be() {
        for &(net, prefix) in SPECIAL_V4 {
            let size = u32::MAX.checked_shr(prefix).unwrap_or(0);
            let last = net.to_bits() + size;
            assert!(!is_public_v4(net) && !is_public_v4(Ipv4Addr::from_bits(last)), "{net}/{prefix}");
        }
        for public in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2001:200::1",
            "2003::1",
            "2001:db7:ffff::1",
            "2001:db9::1",
            "3ffe::1",
            "3fff:1000::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn allowing_private_addresses_lifts_only_that() {
        let check = |url: &str| check(&Url::parse(url).unwrap(), true);
        assert_eq!(check("http://127.0.0.1:9100/hook"), Ok(()));
        assert_eq!(check("http://localhost/hook"), Ok(()));
        assert_eq!(check("ftp://127.0.0.1/hook"), Err(Refused::Scheme));
        assert_eq!(check("http://a:b@127.0.0.1/hook"), Err(Refused::Userinfo));
    }
}

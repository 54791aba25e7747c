//! How the values of arguments are read. The words are those of the API; the types know them already.

use std::net::{SocketAddr, ToSocketAddrs as _};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::{Deserialize, de::IntoDeserializer as _};

use crate::domain::{Credits, GenerationType, Mode, Plan};

/// The longest name of an account, in characters.
const LONGEST_NAME: usize = 200;
/// The largest top-up; beyond it a slip is likelier than a purchase.
const MOST_CREDITS: i64 = 1_000_000_000_000;

pub(super) fn mode() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(["test", "live"]).try_map(word::<Mode>)
}

pub(super) fn plan() -> impl TypedValueParser<Value = Plan> {
    PossibleValuesParser::new(["free", "starter", "pro", "enterprise"]).try_map(word::<Plan>)
}

/// In small letters, as words of a command line are; with `ignore_case`, those of the API too.
pub(super) fn generation_type() -> impl TypedValueParser<Value = GenerationType> {
    let names = PossibleValuesParser::new(["video", "image", "audio", "avatar"]);
    names.try_map(|name| word::<GenerationType>(name.to_uppercase()))
}

/// A word of the API as its value.
pub(super) fn word<T: for<'a> Deserialize<'a>>(word: String) -> Result<T, serde::de::value::Error> {
    T::deserialize(word.into_deserializer())
}

pub(super) fn name(text: &str) -> Result<String, &'static str> {
    let is_name = (1..=LONGEST_NAME).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let is_bare = text.trim() == text;
    if is_name && is_bare {
        return Ok(text.to_owned());
    }
    Err("a name has 1 to 200 characters, no control characters and no space around it")
}

/// An amount that may be nothing.
pub(super) fn credits() -> impl TypedValueParser<Value = Credits> {
    clap::value_parser!(i64).range(0..=MOST_CREDITS).map(Credits::new)
}

/// An amount that is something.
pub(super) fn some_credits() -> impl TypedValueParser<Value = Credits> {
    clap::value_parser!(i64).range(1..=MOST_CREDITS).map(Credits::new)
}

/// An address with its port; a host name stands for the first of its addresses.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().map(|mut addresses| addresses.next());
    found.ok().flatten().ok_or_else(|| "expected an address and a port, as in 127.0.0.1:8080".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        for good in ["default", "Ada Lovelace", "Müller & Söhne", &"é".repeat(200)] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", " ", " padded", "two\nlines", "\u{7f}", &"é".repeat(201)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_have_a_port() {
        assert_eq!(address("127.0.0.1:0").unwrap().port(), 0);
        assert!(address("[::1]:8080").unwrap().is_ipv6());
        assert!(address("localhost:8080").unwrap().ip().is_loopback());
        assert!(address("127.0.0.1").is_err());
        assert!(address("8080").is_err());
    }
}

//! Keeps the operator's credentials out of what upstreams say: an error that quotes the request would carry them into
//! logs, `doctor` and the database.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::domain::Fault;

/// Stands where a credential stood.
const HIDDEN: &str = "[hidden]";
/// Shorter texts are no credentials, and would be found in ordinary words.
const LEAST: usize = 6;
/// What a token follows that was made from a credential.
const SCHEMES: [&str; 4] = ["bearer ", "basic ", "key ", "token "];

/// Everything that must not be told: credentials, in the forms in which they are sent.
pub(super) struct Redaction(Vec<String>);

impl Redaction {
    pub(super) fn of(secrets: &HashMap<String, SecretString>) -> Self {
        let mut texts: Vec<String> = secrets.values().flat_map(|secret| forms(secret.expose_secret().trim())).collect();
        texts.retain(|text| text.len() >= LEAST);
        // Of two that begin alike the longer one first, so that no end of it is left over.
        texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        Self(texts)
    }

    /// The fault with nothing secret in its words.
    pub(super) fn fault(&self, mut fault: Fault) -> Fault {
        fault.detail = self.text(&fault.detail);
        // A cause speaks for itself in a log of causes.
        fault.source = fault.source.map(|source| anyhow::Error::msg(self.text(&format!("{source:#}"))));
        fault
    }

    fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret) {
                text = text.replace(secret, HIDDEN);
            }
        }
        // Long answers are cut, perhaps within a credential.
        let halves = self.0.iter().flat_map(|secret| (LEAST..secret.len()).rev().filter_map(|end| secret.get(..end)));
        let length = halves.filter(|half| text.ends_with(half)).map(str::len).max();
        if let Some(length) = length {
            text.truncate(text.len() - length);
            text.push_str(HIDDEN);
        }
        without_tokens(&text)
    }
}

/// A credential as it is, as it stands in a URL, its parts, and both in base64.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned(), STANDARD.encode(secret)];
    match Url::parse(secret) {
        Ok(url) if url.has_host() => {
            // The address of a server is none, its user and password are.
            forms.clear();
            let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            if let Some(password) = url.password() {
                let pair = format!("{}:{}", plain(url.username()), plain(password));
                forms.extend([password.to_owned(), plain(password), STANDARD.encode(&pair), pair]);
            }
        }
        _ => forms.extend(secret.split_once(':').map(|(_, password)| password.to_owned())),
    }
    let encoded: Vec<_> = forms.iter().map(|form| utf8_percent_encode(form, NON_ALPHANUMERIC).to_string()).collect();
    forms.extend(encoded);
    forms
}

/// The text without what follows the name of a scheme and looks like a token.
fn without_tokens(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    // Of the same length, byte by byte.
    let mut lower = text.to_ascii_lowercase();
    loop {
        let found = SCHEMES.iter().filter_map(|scheme| Some(lower.find(scheme)? + scheme.len())).min();
        let Some(start) = found else { break };
        let length = rest[start..].bytes().take_while(|byte| is_of_token(*byte)).count();
        kept.push_str(&rest[..start]);
        kept.push_str(if length > 20 { HIDDEN } else { &rest[start..start + length] });
        rest = &rest[start + length..];
        lower = rest.to_ascii_lowercase();
    }
    kept + rest
}

const fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::fault::Kind;

    fn redaction() -> Redaction {
        let secrets = [
            ("A", "sk-0123456789"),
            ("B", "user@example.com:pass/word"),
            ("C", "http://me:s3cr%23t-word@10.0.0.1:7860"),
            ("D", "1"),
            ("E", "sk-0123456789-longer"),
        ];
        Redaction::of(&secrets.map(|(name, value)| (name.to_owned(), value.into())).into())
    }

    #[test]
    fn credentials_are_hidden_in_every_form() {
        for (text, expected) in [
            ("key sk-0123456789 is wrong", "key [hidden] is wrong"),
            ("sk-0123456789-longer", "[hidden]"),
            ("https://a/?key=sk%2D0123456789&x", "https://a/?key=[hidden]&x"),
            ("pass/word of user@example.com.", "[hidden] of user@example.com."),
            ("Basic dXNlckBleGFtcGxlLmNvbTpwYXNzL3dvcmQ=", "Basic [hidden]"),
            ("no s3cr#t-word nor s3cr%23t-word at 10.0.0.1:7860", "no [hidden] nor [hidden] at 10.0.0.1:7860"),
            ("cut off: sk-01234", "cut off: [hidden]"),
            (
                "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc, bearer of news",
                "Authorization: Bearer [hidden], bearer of news",
            ),
            ("HTTP 401: 1 error", "HTTP 401: 1 error"),
        ] {
            assert_eq!(redaction().text(text), expected, "{text}");
        }
    }

    #[test]
    fn a_fault_keeps_its_meaning() {
        let fault = Fault::refused(Kind::Account, "sk-0123456789").because(anyhow::anyhow!("of sk-0123456789"));
        let fault = redaction().fault(fault);
        assert_eq!(format!("{fault} {:#}", fault.source.as_ref().unwrap()), "Account (Refused): [hidden] of [hidden]");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_tell(text in "(\\PC|sk-0123456789|Bearer |key |pass/word|é){0,20}") {
            let told = redaction().text(&text);
            prop_assert!(!told.contains("sk-0123456789") && !told.contains("pass/word"), "{told}");
        }
    }
}

//! Files that the pages of the binary load: compiled in, compressed by `build.rs`, and kept by browsers.

use axum::{
    http::{
        HeaderMap, StatusCode,
        header::{
            ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
};

/// A file of a page.
pub(super) struct Asset {
    pub name: &'static str,
    pub content_type: &'static str,
    pub plain: &'static [u8],
    pub gzip: &'static [u8],
}

/// The file `$folder/$name`, whose name is its address.
macro_rules! asset {
    ($folder:literal, $name:literal, $content_type:literal) => {
        crate::http::assets::Asset {
            name: $name,
            content_type: $content_type,
            plain: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/", $folder, "/", $name)),
            gzip: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz")),
        }
    };
}
pub(super) use asset;

/// Answers a request for one of these files.
pub(super) fn serve(assets: &'static [Asset], name: &str, request: &HeaderMap) -> Response {
    let Some(asset) = assets.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let etag = asset.etag();
    // Asked for anew at every visit, so that a page never meets the script of another release.
    let headers = [
        (ETAG, etag.as_str()),
        (CACHE_CONTROL, "no-cache"),
        (VARY, "accept-encoding"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if mentions(request, IF_NONE_MATCH, &etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let content_type = [(CONTENT_TYPE, asset.content_type)];
    if mentions(request, ACCEPT_ENCODING, "gzip") {
        return (headers, content_type, [(CONTENT_ENCODING, "gzip")], asset.gzip).into_response();
    }
    (headers, content_type, asset.plain).into_response()
}

impl Asset {
    /// Weak, since it holds for both encodings. A gzip file ends with the checksum and the length of what is in it.
    fn etag(&self) -> String {
        let checksum = self.gzip.last_chunk::<8>().copied().unwrap_or_default();
        format!("W/\"{}\"", hex::encode(checksum))
    }
}

/// Whether a header that is a list holds an entry, and does not exclude it.
fn mentions(headers: &HeaderMap, name: axum::http::HeaderName, wanted: &str) -> bool {
    let lists = headers.get_all(name);
    let mut entries = lists.iter().filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    entries.any(|entry| {
        let (entry, weight) = entry.split_once(';').unwrap_or((entry, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok());
        entry.trim().eq_ignore_ascii_case(wanted) && weight.is_none_or(|weight: f32| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (accepted, takes) in [
            ("gzip", true),
            ("deflate, GZip;q=0.5", true),
            ("br, gzip", true),
            ("gzip;q=0", false),
            ("br", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(mentions(&headers, ACCEPT_ENCODING, "gzip"), takes, "{accepted}");
        }
    }
}

//! The console: the page that `GET /` gives. It is made in `assets/console/` and loads nothing from elsewhere, files of the
//! media store apart.

use axum::{
    extract::{Path, State},
    http::{
        HeaderMap,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse as _, Response},
};

use super::{
    Edge,
    assets::{self, Asset, asset},
};

const PAGE: &str = include_str!("../../assets/console/index.html");
static ASSETS: [Asset; 3] = [
    asset!("console/dist", "console.js", "text/javascript; charset=utf-8"),
    asset!("console/dist", "console.css", "text/css; charset=utf-8"),
    asset!("console", "icon.svg", "image/svg+xml"),
];

/// `GET /`.
pub(super) async fn page(State(edge): State<Edge>) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, &policy(&edge)),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, PAGE).into_response()
}

/// `GET /console/assets/NAME`.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    assets::serve(&ASSETS, &name, &headers)
}

/// Files may have another address than the page: that of the settings, or this machine by another name.
fn policy(edge: &Edge) -> String {
    let media = edge.app.media_url("").map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {media}; media-src 'self' {media}; \
         connect-src 'self' {media}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'"
    )
}

//! The page that `GET /graphql` gives to a browser. It is made in `assets/graphiql/` and loads nothing from elsewhere.

use axum::{
    extract::Path,
    http::{
        HeaderMap, HeaderName,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse as _, Response},
};

use super::assets::{self, Asset, asset};

const PAGE: &str = include_str!("../../assets/graphiql/index.html");
static ASSETS: [Asset; 3] = [
    asset!("graphiql/dist", "graphiql.js", "text/javascript; charset=utf-8"),
    asset!("graphiql/dist", "graphiql.css", "text/css; charset=utf-8"),
    asset!("graphiql", "page.css", "text/css; charset=utf-8"),
];

/// The menus set styles of their own, which cannot be told apart from others.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// `GET /graphql`, for a browser.
pub(super) fn page() -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The same address answers queries.
        (VARY, "accept"),
    ];
    (headers, PAGE).into_response()
}

/// `GET /graphql/assets/NAME`.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    assets::serve(&ASSETS, &name, &headers)
}

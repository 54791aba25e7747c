//! Turns the bearer key of a request into its caller.

use axum::http::{HeaderMap, header::AUTHORIZATION};

use crate::{accounts::Caller, app::App, graphql::error::ApiError};

/// Who is calling, by `Authorization: Bearer KEY`.
pub async fn caller(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    by_header(app, header).await
}

/// Who is calling, by the text of that header.
pub async fn by_header(app: &App, header: Option<&str>) -> Result<Caller, ApiError> {
    let key = header.and_then(bearer).ok_or_else(ApiError::unauthenticated)?;
    let found = tokio::select! {
        biased;
        found = app.accounts.caller(key) => found?,
        () = app.database.away() => return Err(ApiError::database_away()),
    };
    found.ok_or_else(ApiError::unauthenticated)
}

/// The key of a header; the scheme in any case.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.trim().split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_key_is_one() {
        assert_eq!(bearer("Bearer dt_test_x"), Some("dt_test_x"));
        assert_eq!(bearer("bearer  dt_test_x "), Some("dt_test_x"));
        for other in ["", "Bearer", "Bearer ", "Basic dt_test_x", "dt_test_x"] {
            assert_eq!(bearer(other), None, "{other}");
        }
    }
}

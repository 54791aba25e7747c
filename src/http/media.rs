//! Serves stored files, in whole or in ranges as players ask for them, and takes uploads in.

use std::{error::Error, ops::Range, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, FromRequest as _, Multipart, Path, Request, State, multipart::MultipartError},
    http::{
        HeaderMap, Method, StatusCode,
        header::{
            ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
            IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use tower_http::timeout::TimeoutError;

use crate::{
    domain::output::Asset,
    media::{Expected, KeepError, MAX_INPUT_BYTES, Store, StoredFile},
};

/// What a form may hold besides the file.
const FORM_BYTES: u64 = 64 << 10;

/// `GET /media/…`.
pub fn router<S: Clone + Send + Sync + 'static>(store: Arc<Store>) -> Router<S> {
    Router::new().route("/media/{*path}", get(serve)).with_state(store)
}

async fn serve(
    State(store): State<Arc<Store>>,
    Path(path): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let file = match store.find(&path).await {
        Ok(Some(file)) => file,
        Ok(None) => return StatusCode::NOT_FOUND.into_response(),
        Err(error) => return unavailable(&error),
    };
    if is_unchanged(&file, &headers) {
        return (StatusCode::NOT_MODIFIED, description(&file)).into_response();
    }
    let (status, range) = match wanted(&file, &headers) {
        Wanted::Whole => (StatusCode::OK, 0..file.size_bytes),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => {
            let all = [(CONTENT_RANGE, format!("bytes */{}", file.size_bytes))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, all).into_response();
        }
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let part = (status == StatusCode::PARTIAL_CONTENT).then(|| range.clone());
        match store.read(&file, part).await {
            Ok(bytes) => Body::from_stream(bytes),
            Err(error) => return unavailable(&error),
        }
    };
    let length =
        [(CONTENT_LENGTH, (range.end - range.start).to_string()), (CONTENT_TYPE, file.content_type.to_owned())];
    let mut response = (status, description(&file), length, body).into_response();
    if status == StatusCode::PARTIAL_CONTENT {
        let place = format!("bytes {}-{}/{}", range.start, range.end - 1, file.size_bytes);
        response.headers_mut().extend(place.parse().map(|place| (CONTENT_RANGE, place)));
    }
    response
}

fn unavailable(error: &anyhow::Error) -> Response {
    tracing::error!(error = format!("{error:#}"), "a stored file cannot be served");
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

/// Files never change: a path is used once.
fn description(file: &StoredFile) -> [(HeaderName, String); 5] {
    [
        (ETAG, etag(file)),
        (LAST_MODIFIED, last_modified(file)),
        (CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ]
}

fn etag(file: &StoredFile) -> String {
    format!("\"{}\"", file.path)
}

fn last_modified(file: &StoredFile) -> String {
    file.modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn is_unchanged(file: &StoredFile, headers: &HeaderMap) -> bool {
    if let Some(tags) = text(headers, IF_NONE_MATCH) {
        return tags
            .split(',')
            .any(|tag| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == etag(file));
    }
    text(headers, IF_MODIFIED_SINCE) == Some(last_modified(file).as_str())
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Nothing,
}

/// The range asked for. Several ranges at once, other units and nonsense get the whole file, as HTTP allows.
fn wanted(file: &StoredFile, headers: &HeaderMap) -> Wanted {
    let same = text(headers, IF_RANGE).is_none_or(|known| known == etag(file) || known == last_modified(file));
    match text(headers, RANGE) {
        Some(range) if same => parse_range(range, file.size_bytes),
        _ => Wanted::Whole,
    }
}

fn parse_range(range: &str, size: u64) -> Wanted {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Wanted::Whole;
    };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX));
    let part = match (first, last) {
        ("", "") => return Wanted::Whole,
        ("", last) => number(last).map(|length| size.saturating_sub(length)..size),
        (first, "") => number(first).map(|first| first..size),
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if last < first => return Wanted::Whole,
            (first, last) => first.zip(last).map(|(first, last)| first..size.min(last.saturating_add(1))),
        },
    };
    match part {
        None => Wanted::Whole,
        Some(part) if part.is_empty() => Wanted::Nothing,
        Some(part) => Wanted::Part(part),
    }
}

/// Why an upload was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The form has no file.
    #[error("the form has no field `file`")]
    NoFile,
    /// The form cannot be read.
    #[error("the form cannot be read: {0}")]
    Form(String),
    /// It rested too long.
    #[error("the file took too long to arrive; send it again")]
    Stalled,
    /// The file was not kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
}

impl UploadError {
    /// The HTTP status that says it.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NoFile | Self::Form(_) | Self::Keep(KeepError::Empty | KeepError::Source(_)) => {
                StatusCode::BAD_REQUEST
            }
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::Keep(KeepError::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Keep(KeepError::Unrecognised) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Keep(KeepError::Store(_)) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Takes in the file of a `POST /uploads`: the body itself, or the field `file` of a form. The caller is known already.
pub async fn receive(store: &Store, mut request: Request) -> Result<Asset, UploadError> {
    let is_form = is_form(request.headers());
    let limit = if is_form { MAX_INPUT_BYTES + FORM_BYTES } else { MAX_INPUT_BYTES };
    if text(request.headers(), CONTENT_LENGTH)
        .is_some_and(|length| length.parse().is_ok_and(|length: u64| length > limit))
    {
        return Err(KeepError::TooLarge(MAX_INPUT_BYTES).into());
    }
    if !is_form {
        let body = request.into_body().into_data_stream();
        return store.keep(body, Expected::Input, MAX_INPUT_BYTES).await.map_err(|error| match error {
            KeepError::Source(error) if has_stalled(&*error) => UploadError::Stalled,
            error => error.into(),
        });
    }
    // The limit here is on the whole form; that of the file is the store's to keep.
    DefaultBodyLimit::max(usize::try_from(limit).unwrap_or(usize::MAX)).apply(&mut request);
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| UploadError::Form(error.body_text()))?;
    while let Some(field) = form.next_field().await.map_err(|error| unreadable(&error))? {
        if field.name() == Some("file") {
            let kept = store.keep(field, Expected::Input, MAX_INPUT_BYTES).await;
            return kept.map_err(|error| match error {
                KeepError::Source(error) => match error.downcast::<MultipartError>() {
                    Ok(error) => unreadable(&error),
                    Err(error) => KeepError::Source(error).into(),
                },
                error => error.into(),
            });
        }
    }
    Err(UploadError::NoFile)
}

fn is_form(headers: &HeaderMap) -> bool {
    text(headers, CONTENT_TYPE)
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a body broke because it rested too long.
fn has_stalled(error: &(dyn Error + 'static)) -> bool {
    error.is::<TimeoutError>() || error.source().is_some_and(has_stalled)
}

fn unreadable(error: &MultipartError) -> UploadError {
    match error.status() {
        _ if has_stalled(error) => UploadError::Stalled,
        StatusCode::PAYLOAD_TOO_LARGE => KeepError::TooLarge(MAX_INPUT_BYTES).into(),
        _ => UploadError::Form(error.body_text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (range, expected) in [
            ("bytes=0-", Wanted::Part(0..10)),
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-4", Wanted::Part(2..5)),
            ("bytes=9-", Wanted::Part(9..10)),
            ("bytes=5-99", Wanted::Part(5..10)),
            ("bytes=5-99999999999999999999999", Wanted::Part(5..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-20", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("0-1", Wanted::Whole),
        ] {
            assert_eq!(parse_range(range, 10), expected, "{range}");
        }
    }
}

//! `GET /media/…` and `POST /uploads`.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use doitong::{
    http::media::{receive, router},
    media::{Expected, MAX_INPUT_BYTES, Store},
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::{files, png, store};

async fn upload(State(store): State<Arc<Store>>, request: Request) -> Response {
    match receive(&store, request).await {
        Ok(asset) => asset.path.into_response(),
        Err(error) => (error.status(), error.to_string()).into_response(),
    }
}

fn app(store: &Arc<Store>) -> Router {
    Router::new().route("/uploads", post(upload)).with_state(store.clone()).merge(router(store.clone()))
}

async fn call(store: &Arc<Store>, request: Request) -> (StatusCode, HeaderMap, Bytes) {
    let (head, body) = app(store).oneshot(request).await.unwrap().into_parts();
    (head.status, head.headers, body.collect().await.unwrap().to_bytes())
}

fn get(path: &str, headers: &[(&str, &str)]) -> Request {
    let request = headers
        .iter()
        .fold(Request::get(format!("/media/{path}")), |request, (name, value)| request.header(*name, *value));
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_file_is_served_whole_with_its_type() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    let file = png(1000);
    let path = store.keep_bytes(file.clone(), Expected::Input).await.unwrap().path;
    let (status, headers, body) = call(&store, get(&path, &[])).await;
    assert_eq!((status, body), (StatusCode::OK, file.clone()));
    assert_eq!(headers["content-type"], "image/png");
    assert_eq!(headers["content-length"], file.len().to_string());
    assert_eq!(headers["accept-ranges"], "bytes");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");

    let head = Request::head(format!("/media/{path}")).body(Body::empty()).unwrap();
    let (status, headers, body) = call(&store, head).await;
    assert_eq!((status, body.len()), (StatusCode::OK, 0));
    assert_eq!(headers["content-length"], file.len().to_string());
}

#[tokio::test]
async fn ranges_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    let file = png(8);
    let path = store.keep_bytes(file.clone(), Expected::Input).await.unwrap().path;
    let size = file.len();
    for (range, expected) in
        [("bytes=0-", 0..size), ("bytes=2-5", 2..6), ("bytes=-4", size - 4..size), ("bytes=5-99999", 5..size)]
    {
        let (status, headers, body) = call(&store, get(&path, &[("range", range)])).await;
        assert_eq!((status, &body[..]), (StatusCode::PARTIAL_CONTENT, &file[expected.clone()]), "{range}");
        assert_eq!(headers["content-range"], format!("bytes {}-{}/{size}", expected.start, expected.end - 1));
        assert_eq!(headers["content-length"], expected.len().to_string());
        assert_eq!(headers["content-type"], "image/png");
    }
    let (status, headers, body) = call(&store, get(&path, &[("range", "bytes=99999-")])).await;
    assert_eq!((status, body.len()), (StatusCode::RANGE_NOT_SATISFIABLE, 0));
    assert_eq!(headers["content-range"], format!("bytes */{size}"));

    let (status, _, _) = call(&store, get(&path, &[("range", "bytes=0-1"), ("if-range", "\"another\"")])).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_known_file_is_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    let path = store.keep_bytes(png(8), Expected::Input).await.unwrap().path;
    let (_, headers, _) = call(&store, get(&path, &[])).await;
    let (etag, modified) = (headers["etag"].to_str().unwrap(), headers["last-modified"].to_str().unwrap());
    for known in [("if-none-match", etag), ("if-none-match", "*"), ("if-modified-since", modified)] {
        let (status, headers, body) = call(&store, get(&path, &[known])).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{known:?}");
        assert_eq!(headers["etag"], etag);
    }
    let (status, _, _) = call(&store, get(&path, &[("if-none-match", "\"x\""), ("if-modified-since", modified)])).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _, _) = call(&store, get(&path, &[("if-range", etag), ("range", "bytes=0-1")])).await;
    assert_eq!(status, StatusCode::PARTIAL_CONTENT);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    std::fs::write(dir.path().join("secret.png"), png(8)).unwrap();
    for path in [
        "ab/0123456789012345678901234567890123456789.png",
        "x",
        "../secret.png",
        "%2e%2e/secret.png",
        "..%2fsecret.png",
    ] {
        assert_eq!(call(&store, get(path, &[])).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

fn form(field: &str, file: &[u8]) -> Request {
    let head = format!(
        "--b\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--b\r\ncontent-disposition: form-data; name=\"{field}\"; filename=\"a.txt\"\r\ncontent-type: text/plain\r\n\r\n"
    );
    let body = [head.as_bytes(), file, b"\r\n--b--\r\n"].concat();
    Request::post("/uploads").header("content-type", "multipart/form-data; boundary=b").body(body.into()).unwrap()
}

fn raw(file: impl Into<Body>) -> Request {
    Request::post("/uploads").header("content-type", "image/gif").body(file.into()).unwrap()
}

#[tokio::test]
async fn uploads_come_raw_or_as_a_form() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    // The second is beyond axum's usual limit on forms.
    for file in [png(8), png(1000)] {
        for request in [raw(file.clone()), form("file", &file)] {
            let (status, _, path) = call(&store, request).await;
            assert_eq!(status, StatusCode::OK, "{path:?}");
            let (status, headers, body) = call(&store, get(std::str::from_utf8(&path).unwrap(), &[])).await;
            assert_eq!(
                (status, headers["content-type"].to_str().unwrap(), body),
                (StatusCode::OK, "image/png", file.clone())
            );
        }
    }
}

#[tokio::test]
async fn uploads_that_are_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    let endless = || {
        let parts = std::iter::repeat_n(Ok::<_, std::convert::Infallible>(Bytes::from(vec![0; 1 << 20])), 101);
        Body::from_stream(futures_util::stream::iter(parts))
    };
    let announced =
        Request::post("/uploads").header("content-length", MAX_INPUT_BYTES + 1).body(Body::empty()).unwrap();
    let unfinished = Request::post("/uploads")
        .header("content-type", "multipart/form-data; boundary=b")
        .body("--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\nhalf".into());
    let unbounded = Request::post("/uploads").header("content-type", "multipart/form-data").body("x".into());
    for (request, expected) in [
        (raw("<html>"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (form("file", b"<html>"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (form("other", &png(8)), StatusCode::BAD_REQUEST),
        (raw(Body::empty()), StatusCode::BAD_REQUEST),
        (form("file", b""), StatusCode::BAD_REQUEST),
        (unfinished.unwrap(), StatusCode::BAD_REQUEST),
        (unbounded.unwrap(), StatusCode::BAD_REQUEST),
        (announced, StatusCode::PAYLOAD_TOO_LARGE),
        (raw(endless()), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let (status, _, body) = call(&store, request).await;
        assert_eq!(status, expected, "{body:?}");
    }
    assert_eq!(files(dir.path()).len(), 0);
}

//! Reading input files from data URIs, our own store and real servers; making them reachable.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
    response::Redirect,
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doitong::{
    domain::{Fault, Verdict, fault::Kind},
    egress::Egress,
    media::{Expected, Inputs, MAX_INPUT_BYTES, Store},
};
use futures_util::stream;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{png, store};

const PUBLIC: &str = "https://ai.example/gate";

fn inputs(store: &Arc<Store>, allow_private: bool) -> Inputs {
    Inputs::new(store.clone(), Egress::new(allow_private).unwrap())
}

async fn host() -> SocketAddr {
    let endless =
        || stream::iter(std::iter::repeat_n(Ok::<_, std::convert::Infallible>(Bytes::from(vec![0; 1 << 20])), 200));
    let broken = || stream::iter([Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("reset"))]);
    let app = Router::new()
        .route("/picture", get(|| async { ([("content-type", "text/plain")], png(8)) }))
        .route("/page", get(|| async { "<html>" }))
        .route("/away", get(|| async { Redirect::temporary("/picture") }))
        .route("/broken", get(move || async move { Body::from_stream(broken()) }))
        .route("/endless", get(move || async move { Body::from_stream(endless()) }))
        .route("/down", get(|| async { StatusCode::BAD_GATEWAY }))
        .route("/busy", get(|| async { StatusCode::TOO_MANY_REQUESTS }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test's own server")]
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn says(fault: &Fault) -> (Kind, Verdict) {
    (fault.kind, fault.verdict)
}

const INVALID: (Kind, Verdict) = (Kind::InvalidInput, Verdict::Refused);
const DOWN: (Kind, Verdict) = (Kind::Down, Verdict::NotReached);

#[tokio::test]
async fn data_uris_are_decoded_and_told_by_content() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = inputs(&store(dir.path(), None), false);
    let text = STANDARD.encode(png(8));
    for uri in [
        format!("data:image/png;base64,{text}"),
        format!("data:text/html;charset=x;base64,{text}"),
        format!("DATA:;BASE64,{}", text.trim_end_matches('=')),
    ] {
        let file = inputs.read(&uri).await.unwrap();
        assert_eq!((file.content_type.as_str(), file.bytes), ("image/png", png(8)));
    }
    for uri in [
        "data:",
        "data:,hello",
        "data:image/png,abc",
        "data:image/png;base64",
        "data:image/png;base64,!!!!",
        "data:image/png;base64,",
        "data:image/png;base64,aGVsbG8=",
    ] {
        assert_eq!(says(&inputs.read(uri).await.unwrap_err()), INVALID, "{uri}");
    }
}

#[tokio::test]
async fn files_of_other_hosts_are_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = inputs(&store(dir.path(), None), true);
    let host = host().await;
    let file = inputs.read(&format!("http://{host}/picture")).await.unwrap();
    assert_eq!((file.content_type.as_str(), file.bytes), ("image/png", png(8)));
    for (path, expected) in [
        ("page", INVALID),
        ("away", INVALID),
        ("none", INVALID),
        ("endless", INVALID),
        ("down", DOWN),
        ("busy", DOWN),
        ("broken", DOWN),
    ] {
        let fault = inputs.read(&format!("http://{host}/{path}")).await.unwrap_err();
        assert_eq!(says(&fault), expected, "{path}: {fault}");
    }
    for url in [
        "",
        "no url",
        "ftp://example.com/a.png",
        "http://user:pass@example.com/",
        "http://127.0.0.1:1/",
        "http://no-such-host.invalid/",
    ] {
        let fault = inputs.read(url).await.unwrap_err();
        assert_eq!(says(&fault), INVALID, "{url}: {fault}");
    }
}

#[tokio::test]
async fn private_addresses_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = inputs(&store(dir.path(), None), false);
    let host = host().await;
    for url in [format!("http://{host}/picture"), format!("http://localhost:{}/picture", host.port())] {
        assert_eq!(says(&inputs.read(&url).await.unwrap_err()), INVALID);
        assert_eq!(says(&inputs.reachable(&url, true).await.unwrap_err()), INVALID);
    }
}

#[tokio::test]
async fn our_own_files_are_read_without_a_call() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), Some(PUBLIC));
    store.links().listening_on("127.0.0.1:9".parse().unwrap());
    let inputs = inputs(&store, false);
    let path = store.keep_bytes(png(8), Expected::Input).await.unwrap().path;
    for url in [
        format!("{PUBLIC}/media/{path}"),
        format!("http://127.0.0.1:9/media/{path}"),
        format!("http://localhost:9/media/{path}"),
    ] {
        assert_eq!(inputs.read(&url).await.unwrap().bytes, png(8), "{url}");
    }
    let fault = inputs.read(&format!("{PUBLIC}/media/ab/none.png")).await.unwrap_err();
    assert_eq!(says(&fault), INVALID);
}

#[tokio::test]
async fn inputs_are_made_reachable() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), Some(PUBLIC));
    let inputs = inputs(&store, false);
    let elsewhere = "https://example.com/a.png?x=1";
    assert_eq!(inputs.reachable(elsewhere, false).await.unwrap(), elsewhere);

    let uri = format!("data:image/png;base64,{}", STANDARD.encode(png(8)));
    let link = inputs.reachable(&uri, false).await.unwrap();
    assert!(link.starts_with(&format!("{PUBLIC}/media/")), "{link}");
    assert_eq!(inputs.reachable(&link, false).await.unwrap(), link);
    assert_eq!(inputs.read(&link).await.unwrap().bytes, png(8));
}

#[tokio::test]
async fn without_a_public_address_only_upstreams_on_this_machine_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    let inputs = inputs(&store, false);
    let uri = format!("data:image/png;base64,{}", STANDARD.encode(png(8)));
    let no_address = (Kind::Account, Verdict::Refused);
    assert_eq!(says(&inputs.reachable(&uri, true).await.unwrap_err()), no_address);

    store.links().listening_on("127.0.0.1:9".parse().unwrap());
    let link = inputs.reachable(&uri, true).await.unwrap();
    assert!(link.starts_with("http://127.0.0.1:9/media/"), "{link}");
    for url in [&uri, &link] {
        let fault = inputs.reachable(url, false).await.unwrap_err();
        assert_eq!((says(&fault), fault.detail.as_str()), (no_address, "public_url is not set"));
    }
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = inputs(&store(dir.path(), None), true);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test's own server")]
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        assert_ne!(socket.read(&mut [0; 4096]).await.unwrap(), 0);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_INPUT_BYTES + 1);
        socket.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_mins(1)).await;
    });
    let fault = inputs.read(&format!("http://{address}/")).await.unwrap_err();
    assert_eq!(says(&fault), INVALID);
}

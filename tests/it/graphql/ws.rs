//! `graphql-transport-ws`, message by message, with its close codes.

use std::time::Duration;

use doitong::domain::{Mode, Plan};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use super::picture;
use crate::support::TestApp;

const WATCH: &str = "subscription W($id: ID!) { generationUpdated(id: $id) { status progress } }";

pub(super) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn open(app: &TestApp, path: &str) -> Self {
        Self::speaking(app, path, Some("graphql-transport-ws"), None).await
    }

    async fn speaking(app: &TestApp, path: &str, protocol: Option<&str>, key: Option<&str>) -> Self {
        let url = format!("{}{path}", app.url.replace("http", "ws"));
        let mut request = url.into_client_request().unwrap();
        if let Some(protocol) = protocol {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        if let Some(key) = key {
            request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        Self(connect_async(request).await.unwrap().0)
    }

    /// A connection of the app's caller.
    pub async fn of(app: &TestApp) -> Self {
        let mut socket = Self::open(app, "/graphql/ws").await;
        socket.init(&app.key.key).await;
        assert_eq!(socket.next().await, json!({"type": "connection_ack"}));
        socket
    }

    pub async fn init(&mut self, key: &str) {
        self.send(json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {key}")}})).await;
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        self.send(json!({"type": "subscribe", "id": id, "payload": {"query": query, "variables": variables}})).await;
    }

    async fn send(&mut self, message: Value) {
        self.text(&message.to_string()).await;
    }

    async fn text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next message, or the code that the connection is closed with.
    pub async fn next(&mut self) -> Value {
        match tokio::time::timeout(Duration::from_secs(30), self.0.next()).await.unwrap() {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Close(Some(frame)))) => u16::from(frame.code).into(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_generation_is_watched_from_its_state_to_its_end() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    let mut socket = Socket::of(&app).await;
    socket.subscribe("1", WATCH, json!({"id": id})).await;
    let first = json!({"generationUpdated": {"status": "PENDING", "progress": 0}});
    assert_eq!(socket.next().await, json!({"id": "1", "type": "next", "payload": {"data": first}}));
    app.finish(&id).await;
    let mut states = Vec::new();
    loop {
        let message = socket.next().await;
        if message == json!({"id": "1", "type": "complete"}) {
            break;
        }
        states.push(message["payload"]["data"]["generationUpdated"].clone());
    }
    assert_eq!(states.pop(), Some(json!({"status": "COMPLETED", "progress": 100})));
    assert!(states.iter().all(|state| state["status"] == "PROCESSING"), "{states:?}");
}

#[tokio::test]
async fn an_ended_generation_is_told_once() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    app.finish(&id).await;
    let mut socket = Socket::of(&app).await;
    socket
        .subscribe("1", "subscription W($id: ID!) { generationUpdated(id: $id) { status error } }", json!({"id": id}))
        .await;
    let state = json!({"generationUpdated": {"status": "completed", "error": null}});
    assert_eq!(socket.next().await["payload"]["data"], state);
    assert_eq!(socket.next().await["type"], "complete");
}

#[tokio::test]
async fn queries_and_mutations_run_there_too() {
    let app = TestApp::start().await;
    let mut socket = Socket::of(&app).await;
    socket.subscribe("q", "{ account { mode } }", json!({})).await;
    assert_eq!(socket.next().await["payload"], json!({"data": {"account": {"mode": "test"}}}));
    assert_eq!(socket.next().await, json!({"id": "q", "type": "complete"}));
    let create = r#"mutation { imageCreate(input: { prompt: "a" }) { status } }"#;
    socket.subscribe("q", create, json!({})).await;
    assert_eq!(socket.next().await["payload"]["data"]["imageCreate"]["status"], "PENDING");
}

#[tokio::test]
async fn a_document_that_cannot_run_is_an_error_message() {
    let app = TestApp::start().await;
    let mut socket = Socket::of(&app).await;
    for (query, code) in [("{", "GRAPHQL_PARSE_FAILED"), ("{ x }", "GRAPHQL_VALIDATION_FAILED"), (WATCH, "NOT_FOUND")] {
        socket.subscribe("1", query, json!({"id": "gen_x"})).await;
        let message = socket.next().await;
        assert_eq!([&message["id"], &message["type"]], ["1", "error"], "{message}");
        assert_eq!(message["payload"][0]["extensions"]["code"], code);
    }
}

#[tokio::test]
async fn the_key_may_come_in_the_header_and_the_upgrade_on_graphql() {
    let app = TestApp::start().await;
    for path in ["/graphql", "/graphql/ws"] {
        let mut socket = Socket::speaking(&app, path, Some("graphql-transport-ws"), Some(&app.key.key)).await;
        socket.send(json!({"type": "connection_init"})).await;
        assert_eq!(socket.next().await, json!({"type": "connection_ack"}));
    }
}

#[tokio::test]
async fn the_key_may_come_bare_in_the_connections_parameters() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(&app, "/graphql/ws").await;
    socket.send(json!({"type": "connection_init", "payload": {"Authorization": app.key.key}})).await;
    assert_eq!(socket.next().await, json!({"type": "connection_ack"}));
}

#[tokio::test]
async fn pings_are_answered_and_pongs_are_not() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(&app, "/graphql/ws").await;
    socket.send(json!({"type": "pong"})).await;
    socket.send(json!({"type": "ping", "payload": {"n": 1}})).await;
    assert_eq!(socket.next().await, json!({"type": "pong", "payload": {"n": 1}}));
}

#[tokio::test]
async fn a_bad_key_is_forbidden() {
    let app = TestApp::start().await;
    let mut bad = Socket::open(&app, "/graphql/ws").await;
    bad.init("dt_test_nobody").await;
    assert_eq!(bad.next().await, 4403);
    let mut none = Socket::open(&app, "/graphql/ws").await;
    none.send(json!({"type": "connection_init"})).await;
    assert_eq!(none.next().await, 4403);
}

#[tokio::test]
async fn misuse_closes_with_its_code() {
    let app = TestApp::start().await;
    let mut early = Socket::open(&app, "/graphql/ws").await;
    early.subscribe("1", "{ account { id } }", json!({})).await;
    assert_eq!(early.next().await, 4401);
    let mut twice = Socket::of(&app).await;
    twice.init(&app.key.key).await;
    assert_eq!(twice.next().await, 4429);
    for text in [
        "{",
        "[]",
        r#"{"type": "start"}"#,
        r#"{"type": "subscribe", "id": "1"}"#,
        r#"{"type": "subscribe", "id": "1", "payload": {}}"#,
    ] {
        let mut socket = Socket::of(&app).await;
        socket.text(text).await;
        assert_eq!(socket.next().await, 4400, "{text}");
    }
    for protocol in [None, Some("graphql-ws")] {
        let url = format!("{}/graphql/ws", app.url.replace("http", "ws"));
        let mut request = url.into_client_request().unwrap();
        if let Some(protocol) = protocol {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => assert_eq!(Socket(socket).next().await, 4406),
            // A strict client gives up itself when its protocol is not taken.
            Err(error) => assert!(error.to_string().contains("rotocol"), "{error}"),
        }
    }
}

#[tokio::test]
async fn one_id_is_one_subscription_until_it_is_completed() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    let mut socket = Socket::of(&app).await;
    for _ in 0..2 {
        socket.subscribe("1", WATCH, json!({"id": id})).await;
        assert_eq!(socket.next().await["type"], "next");
        socket.send(json!({"type": "complete", "id": "1"})).await;
    }
    socket.subscribe("1", WATCH, json!({"id": id})).await;
    socket.subscribe("1", WATCH, json!({"id": id})).await;
    let mut last = socket.next().await;
    if last["type"] == "next" {
        last = socket.next().await;
    }
    assert_eq!(last, 4409);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(&app, "/graphql/ws").await;
    let before = std::time::Instant::now();
    assert_eq!(socket.next().await, 4408);
    assert!((9..15).contains(&before.elapsed().as_secs()));
}

#[tokio::test]
async fn a_revoked_key_is_cut_off() {
    let app = TestApp::start().await;
    let key = app.new_key("soon gone", Plan::Pro, Mode::Test, None).await.key;
    let made: Value = app
        .post_as(&key, None, r#"mutation { imageCreate(input: { prompt: "a" }) { id } }"#, json!({}))
        .await
        .json()
        .await
        .unwrap();
    let (mut watching, mut quiet) = (Socket::open(&app, "/graphql").await, Socket::open(&app, "/graphql").await);
    watching.init(&key).await;
    quiet.init(&key).await;
    assert_eq!(
        [watching.next().await, quiet.next().await],
        [json!({"type": "connection_ack"}), json!({"type": "connection_ack"})]
    );
    watching.subscribe("1", WATCH, json!({"id": made["data"]["imageCreate"]["id"]})).await;
    assert_eq!(watching.next().await["type"], "next");
    assert!(app.app.accounts.revoke_key(&key).await.unwrap());
    assert_eq!(watching.next().await, 4403);
    quiet.subscribe("1", "{ account { id } }", json!({})).await;
    assert_eq!(quiet.next().await, 4403);
}

#[tokio::test]
async fn a_close_is_answered() {
    let app = TestApp::start().await;
    let mut socket = Socket::of(&app).await;
    socket.0.close(None).await.unwrap();
    assert!(matches!(socket.0.next().await, Some(Ok(Message::Close(_)))));
}

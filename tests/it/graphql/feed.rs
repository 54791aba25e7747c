//! What subscribers are told: across processes, without a hint, together, and until their key is revoked.

use doitong::domain::{Mode, Plan};
use serde_json::{Value, json};

use super::{picture, ws::Socket};
use crate::support::TestApp;

const WATCH: &str = "subscription W($id: ID!) { generationUpdated(id: $id) { status progress } }";

/// The next state of a subscription.
async fn state(socket: &mut Socket) -> Value {
    socket.next().await["payload"]["data"]["generationUpdated"].clone()
}

async fn watching(app: &TestApp, id: &Value) -> Socket {
    let mut socket = Socket::of(app).await;
    socket.subscribe("1", WATCH, json!({"id": id})).await;
    assert_eq!(state(&mut socket).await["status"], "PENDING");
    socket
}

async fn assert_ends(socket: &mut Socket, status: &str) {
    assert_eq!(state(socket).await["status"], status);
    assert_eq!(socket.next().await, json!({"id": "1", "type": "complete"}));
}

#[tokio::test]
async fn a_change_is_told_to_all_who_watch_in_every_process() {
    let app = TestApp::start().await;
    let beside = app.beside().await;
    let (id, other) = (app.generate(picture()).await["id"].clone(), app.generate(picture()).await["id"].clone());
    let mut sockets = Vec::new();
    for app in [&app, &app, &beside, &beside] {
        let mut socket = Socket::of(app).await;
        socket.subscribe("1", WATCH, json!({"id": id})).await;
        assert_eq!(state(&mut socket).await["status"], "PENDING");
        sockets.push(socket);
    }
    let mut quiet = watching(&beside, &other).await;
    app.cancel(&id).await;
    for socket in &mut sockets {
        assert_ends(socket, "CANCELLED").await;
    }
    app.cancel(&other).await;
    assert_ends(&mut quiet, "CANCELLED").await;
}

#[tokio::test]
async fn what_is_not_heard_is_found_all_the_same() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    let mut socket = watching(&app, &id).await;
    app.sql("update job set progress = 40").await.unwrap();
    assert_eq!(state(&mut socket).await, json!({"status": "PENDING", "progress": 40}));
    let listening = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and query ilike 'listen%'";
    assert_eq!(app.count(listening).await, 1);
    app.sql("update job set progress = 50").await.unwrap();
    assert_eq!(state(&mut socket).await, json!({"status": "PENDING", "progress": 50}));
    app.cancel(&id).await;
    assert_ends(&mut socket, "CANCELLED").await;
}

#[tokio::test]
async fn progress_that_moves_with_time_alone_is_told() {
    let app = TestApp::start().await;
    let input = json!({"type": "IMAGE", "provider": "flux-dev", "input": {"text": "[[hang]]"}});
    let id = app.generate(input).await["id"].clone();
    while app.generation(&id).await["status"] == "PENDING" {
        app.advance(std::time::Duration::from_secs(1)).await;
    }
    let mut socket = Socket::of(&app).await;
    socket.subscribe("1", WATCH, json!({"id": id})).await;
    let before = state(&mut socket).await["progress"].as_i64().unwrap();
    app.clock.advance(std::time::Duration::from_mins(1));
    assert!(state(&mut socket).await["progress"].as_i64().unwrap() > before);
    app.cancel(&id).await;
}

#[tokio::test]
async fn a_foreign_generation_is_not_found_also_while_its_owner_watches() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    let mut owner = watching(&app, &id).await;
    let key = app.new_key("other", Plan::Free, Mode::Test, None).await.key;
    let mut foreign = Socket::open(&app, "/graphql/ws").await;
    foreign.init(&key).await;
    foreign.next().await;
    foreign.subscribe("1", WATCH, json!({"id": id})).await;
    let refused = foreign.next().await;
    assert_eq!([&refused["type"], &refused["payload"][0]["extensions"]["code"]], ["error", "NOT_FOUND"]);
    app.cancel(&id).await;
    assert_ends(&mut owner, "CANCELLED").await;
}

#[tokio::test]
async fn who_comes_back_is_told_the_end_once() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    for _ in 0..3 {
        watching(&app, &id).await;
    }
    let mut socket = watching(&app, &id).await;
    app.cancel(&id).await;
    assert_ends(&mut socket, "CANCELLED").await;
    let mut again = Socket::of(&app).await;
    again.subscribe("1", WATCH, json!({"id": id})).await;
    assert_ends(&mut again, "CANCELLED").await;
}

#[tokio::test]
async fn a_revoked_key_ends_a_connection_without_subscriptions_too() {
    let app = TestApp::start().await;
    let key = app.new_key("soon gone", Plan::Pro, Mode::Test, None).await.key;
    let mut socket = Socket::open(&app, "/graphql").await;
    socket.init(&key).await;
    assert_eq!(socket.next().await, json!({"type": "connection_ack"}));
    // By another process, which has no memory of it to clear here.
    assert!(app.beside().await.app.accounts.revoke_key(&key).await.unwrap());
    assert_eq!(socket.next().await, 4403);
}

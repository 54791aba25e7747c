//! `generations`: pages, newest first, with filters.

use doitong::domain::{Mode, Plan};
use serde_json::{Value, json};

use super::picture;
use crate::support::TestApp;

const LIST: &str =
    "query L($first: Int, $after: String, $type: GenerationType, $status: GenerationStatus, $provider: String) {
    generations(first: $first, after: $after, type: $type, status: $status, provider: $provider) {
    edges { cursor node { id } } nodes { id } pageInfo { hasNextPage endCursor } } }";

async fn page(app: &TestApp, variables: Value) -> Value {
    app.data(LIST, variables).await["generations"].clone()
}

fn ids(page: &Value) -> Vec<Value> {
    page["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect()
}

#[tokio::test]
async fn pages_follow_one_another_newest_first() {
    let app = TestApp::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, app.generate(picture()).await["id"].clone());
    }
    let first = page(&app, json!({"first": 2})).await;
    assert_eq!(ids(&first), made[..2]);
    assert_eq!(first["edges"][1]["node"]["id"], made[1]);
    assert_eq!(first["pageInfo"], json!({"hasNextPage": true, "endCursor": first["edges"][1]["cursor"]}));
    let second = page(&app, json!({"first": 2, "after": first["pageInfo"]["endCursor"]})).await;
    assert_eq!(ids(&second), made[2..4]);
    let last = page(&app, json!({"first": 2, "after": second["pageInfo"]["endCursor"]})).await;
    assert_eq!(ids(&last), made[4..]);
    assert_eq!(last["pageInfo"]["hasNextPage"], false);
}

#[tokio::test]
async fn an_empty_list_has_no_cursor() {
    let app = TestApp::start().await;
    let expected = json!({"edges": [], "nodes": [], "pageInfo": {"hasNextPage": false, "endCursor": null}});
    assert_eq!(page(&app, json!({})).await, expected);
}

#[tokio::test]
async fn filters_go_together() {
    let app = TestApp::start().await;
    let done = app.generate(picture()).await["id"].clone();
    app.finish(&done).await;
    let waiting = app.generate(picture()).await["id"].clone();
    let speech = json!({"type": "AUDIO", "provider": "elevenlabs", "input": {"text": "hello"}});
    let speech = app.generate(speech).await["id"].clone();
    for (filter, expected) in [
        (json!({"type": "IMAGE"}), vec![&waiting, &done]),
        (json!({"type": "IMAGE", "status": "COMPLETED"}), vec![&done]),
        (json!({"provider": "elevenlabs"}), vec![&speech]),
        (json!({"provider": "elevenlabs", "type": "IMAGE"}), vec![]),
        (json!({"status": "PENDING"}), vec![&speech, &waiting]),
    ] {
        let found = page(&app, filter.clone()).await;
        assert_eq!(ids(&found).iter().collect::<Vec<_>>(), expected, "{filter}");
    }
}

#[tokio::test]
async fn pages_beyond_a_hundred_and_foreign_cursors_are_refused() {
    let app = TestApp::start().await;
    for (variables, field) in
        [(json!({"first": 101}), "first"), (json!({"first": -1}), "first"), (json!({"after": "nonsense"}), "after")]
    {
        let error = app.error(LIST, variables).await;
        assert_eq!([&error["code"], &error["reason"], &error["field"]], ["INVALID_INPUT", "INPUT", field]);
    }
}

#[tokio::test]
async fn each_account_and_mode_has_its_own_list() {
    let app = TestApp::start().await;
    app.generate(picture()).await;
    let other = app.new_key("other", Plan::Free, Mode::Test, None).await.key;
    let live = app.new_key(&app.key.account, Plan::Pro, Mode::Live, None).await.key;
    for key in [other, live] {
        let answer: Value = app.post_as(&key, None, LIST, json!({})).await.json().await.unwrap();
        assert_eq!(answer["data"]["generations"]["nodes"], json!([]));
    }
}

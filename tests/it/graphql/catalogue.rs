//! `providers`, `quote` and `account`.

use doitong::domain::{Mode, Plan};
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use super::picture;
use crate::support::TestApp;

const PROVIDERS: &str = "query P($type: GenerationType, $available: Boolean) { providers(type: $type, available: $available) {
    id name description types features limitations available waitsFor pricing { creditCost estimatedTime }
    models { id name type status endsAt replacedBy available waitsFor quality features pricing { creditCost estimatedTime } }
    options { name type required description allowedValues default minimum maximum } } }";

fn ids(providers: &Value) -> Vec<&str> {
    providers["providers"].as_array().unwrap().iter().map(|provider| provider["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn providers_are_told_by_type() {
    let app = TestApp::start().await;
    let avatars = app.data(PROVIDERS, json!({"type": "AVATAR"})).await;
    for id in ["heygen", "hedra", "d-id", "sync"] {
        assert!(ids(&avatars).contains(&id), "{id}");
    }
    for provider in avatars["providers"].as_array().unwrap() {
        assert!(provider["types"].as_array().unwrap().contains(&json!("AVATAR")));
        assert!(provider["models"].as_array().unwrap().iter().all(|model| model["type"] == "AVATAR"));
        let options: Vec<_> = provider["options"].as_array().unwrap().iter().map(|option| &option["name"]).collect();
        for name in ["avatarId", "voice", "background", "gesture", "aspectRatio", "resolution"] {
            assert!(options.contains(&&json!(name)), "{} {name}", provider["id"]);
        }
    }
}

#[tokio::test]
async fn the_sandbox_serves_every_provider_and_a_live_key_waits_for_credentials() {
    let app = TestApp::with(Plan::Pro, |_, secrets| {
        secrets.upstreams.insert("FAL_KEY".to_owned(), "x".into());
    })
    .await;
    let none = app.data(PROVIDERS, json!({"available": false})).await;
    assert_eq!(ids(&none), [""; 0]);
    let live = app.new_key("live", Plan::Free, Mode::Live, None).await.key;
    let answer: Value = app.post_as(&live, None, PROVIDERS, json!({})).await.json().await.unwrap();
    let find = |id: &str| answer["data"]["providers"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap();
    assert_eq!(find("heygen")["available"], false);
    assert_eq!(find("heygen")["waitsFor"], "HEYGEN_API_KEY");
    assert_eq!(find("flux-dev")["available"], true);
}

#[tokio::test]
async fn a_retired_model_is_listed_with_what_replaces_it() {
    let app = TestApp::start().await;
    let all = app.data(PROVIDERS, json!({"type": "IMAGE"})).await;
    let imagen = all["providers"].as_array().unwrap().iter().find(|one| one["id"] == "imagen").unwrap();
    let models = imagen["models"].as_array().unwrap();
    let retired = models.iter().find(|model| model["id"] == "imagen-4").unwrap();
    assert_json_snapshot!(retired, @r#"
    {
      "available": false,
      "endsAt": "2026-08-17T00:00:00+00:00",
      "features": [],
      "id": "imagen-4",
      "name": "Imagen 4",
      "pricing": {
        "creditCost": null,
        "estimatedTime": null
      },
      "quality": 88,
      "replacedBy": "nano-banana-2.1",
      "status": "RETIRED",
      "type": "IMAGE",
      "waitsFor": null
    }
    "#);
}

#[tokio::test]
async fn a_quote_is_what_generate_then_freezes() {
    let app = TestApp::start().await;
    let query = "query Q($input: GenerateInput!) { quote(input: $input) { provider model creditCost estimatedTime quality
        adjustments { option requested used reason } alternatives { provider model creditCost estimatedTime quality } } }";
    let input = json!({"type": "VIDEO", "provider": "minimax", "input": {"text": "a battle"},
        "options": {"duration": 10, "resolution": "1080p"}});
    let quote = app.data(query, json!({"input": input})).await["quote"].clone();
    let generation = app.generate(input).await;
    for field in ["provider", "model", "creditCost", "estimatedTime", "adjustments"] {
        assert_eq!(quote[field], generation[field], "{field}");
    }
    assert!(!quote["adjustments"].as_array().unwrap().is_empty());
    let any = app.data(query, json!({"input": {"type": "IMAGE", "input": {"text": "a"}}})).await;
    assert!(any["quote"]["alternatives"].as_array().unwrap().len() > 3);
}

#[tokio::test]
async fn a_quote_is_refused_as_generate_is_and_spends_nothing() {
    let app = TestApp::start().await;
    let mut input = picture();
    input["maxCredits"] = json!(1);
    let query =
        "query Q($input: GenerateInput!) { quote(input: $input) { creditCost } account { credits { available } } }";
    let answer = app.graphql(query, json!({"input": input})).await;
    assert_eq!(answer["errors"][0]["extensions"]["reason"], "MAX_CREDITS");
    let data = app.data(query, json!({"input": picture()})).await;
    assert_eq!(data, json!({"quote": {"creditCost": 25}, "account": {"credits": {"available": 100_000}}}));
}

#[tokio::test]
async fn the_account_tells_plan_usage_and_credits() {
    let app = TestApp::on(Plan::Free).await;
    app.generate(picture()).await;
    app.generate(picture()).await;
    let data = app
        .data(
            "{ account { mode plan { name perMinute concurrent daily queued }
        usage { minuteRemaining minuteReset dailyUsed dailyRemaining running queued } credits { balance held available }
        webhookSecrets { secret createdAt expiresAt } } }",
            json!({}),
        )
        .await;
    let mut account = data["account"].clone();
    assert_eq!(account["webhookSecrets"].as_array().unwrap().len(), 1);
    assert!(account["webhookSecrets"].take()[0]["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_json_snapshot!(account, @r#"
    {
      "credits": {
        "available": 99950,
        "balance": 100000,
        "held": 50
      },
      "mode": "test",
      "plan": {
        "concurrent": 1,
        "daily": 100,
        "name": "free",
        "perMinute": 10,
        "queued": 10
      },
      "usage": {
        "dailyRemaining": 98,
        "dailyUsed": 2,
        "minuteRemaining": 8,
        "minuteReset": 12,
        "queued": 1,
        "running": 1
      },
      "webhookSecrets": null
    }
    "#);
}

#[tokio::test]
async fn a_new_webhook_secret_signs_beside_the_old_one() {
    let app = TestApp::start().await;
    let query = "mutation { rotateWebhookSecret { secret createdAt expiresAt } }";
    let new = app.data(query, json!({})).await["rotateWebhookSecret"].clone();
    let data = app.data("{ account { webhookSecrets { secret createdAt expiresAt } } }", json!({})).await;
    let secrets = &data["account"]["webhookSecrets"];
    assert_eq!(secrets[0], new);
    assert_eq!(secrets[1]["secret"], app.key.webhook_secret);
    assert!(secrets[0]["expiresAt"].is_null() && secrets[1]["expiresAt"].is_string());
}

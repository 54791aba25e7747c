//! Another route, or another provider, after an upstream that surely did not start the work; none after anything else.

use std::time::Duration;

use doitong::{catalog::RouteId, domain::fault::Kind};
use serde_json::{Value, json};

use super::{
    gateway::Gateway,
    tap::{Trick, WORDS},
};

/// FLUX.1 dev comes by Black Forest Labs, fal and Replicate, in this order.
const ROUTES: [&str; 3] = ["bfl", "fal", "replicate"];

fn named(text: &str) -> Value {
    json!({ "type": "IMAGE", "provider": "flux-dev", "input": { "text": text } })
}

fn attempts(done: &Value) -> Vec<(&str, &str)> {
    let attempts = done["attempts"].as_array().unwrap();
    attempts.iter().map(|one| (one["upstream"].as_str().unwrap(), one["outcome"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_named_provider_goes_on_with_its_next_route() {
    for trick in [Trick::Down, Trick::WrongKey] {
        let gateway = Gateway::with(&ROUTES).await;
        gateway.tap("bfl").play(Some(trick));
        let done = gateway.run(&named(WORDS)).await;
        assert_eq!(done["status"], "COMPLETED", "{done:#}");
        assert_eq!(attempts(&done), [("bfl", "REFUSED"), ("fal", "COMPLETED")], "{done:#}");
        assert_eq!((&done["provider"], &done["creditCost"]), (&json!("flux-dev"), &json!(25)), "{done:#}");
        let message = done["attempts"][0]["message"].as_str().unwrap();
        assert!(message.starts_with("the provider"), "{message}");
        assert_eq!((gateway.tap("fal").started(), gateway.tap("replicate").started()), (1, 0), "paid jobs");
        gateway.app.audit().await;
    }
}

#[tokio::test]
async fn it_goes_on_to_the_last_route_and_then_waits_for_the_last() {
    let gateway = Gateway::with(&ROUTES).await;
    for upstream in ROUTES {
        gateway.tap(upstream).play(Some(Trick::Down));
    }
    let done = gateway.run(&named(WORDS)).await;
    assert_eq!(done["errorCode"], "PROVIDER_UNAVAILABLE", "{done:#}");
    let tried = attempts(&done);
    assert_eq!(tried[..3], ROUTES.map(|upstream| (upstream, "REFUSED")), "{done:#}");
    assert!(tried[3..].iter().all(|attempt| *attempt == ("replicate", "REFUSED")), "{done:#}");
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_wrong_everywhere() {
    let gateway = Gateway::with(&ROUTES).await;
    for (word, trick) in
        [("moderated", None), ("failed", None), ("", Some(Trick::Spoils)), ("", Some(Trick::CutsAnswer))]
    {
        gateway.tap("bfl").play(trick);
        let done = gateway.run(&named(&format!("[[{word}]] {WORDS}"))).await;
        let outcome = if trick == Some(Trick::CutsAnswer) { "UNKNOWN" } else { attempts(&done)[0].1 };
        assert_eq!((done["status"].as_str(), attempts(&done)), (Some("FAILED"), vec![("bfl", outcome)]), "{done:#}");
        assert_eq!(gateway.tap("fal").work().len() + gateway.tap("replicate").work().len(), 0);
    }
}

#[tokio::test]
async fn an_automatic_choice_goes_on_with_another_provider() {
    let gateway = Gateway::with(&["openai", "imagen", "stability"]).await;
    let request = json!({ "type": "IMAGE", "priority": "QUALITY", "input": { "text": WORDS } });
    let first = gateway.quote(&request).await["provider"].as_str().unwrap().to_owned();
    let upstream = match first.as_str() {
        "gpt-image" => "openai",
        "imagen" => "imagen",
        _ => "stability",
    };
    gateway.tap(upstream).play(Some(Trick::Down));
    let done = gateway.run(&request).await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
    let attempts = done["attempts"].as_array().unwrap();
    assert_eq!((&attempts[0]["provider"], &attempts[0]["outcome"]), (&json!(first), &json!("REFUSED")), "{done:#}");
    let last = attempts.last().unwrap();
    assert_eq!((&last["provider"], &last["outcome"]), (&done["provider"], &json!("COMPLETED")), "{done:#}");
    assert_ne!(done["provider"], first);
    gateway.app.audit().await;
}

#[tokio::test]
async fn a_circuit_that_is_open_is_passed_by_and_with_no_other_route_told_at_once() {
    let gateway = Gateway::with(&["bfl", "fal"]).await;
    gateway.tap("bfl").play(Some(Trick::Down));
    for _ in 0..5 {
        gateway.run(&named(WORDS)).await;
    }
    let asked = gateway.tap("bfl").work().len();
    let done = gateway.run(&named(WORDS)).await;
    assert_eq!((attempts(&done), gateway.tap("bfl").work().len()), (vec![("fal", "COMPLETED")], asked), "{done:#}");

    let alone = Gateway::with(&["vidu"]).await;
    alone.tap("vidu").play(Some(Trick::Down));
    let request = json!({ "type": "VIDEO", "provider": "vidu", "input": { "text": WORDS } });
    for _ in 0..5 {
        alone.generate(&request).await;
    }
    alone.app.advance(Duration::ZERO).await;
    let refused = alone.app.ask_as(&alone.key, None, request).await;
    assert_eq!(refused.refusal().0, "PROVIDER_UNAVAILABLE");
    assert_eq!(refused.body["errors"][0]["extensions"]["retryable"], true, "{:#}", refused.body);
}

#[tokio::test]
async fn a_service_that_takes_less_than_was_asked_for_serves_what_it_takes_and_says_so() {
    let gateway = Gateway::with(&["bfl"]).await;
    let mut request = named(WORDS);
    request["options"] = json!({ "n": 3 });
    let done = gateway.run(&request).await;
    assert_eq!((&done["status"], &done["creditCost"]), (&json!("COMPLETED"), &json!(25)), "{done:#}");
    let adjustment = &done["adjustments"][0];
    let told = (&adjustment["option"], &adjustment["requested"], &adjustment["used"]);
    assert_eq!(told, (&json!("n"), &json!(3), &json!(1)), "{done:#}");
    assert_eq!((done["assets"].as_array().unwrap().len(), gateway.tap("bfl").work().len()), (1, 1), "{done:#}");
    request["options"]["strict"] = json!(true);
    assert_eq!(gateway.app.ask_as(&gateway.key, None, request).await.refusal(), ("INVALID_INPUT", "OPTION"));
    gateway.app.audit().await;
}

/// The upstream can tell that it has no such work, again and again: that is trouble like any other, and it ends.
#[tokio::test]
async fn calls_that_never_arrive_are_sent_again_until_patience_is_spent() {
    let gateway = Gateway::with(&["kling"]).await;
    gateway.tap("kling").play(Some(Trick::LosesCalls));
    let request = json!({ "type": "VIDEO", "provider": "kling", "model": "v2-5-turbo", "input": { "text": WORDS } });
    let done = gateway.run(&request).await;
    assert_eq!(done["errorCode"], "PROVIDER_UNAVAILABLE", "{done:#}");
    let tried = attempts(&done);
    assert!(tried.len() > 2 && tried.iter().all(|attempt| *attempt == ("kling", "NOT_REACHED")), "{done:#}");
    assert_eq!(done["attempts"][0]["message"], "the provider does not have it", "{done:#}");
    gateway.app.audit().await;

    gateway.close_circuits().await;
    gateway.tap("kling").play(None);
    let done = gateway.run(&request).await;
    assert_eq!((attempts(&done), gateway.tap("kling").started()), (vec![("kling", "COMPLETED")], 1), "{done:#}");
}

#[tokio::test]
async fn a_quote_lists_what_else_could_serve_with_price_and_time_as_it_would_be() {
    let gateway = Gateway::with(&["openai", "imagen", "stability", "bfl"]).await;
    let request = json!({ "type": "IMAGE", "input": { "text": WORDS } });
    let quote = gateway.full_quote(&request).await;
    let others = quote["alternatives"].as_array().unwrap();
    assert!(others.len() > 3, "{quote:#}");
    for other in others {
        let (provider, model) = (&other["provider"], &other["model"]);
        assert_ne!((provider, model), (&quote["provider"], &quote["model"]));
        let named = json!({ "type": "IMAGE", "provider": provider, "model": model, "input": { "text": WORDS } });
        let named = gateway.full_quote(&named).await;
        for field in ["provider", "model", "creditCost", "estimatedTime", "quality"] {
            assert_eq!(named[field], other[field], "{field} of {other:#}");
        }
    }
    // What has an open circuit is no alternative.
    let gone = others.iter().find(|other| other["provider"] != quote["provider"]).unwrap()["provider"].clone();
    let catalog = gateway.app.app.catalog();
    let routes = catalog.providers().filter(|provider| gone == provider.id.as_str()).flat_map(|provider| {
        provider.models.iter().flat_map(|model| {
            model.routes.iter().map(|route| format!("{}/{}@{}", provider.id, model.id, route.upstream))
        })
    });
    for route in routes {
        for _ in 0..doitong::health::TRIP {
            gateway.app.app.health.refused(&RouteId(route.clone()), Kind::Down).await.unwrap();
        }
    }
    let quote = gateway.full_quote(&request).await;
    assert!(quote["alternatives"].as_array().unwrap().iter().all(|other| other["provider"] != gone), "{quote:#}");
    assert_eq!(gateway.app.account(&gateway.key).await["credits"]["held"], 0, "a quote spends nothing");
}

//! What the tools do: each is one operation of the public API, and `wait` is several.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::arguments::{self, One, Providers, Request};
use crate::{
    client::{Gateway, Operation, Refusal},
    domain::GenerationType,
};

/// How long one `wait` takes at most: clients give a call up after half a minute and more, some after less.
const LONGEST_WAIT: u64 = 20;
/// What an answer may take on top of that.
const GRACE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is told of a generation.
const GENERATION: &str = "id status type provider model progress queuePosition eta creditCost url \
    assets { url contentType } error { code reason message retryable } \
    adjustments { option requested used reason }";

/// Does what a tool does; `None` when there is none of this name.
pub(super) async fn call(
    gateway: &impl Gateway,
    tool: &str,
    given: Map<String, Value>,
) -> Option<Result<Value, Refusal>> {
    Some(match tool {
        "list_providers" => list_providers(gateway, given).await,
        "quote" => quote(gateway, given).await,
        "generate" => generate(gateway, given).await,
        "get_generation" => get_generation(gateway, given).await,
        "wait" => wait(gateway, given).await,
        "cancel" => cancel(gateway, given).await,
        _ => return None,
    })
}

async fn list_providers(gateway: &impl Gateway, given: Map<String, Value>) -> Result<Value, Refusal> {
    match arguments::read(given)? {
        Providers { r#type, provider: Some(provider) } => one_provider(gateway, r#type, &provider).await,
        Providers { r#type: Some(r#type), provider: None } => models(gateway, r#type).await,
        Providers { r#type: None, provider: None } => {
            let query = "{ providers(available: true) { id types pricing { creditCost estimatedTime } } }";
            gateway.ask(&Operation::new(query, json!({}))).await
        }
    }
}

/// The models that would serve a type now, by provider, the default first; in as few words as say it.
async fn models(gateway: &impl Gateway, r#type: GenerationType) -> Result<Value, Refusal> {
    let query = "query($type: GenerationType) { providers(type: $type, available: true) { id \
         models { id available quality pricing { creditCost estimatedTime } } } }";
    let mut answer = gateway.ask(&Operation::new(query, json!({ "type": r#type }))).await?;
    for provider in answer["providers"].as_array_mut().into_iter().flatten() {
        let known = provider["models"].take();
        let served = known.as_array().into_iter().flatten().filter(|model| model["available"] == true);
        provider["models"] = served
            .map(|model| {
                let Value::Object(mut told) = model["pricing"].clone() else { return model.clone() };
                told.extend(["id", "quality"].map(|name| (name.to_owned(), model[name].clone())));
                Value::Object(told)
            })
            .collect();
    }
    Ok(answer)
}

/// One in full, whether or not it is in service; it says which.
async fn one_provider(
    gateway: &impl Gateway,
    r#type: Option<GenerationType>,
    provider: &str,
) -> Result<Value, Refusal> {
    let query = "query($type: GenerationType) { providers(type: $type) { id types description available waitsFor features \
         limitations models { id type available quality pricing { creditCost estimatedTime } } \
         options { name type required description allowedValues default minimum maximum } } }";
    let mut answer = gateway.ask(&Operation::new(query, json!({ "type": r#type }))).await?;
    let found = answer["providers"].as_array_mut().and_then(|all| {
        let at = all.iter().position(|one| one["id"] == provider)?;
        Some(all.swap_remove(at))
    });
    found.ok_or_else(|| {
        Refusal::invalid(format!("There is no provider {provider} for this; call without provider for all."))
    })
}

async fn quote(gateway: &impl Gateway, given: Map<String, Value>) -> Result<Value, Refusal> {
    let request: Request = arguments::read(given)?;
    let query = "query($input: GenerateInput!) { quote(input: $input) { provider model creditCost estimatedTime quality \
         adjustments { option requested used reason } alternatives { provider model creditCost estimatedTime quality } } }";
    let answer = gateway.ask(&Operation::new(query, json!({ "input": request.input() }))).await?;
    Ok(answer["quote"].clone())
}

async fn generate(gateway: &impl Gateway, given: Map<String, Value>) -> Result<Value, Refusal> {
    let idempotency_key = Some(arguments::idempotency_key(&given));
    let request: Request = arguments::read(given)?;
    if request.max_credits.is_none() {
        return Err(Refusal::invalid("max_credits is missing: say what this call may spend at most."));
    }
    let query =
        format!("mutation($input: GenerateInput!) {{ generate(input: $input) {{ {GENERATION} estimatedTime }} }}");
    let operation = Operation { idempotency_key, ..Operation::new(query, json!({ "input": request.input() })) };
    Ok(with_done(gateway.ask(&operation).await?["generate"].take()))
}

async fn get_generation(gateway: &impl Gateway, given: Map<String, Value>) -> Result<Value, Refusal> {
    let One { id, .. } = arguments::read(given)?;
    look(gateway, &id).await
}

async fn wait(gateway: &impl Gateway, given: Map<String, Value>) -> Result<Value, Refusal> {
    let One { id, seconds } = arguments::read(given)?;
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(LONGEST_WAIT).clamp(1, LONGEST_WAIT));
    let mut last = look(gateway, &id).await?;
    while last["done"] == false && Instant::now() + LOOK_EVERY < until {
        sleep(LOOK_EVERY).await;
        match timeout_at(until + GRACE, look(gateway, &id)).await {
            Ok(Ok(generation)) => last = generation,
            Ok(Err(refusal)) if !refusal.retryable => return Err(refusal),
            // What was heard last is still true enough to wait on.
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Ok(last)
}

async fn cancel(gateway: &impl Gateway, given: Map<String, Value>) -> Result<Value, Refusal> {
    let One { id, .. } = arguments::read(given)?;
    let query = "mutation($id: ID!) { cancelGeneration(id: $id) }";
    let answer = gateway.ask(&Operation::new(query, json!({ "id": id }))).await?;
    Ok(json!({ "id": id, "cancelled": answer["cancelGeneration"] }))
}

async fn look(gateway: &impl Gateway, id: &str) -> Result<Value, Refusal> {
    let query = format!("query($id: ID!) {{ generation(id: $id) {{ {GENERATION} }} }}");
    Ok(with_done(gateway.ask(&Operation::new(query, json!({ "id": id }))).await?["generation"].take()))
}

/// A generation, with whether anything can still change.
fn with_done(mut generation: Value) -> Value {
    let is_done = ["COMPLETED", "FAILED", "CANCELLED"].iter().any(|end| generation["status"] == *end);
    generation["done"] = json!(is_done);
    generation
}

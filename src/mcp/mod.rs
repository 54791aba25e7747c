//! The tools that agents get by the Model Context Protocol: to look for a provider, ask for a price, make something
//! within a budget, wait for it and cancel it.
//!
//! The tools are clients of the public API and know nothing that it does not tell: [`Tools`] works on any [`Gateway`],
//! over the network for `doitong mcp` and in process for `/mcp`. What was refused is a tool's result with `isError`, so
//! that the model reads what to do; protocol errors are only for what is no call of a tool.

mod arguments;
mod calls;
mod list;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::client::{Gateway, Refusal};

const INSTRUCTIONS: &str = "Makes images, video, speech and talking avatars. Credits are money: 1 is US$0.001. Call \
    quote for the price, generate with the most you may spend, then wait until done is true; give the user the url.";

/// The tools, for one caller.
#[derive(Debug)]
pub struct Tools<G> {
    gateway: G,
}

impl<G: Gateway> Tools<G> {
    /// Tools that work through this gateway.
    pub const fn new(gateway: G) -> Self {
        Self { gateway }
    }
}

impl<G: Gateway> ServerHandler for Tools<G> {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("doitong", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(list::tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let called = calls::call(&self.gateway, &request.name, request.arguments.unwrap_or_default());
        let outcome = tokio::select! {
            outcome = called => {
                let unknown = || ErrorData::invalid_params(format!("Unknown tool: {}", request.name), None);
                outcome.ok_or_else(unknown)?
            }
            // Nobody waits for the answer any more.
            () = context.ct.cancelled() => Err(Refusal::unreachable("the call was cancelled")),
        };
        Ok(outcome.map_or_else(|refusal| refused(&refusal), |value| told(&value)).into())
    }
}

/// A result: JSON without what is null, which a model need not read.
fn told(value: &Value) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(without_nulls(value.clone()).to_string())])
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        value => value,
    }
}

/// An error that a model can act on: code, message, what to do.
fn refused(refusal: &Refusal) -> CallToolResult {
    let advice = advice(refusal);
    let mut error = json!(refusal);
    error["advice"] = json!(advice);
    let told = refusal.to_string();
    let stop = if told.ends_with(['.', '!', '?']) { "" } else { "." };
    let mut result = CallToolResult::error(vec![ContentBlock::text(format!("{told}{stop} {advice}"))]);
    result.structured_content = Some(json!({ "error": error }));
    result
}

fn advice(refusal: &Refusal) -> String {
    match refusal.code.as_str() {
        "UNAUTHENTICATED" => "Tell the user that the API key is missing or not valid.".to_owned(),
        "INSUFFICIENT_CREDITS" => "Do not spend more: choose cheaper options or another provider by quote, or ask the \
            user for a higher max_credits or a top-up."
            .to_owned(),
        "RATE_LIMIT" => {
            let seconds = refusal.retry_after.unwrap_or(60);
            format!("Wait {seconds} s, then repeat the same call.")
        }
        "INVALID_INPUT" if refusal.reason.as_deref() == Some("IDEMPOTENCY_MISMATCH") => {
            "Give another key, or the arguments of the first call.".to_owned()
        }
        "INVALID_INPUT" => "Correct the arguments; list_providers with a provider tells its options.".to_owned(),
        "NOT_FOUND" => "Use an id that generate gave with this API key.".to_owned(),
        "PROVIDER_UNAVAILABLE" => "Leave provider and model out, or choose another by list_providers.".to_owned(),
        _ if refusal.retryable => "Repeat the same call; nothing is done or paid twice.".to_owned(),
        _ => "Tell the user.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_to_do() {
        let mut refusal = Refusal::invalid("Too long");
        let result = serde_json::to_value(refused(&refusal)).unwrap();
        assert_eq!(result["isError"], true);
        assert!(result["content"][0]["text"].as_str().unwrap().starts_with("INVALID_INPUT: Too long. Correct"));
        assert_eq!(result["structuredContent"]["error"]["code"], "INVALID_INPUT");
        refusal.reason = Some("IDEMPOTENCY_MISMATCH".to_owned());
        assert!(advice(&refusal).contains("another key"));
        refusal = Refusal { code: "RATE_LIMIT".to_owned(), retry_after: Some(7), ..refusal };
        assert!(advice(&refusal).starts_with("Wait 7 s"));
        assert!(advice(&Refusal::unreachable("gone")).contains("Repeat"));
    }

    #[test]
    fn what_is_null_is_left_out() {
        assert_eq!(
            without_nulls(json!({"a": null, "b": [{"c": null, "d": 1}], "e": false})),
            json!({"b": [{"d": 1}], "e": false})
        );
    }
}

//! The tools as agents see them. Every word here is read, and paid, by a model on every turn: the list stays under 8 kB.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

/// All tools.
pub(super) fn tools() -> Vec<Tool> {
    let reads = || ToolAnnotations::new().read_only(true).open_world(false);
    let acts = || ToolAnnotations::new().read_only(false).idempotent(true);
    vec![
        tool(
            "list_providers",
            "Lists the providers that would serve a request now. With type: their models for it, default first, with price in \
             credits, seconds and quality (0-100). With provider: that one in full, with its options.",
            reads(),
            json!({ "type": type_schema(), "provider": { "type": "string", "description": "One provider, in full" } }),
            &[],
        ),
        tool(
            "quote",
            "Tells which provider and model generate would use for this request, what it costs, how long it takes, and what \
             would be adjusted. Spends nothing.",
            reads(),
            Value::Object(request()),
            &["type"],
        ),
        tool(
            "generate",
            "Starts a generation and returns at once with its id; call wait next. Refuses if it costs more than max_credits; \
             a failed or cancelled one costs nothing. Repeating a call with the same arguments within 24 h returns the same \
             generation and costs nothing: safe after a lost answer. To make another, or to try again after a failure, give a \
             new key.",
            acts().destructive(false),
            Value::Object(generate()),
            &["type", "max_credits"],
        ),
        tool(
            "get_generation",
            "Tells the present state of a generation; url and assets are there once status is COMPLETED.",
            reads(),
            json!({ "id": id() }),
            &["id"],
        ),
        tool(
            "wait",
            "Waits for a generation to end, at most 20 s, and tells its state. While done is false, call it again.",
            reads(),
            json!({ "id": id(), "seconds": { "type": "integer", "minimum": 1, "maximum": 20, "default": 20 } }),
            &["id"],
        ),
        tool(
            "cancel",
            "Cancels a generation and gives its credits back. cancelled is false if it had already ended.",
            acts().destructive(true),
            json!({ "id": id() }),
            &["id"],
        ),
    ]
}

fn tool(
    name: &'static str,
    description: &'static str,
    hints: ToolAnnotations,
    properties: Value,
    required: &[&str],
) -> Tool {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties);
    schema.insert("required".to_owned(), json!(required));
    schema.insert("additionalProperties".to_owned(), json!(false));
    Tool::new(name, description, Arc::new(schema)).with_annotations(hints)
}

fn id() -> Value {
    json!({ "type": "string", "description": "gen_…, as generate gave it" })
}

fn type_schema() -> Value {
    json!({ "type": "string", "enum": ["VIDEO", "IMAGE", "AUDIO", "AVATAR"] })
}

/// What a request is made of.
fn request() -> Map<String, Value> {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let url = |description: &str| json!({ "type": "string", "description": format!("{description}: an https: or data: URL") });
    let members = [
        ("type", type_schema()),
        ("text", text("The prompt, or the words to speak")),
        ("provider", text("The gateway chooses if absent")),
        ("model", text("One of the provider's models")),
        (
            "options",
            json!({ "type": "object", "description": "By name, e.g. {\"duration\": 5, \"aspectRatio\": \"16:9\"}" }),
        ),
        (
            "priority",
            json!({
                "type": "string", "enum": ["QUALITY", "SPEED", "COST", "BALANCED"],
                "description": "What matters most when the gateway chooses",
            }),
        ),
        ("image", url("A picture to start from")),
        (
            "images",
            json!({ "type": "array", "items": { "type": "string" }, "description": "Reference pictures, as URLs" }),
        ),
        ("last_image", url("The picture to end with")),
        ("video", url("A clip to work on")),
        ("audio", url("A sound to work with")),
        ("voice", text("The voice")),
        ("max_credits", json!({ "type": "integer", "minimum": 0, "description": "Only what costs no more" })),
    ];
    members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn generate() -> Map<String, Value> {
    let mut members = request();
    let budget = "The budget of this call: it is refused rather than spend more";
    members.insert("max_credits".to_owned(), json!({ "type": "integer", "minimum": 0, "description": budget }));
    let key = "Any text; with another one, the same arguments make another generation";
    members.insert("key".to_owned(), json!({ "type": "string", "description": key }));
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_small_enough_to_be_read_on_every_turn() {
        let list = serde_json::to_string(&tools()).unwrap();
        assert!(list.len() < 8_000, "{} bytes", list.len());
    }

    #[test]
    fn what_is_required_is_described() {
        for tool in tools() {
            let schema = &tool.input_schema;
            for name in schema["required"].as_array().unwrap() {
                assert!(schema["properties"].get(name.as_str().unwrap()).is_some(), "{}: {name}", tool.name);
            }
        }
    }
}

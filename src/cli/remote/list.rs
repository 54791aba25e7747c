//! `doitong list`

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::{super::values, output};
use crate::{
    client::{Client, Generation},
    domain::{GenerationType, Status},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only those of this type
    #[arg(long, ignore_case = true, value_parser = values::generation_type())]
    r#type: Option<GenerationType>,
    /// Only those in this state
    #[arg(long, ignore_case = true, value_parser = status())]
    status: Option<Status>,
    /// Only those of this provider
    #[arg(long)]
    provider: Option<String>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    first: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn status() -> impl TypedValueParser<Value = Status> {
    let names = PossibleValuesParser::new(["pending", "processing", "completed", "failed", "cancelled"]);
    names.try_map(|name| values::word::<Status>(name.to_uppercase()))
}

pub(super) async fn run(args: &Args, client: &Client) -> anyhow::Result<()> {
    let Args { r#type, status, provider, first, json } = args;
    let filter = json!({ "first": first, "type": r#type, "status": status, "provider": provider });
    let generations = client.generations(&filter).await?;
    if *json {
        return output::json(&generations);
    }
    let rows: Vec<_> = generations.iter().map(row).collect();
    Ok(output::table(["ID", "TYPE", "STATUS", "PROVIDER", "MODEL", "CREDITS", "CREATED", "RESULT"], &rows)?)
}

/// Only what completes is charged, and what is under way may be.
fn charged(generation: &Generation) -> i64 {
    match generation.status {
        Status::Failed | Status::Cancelled => 0,
        Status::Pending | Status::Processing | Status::Completed => generation.credit_cost,
    }
}

fn row(generation: &Generation) -> [String; 8] {
    let error = || generation.error.as_ref().map(|error| error.reason.clone().unwrap_or_else(|| error.code.clone()));
    [
        generation.id.clone(),
        generation.r#type.as_str().to_owned(),
        generation.status.as_str().to_lowercase(),
        generation.provider.clone(),
        generation.model.clone(),
        charged(generation).to_string(),
        output::moment(generation.created_at),
        generation.url.clone().or_else(error).unwrap_or_default(),
    ]
}

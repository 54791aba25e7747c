//! `doitong mcp`: the agents' tools on standard input and output.

use anyhow::Context as _;
use rmcp::{ServiceExt as _, transport::stdio};

use crate::{client::Client, mcp::Tools};

/// Serves until the other side closes our input.
pub(super) async fn run(client: Client) -> anyhow::Result<()> {
    let server = Tools::new(client).serve(stdio()).await.context("the other side does not speak MCP")?;
    server.waiting().await?;
    Ok(())
}

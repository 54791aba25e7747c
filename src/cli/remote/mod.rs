//! The commands for people and agents that use a gateway, as clients of its public API. They need neither database nor
//! settings: `DOITONG_URL` says where it is, `DOITONG_API_KEY` who is calling.

mod bar;
mod exit;
mod follow;
mod generate;
mod inputs;
mod list;
mod mcp;
mod save;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

use super::output;
use crate::{
    client::{Client, Refusal},
    config,
    lifecycle::Signals,
};
pub(super) use exit::code_of;

/// Where a gateway on this machine listens.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make something, watch it, save the result
    Generate(Box<generate::Args>),
    /// Watch a generation, save the result
    Watch(watch::Args),
    /// List generations, newest first
    List(list::Args),
    /// Serve agents the tools of the Model Context Protocol on standard input and output
    Mcp,
}

pub(super) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let config::Gateway { url, key } = config::Gateway::read();
    let key = key.ok_or_else(Refusal::no_key)?;
    let client = Client::of(url.as_deref().unwrap_or(DEFAULT_URL), key)?;
    let mut signals = Signals::listen()?;
    match command {
        Command::Generate(args) => generate::run(&args, &client, &mut signals).await,
        Command::Watch(args) => watch::run(&args, &client, &mut signals).await,
        Command::List(args) => tokio::select! {
            outcome = list::run(&args, &client) => outcome.map(|()| ExitCode::SUCCESS),
            () = signals.stop() => Ok(exit::interrupted()),
        },
        Command::Mcp => tokio::select! {
            outcome = mcp::run(client) => outcome.map(|()| ExitCode::SUCCESS),
            // How the program that started us ends us.
            () = signals.stop() => Ok(ExitCode::SUCCESS),
        },
    }
}

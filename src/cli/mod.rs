//! The command line: one file a command.
//!
//! A command says what it did on standard output, in words or with `--json`; what went wrong is one line on standard
//! error. Only `serve` logs, so that the output of the others can be relied on.

mod accounts;
mod completions;
mod doctor;
mod keys;
mod migrate;
mod output;
mod providers;
mod remote;
mod serve;
mod values;

use std::{ffi::OsString, io, path::PathBuf, process::ExitCode, time::Duration};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, error::ErrorKind, parser::ValueSource};
use tokio_util::task::TaskTracker;

use crate::{
    accounts::Accounts,
    app::{self, Connected},
    config::{self, Config, LogFormat, Secrets},
    db::Database,
    domain::Clock,
    egress, graphql,
    lifecycle::Signals,
    telemetry,
};

/// One GraphQL endpoint in front of AI video, image, speech and avatar models.
#[derive(Debug, Parser)]
#[command(name = "doitong", version, after_help = "Without a command: serve.")]
struct Cli {
    /// A file of settings over the compiled-in ones
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    serve: serve::Args,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Migrate, then serve the API and run the workers
    Serve(serve::Args),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// List accounts, add credits, change plans
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Show the catalogue, and which credential each entry waits for
    Providers(providers::Args),
    /// Print the GraphQL schema
    Schema,
    /// Apply the database migrations that are missing
    Migrate,
    /// Check database, media store, catalogue and upstream credentials
    Doctor,
    #[command(flatten)]
    Remote(remote::Command),
    /// Print a script that completes these commands in a shell
    Completions(completions::Args),
}

/// What every command works with.
struct Settings {
    config: Config,
    file: Option<PathBuf>,
    data_dir: PathBuf,
}

/// Runs the command of these arguments; the first is the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = parse(args).unwrap_or_else(|error| error.exit());
    let outcome = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from);
    let outcome = outcome.and_then(|runtime| {
        let outcome = runtime.block_on(run(command));
        // Renders that nobody waits for any more must not delay the end.
        runtime.shutdown_timeout(Duration::from_millis(50));
        outcome
    });
    match outcome {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            remote::code_of(&error)
        }
    }
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<(Command, Option<PathBuf>), clap::Error> {
    let matches = Cli::command().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let given = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
    if cli.command.is_some() && (given("role") || given("listen")) {
        let message = "--role and --listen belong behind `serve`";
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, message));
    }
    Ok((cli.command.unwrap_or(Command::Serve(cli.serve)), cli.config))
}

async fn run((command, file): (Command, Option<PathBuf>)) -> anyhow::Result<ExitCode> {
    egress::use_ring();
    if let Command::Remote(command) = command {
        return remote::run(command).await;
    }
    let settings = Settings { config: Config::load(file.as_deref())?, file, data_dir: config::data_dir() };
    if let Command::Serve(args) = command {
        serve::run(args, settings).await?;
        return Ok(ExitCode::SUCCESS);
    }
    telemetry::start(&config::Log { format: LogFormat::Pretty, filter: "off".to_owned() }, None)?;
    let mut signals = Signals::listen()?;
    tokio::select! {
        outcome = short(command, &settings) => outcome,
        // Giving the command up lets go of a database it started.
        () = signals.stop() => anyhow::bail!("interrupted"),
    }
}

async fn short(command: Command, settings: &Settings) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(_) | Command::Remote(_) => {}
        Command::Keys(command) => keys::run(command, settings).await?,
        Command::Accounts(command) => accounts::run(command, settings).await?,
        Command::Providers(args) => providers::run(&args, &settings.config)?,
        Command::Schema => output::line(graphql::sdl().trim_end())?,
        Command::Migrate => migrate::run(settings).await?,
        Command::Doctor => return doctor::run(settings).await,
        Command::Completions(args) => completions::run(&args, &mut Cli::command())?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Settings {
    /// Does something with the accounts of the database, migrated first, and lets go of it.
    async fn with_accounts<T>(&self, what: impl AsyncFnOnce(&Accounts) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let secrets = Secrets::read([]);
        let seal = app::seal(&secrets)?;
        let connected = Connected::open(&self.config, &secrets, &self.data_dir).await?;
        let database = Database::new(connected.pool.clone(), &TaskTracker::new());
        let accounts = Accounts::new(&database, Clock::default(), self.config.plans.clone(), seal);
        let outcome = what(&accounts).await;
        connected.close().await;
        outcome
    }
}

/// Whether the reader of our output has left, as `head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}

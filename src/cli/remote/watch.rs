//! `doitong watch`

use std::process::ExitCode;

use super::follow::{Form, Teller, follow};
use crate::{client::Client, lifecycle::Signals};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The generation
    id: String,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(args: &Args, client: &Client, signals: &mut Signals) -> anyhow::Result<ExitCode> {
    args.form.check()?;
    args.form.check_place()?;
    follow(client, &args.id, &mut Teller::new(&args.form), signals).await
}

//! `doitong completions`

use std::io::{self, Write as _};

use clap_complete::{Shell, generate};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, command: &mut clap::Command) -> io::Result<()> {
    let mut script = Vec::new();
    generate(args.shell, command, "doitong", &mut script);
    io::stdout().lock().write_all(&script)
}

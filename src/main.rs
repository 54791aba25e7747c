//! Reads the command line, runs one command, says how it went.

use std::process::ExitCode;

fn main() -> ExitCode {
    doitong::cli::main(std::env::args_os())
}

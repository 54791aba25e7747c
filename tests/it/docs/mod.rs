//! The documents. Each fenced block is run against the real gateway, or says in a comment before it why it is not; a
//! block of another kind fails, so that nothing is left out unseen. Links lead somewhere, and commands that are named in
//! the text exist with their options.
//!
//! A document is a session: its blocks run in their order, in one folder, beside one gateway with a database of its own.
//!
//! | block | what becomes of it |
//! | --- | --- |
//! | `sh` | run by bash. `doitong`, and `cargo run --release --` before its arguments, is the binary that the tests have built |
//! | `graphql` | asked; errors are none, unless the document shows them |
//! | `json` | compared with the answer before it; in `<!-- the webhook -->` with what was posted for it; else it parses |
//! | `text` | its lines are among what the command before it printed; else it is a picture |
//! | `js`, `python` | run as a program, with `DOITONG_URL` and `DOITONG_API_KEY` |
//! | those, and `rust`, with a function `verify` | given webhooks, true and false ones |
//! | `sql` | run on the gateway's database |
//! | `yaml` | a configuration that Prometheus takes |
//! | `mermaid` | a picture |
//! | with `<!-- serves -->` | run until it serves, then stopped |
//! | with `<!-- not run: reason -->` | not run |
//!
//! `…` stands for anything in what is shown, and for what only the reader knows in what is run ([`Session::fill`]).

mod blocks;
mod container;
mod facts;
mod references;
mod session;
mod shown;
mod verify;

use std::{fs, path::Path};

use blocks::{Block, Mark, blocks, documents};
use session::Session;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(document: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(document)).unwrap()
}

/// A test for each document with something to run.
macro_rules! sessions {
    ($($name:ident: $document:literal,)*) => {
        const SESSIONS: &[&str] = &[$($document),*];
        $(#[test]
        fn $name() {
            run($document);
        })*
    };
}

sessions! {
    readme: "README.md",
    contributing: "CONTRIBUTING.md",
    api: "docs/api.md",
    cli: "docs/cli.md",
    dialects: "docs/dialects.md",
    errors: "docs/errors.md",
    idempotency: "docs/idempotency.md",
    limits: "docs/limits.md",
    mcp: "docs/mcp.md",
    operations: "docs/operations.md",
    scaling: "docs/operations/scaling.md",
    webhooks: "docs/webhooks.md",
}

fn run(document: &str) {
    let blocks = blocks(document);
    let mut begun = false;
    // A document that begins with the start of a gateway is about a first run.
    let mut session = match blocks.iter().find(|block| block.needs_gateway()) {
        Some(block) if block.mark == Some(Mark::Serves) && document == "README.md" => {
            begun = true;
            Session::start(&block.text)
        }
        _ => Session::start("doitong"),
    };
    for (place, block) in blocks.iter().enumerate() {
        if begun && block.mark == Some(Mark::Serves) {
            let next = session.fill(&blocks[place + 1].text).replace(" \\\n  ", " ");
            assert!(
                session.greeting.contains(&next),
                "{block} prints another line than {next:?}: {:?}",
                session.greeting
            );
            begun = false;
            continue;
        }
        session.run(block, blocks.get(place + 1));
    }
    session.stop();
}

#[test]
fn every_block_is_run_or_says_why_not() {
    let all: Vec<Block> = documents().iter().flat_map(|document| blocks(document)).collect();
    assert!(all.len() > 40, "{}", all.len());
    for block in &all {
        assert!(
            block.is_known(),
            "{block}: neither a kind of block that is run, nor a reason why not: {:?}",
            block.mark
        );
        assert!(
            !block.needs_gateway() || SESSIONS.contains(&block.document.as_str()),
            "{block}: its document is no session"
        );
    }
}

//! Follows a generation to its end for a person: bar, Ctrl-C, the result's files. `generate` and `watch` share it.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use anyhow::anyhow;
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, pending, ready},
};
use serde_json::{Value, json};

use super::{
    bar::{Bar, about},
    exit, output, save,
};
use crate::{
    client::{Adjustment, Client, Generation, Refusal, Told},
    domain::Status,
    lifecycle::Signals,
};

const TICK: Duration = Duration::from_millis(500);

/// Where what goes.
#[derive(Debug, clap::Args)]
pub(super) struct Form {
    /// Save the result as this file, or in this folder; - writes it to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Form {
    fn is_piped(&self) -> bool {
        self.output.as_deref() == Some(Path::new("-"))
    }

    /// Refuses what would write two things to standard output.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.json && self.is_piped() {
            return Err(Refusal::invalid("--json and `-o -` both write to standard output; choose one"));
        }
        Ok(())
    }

    /// Refuses a place where nothing can be saved, before anything is paid that would be.
    pub(super) fn check_place(&self) -> Result<(), Refusal> {
        if self.is_piped() { Ok(()) } else { save::check(self.output.as_deref()) }
    }
}

/// Says what happens, and takes the bar away at the end.
pub(super) struct Teller<'a> {
    form: &'a Form,
    bar: Bar,
    told: Vec<Adjustment>,
}

impl Drop for Teller<'_> {
    fn drop(&mut self) {
        self.bar.clear();
    }
}

impl<'a> Teller<'a> {
    pub(super) fn new(form: &'a Form) -> Self {
        Self { form, bar: Bar::new(), told: Vec::new() }
    }

    /// A line for people, which is standard output where nothing else is written there.
    fn say(&self, text: &str) -> io::Result<()> {
        if self.form.json {
            return Ok(());
        }
        if self.form.is_piped() {
            self.bar.note(text);
            return Ok(());
        }
        self.bar.line(text)
    }

    /// What is being made, and for how much.
    pub(super) fn accepted(&mut self, generation: &Generation) -> io::Result<()> {
        let Generation { id, credit_cost, estimated_time, .. } = generation;
        let who = generation.server();
        let credits = if *credit_cost == 1 { "credit" } else { "credits" };
        self.say(&format!("{id}: {who}, {credit_cost} {credits}, {}", about(*estimated_time)))?;
        self.adjusted(generation)
    }

    /// Begins the bar with what is known before anything is told.
    pub(super) fn show(&mut self, generation: &Generation) {
        self.bar.show(generation);
    }

    fn adjusted(&mut self, generation: &Generation) -> io::Result<()> {
        for adjustment in &generation.adjustments {
            if !self.told.contains(adjustment) {
                self.say(&format!("adjusted: {}", adjustment_text(adjustment)))?;
                self.told.push(adjustment.clone());
            }
        }
        Ok(())
    }
}

fn adjustment_text(adjustment: &Adjustment) -> String {
    let Adjustment { option, requested, used, reason } = adjustment;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if used.is_null() {
        format!("{option} {} is not used: {reason}", text(requested))
    } else {
        format!("{option} is {}, not {}: {reason}", text(used), text(requested))
    }
}

/// How watching ended.
enum Ended {
    /// With the generation's end.
    Told(Box<Generation>),
    /// By the person, who leaves it running.
    Left,
}

/// Follows a generation to its end, and saves what it made.
pub(super) async fn follow(
    client: &Client,
    id: &str,
    teller: &mut Teller<'_>,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    let mut watch = Watch { client, id, teller, asked: false, answer: pending().boxed(), cancelled: false };
    let ended = watch.until_the_end(signals).await;
    let cancelled = watch.cancelled;
    teller.bar.answered(false);
    teller.bar.clear();
    let ended = ended.inspect_err(|refusal| {
        if refusal.retryable {
            output::note(&format!("{id} may go on; `doitong watch {id}` follows it"));
        }
    })?;
    let Ended::Told(generation) = ended else {
        output::note(&format!("{id} goes on; `doitong watch {id}` follows it"));
        return Ok(exit::interrupted());
    };
    teller.adjusted(&generation)?;
    match generation.status {
        Status::Completed => {
            // A download can be left too.
            let saved = tokio::select! {
                saved = keep(client, &generation, teller) => saved?,
                () = signals.stop() => return Ok(exit::interrupted()),
            };
            print_json(&generation, &saved, teller.form)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => unsuccessful(&generation, cancelled, teller.form),
    }
}

/// A generation without a result.
fn unsuccessful(generation: &Generation, cancelled_here: bool, form: &Form) -> anyhow::Result<ExitCode> {
    print_json(generation, &[], form)?;
    if let Some(error) = &generation.error {
        let reason = error.reason.as_ref().map(|reason| format!("/{reason}")).unwrap_or_default();
        return Err(anyhow!("{}{reason}: {}", error.code, error.message));
    }
    if cancelled_here {
        output::note(&format!("{} is cancelled; it costs nothing", generation.id));
        return Ok(exit::interrupted());
    }
    Err(anyhow!("{} was cancelled", generation.id))
}

fn print_json(generation: &Generation, files: &[PathBuf], form: &Form) -> anyhow::Result<()> {
    if !form.json {
        return Ok(());
    }
    let mut shown = serde_json::to_value(generation)?;
    shown["files"] = files.iter().map(|file| json!(file.to_string_lossy())).collect::<Value>();
    output::json(&shown)
}

/// Saves all files; names of those that are.
async fn keep(client: &Client, generation: &Generation, teller: &Teller<'_>) -> anyhow::Result<Vec<PathBuf>> {
    let not_saved = |error: anyhow::Error, url: &str| match error.downcast_ref::<io::Error>() {
        // Whoever read our output has left.
        Some(closed) if closed.kind() == io::ErrorKind::BrokenPipe => error,
        _ => exit::NotSaved(format!("the result could not be saved: {error:#}; it stays at {url}")).into(),
    };
    if teller.form.is_piped() {
        let Some((first, others)) = generation.assets.split_first() else { return Ok(Vec::new()) };
        save::pipe(client, first).await.map_err(|error| not_saved(error, &first.url))?;
        for other in others {
            output::note(&format!("not written: {}", other.url));
        }
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for (at, asset) in generation.assets.iter().enumerate() {
        let saved = save::save(client, generation, at, teller.form.output.as_deref()).await;
        let save::Saved { path, replaced } = saved.map_err(|error| not_saved(error, &asset.url))?;
        let what = if replaced { "replaced" } else { "saved" };
        teller.say(&format!("{what} {}", path.display()))?;
        files.push(path);
    }
    Ok(files)
}

struct Watch<'a, 'b> {
    client: &'a Client,
    id: &'a str,
    teller: &'a mut Teller<'b>,
    /// Whether the person was asked about cancelling and has not said no.
    asked: bool,
    /// What they say.
    answer: BoxFuture<'static, bool>,
    /// Whether it was cancelled by us.
    cancelled: bool,
}

impl Watch<'_, '_> {
    async fn until_the_end(&mut self, signals: &mut Signals) -> Result<Ended, Refusal> {
        let (client, id) = (self.client, self.id);
        let mut states = pin!(client.watch(id));
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                state = states.next() => match state {
                    Some(Ok(Told::State(generation))) if generation.status.is_terminal() => {
                        return Ok(Ended::Told(generation));
                    }
                    Some(Ok(Told::State(generation))) => self.teller.bar.show(&generation),
                    Some(Ok(Told::Lost)) => self.teller.bar.lose(),
                    Some(Err(refusal)) => return Err(refusal),
                    None => return Err(Refusal::unreachable("nothing more is told")),
                },
                () = signals.stop() => {
                    if self.asked {
                        return Ok(Ended::Left);
                    }
                    self.ask();
                }
                yes = &mut self.answer => self.answered(yes).await,
                _ = ticks.tick() => self.teller.bar.tick(),
            }
        }
    }

    /// Offers to cancel. Where nobody can be asked, a signal means it.
    fn ask(&mut self) {
        self.asked = true;
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            self.answer = ready(true).boxed();
            return;
        }
        self.teller.bar.ask(&format!("Cancel {}? Ctrl-C again leaves it running. [y/N]", self.id));
        self.answer = tokio::task::spawn_blocking(said_yes).map(Result::unwrap_or_default).boxed();
    }

    async fn answered(&mut self, yes: bool) {
        self.answer = pending().boxed();
        self.asked = yes;
        self.teller.bar.answered(true);
        if !yes {
            return;
        }
        match self.client.cancel(self.id).await {
            Ok(cancelled) => self.cancelled = cancelled,
            Err(refusal) => self.teller.bar.note(&format!("it could not be cancelled: {refusal}")),
        }
    }
}

fn said_yes() -> bool {
    let mut line = String::new();
    io::stdin().read_line(&mut line).is_ok() && ["y", "yes"].contains(&line.trim().to_lowercase().as_str())
}

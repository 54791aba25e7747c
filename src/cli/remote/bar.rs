//! The progress bar: on standard error, and only where that is a terminal.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;
use crate::{
    client::Generation,
    domain::{Clock, Status, Timestamp},
};

const TEMPLATE: &str = "{spinner} {msg} {bar:24} {percent:>3}%";
const TURN: Duration = Duration::from_millis(120);

pub(super) struct Bar {
    drawn: ProgressBar,
    shown: Option<Generation>,
    /// Whether a question stands in its place.
    asks: bool,
    /// Whether the gateway does not answer.
    lost: bool,
}

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self { drawn: bar, shown: None, asks: false, lost: false }
    }

    /// Shows a state.
    pub(super) fn show(&mut self, generation: &Generation) {
        self.lost = false;
        let is_first = self.shown.replace(generation.clone()).is_none();
        self.tick();
        if is_first {
            self.drawn.enable_steady_tick(TURN);
        }
    }

    /// Says that the gateway does not answer, until it does.
    pub(super) fn lose(&mut self) {
        self.lost = true;
        if self.shown.is_none() {
            self.note("the gateway does not answer; trying again");
        }
        self.tick();
    }

    /// Brings the time that is left up to date.
    pub(super) fn tick(&self) {
        if let Some(generation) = self.shown.as_ref().filter(|_| !self.asks) {
            self.drawn.set_position(generation.progress.min(100));
            let message = if self.lost {
                format!("{}: the gateway does not answer, reconnecting", generation.server())
            } else {
                message(generation, Clock::default().now())
            };
            self.drawn.set_message(message);
        }
    }

    /// Asks something in the place of the bar, so that the answer is not written into it.
    pub(super) fn ask(&mut self, question: &str) {
        self.drawn.finish_and_clear();
        self.asks = true;
        let mut stderr = io::stderr().lock();
        // Nobody can be told when that fails.
        write!(stderr, "{question} ").and_then(|()| stderr.flush()).ok();
    }

    /// Shows the bar again where a question stood, which may have been answered or not.
    pub(super) fn answered(&mut self, was_answered: bool) {
        if !self.asks {
            return;
        }
        if !was_answered {
            output::note("");
        }
        let before = std::mem::replace(self, Self::new());
        if let Some(generation) = before.shown {
            self.show(&generation);
            self.lost = before.lost;
        }
    }

    /// Writes something above the bar, to people.
    pub(super) fn note(&self, text: &str) {
        self.drawn.suspend(|| output::note(text));
    }

    /// Writes a line of the output.
    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        self.drawn.suspend(|| output::line(text))
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.drawn.finish_and_clear();
    }
}

fn message(generation: &Generation, now: Timestamp) -> String {
    let who = generation.server();
    let state = match (generation.status, generation.queue_position) {
        (Status::Pending, Some(position)) => return format!("{who}: number {position} in the queue"),
        (Status::Pending, None) => "waiting",
        (Status::Processing, _) => "running",
        (Status::Completed, _) => return format!("{who}: done"),
        (Status::Failed, _) => return format!("{who}: failed"),
        (Status::Cancelled, _) => return format!("{who}: cancelled"),
    };
    let left = generation.eta.map(|eta| (eta - now).num_seconds());
    match left {
        Some(seconds) if seconds > 0 => format!("{who}: {state}, {} left", about(seconds)),
        Some(_) => format!("{who}: {state}, any moment now"),
        None => format!("{who}: {state}"),
    }
}

/// How long something takes, as people say it.
pub(super) fn about(seconds: i64) -> String {
    if seconds >= 90 { format!("about {} min", (seconds + 30) / 60) } else { format!("about {seconds} s") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(change: &Value) -> String {
        let mut generation = json!({
            "id": "gen_1", "status": "PROCESSING", "type": "IMAGE", "provider": "flux", "model": "dev", "progress": 5,
            "estimatedTime": 5, "creditCost": 25, "assets": [], "adjustments": [],
            "createdAt": "2026-01-01T00:00:00Z", "eta": "2026-01-01T00:01:00Z",
        });
        generation.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        message(&serde_json::from_value(generation).unwrap(), "2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn it_says_what_happens_and_for_how_long() {
        assert_eq!(told(&json!({})), "flux dev: running, about 60 s left");
        assert_eq!(told(&json!({"eta": "2026-01-01T00:02:40Z"})), "flux dev: running, about 3 min left");
        assert_eq!(told(&json!({"eta": "2025-12-31T00:00:00Z"})), "flux dev: running, any moment now");
        assert_eq!(told(&json!({"status": "PENDING", "eta": null})), "flux dev: waiting");
        assert_eq!(told(&json!({"status": "PENDING", "queuePosition": 3})), "flux dev: number 3 in the queue");
        assert_eq!(told(&json!({"status": "COMPLETED"})), "flux dev: done");
        assert_eq!(told(&json!({"status": "FAILED", "model": "flux"})), "flux: failed");
    }
}

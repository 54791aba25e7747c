//! Test mode: an upstream that costs nothing and makes real, playable files which show the prompt.
//!
//! Nothing is kept between calls: the handle says when the run began and when it is ready, so any process can poll,
//! and the result is rendered by the poll that finds it ready. Words in the prompt steer what happens: `[[fail]]`,
//! `[[reject]]`, `[[unavailable]]`, `[[slow]]`, `[[hang]]`.

mod clip;
mod lettering;
mod picture;
mod renderer;
mod sound;
mod spec;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Cancelled, Cx, Handle, Progress, Provider, Reconciled, Submitted, Task};
use crate::domain::{Fault, GenerationType, Upstream, fault::Kind};
use renderer::Renderer;
use spec::Spec;

/// How long a `[[slow]]` run takes; not scaled, since it stands for a slow upstream.
const SLOW_MS: i64 = 30_000;

/// The share of a run, in percent, that it spends in the upstream's queue.
const QUEUED_PERCENT: i64 = 10;

/// The longest wait we ask for before the first look, so that progress is seen to move.
const FIRST_LOOK_MS: i64 = 500;

/// The upstream of test mode.
pub struct Sandbox {
    renderer: Renderer,
    time_scale: f64,
}

impl Sandbox {
    /// A sandbox whose runs take `time_scale` times as long as usual; 0 makes them instant.
    pub fn new(time_scale: f64) -> Self {
        Self {
            renderer: Renderer::default(),
            time_scale: if time_scale.is_finite() { time_scale.max(0.0) } else { 1.0 },
        }
    }

    fn run_ms(&self, of: GenerationType) -> i64 {
        let usual_ms = match of {
            GenerationType::Image => 300.0,
            GenerationType::Audio => 500.0,
            GenerationType::Video | GenerationType::Avatar => 1500.0,
        };
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
        let ms = (usual_ms * self.time_scale) as i64;
        ms.min(SLOW_MS)
    }

    fn begin(&self, task: &Task, now: i64) -> Result<Submitted, Fault> {
        let run_ms = match Steering::of(task) {
            Steering::Unavailable => return Err(Fault::refused(Kind::Down, "the prompt asks for an outage")),
            Steering::Hang => None,
            Steering::Slow => Some(SLOW_MS),
            _ => Some(self.run_ms(task.r#type)),
        };
        let run = Run { submitted: now, ready: run_ms.map(|ms| now + ms) };
        let handle =
            serde_json::to_string(&run).map_err(|error| Fault::refused(Kind::Garbled, "no handle").because(error))?;
        let first_look_ms = run_ms.unwrap_or(FIRST_LOOK_MS).min(FIRST_LOOK_MS);
        Ok(Submitted::Accepted {
            handle: Handle(handle),
            poll_after: Some(Duration::from_millis(first_look_ms.unsigned_abs())),
        })
    }

    async fn look(&self, task: &Task, handle: &Handle, now: i64) -> Result<Progress, Fault> {
        let run: Run = serde_json::from_str(&handle.0)
            .map_err(|error| Fault::refused(Kind::Gone, "not a handle of the sandbox").because(error))?;
        if let Some(progress) = run.progress(now) {
            return Ok(progress);
        }
        match Steering::of(task) {
            Steering::Fail => Ok(Progress::Failed(Fault::refused(Kind::Failed, "the prompt asks for a failure"))),
            Steering::Reject => {
                Ok(Progress::Failed(Fault::refused(Kind::Moderated, "the prompt asks for a rejection")))
            }
            _ => self.render(task).await,
        }
    }

    async fn render(&self, task: &Task) -> Result<Progress, Fault> {
        match self.renderer.render(Spec::of(task)).await {
            None => Ok(Progress::Running(Some(99))),
            Some(Ok(outputs)) => Ok(Progress::Done(outputs)),
            Some(Err(error)) => {
                Ok(Progress::Failed(Fault::refused(Kind::Failed, "the sandbox could not render this").because(error)))
            }
        }
    }
}

/// What the prompt asks to happen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Steering {
    None,
    Fail,
    Reject,
    Unavailable,
    Slow,
    Hang,
}

impl Steering {
    fn of(task: &Task) -> Self {
        let text = task.input.text.as_deref().unwrap_or_default();
        [
            ("[[unavailable]]", Self::Unavailable),
            ("[[hang]]", Self::Hang),
            ("[[fail]]", Self::Fail),
            ("[[reject]]", Self::Reject),
            ("[[slow]]", Self::Slow),
        ]
        .into_iter()
        .find(|(word, _)| text.contains(word))
        .map_or(Self::None, |(_, steering)| steering)
    }
}

/// The handle: when the run began and when it is ready (never, when absent), in Unix milliseconds.
#[derive(Serialize, Deserialize)]
struct Run {
    submitted: i64,
    ready: Option<i64>,
}

impl Run {
    /// What it looks like at a moment before it is ready; `None` once it is.
    fn progress(&self, now: i64) -> Option<Progress> {
        let Some(ready) = self.ready else { return Some(Progress::Running(None)) };
        if now >= ready {
            return None;
        }
        let percent = (now - self.submitted).max(0) * 100 / (ready - self.submitted).max(1);
        Some(match u8::try_from(percent) {
            Ok(_) if percent < QUEUED_PERCENT => Progress::Queued,
            Ok(percent) => Progress::Running(Some(percent.min(99))),
            Err(_) => Progress::Running(None),
        })
    }
}

#[async_trait]
impl Provider for Sandbox {
    fn upstream(&self) -> Upstream {
        Upstream::from("sandbox")
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        self.begin(task, cx.now().timestamp_millis())
    }

    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        self.look(task, handle, cx.now().timestamp_millis()).await
    }

    async fn cancel(&self, _cx: &Cx, _task: &Task, _handle: &Handle) -> Result<Cancelled, Fault> {
        Ok(Cancelled::Stopped)
    }

    async fn reconcile(&self, _cx: &Cx, _task: &Task) -> Result<Reconciled, Fault> {
        Ok(Reconciled::Absent)
    }

    async fn check(&self, _cx: &Cx) -> Result<(), Fault> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! Renders on threads of their own, of low priority: one clip and one picture or sound at a time in a process, so that
//! test mode cannot starve the API.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    clip, picture, sound,
    spec::{Kind, Spec},
};
use crate::domain::output::{Output, Outputs, Source};

/// How long a call waits for its turn before it says "still running".
const TURN: Duration = Duration::from_secs(5);

/// The nice value of the rendering threads.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// A rendered file.
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    pub(super) content_type: &'static str,
}

/// Renders specs, a bounded number at a time.
pub(super) struct Renderer {
    clips: Arc<Semaphore>,
    stills: Arc<Semaphore>,
}

impl Default for Renderer {
    fn default() -> Self {
        Self { clips: Arc::new(Semaphore::new(1)), stills: Arc::new(Semaphore::new(1)) }
    }
}

impl Renderer {
    /// The files of a spec; `None` when others are being rendered. Dropping the future stops the rendering.
    pub(super) async fn render(&self, spec: Spec) -> Option<anyhow::Result<Outputs>> {
        let lane = if matches!(spec.kind, Kind::Clip(_)) { &self.clips } else { &self.stills };
        let turn = timeout(TURN, Arc::clone(lane).acquire_owned()).await.ok()?.ok()?;
        let stop = CancellationToken::new();
        let _stops_when_dropped = stop.clone().drop_guard();
        let (answer, made) = oneshot::channel();
        let spawned = thread::Builder::new().name("sandbox-render".to_owned()).spawn(move || {
            lower_priority();
            let outputs = catch_unwind(AssertUnwindSafe(|| outputs(&spec, &stop)));
            drop(turn);
            // Nobody listens any more when the call was given up.
            let _ = answer.send(outputs.unwrap_or_else(|_| Err(anyhow!("the renderer panicked"))));
        });
        Some(match spawned {
            Ok(_) => made.await.context("the renderer went away").flatten(),
            Err(error) => Err(error).context("no thread to render on"),
        })
    }
}

/// The files of a spec with what is known of them.
pub(super) fn outputs(spec: &Spec, stop: &CancellationToken) -> anyhow::Result<Outputs> {
    let files = match &spec.kind {
        Kind::Pictures(pictures) => picture::render(spec, pictures, stop)?,
        Kind::Sound(sound) => vec![sound::render(spec, sound)?],
        Kind::Clip(clip) => vec![clip::render(spec, clip, stop)?],
    };
    let mut outputs = Outputs { seed: Some(spec.seed), ..Outputs::default() };
    outputs.notes.insert("format".to_owned(), Value::from(spec.kind.format()));
    if let Some(voice) = &spec.voice {
        outputs.notes.insert("voice".to_owned(), Value::from(voice.as_str()));
    }
    outputs.files = files
        .into_iter()
        .map(|file| Output {
            source: Source::Bytes(file.bytes.into()),
            content_type: Some(file.content_type.to_owned()),
        })
        .collect();
    Ok(outputs)
}

/// On Linux a nice value belongs to the thread; elsewhere it would slow the whole process.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the rendering thread keeps its priority");
    }
}

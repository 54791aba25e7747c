use std::io::Cursor;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    domain::{
        ContentInput, GenerationId,
        output::{Outputs, Source},
    },
    media::{Probe, probe},
};

fn task(r#type: GenerationType, text: &str, options: &Value) -> Task {
    Task {
        id: GenerationId::generate(),
        attempt: 1,
        r#type,
        model: "any".to_owned(),
        params: Map::new(),
        input: ContentInput { text: Some(text.to_owned()), ..ContentInput::default() },
        options: options.as_object().cloned().unwrap_or_default(),
        wire: std::collections::BTreeMap::new(),
    }
}

fn rendered(task: &Task) -> Outputs {
    renderer::outputs(&Spec::of(task), &CancellationToken::new()).unwrap()
}

fn files(outputs: &Outputs) -> Vec<Bytes> {
    let bytes = |source: &Source| match source {
        Source::Bytes(bytes) => bytes.clone(),
        Source::Url { .. } => panic!("the sandbox hands over bytes"),
    };
    outputs.files.iter().map(|file| bytes(&file.source)).collect()
}

/// Renders one file, checks that what is said of it is true, and measures it.
fn measured(r#type: GenerationType, text: &str, options: &Value) -> Probe {
    let outputs = rendered(&task(r#type, text, options));
    let [file] = files(&outputs).try_into().unwrap();
    let found = probe(Cursor::new(file)).unwrap();
    assert_eq!(outputs.files[0].content_type.as_deref(), Some(found.content_type));
    found
}

fn close(found: Option<f64>, wanted: f64) -> bool {
    found.is_some_and(|found| (found - wanted).abs() < 0.03)
}

#[test]
fn pictures_have_the_size_and_format_asked_for() {
    for (format, content_type) in [("png", "image/png"), ("jpeg", "image/jpeg"), ("webp", "image/webp")] {
        let options = json!({"resolution": "160x96", "format": format});
        let found = measured(GenerationType::Image, "a lighthouse at dusk", &options);
        assert_eq!((found.content_type, found.width, found.height), (content_type, Some(160), Some(96)));
    }
}

#[test]
fn several_pictures_differ() {
    let outputs = rendered(&task(GenerationType::Image, "two cats", &json!({"resolution": "64x64", "n": 2})));
    let [first, second] = files(&outputs).try_into().unwrap();
    assert_ne!(first, second);
}

#[test]
fn sounds_last_as_long_as_the_text_and_speed_say() {
    let text = "Thirty letters make two second";
    for (format, content_type) in
        [("mp3_44100_128", "audio/mpeg"), ("pcm_24000", "audio/wav"), ("flac", "audio/flac"), ("opus", "audio/mpeg")]
    {
        let found = measured(GenerationType::Audio, text, &json!({"format": format}));
        assert_eq!(found.content_type, content_type);
        assert!(close(found.duration, 2.0), "{format}: {found:?}");
        let fast = measured(GenerationType::Audio, text, &json!({"format": format, "speed": 2.0}));
        assert!(close(fast.duration, 1.0), "{format}: {fast:?}");
    }
    let found = measured(GenerationType::Audio, text, &json!({"format": "aac"}));
    assert_eq!(found.content_type, "audio/aac");
}

#[test]
fn clips_have_the_size_and_length_asked_for() {
    let options = json!({"resolution": "64x96", "duration": 1});
    let found = measured(GenerationType::Video, "waves", &options);
    assert_eq!((found.content_type, found.width, found.height), ("video/mp4", Some(64), Some(96)));
    assert_eq!((found.duration, found.fps), (Some(1.0), Some(24.0)));
}

#[test]
fn avatars_speak_for_as_long_as_the_text() {
    let text = "Forty-five letters make about three seconds.";
    let outputs = rendered(&task(GenerationType::Avatar, text, &json!({"resolution": "96x96", "voice": "rachel"})));
    assert_eq!(outputs.notes.get("voice"), Some(&json!("rachel")));
    let [file] = files(&outputs).try_into().unwrap();
    let found = probe(Cursor::new(&file)).unwrap();
    assert_eq!((found.width, found.height), (Some(96), Some(96)));
    assert!(close(found.duration, 2.92), "{found:?}");
    let tracks = mp4parse::read_mp4(&mut Cursor::new(&file)).unwrap().tracks;
    assert!(tracks.iter().any(|track| track.track_type == mp4parse::TrackType::Audio));
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    for r#type in GenerationType::ALL {
        let render = |options: &Value| {
            let outputs = rendered(&task(r#type, "the same", options));
            (outputs.seed, files(&outputs))
        };
        let options = json!({"resolution": "64x64", "duration": 1});
        assert_eq!(render(&options), render(&options), "{type:?}");
        let seeded = render(&json!({"resolution": "64x64", "duration": 1, "seed": 7}));
        assert_eq!(seeded.0, Some(7));
        assert_ne!(seeded, render(&options), "{type:?}");
    }
}

#[test]
fn any_text_can_be_drawn() {
    for text in ["", "🎉 日本語 \u{200d}\n\t", &"x".repeat(500), &"many words ".repeat(400)] {
        measured(GenerationType::Image, text, &json!({"resolution": "64x64"}));
        measured(GenerationType::Video, text, &json!({"resolution": "48x32", "duration": 1}));
    }
}

#[test]
fn a_stopped_rendering_ends() {
    let stop = CancellationToken::new();
    stop.cancel();
    let spec = Spec::of(&task(GenerationType::Video, "never seen", &json!({"duration": 60, "resolution": "1080p"})));
    assert!(renderer::outputs(&spec, &stop).is_err());
}

fn handle(submitted: Result<Submitted, Fault>) -> Handle {
    match submitted {
        Ok(Submitted::Accepted { handle, .. }) => handle,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_run_passes_through_its_states() {
    let sandbox = Sandbox::new(1.0);
    let task = task(GenerationType::Image, "slowly", &json!({"resolution": "64x64"}));
    let handle = handle(sandbox.begin(&task, 1_000));
    let at = async |now| sandbox.look(&task, &handle, now).await.unwrap();
    assert!(matches!(at(1_000).await, Progress::Queued));
    assert!(matches!(at(1_150).await, Progress::Running(Some(50))));
    assert!(matches!(at(1_300).await, Progress::Done(outputs) if outputs.files.len() == 1));
}

#[tokio::test]
async fn words_in_the_prompt_steer_the_run() {
    let sandbox = Sandbox::new(0.0);
    let run = async |text: &str, after: i64| {
        let task = task(GenerationType::Image, text, &json!({"resolution": "64x64"}));
        sandbox.look(&task, &handle(sandbox.begin(&task, 0)), after).await.unwrap()
    };
    let fault = |progress| match progress {
        Progress::Failed(fault) => fault.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(run("a cat [[fail]]", 0).await), Kind::Failed);
    assert_eq!(fault(run("[[reject]] a cat", 0).await), Kind::Moderated);
    assert!(matches!(run("[[slow]]", 15_000).await, Progress::Running(Some(50))));
    assert!(matches!(run("[[slow]]", 30_000).await, Progress::Done(_)));
    assert!(matches!(run("[[hang]]", i64::MAX).await, Progress::Running(None)));
    let down = sandbox.begin(&task(GenerationType::Audio, "[[unavailable]]", &json!({})), 0).unwrap_err();
    assert_eq!((down.kind, down.verdict), (Kind::Down, crate::domain::Verdict::Refused));
}

//! Running the routes of upstreams that want files in the request, or at addresses of a certain form.

use base64::{Engine, engine::general_purpose::STANDARD};
use doitong::providers::{Cx, Provider, Task};

use super::support_u1::{LINK, PNG, catalogue, run, variations};

/// The input files of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Files {
    /// All in the request.
    Inline,
    /// All at addresses of outsiders.
    Linked,
}

/// A short recording in the request.
pub fn wav() -> String {
    let bytes = include_bytes!("../../fixtures/media/a.wav");
    format!("data:audio/wav;base64,{}", STANDARD.encode(bytes))
}

/// A short clip in the request.
pub fn mp4() -> String {
    let bytes = include_bytes!("../../fixtures/media/a.mp4");
    format!("data:video/mp4;base64,{}", STANDARD.encode(bytes))
}

/// Gives a task its files.
fn equip(task: &mut Task, files: Files) {
    let (picture, clip, recording) = match files {
        Files::Inline => (PNG.to_owned(), mp4(), wav()),
        Files::Linked => (format!("{LINK}.png"), format!("{LINK}.mp4"), format!("{LINK}.mp3")),
    };
    let input = &mut task.input;
    for image in input.image.iter_mut().chain(&mut input.last_image).chain(input.images.iter_mut().flatten()) {
        image.clone_from(&picture);
    }
    input.video = input.video.take().map(|_| clip);
    input.audio = input.audio.take().map(|_| recording);
}

/// Runs every route of the upstream in a catalogue file with each of its inputs and option values; gives their number.
pub async fn run_every_route(provider: &dyn Provider, cx: &Cx, file: &str, files: Files) -> usize {
    let mut runs = 0;
    for model in &catalogue(file).models {
        for route in model.routes.iter().filter(|route| route.upstream == cx.upstream) {
            let mut tasks = variations(model, route);
            for task in &mut tasks {
                equip(task, files);
            }
            for (at, task) in tasks.iter().enumerate() {
                // The two kinds of pictures that `variations` tells apart are the same here.
                if tasks[..at].iter().any(|twin| twin.input == task.input && twin.options == task.options) {
                    continue;
                }
                let outputs = run(provider, cx, task)
                    .await
                    .unwrap_or_else(|fault| panic!("{} {:?} {:?}: {fault}", model.id, task.input.text, task.options));
                assert!(!outputs.files.is_empty(), "{}", model.id);
                runs += 1;
            }
        }
    }
    runs
}

//! An upstream by the protocol of Vidu that does as it is told, for live mode.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
    routing::any,
};
use doitong::config::{Config, Secrets};
use serde_json::{Value, json};

/// What the double answers.
#[derive(Clone, Debug)]
pub enum Said {
    /// This status and body.
    Answer(u16, Value),
    /// The usual answer, so much later.
    Late(Duration),
}

#[derive(Clone, Default)]
pub struct Double {
    url: String,
    state: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    submits: VecDeque<Said>,
    polls: VecDeque<Said>,
    files: VecDeque<Said>,
    cancels: VecDeque<Said>,
    asked: Vec<String>,
}

impl Double {
    #[expect(clippy::disallowed_methods, reason = "the double ends with the test's runtime")]
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let double = Self { url: format!("http://{}", listener.local_addr().unwrap()), ..Self::default() };
        let router = Router::new().route("/{*path}", any(answer)).with_state(double.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        double
    }

    /// Settings that lead to it.
    pub fn settings(&self) -> impl Fn(&mut Config, &mut Secrets) + use<> {
        let base_url: url::Url = self.url.parse().unwrap();
        move |config, secrets| {
            let upstream = doitong::config::Upstream { base_url: base_url.clone() };
            config.upstreams.insert("vidu".to_owned(), upstream);
            secrets.upstreams.insert("VIDU_API_KEY".to_owned(), "secret".into());
        }
    }

    pub fn on_submit(&self, said: Said) {
        self.state.lock().unwrap().submits.push_back(said);
    }

    pub fn on_poll(&self, said: Said) {
        self.state.lock().unwrap().polls.push_back(said);
    }

    pub fn on_file(&self, said: Said) {
        self.state.lock().unwrap().files.push_back(said);
    }

    pub fn on_cancel(&self, said: Said) {
        self.state.lock().unwrap().cancels.push_back(said);
    }

    /// Waits until it was asked this.
    pub async fn until_asked(&self, what: &str) {
        while self.asked(what) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// It is asked `n` more times whether the run is done, and says no.
    pub fn runs_for(&self, n: usize) {
        (0..n).for_each(|_| self.on_poll(Said::Answer(200, json!({"state": "processing"}))));
    }

    /// The next time it is asked whether the run is done, it says yes.
    pub fn runs_no_longer(&self) {
        self.state.lock().unwrap().polls.clear();
    }

    /// The calls of a kind so far: `submit`, `poll`, `file`, `cancel`.
    pub fn asked(&self, what: &str) -> usize {
        self.state.lock().unwrap().asked.iter().filter(|asked| *asked == what).count()
    }
}

async fn answer(State(double): State<Double>, method: Method, Path(path): Path<String>) -> Response {
    let what = match path.rsplit('/').next().unwrap() {
        "creations" => "poll",
        "cancel" => "cancel",
        "clip.mp4" => "file",
        _ => "submit",
    };
    let said = {
        let mut script = double.state.lock().unwrap();
        script.asked.push(what.to_owned());
        match what {
            "poll" => script.polls.pop_front(),
            "file" => script.files.pop_front(),
            "submit" => script.submits.pop_front(),
            _ => script.cancels.pop_front(),
        }
    };
    match said {
        Some(Said::Answer(status, body)) => return (StatusCode::from_u16(status).unwrap(), Json(body)).into_response(),
        Some(Said::Late(wait)) => tokio::time::sleep(wait).await,
        None => {}
    }
    assert_eq!(method == Method::POST, matches!(what, "submit" | "cancel"), "{path}");
    match what {
        "submit" => Json(json!({"task_id": "t1", "state": "created"})).into_response(),
        "poll" => {
            Json(json!({"state": "success", "creations": [{"id": "c1", "url": format!("{}/clip.mp4", double.url)}]}))
                .into_response()
        }
        "file" => include_bytes!("../../fixtures/media/a.mp4").into_response(),
        _ => Json(json!({})).into_response(),
    }
}

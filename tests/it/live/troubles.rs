//! What can go wrong with each upstream, seen from the caller: codes, reasons, waits, and that nothing is paid twice.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    gateway::{CREDITS, Gateway},
    tap::{Trick, WAIT_SECONDS, WORDS},
};
use crate::providers::support::{self, mp4};

/// How an upstream is asked for work, and which words in the prompt steer its double.
struct Ways {
    upstream: &'static str,
    /// Type, provider and model of a request with text alone (sync. wants a clip, too).
    asked: [&'static str; 3],
    /// It is moderated.
    moderated: Option<&'static str>,
    /// The task is taken and fails. Where the answer to the call is the result: the service breaks on it, again and again.
    failed: Option<&'static str>,
    /// It answers a poll with a status word that no document has; nothing where nothing is polled.
    odd: Option<&'static str>,
    /// A lost submit is found again.
    found: bool,
    /// The beginning of the method and a part of the path that cancel it.
    cancel: Option<(&'static str, &'static str)>,
    /// It refuses the input. Nothing: it refuses whatever field it does not know.
    refused: Option<&'static str>,
    /// How the names of the credentials begin, where more than one set would open more than one route.
    credentials: &'static str,
}

const TASK: Ways = Ways {
    upstream: "",
    asked: ["VIDEO", "", ""],
    moderated: Some("moderated"),
    failed: Some("failed"),
    odd: Some("odd"),
    found: false,
    cancel: None,
    refused: None,
    credentials: "",
};
/// The answer to the call is the result.
const CALL: Ways = Ways { failed: Some("broken"), odd: None, ..TASK };

macro_rules! troubles_of {
    ($($name:ident: $ways:expr),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            troubles(&$ways).await;
        })+
    };
}

troubles_of! {
    ark: Ways {
        upstream: "ark", asked: ["VIDEO", "seedance", "2.0"], cancel: Some(("DELETE", "/tasks/")), ..TASK
    },
    bfl: Ways { upstream: "bfl", asked: ["IMAGE", "flux-dev", "flux-dev"], ..TASK },
    // Servers of one's own moderate nothing. This one takes graphs with more inputs than a node has.
    comfyui: Ways {
        upstream: "comfyui", asked: ["IMAGE", "stable-diffusion", "stable-diffusion-xl"], moderated: None,
        found: true, cancel: Some(("POST", "/queue")), refused: Some("refused"), ..TASK
    },
    creatify: Ways { upstream: "creatify", asked: ["VIDEO", "creatify", "url-to-video"], found: true, ..TASK },
    dashscope: Ways {
        upstream: "dashscope", asked: ["VIDEO", "wan", "wan-2.2"], cancel: Some(("POST", "/cancel")), ..TASK
    },
    did: Ways { upstream: "did", asked: ["AVATAR", "d-id", "talks"], found: true, ..TASK },
    elevenlabs: Ways { upstream: "elevenlabs", asked: ["AUDIO", "elevenlabs", "v3"], ..CALL },
    elevenlabs_flows: Ways {
        upstream: "elevenlabs", asked: ["VIDEO", "elevenlabs", "veo-3.1"], ..TASK
    },
    fal: Ways {
        upstream: "fal", asked: ["IMAGE", "flux-fast", "flux-schnell"], cancel: Some(("PUT", "/cancel")), ..TASK
    },
    // Only its Gemini models are moderated.
    google_tts: Ways { upstream: "google-tts", asked: ["AUDIO", "google-tts", "wavenet"], moderated: None, ..CALL },
    google_tts_by_gemini: Ways { upstream: "google-tts", asked: ["AUDIO", "google-tts", "gemini-2.5-flash"], ..CALL },
    hedra: Ways { upstream: "hedra", asked: ["AUDIO", "hedra", "tts"], found: true, ..TASK },
    heygen: Ways {
        upstream: "heygen", asked: ["AVATAR", "heygen", "avatar-iv"], moderated: Some("rejected"), found: true, ..TASK
    },
    imagen: Ways { upstream: "imagen", asked: ["IMAGE", "imagen", "nano-banana-2"], failed: Some("failed"),
        credentials: "GEMINI_", ..CALL },
    kling: Ways { upstream: "kling", asked: ["VIDEO", "kling", "v2-5-turbo"], found: true, ..TASK },
    luma: Ways { upstream: "luma", asked: ["VIDEO", "luma", "ray-2"], cancel: Some(("DELETE", "/generations/")), ..TASK },
    minimax: Ways { upstream: "minimax", asked: ["VIDEO", "minimax", "hailuo-02"], ..TASK },
    minimax_v2: Ways {
        upstream: "minimax", asked: ["VIDEO", "minimax", "h3"], cancel: Some(("DELETE", "/v2/video_generation/")), ..TASK
    },
    openai: Ways { upstream: "openai", asked: ["IMAGE", "gpt-image", "gpt-image-2"], ..CALL },
    pixverse: Ways { upstream: "pixverse", asked: ["VIDEO", "pixverse", "v5"], ..TASK },
    replicate: Ways {
        upstream: "replicate", asked: ["IMAGE", "flux-fast", "flux-schnell"], cancel: Some(("POST", "/cancel")), ..TASK
    },
    runway: Ways { upstream: "runway", asked: ["VIDEO", "runway", "gen-4.5"], cancel: Some(("DELETE", "/tasks/")), ..TASK },
    sdwebui: Ways {
        upstream: "sdwebui", asked: ["IMAGE", "stable-diffusion", "stable-diffusion-xl"], moderated: None,
        failed: Some("failed"), ..CALL
    },
    stability: Ways {
        upstream: "stability", asked: ["IMAGE", "stable-diffusion", "sd-3.5-large"], failed: Some("failed"), ..CALL
    },
    stability_filtered: Ways {
        upstream: "stability", asked: ["IMAGE", "stable-diffusion", "sd-3.5-large"], moderated: Some("filtered"),
        failed: Some("failed"), ..CALL
    },
    sync: Ways {
        upstream: "sync", asked: ["AVATAR", "sync", "lipsync-2"], moderated: Some("rejected"), found: true, ..TASK
    },
    veo: Ways {
        upstream: "veo", asked: ["VIDEO", "veo", "omni-1.1-flash"], moderated: Some("refused"),
        cancel: Some(("POST", "/cancel")), credentials: "GEMINI_", ..TASK
    },
    veo_on_vertex: Ways {
        upstream: "veo", asked: ["VIDEO", "veo", "veo-3.1"], moderated: Some("refused"), odd: None,
        credentials: "GOOGLE_", ..TASK
    },
    vidu: Ways { upstream: "vidu", asked: ["VIDEO", "vidu", "q3-pro"], cancel: Some(("POST", "/cancel")), ..TASK },
}

async fn troubles(ways: &Ways) {
    let gateway = Gateway::knowing(&[ways.upstream], |name| name.starts_with(ways.credentials)).await;
    let with = Trouble { gateway, ways };
    with.words_that_end_it().await;
    with.too_many_calls_for_a_while().await;
    with.an_upstream_that_is_down().await;
    with.a_key_that_is_refused().await;
    with.a_body_that_is_refused().await;
    with.a_lost_answer(Trick::CutsAnswer).await;
    with.a_lost_answer(Trick::HollowAnswer).await;
    with.a_page_of_somebody_else().await;
    with.a_cancel().await;
    with.gateway.app.audit().await;
}

struct Trouble<'a> {
    gateway: Gateway,
    ways: &'a Ways,
}

impl Trouble<'_> {
    fn asked(&self, word: Option<&str>) -> Value {
        let [kind, provider, model] = self.ways.asked;
        let text = match word {
            Some(word) => format!("[[{word}]] {WORDS}"),
            None => WORDS.to_owned(),
        };
        let mut input = json!({ "text": text });
        if self.ways.upstream == "sync" {
            input["video"] = json!(mp4());
        }
        json!({ "type": kind, "provider": provider, "model": model, "input": input })
    }

    /// Runs a request to its end with a trick.
    async fn run(&self, word: Option<&str>, trick: Option<Trick>) -> Value {
        self.gateway.close_circuits().await;
        self.gateway.tap(self.ways.upstream).play(trick);
        self.gateway.run(&self.asked(word)).await
    }

    fn work(&self) -> Vec<super::tap::Call> {
        self.gateway.tap(self.ways.upstream).work()
    }

    fn started(&self) -> usize {
        self.gateway.tap(self.ways.upstream).started()
    }

    #[track_caller]
    #[expect(clippy::unused_self, reason = "reads as one with the other checks")]
    fn is_completed(&self, what: &str, done: &Value) {
        assert_eq!(done["status"], "COMPLETED", "{what}: {done:#}");
    }

    #[track_caller]
    #[expect(clippy::unused_self, reason = "reads as one with the other checks")]
    fn has_failed(&self, what: &str, done: &Value, code: &str, reason: &str) {
        let error = (done["error"]["code"].as_str(), done["error"]["reason"].as_str());
        assert_eq!((&done["status"], error), (&json!("FAILED"), (Some(code), Some(reason))), "{what}: {done:#}");
        assert!(done["assets"].as_array().unwrap().is_empty() && done["completedAt"].is_string(), "{what}: {done:#}");
    }

    async fn words_that_end_it(&self) {
        if let Some(word) = self.ways.moderated {
            let done = self.run(Some(word), None).await;
            self.has_failed("moderated", &done, "INVALID_INPUT", "CONTENT_REJECTED");
        }
        if let Some(word) = self.ways.failed {
            let done = self.run(Some(word), None).await;
            self.has_failed("failed", &done, "GENERATION_FAILED", "UPSTREAM_FAILED");
        }
        if let Some(word) = self.ways.odd {
            let done = self.run(Some(word), None).await;
            self.is_completed("odd", &done);
            self.was_left_alone_between_looks();
        }
    }

    async fn too_many_calls_for_a_while(&self) {
        let done = self.run(Some("busy"), Some(Trick::Heals(2))).await;
        self.is_completed("busy", &done);
        let outcomes: Vec<_> = done["attempts"].as_array().unwrap().iter().map(|one| one["outcome"].clone()).collect();
        assert_eq!(outcomes, ["REFUSED", "REFUSED", "COMPLETED"], "{done:#}");
        let work = self.work();
        assert_eq!(work.len(), 3, "{work:#?}");
        for pair in work.windows(2) {
            let least = if pair[0].status == 429 { WAIT_SECONDS } else { 1 };
            let waited = pair[1].at - pair[0].at;
            assert!(waited >= TimeDelta::seconds(least) && waited < TimeDelta::minutes(2), "waited {waited}");
        }
    }

    async fn an_upstream_that_is_down(&self) {
        let done = self.run(Some("down"), None).await;
        self.has_failed("down", &done, "PROVIDER_UNAVAILABLE", "UPSTREAM_DOWN");
        let work = self.work();
        let tried = work.last().unwrap().at - work[0].at;
        assert!(work.len() > 3 && tried > TimeDelta::seconds(45) && tried < TimeDelta::seconds(123), "tried {tried}");
    }

    async fn a_key_that_is_refused(&self) {
        let done = self.run(None, Some(Trick::WrongKey)).await;
        self.has_failed("wrong key", &done, "PROVIDER_UNAVAILABLE", "UPSTREAM_ACCOUNT");
        assert_eq!(done["error"]["retryable"], false, "{done:#}");
    }

    async fn a_body_that_is_refused(&self) {
        let done = match self.ways.refused {
            Some(word) => self.run(Some(word), None).await,
            None => self.run(None, Some(Trick::Spoils)).await,
        };
        self.has_failed("spoilt", &done, "INVALID_INPUT", "UPSTREAM_REFUSED");
        assert_eq!(self.work().len(), 1);
    }

    async fn a_lost_answer(&self, how: Trick) {
        let done = self.run(None, Some(how)).await;
        if self.ways.found {
            self.is_completed("lost", &done);
        } else {
            self.has_failed("lost", &done, "GENERATION_FAILED", "SUBMISSION_UNKNOWN");
            assert_eq!(done["attempts"][0]["outcome"], "UNKNOWN", "{done:#}");
        }
        assert_eq!(self.started(), 1, "{:#?}", self.work());
    }

    /// Whether the work was begun is unknown, unless the upstream can be asked; and it is not asked for ever.
    async fn a_page_of_somebody_else(&self) {
        let done = self.run(None, Some(Trick::BadGateway)).await;
        if self.ways.found && done["error"]["code"] == "PROVIDER_UNAVAILABLE" {
            self.has_failed("page", &done, "PROVIDER_UNAVAILABLE", "UPSTREAM_DOWN");
        } else {
            self.has_failed("page", &done, "GENERATION_FAILED", "SUBMISSION_UNKNOWN");
            assert_eq!(self.started(), 1, "{:#?}", self.work());
        }
    }

    /// No two looks, and no look and the submit, are closer than the upstream wants.
    #[track_caller]
    fn was_left_alone_between_looks(&self) {
        let pause = support::CATALOG.upstreams().0[self.ways.upstream].poll_seconds;
        assert!(pause > 0.0, "{} is polled", self.ways.upstream);
        let calls = self.gateway.tap(self.ways.upstream).calls();
        let moments: Vec<_> = calls.iter().skip_while(|call| !call.asks_for_work()).map(|call| call.at).collect();
        for pair in moments.windows(2) {
            let waited = (pair[1] - pair[0]).as_seconds_f64();
            // A look may take several calls in a row.
            assert!(waited >= pause || waited < 0.25, "{waited} s of {pause} between two looks: {calls:#?}");
        }
    }

    /// The upstream is told where it can be told, and nothing is paid.
    async fn a_cancel(&self) {
        self.gateway.close_circuits().await;
        let tap = self.gateway.tap(self.ways.upstream);
        tap.play(None);
        let before = self.balance().await;
        let asked = self.gateway.generate(&self.asked(None)).await;
        self.gateway.app.advance(std::time::Duration::ZERO).await;
        let id = &asked["id"];
        if self.gateway.generation(id).await["status"] == "COMPLETED" {
            return;
        }
        assert_eq!(self.gateway.app.cancel_as(&self.gateway.key, id).await, true);
        self.gateway.run_dry().await;
        let done = self.gateway.generation(id).await;
        assert_eq!((&done["status"], self.balance().await), (&json!("CANCELLED"), before), "{done:#}");
        let told = tap.calls().iter().any(|call| {
            self.ways.cancel.is_some_and(|(method, path)| call.method == method && call.path.contains(path))
        });
        assert_eq!(told, self.ways.cancel.is_some(), "{:#?}", tap.calls());
    }

    async fn balance(&self) -> i64 {
        let credits = self.gateway.app.account(&self.gateway.key).await["credits"].clone();
        assert!(credits["balance"].as_i64().unwrap() <= CREDITS && credits["held"] == 0, "{credits}");
        credits["balance"].as_i64().unwrap()
    }
}

//! What a request becomes, from asking to choice.

use serde_json::{Map, Value, json};

use super::{
    fixture,
    spec::{Route, ValueType},
    *,
};
use crate::domain::{ContentInput, Priority};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn asked(r#type: GenerationType, provider: Option<&str>, options: Value) -> Asked {
    let input = ContentInput { text: Some("A cat".to_owned()), ..ContentInput::default() };
    let Value::Object(options) = options else { panic!("options are an object") };
    let provider = provider.map(str::to_owned);
    Asked { r#type, provider, model: None, input, options, priority: Priority::Balanced, max_credits: None }
}

fn video(provider: &str, options: Value) -> Asked {
    asked(GenerationType::Video, Some(provider), options)
}

fn any_video(options: Value) -> Asked {
    asked(GenerationType::Video, None, options)
}

fn with_image(mut asked: Asked) -> Asked {
    asked.input.image = Some("https://example.com/a.png".to_owned());
    asked
}

fn with_model(mut asked: Asked, model: &str) -> Asked {
    asked.model = Some(model.to_owned());
    asked
}

/// Runs with everything configured and healthy.
fn well<T>(run: impl FnOnce(&Catalog, &Conditions<'_>) -> T) -> T {
    run(&fixture::catalog(), &conditions(&|_| true, &|_| Health::default()))
}

fn conditions<'a>(configured: &'a dyn Fn(&Route) -> bool, health: &'a dyn Fn(&RouteId) -> Health) -> Conditions<'a> {
    Conditions { mode: Mode::Live, today: day("2026-06-01"), configured, health }
}

fn accept(asked: &Asked) -> Choice {
    well(|catalog, cx| catalog.accept(asked, cx)).unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

fn refuse(asked: &Asked) -> (RefusalKind, String, String) {
    let refusal = well(|catalog, cx| catalog.accept(asked, cx)).unwrap_err();
    (refusal.kind, refusal.field.unwrap_or_default(), refusal.message)
}

/// `option: requested -> used` of each adjustment.
fn adjusted(choice: &Choice) -> Vec<String> {
    choice.adjustments.iter().map(|one| format!("{}: {} -> {}", one.option, one.requested, one.used)).collect()
}

#[test]
fn the_compiled_in_catalogue_loads() {
    Catalog::load(None).unwrap();
}

#[test]
fn options_are_used_exactly_snapped_or_listed() {
    let cases = [
        (json!({"duration": 10}), json!({"duration": 10}), vec![]),
        (json!({"duration": "10"}), json!({"duration": 10}), vec![]),
        (json!({"duration": 10.0}), json!({"duration": 10}), vec![]),
        (json!({"duration": null}), json!({"duration": 5}), vec![]),
        (json!({"duration": 7}), json!({"duration": 5}), vec!["duration: 7 -> 5"]),
        (json!({"duration": 7.5}), json!({"duration": 10}), vec!["duration: 7.5 -> 10"]),
        (json!({"duration": 60}), json!({"duration": 10}), vec!["duration: 60 -> 10"]),
        (json!({"mode": "Standard"}), json!({"mode": "std"}), vec![]),
        (json!({"mode": "PRO"}), json!({"mode": "pro"}), vec![]),
        (json!({"mode": "turbo"}), json!({"mode": "std"}), vec![r#"mode: "turbo" -> "std""#]),
        (json!({"aspectRatio": "1920:1080"}), json!({"aspectRatio": "16:9"}), vec![]),
        (json!({"aspectRatio": "21:9"}), json!({"aspectRatio": "16:9"}), vec![r#"aspectRatio: "21:9" -> "16:9""#]),
        (json!({"aspectRatio": "3:4"}), json!({"aspectRatio": "9:16"}), vec![r#"aspectRatio: "3:4" -> "9:16""#]),
        (json!({"cfgScale": "0.5"}), json!({"cfgScale": 0.5}), vec![]),
        (json!({"cfgScale": 3}), json!({"cfgScale": 1.0}), vec!["cfgScale: 3 -> 1.0"]),
        (json!({"negativePrompt": "rain"}), json!({"negativePrompt": "rain"}), vec![]),
        (json!({"resolution": "1080p"}), json!({}), vec![r#"resolution: "1080p" -> null"#]),
        (json!({"seed": 42}), json!({}), vec!["seed: 42 -> null"]),
    ];
    for (options, used, adjustments) in cases {
        let choice = accept(&video("kling", options.clone()));
        for (name, value) in used.as_object().unwrap() {
            assert_eq!(choice.options.get(name), Some(value), "{options}");
        }
        assert_eq!(adjusted(&choice), adjustments, "{options}");
        if let Some(name) = options.as_object().unwrap().keys().next().filter(|_| !adjustments.is_empty()) {
            let mut strict = options.clone();
            strict["strict"] = json!(true);
            let (kind, field, _) = refuse(&video("kling", strict));
            assert_eq!((kind, field), (RefusalKind::Option, format!("options.{name}")), "{options}");
        }
    }
}

#[test]
fn what_is_no_value_of_its_kind_is_refused() {
    let cases = [
        json!({"duration": "abc"}),
        json!({"duration": -1}),
        json!({"duration": 0}),
        json!({"duration": true}),
        json!({"duration": "inf"}),
        json!({"aspectRatio": "banana"}),
        json!({"aspectRatio": 5}),
        json!({"resolution": "banana"}),
        json!({"sound": "loud"}),
        json!({"mode": ""}),
        json!({"seed": [1]}),
        json!({"strict": "very"}),
    ];
    for options in cases {
        let name = options.as_object().unwrap().keys().next().unwrap().clone();
        let (kind, field, message) = refuse(&video("kling", options));
        assert_eq!((kind, field), (RefusalKind::Option, format!("options.{name}")), "{message}");
    }
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    let (kind, field, message) = refuse(&video("klng", json!({})));
    assert_eq!((kind, field.as_str()), (RefusalKind::Provider, "provider"));
    assert_eq!(message, "No provider is called klng; did you mean kling?");

    let (kind, field, message) = refuse(&video("kling", json!({"duraton": 5})));
    assert_eq!((kind, field.as_str()), (RefusalKind::Option, "options.duraton"));
    assert_eq!(message, "No option is called duraton; did you mean duration?");

    let (kind, field, message) = refuse(&with_model(video("runway", json!({})), "gen-44-turbo"));
    assert_eq!((kind, field.as_str()), (RefusalKind::Model, "model"));
    assert_eq!(message, "runway has no model called gen-44-turbo; did you mean gen-4-turbo?");

    let (kind, field, _) = refuse(&video("kling", json!({"model": "nine"})));
    assert_eq!((kind, field.as_str()), (RefusalKind::Model, "options.model"));

    let (kind, field, message) = refuse(&video("heygen", json!({})));
    assert_eq!((kind, field.as_str()), (RefusalKind::Provider, "provider"));
    assert_eq!(message, "heygen makes AVATAR, not VIDEO");

    let (kind, field, _) = refuse(&any_video(json!({"duraton": 5})));
    assert_eq!((kind, field.as_str()), (RefusalKind::Option, "options.duraton"));
}

#[test]
fn names_are_found_however_they_are_given() {
    well(|catalog, _| {
        let find = |name: &str| {
            let (provider, model) = catalog.find_named(GenerationType::Video, name).map_err(|one| one.field).unwrap();
            (provider.to_string(), model.map(|model| model.to_string()))
        };
        assert_eq!(find("Runway"), ("runway".into(), None));
        assert_eq!(find("hailuo-02"), ("minimax".into(), Some("hailuo-02".into())));
        assert_eq!(find("Gen 3"), ("runway".into(), Some("gen-3".into())));
        assert_eq!(find("kling/kling_v2-1"), ("kling".into(), Some("v2-1".into())));
        let refusal = catalog.find_named(GenerationType::Video, "hailo-02").unwrap_err();
        assert_eq!(refusal.field.as_deref(), Some("model"));
        assert!(refusal.message.contains("did you mean hailuo-02?"), "{}", refusal.message);
        assert!(catalog.find_named(GenerationType::Video, "image-1").is_err());
    });
    assert_eq!(accept(&with_model(any_video(json!({})), "hailuo-02")).provider.as_str(), "minimax");
    assert_eq!(accept(&video("kling", json!({"model": "V2-1"}))).model.as_str(), "v2-1");
    assert_eq!(accept(&with_model(video("kling", json!({"model": "2.1"})), "v2-1")).model.as_str(), "v2-1");
    let (kind, field, _) = refuse(&with_model(video("kling", json!({"model": "v1-6"})), "v2-1"));
    assert_eq!((kind, field.as_str()), (RefusalKind::Model, "options.model"));
}

#[test]
fn a_constraint_limits_its_allow_side_and_moves_defaults_silently() {
    let choice = accept(&video("minimax", json!({"duration": 10, "resolution": "1080P"})));
    assert_eq!(choice.options["duration"], 10);
    assert_eq!(choice.options["resolution"], "768p");
    assert_eq!(adjusted(&choice), [r#"resolution: "1080P" -> "768p""#]);
    assert_eq!(choice.adjustments[0].reason, "10 s clips are made at up to 768p");

    let choice = accept(&video("minimax", json!({"duration": 10})));
    assert_eq!((&choice.options["resolution"], adjusted(&choice).len()), (&json!("768p"), 0));

    let choice = accept(&video("minimax", json!({"resolution": "480p"})));
    assert_eq!((&choice.options["resolution"], adjusted(&choice).len()), (&json!("768p"), 1));

    // The default mode std gives way to the last picture.
    let mut asked = with_image(video("kling", json!({})));
    asked.input.last_image = Some("https://example.com/b.png".to_owned());
    let choice = accept(&asked);
    assert_eq!((&choice.options["mode"], adjusted(&choice).len()), (&json!("pro"), 0));
}

#[test]
fn prompt_options_become_words_while_there_is_room() {
    let choice = accept(&video("kling", json!({"style": "cinematic", "motionIntensity": "high"})));
    assert_eq!(choice.text.as_deref(), Some("A cat, with a lot of motion, cinematic style"));
    assert_eq!(adjusted(&choice), [""; 0]);

    let mut asked = video("kling", json!({"style": "cinematic"}));
    asked.input.text = Some("x".repeat(55));
    let choice = accept(&asked);
    assert_eq!(choice.text, asked.input.text);
    assert_eq!(adjusted(&choice), [r#"style: "cinematic" -> null"#]);
}

#[test]
fn the_voice_may_come_as_an_input() {
    let speak = |options: Value, voice: &str| {
        let mut asked = asked(GenerationType::Audio, Some("elevenlabs"), options);
        asked.input.voice = Some(voice.to_owned());
        asked
    };
    let choice = accept(&speak(json!({}), "Rachel"));
    assert_eq!((&choice.options["voice"], adjusted(&choice).len()), (&json!("21m00Tcm4TlvDq8ikWAM"), 0));
    let choice = accept(&speak(json!({"voice": "21m00Tcm4TlvDq8ikWAM"}), "rachel"));
    assert_eq!(adjusted(&choice), [""; 0]);
    let choice = accept(&speak(json!({"voice": "myOwnVoice"}), "rachel"));
    assert_eq!(choice.options["voice"], "myOwnVoice");
    assert_eq!(adjusted(&choice), [r#"voice: "rachel" -> "myOwnVoice""#]);
    let choice = accept(&asked(GenerationType::Audio, Some("elevenlabs"), json!({"emotion": "excited", "speed": 1})));
    assert_eq!(choice.text.as_deref(), Some("[excited] A cat"));
    let mut asked = video("kling", json!({}));
    asked.input.voice = Some("rachel".to_owned());
    let (kind, field, _) = refuse(&asked);
    assert_eq!((kind, field.as_str()), (RefusalKind::Input, "input.voice"));
}

#[test]
fn required_options_and_inputs_are_asked_for() {
    let avatar = |options: Value| asked(GenerationType::Avatar, Some("heygen"), options);
    let (kind, field, _) = refuse(&avatar(json!({})));
    assert_eq!((kind, field.as_str()), (RefusalKind::Option, "options.avatarId"));
    assert_eq!(accept(&avatar(json!({"avatarId": "kate"}))).options["avatarId"], "Kate_1");

    let mut both = avatar(json!({"avatarId": "kate"}));
    both.input.audio = Some("https://example.com/a.mp3".to_owned());
    assert_eq!(refuse(&both).1, "input.audio");

    let (kind, field, message) = refuse(&with_model(video("runway", json!({})), "gen-4-turbo"));
    assert_eq!((kind, field.as_str()), (RefusalKind::Input, "input.image"));
    assert_eq!(message, "runway gen-4-turbo needs input.image; these models of runway can: gen-4.5");

    let mut empty = any_video(json!({}));
    empty.input.text = Some("  ".to_owned());
    assert_eq!(refuse(&empty).1, "input.text");

    let mut long = video("minimax", json!({}));
    long.input.text = Some("é".repeat(2001));
    let (kind, field, message) = refuse(&long);
    assert_eq!((kind, field.as_str()), (RefusalKind::Input, "input.text"));
    assert!(message.contains("2000") && message.contains("2001"), "{message}");

    let mut bad = video("kling", json!({}));
    bad.input.image = Some("/a.png".to_owned());
    let (kind, field, _) = refuse(&bad);
    assert_eq!((kind, field.as_str()), (RefusalKind::Url, "input.image"));
}

#[test]
fn a_named_provider_serves_with_its_default_or_the_first_model_that_can() {
    assert_eq!(accept(&video("kling", json!({}))).route.0, "kling/v2-1@kling");
    let by_option = with_image(video("kling", json!({"cameraControl": {"pan": 1}})));
    assert_eq!(accept(&by_option).model.as_str(), "v1-6");
    let (_, field, message) = refuse(&with_model(by_option, "v2-1"));
    assert_eq!(field, "options.cameraControl");
    assert!(message.ends_with("these models of kling do: v1-6"), "{message}");
    let mut act = with_image(video("runway", json!({})));
    act.input.video = Some("https://example.com/a.mp4".to_owned());
    let choice = accept(&act);
    assert_eq!((choice.model.as_str(), choice.text.as_deref()), ("act-two", None));
    assert_eq!(adjusted(&choice), [r#"input.text: "A cat" -> null"#]);
    assert_eq!(accept(&asked(GenerationType::Image, Some("kling"), json!({}))).model.as_str(), "image-1");
}

#[test]
fn a_retired_model_runs_on_what_replaces_it() {
    let choice = accept(&with_image(video("runway", json!({"motionIntensity": "high", "model": "gen-3"}))));
    assert_eq!(choice.model.as_str(), "gen-4-turbo");
    assert_eq!(adjusted(&choice)[0], r#"model: "gen-3" -> "gen-4-turbo""#);
    let choice = accept(&with_model(video("runway", json!({"duration": 10, "grain": 0.5})), "gen3"));
    assert_eq!(choice.model.as_str(), "gen-4.5");
    assert_eq!(adjusted(&choice), [r#"model: "gen3" -> "gen-4.5""#, "grain: 0.5 -> null"]);
    // Through one that was itself retired.
    assert_eq!(accept(&with_model(video("runway", json!({})), "gen-2")).model.as_str(), "gen-4.5");
    let (kind, field, _) = refuse(&with_model(video("runway", json!({"strict": true})), "gen-3"));
    assert_eq!((kind, field.as_str()), (RefusalKind::ModelRetired, "model"));
    assert_eq!(refuse(&with_model(video("runway", json!({})), "gen-1")).0, RefusalKind::Unavailable);

    let t2v = with_model(video("minimax", json!({})), "t2v-01");
    assert_eq!(accept(&t2v).model.as_str(), "t2v-01");
    let catalog = fixture::catalog();
    let later = Conditions { today: day("2026-09-01"), ..conditions(&|_| true, &|_| Health::default()) };
    assert_eq!(catalog.accept(&t2v, &later).unwrap().model.as_str(), "hailuo-02");
}

#[test]
fn prices_follow_unit_tier_and_size() {
    let cost = |asked: &Asked| accept(asked).credit_cost.get();
    assert_eq!(cost(&video("kling", json!({}))), 280);
    assert_eq!(cost(&video("kling", json!({"mode": "pro", "duration": 10}))), 980);
    assert_eq!(cost(&video("minimax", json!({"duration": 10}))), 560);
    assert_eq!(cost(&video("minimax", json!({"resolution": "1080p"}))), 490);
    assert_eq!(cost(&asked(GenerationType::Image, Some("kling"), json!({"n": 3}))), 11);
    let mut speech = asked(GenerationType::Audio, Some("elevenlabs"), json!({}));
    assert_eq!(cost(&speech), 2);
    speech.input.text = Some("a".repeat(1000));
    assert_eq!(cost(&speech), 300);
    let mut avatar = asked(GenerationType::Avatar, Some("heygen"), json!({"avatarId": "kate"}));
    assert_eq!(cost(&avatar), 20);
    avatar.input.text = Some("a".repeat(150));
    assert_eq!(cost(&avatar), 200);
    (avatar.input.text, avatar.input.audio) = (None, Some("https://example.com/a.mp3".to_owned()));
    assert_eq!(cost(&avatar), 600);
}

#[test]
fn routes_are_passed_by_for_what_they_lack_or_cost_or_when_they_are_down() {
    let catalog = fixture::catalog();
    let route = |asked: &Asked, cx: &Conditions<'_>| catalog.accept(asked, cx).map(|choice| choice.route.0);
    let healthy = |_: &RouteId| Health::default();
    let only_fal = |route: &Route| route.upstream.as_str() == "fal";
    let cx = conditions(&only_fal, &healthy);
    assert_eq!(route(&video("kling", json!({})), &cx).unwrap(), "kling/v2-1@fal");
    // The one that carries the option makes 10 s only.
    assert_eq!(route(&video("kling", json!({"cfgScale": 0.5})), &cx).unwrap(), "kling/v2-1@fal#2");

    let nothing = |_: &Route| false;
    let cx = conditions(&nothing, &healthy);
    let refusal = route(&video("kling", json!({"cfgScale": 0.5})), &cx).unwrap_err();
    let waits = "kling is not configured here: set KLING_ACCESS_KEY and KLING_SECRET_KEY, or KLING_API_KEY";
    assert_eq!((refusal.kind, refusal.message.as_str()), (RefusalKind::Unavailable, waits));
    assert!(route(&video("kling", json!({})), &Conditions { mode: Mode::Test, ..cx }).is_ok());

    let down = |id: &RouteId| Health { open: id.0.ends_with("@kling"), ..Health::default() };
    let all = |_: &Route| true;
    let cx = conditions(&all, &down);
    assert_eq!(route(&video("kling", json!({})), &cx).unwrap(), "kling/v2-1@fal");
    assert_eq!(route(&video("kling", json!({"cfgScale": 1})), &cx).unwrap_err().kind, RefusalKind::Down);

    let cx = conditions(&all, &healthy);
    let mut cheap = video("kling", json!({}));
    cheap.max_credits = Some(250);
    assert_eq!(route(&cheap, &cx).unwrap(), "kling/v2-1@fal");
    cheap.max_credits = Some(249);
    let refusal = route(&cheap, &cx).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::MaxCredits);
    assert!(refusal.message.contains("250"), "{}", refusal.message);
}

#[test]
fn an_emotion_spoken_by_a_tag_does_not_make_the_text_too_long() {
    let catalog = Catalog::load(None).unwrap();
    let spoken = |length: usize| {
        let mut asked = asked(GenerationType::Audio, Some("elevenlabs"), json!({"emotion": "excited"}));
        asked.input.text = Some("a".repeat(length));
        catalog.accept(&asked, &conditions(&|_| true, &|_| Health::default())).unwrap()
    };
    assert_eq!((adjusted(&spoken(4_990)), &spoken(4_990).options["emotion"]), (vec![], &json!("excited")));
    let full = spoken(4_991);
    assert_eq!(
        (adjusted(&full), full.options.get("emotion")),
        (vec![r#"emotion: "excited" -> null"#.to_owned()], None)
    );
}

#[test]
fn a_whole_name_of_a_voice_is_taken_with_its_language() {
    let catalog = Catalog::load(None).unwrap();
    let voice = |name: &str| {
        let asked = asked(GenerationType::Audio, Some("google-tts"), json!({"voice": name}));
        let choice = catalog.accept(&asked, &conditions(&|_| true, &|_| Health::default())).unwrap();
        (choice.options["voice"].as_str().unwrap().to_owned(), adjusted(&choice).len())
    };
    assert_eq!(voice("th-TH-Chirp3-HD-Leda"), ("th-TH-Chirp3-HD-Leda".to_owned(), 0));
    assert_eq!(voice("th-TH-chirp3-hd-Leda"), ("th-TH-Chirp3-HD-Leda".to_owned(), 0));
    assert_eq!(voice("th-TH-Wavenet-A"), ("Kore".to_owned(), 1));
    assert_eq!(voice("leda"), ("Leda".to_owned(), 0));
}

#[test]
fn where_only_another_route_is_configured_it_serves_at_the_nearest_values_it_takes() {
    let catalog = Catalog::load(None).unwrap();
    let healthy = |_: &RouteId| Health::default();
    let of = |upstream: &'static str, options: Value| {
        let only = move |route: &Route| route.upstream.as_str() == upstream;
        catalog.accept(&asked(GenerationType::Image, Some("flux-dev"), options), &conditions(&only, &healthy))
    };
    let one = of("bfl", json!({"n": 3})).unwrap();
    assert_eq!((one.route.0.as_str(), &one.options["n"]), ("flux-dev/flux-dev@bfl", &json!(1)));
    assert_eq!((adjusted(&one), one.credit_cost.get()), (vec!["n: 3 -> 1".to_owned()], 25));
    let refusal = of("bfl", json!({"n": 3, "strict": true})).unwrap_err();
    assert_eq!((refusal.kind, refusal.field.as_deref()), (RefusalKind::Option, Some("options.n")));
    assert_eq!(of("fal", json!({"n": 3})).unwrap().adjustments, []);
    assert_eq!(adjusted(&of("fal", json!({"format": "png"})).unwrap()), [r#"format: "png" -> null"#]);
    // What only this model knows is not dropped, and a picture cannot be.
    assert_eq!(of("fal", json!({"safetyTolerance": 1})).unwrap_err().kind, RefusalKind::Unavailable);
    let pictured = with_image(asked(GenerationType::Image, Some("flux-dev"), json!({})));
    let fal = |route: &Route| route.upstream.as_str() == "fal";
    assert_eq!(catalog.accept(&pictured, &conditions(&fal, &healthy)).unwrap_err().kind, RefusalKind::Unavailable);
}

#[test]
fn an_automatic_choice_follows_the_priority() {
    let choose = |priority: Priority, options: Value| {
        let choice = accept(&Asked { priority, ..any_video(options) });
        format!("{}/{}", choice.provider, choice.model)
    };
    assert_eq!(choose(Priority::Quality, json!({})), "runway/gen-4.5");
    assert_eq!(choose(Priority::Speed, json!({})), "runway/gen-4.5");
    assert_eq!(choose(Priority::Cost, json!({})), "kling/v2-1");
    // Not the dearest, not the worst.
    assert_eq!(choose(Priority::Balanced, json!({})), "kling/v2-1");
    // The only one that serves all of it exactly.
    assert_eq!(choose(Priority::Cost, json!({"duration": 10, "resolution": "1080p", "seed": 1})), "runway/gen-4.5");
    assert_eq!(choose(Priority::Quality, json!({"cfgScale": 0.5})), "kling/v2-1");

    let catalog = fixture::catalog();
    let failing =
        |id: &RouteId| Health { success: if id.0.contains("gen-4.5") { 0.3 } else { 1.0 }, ..Health::default() };
    let cx = conditions(&|_| true, &failing);
    let quality = Asked { priority: Priority::Quality, ..any_video(json!({})) };
    assert_eq!(catalog.accept(&quality, &cx).unwrap().model.as_str(), "hailuo-02");
    let measured = |id: &RouteId| Health { seconds: id.0.starts_with("minimax").then_some(12.2), ..Health::default() };
    let cx = conditions(&|_| true, &measured);
    let speed = Asked { priority: Priority::Speed, ..any_video(json!({})) };
    let choice = catalog.accept(&speed, &cx).unwrap();
    assert_eq!((choice.model.as_str(), choice.estimated_seconds), ("hailuo-02", 13));
}

#[test]
fn a_specialist_serves_only_what_nothing_else_can() {
    let audio = |provider, options| {
        let asked = Asked { priority: Priority::Cost, ..asked(GenerationType::Audio, provider, options) };
        accept(&asked).model.to_string()
    };
    assert_eq!(audio(None, json!({})), "v3");
    assert_eq!(audio(Some("elevenlabs"), json!({})), "v3");
    assert_eq!(audio(None, json!({"loop": true})), "effects");
    assert_eq!(audio(Some("elevenlabs"), json!({"loop": true})), "effects");
    assert_eq!(audio(Some("elevenlabs"), json!({"model": "effects"})), "effects");
}

#[test]
fn a_quote_lists_what_else_could_serve() {
    well(|catalog, cx| {
        let quote = catalog.quote(&with_image(video("kling", json!({}))), cx).unwrap();
        let ids: Vec<_> = quote.alternatives.iter().map(|one| format!("{}/{}", one.provider, one.model)).collect();
        assert_eq!(ids[0], "kling/v1-6");
        assert!(ids.contains(&"runway/gen-4.5".to_owned()) && !ids.contains(&"kling/v2-1".to_owned()), "{ids:?}");
    });
}

#[test]
fn fail_over_stays_with_the_named_provider_and_below_the_frozen_price() {
    well(|catalog, cx| {
        let tried = |ids: &[&str]| ids.iter().map(|id| RouteId((*id).to_owned())).collect::<Vec<_>>();
        let next = |asked: &Asked, ids: &[&str], frozen: i64| {
            catalog.fail_over(asked, &tried(ids), Credits::new(frozen), cx).map(|choice| choice.route.0)
        };
        let named = video("kling", json!({"duration": 10}));
        assert_eq!(next(&named, &["kling/v2-1@kling"], 560).as_deref(), Some("kling/v2-1@fal"));
        assert_eq!(next(&named, &["kling/v2-1@kling", "kling/v2-1@fal"], 560).as_deref(), Some("kling/v2-1@fal#2"));
        assert_eq!(next(&named, &["kling/v2-1@kling"], 100), None);
        let named = video("kling", json!({}));
        assert_eq!(next(&named, &["kling/v2-1@kling", "kling/v2-1@fal"], 10_000), None);
        let ours = next(&any_video(json!({})), &["kling/v2-1@kling", "kling/v2-1@fal"], 300).unwrap();
        assert_eq!(ours, "minimax/hailuo-02@minimax");
        for id in catalog.routes.keys() {
            assert!(catalog.route(id).is_some());
        }
    });
}

#[test]
fn providers_are_described_with_merged_options() {
    let catalog = fixture::catalog();
    let nothing = |_: &Route| false;
    let healthy = |_: &RouteId| Health::default();
    let cx = conditions(&nothing, &healthy);
    let views = catalog.describe(Some(GenerationType::Video), &cx);
    assert_eq!(views.iter().map(|view| view.id.as_str()).collect::<Vec<_>>(), ["kling", "minimax", "runway"]);
    let kling = &views[0];
    assert_eq!((kling.available, kling.credit_cost), (false, Some(Credits::new(280))));
    let variables = "KLING_ACCESS_KEY and KLING_SECRET_KEY, or KLING_API_KEY, or FAL_KEY";
    assert_eq!(kling.waits_for.as_deref(), Some(variables));
    assert_eq!(kling.types, [GenerationType::Video, GenerationType::Image]);
    let option = |name: &str| kling.options.iter().find(|option| option.name == name).unwrap();
    assert_eq!(option("duration").allowed_values, [json!(5), json!(10)]);
    assert_eq!(option("duration").r#type, ValueType::Integer);
    let style = &option("style").description;
    assert!(style.ends_with(". Said in words in the prompt, or without effect, on v2-1, v1-6."), "{style}");
    assert!(option("seed").description.ends_with(". Accepted, without effect here."));
    let runway = &views[2];
    let lives: Vec<_> = runway.models.iter().map(|model| (model.id.as_str(), model.life)).collect();
    assert!(lives.contains(&("gen-3", Life::Retired)) && lives.contains(&("gen-4.5", Life::Live)), "{lives:?}");
    let live = |_: &Route| true;
    let all = catalog.describe(None, &conditions(&live, &healthy));
    assert!(all.len() == 5 && all.iter().all(|view| view.available && view.waits_for.is_none()));
}

#[test]
fn a_wrong_catalogue_is_refused_with_file_and_key() {
    let cases = [
        (r#"default_model = "v2-1""#, r#"default_model = "v9""#, "kling.toml: default_model: there is no model v9"),
        (r#"default_model = "v2-1""#, "default_model = \"v2-1\"\ncolour = 1", "unknown field `colour`"),
        ("values = [5, 10], default = 5", "values = [5, 10], default = 6", "options.duration: the default 6"),
        ("values = [5, 10], default = 5", r#"values = [5, "x"], default = 5"#, "options.duration: \"x\" is not of its"),
        ("usd = 0.056", "usd = 0.0", "models.v2-1: routes[0].price.usd: must be positive"),
        (r#"mode = "PRO""#, r#"mode = "max""#, "price.tiers[0].when.mode: \"max\" is not a value"),
        (r#"mode = ["pro"]"#, r#"moed = ["pro"]"#, "constraints[0].allow.moed: the model has no such option"),
        (r#"upstream = "fal""#, r#"upstream = "fall""#, "routes[1].upstream: upstreams.toml has no fall"),
        (r#"["style", "motionIntensity"]"#, r#"["seed"]"#, "prompt_options.seed: cannot be said in words"),
        (r#"lacks = ["cfgScale"]"#, r#"lacks = ["cfg"]"#, "routes[1].lacks: the model has no option cfg"),
        (r#""2.1"]"#, r#""v1-6"]"#, "aliases: v1-6 also names v2-1"),
        (r#"date = "2026-01-01""#, r#"date = "yesterday""#, "kling.toml"),
        (r#"id = "kling""#, r#"id = "klng""#, "must be the file's name"),
    ];
    for (right, wrong, expected) in cases {
        let mut files = fixture::files();
        let kling = files.get_mut("kling.toml").unwrap();
        assert!(kling.contains(right), "{right}");
        *kling = kling.replacen(right, wrong, 1);
        let error = load::parse(&files).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains(expected), "{wrong}: {error}");
    }
}

mod properties {
    use proptest::{collection, prelude::*};

    use super::*;
    use crate::catalog::values::{Fit, fit, has};

    const WORDS: [&str; 13] =
        ["5", "1080p", "16:9", "pro", "auto", "", "banana", "x:y", "1e999", "4k", "0x5", "9:0", "rachel"];

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-3_i64..30).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (0.0..30.0).prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            proptest::sample::select(WORDS.as_slice()).prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| collection::vec(inner, 0..3).prop_map(Value::from))
    }

    fn any_options() -> impl Strategy<Value = Map<String, Value>> {
        let known =
            "duration|resolution|aspectRatio|style|seed|negativePrompt|mode|motionIntensity|cfgScale|sound|voice";
        let name = prop_oneof![8 => known, 1 => "strict|model|cameraControl|speed|n|[a-z]{1,5}"];
        collection::btree_map(name, any_value(), 0..5).prop_map(|options| options.into_iter().collect())
    }

    fn any_asked() -> impl Strategy<Value = Asked> {
        let provider = proptest::sample::select(["", "kling", "minimax", "runway", "elevenlabs"].as_slice());
        (provider, any_options(), any::<bool>()).prop_map(|(provider, options, image)| {
            let of = if provider == "elevenlabs" { GenerationType::Audio } else { GenerationType::Video };
            let provider = Some(provider).filter(|name| !name.is_empty());
            let asked = asked(of, provider, Value::Object(options));
            if image && of == GenerationType::Video { with_image(asked) } else { asked }
        })
    }

    proptest! {
        #[test]
        fn resolved_options_are_those_of_the_model_and_nothing_is_lost(asked in any_asked()) {
            let catalog = fixture::catalog();
            let cx = conditions(&|_| true, &|_| Health::default());
            if let Ok(choice) = catalog.accept(&asked, &cx) {
                let model = catalog.route(&choice.route).unwrap().model;
                for (name, value) in &choice.options {
                    let allowed = model.options.get(name).is_some_and(|spec| has(name, spec, value));
                    prop_assert!(allowed, "{name} = {value} is no value of {}", model.id);
                }
                for (name, value) in &asked.options {
                    let listed = choice.adjustments.iter().any(|one| one.option == *name);
                    let said = model.prompt_options.contains(name) && choice.text != asked.input.text;
                    let fit = model.options.get(name).map(|spec| fit(name, spec, value));
                    let exact = matches!(fit, Some(Ok(Fit::Exact(exact))) if choice.options.get(name) == Some(&exact));
                    let ours = value.is_null() || matches!(name.as_str(), "model" | "strict");
                    prop_assert!(listed || said || exact || ours, "{name} = {value} is lost: {choice:?}");
                }
                prop_assert!(choice.credit_cost.get() >= 1 && choice.estimated_seconds >= 1);
                if asked.options.get("strict") == Some(&Value::Bool(true)) {
                    prop_assert!(choice.adjustments.is_empty());
                }
            }
        }
    }
}

/// `accept` looks no further than it must where the provider is named; a quote looks at everything.
#[test]
fn what_is_accepted_is_what_a_quote_shows() {
    let catalog = Catalog::load(None).unwrap();
    let some = |route: &Route| route.typical_seconds.is_multiple_of(2);
    let mut compared = 0;
    for configured in [&(|_: &Route| true) as &dyn Fn(&Route) -> bool, &some] {
        let health = |_: &RouteId| Health::default();
        let cx = conditions(configured, &health);
        for provider in &catalog.providers {
            for r#type in [GenerationType::Video, GenerationType::Image, GenerationType::Audio, GenerationType::Avatar]
            {
                let plain = asked(r#type, Some(provider.id.as_str()), json!({}));
                let cheap = Asked { max_credits: Some(50), ..plain.clone() };
                for asked in [plain.clone(), with_image(plain), cheap] {
                    let told = |result: Result<Choice, Refusal>| format!("{result:?}");
                    let quoted = told(catalog.quote(&asked, &cx).map(|quote| quote.choice));
                    assert_eq!(told(catalog.accept(&asked, &cx)), quoted, "{asked:?}");
                    compared += u32::from(quoted.starts_with("Ok"));
                }
            }
        }
    }
    assert!(compared > 50, "{compared}");
}

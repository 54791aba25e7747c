//! A small catalogue for tests, in the shape of the real one.

use std::collections::BTreeMap;

use super::{Catalog, load};

const UPSTREAMS: &str = r#"
[kling]
name = "Kling"
credentials = [["KLING_ACCESS_KEY", "KLING_SECRET_KEY"], ["KLING_API_KEY"]]
concurrent_calls = 4
submits_per_minute = 60
[minimax]
name = "MiniMax"
credentials = [["MINIMAX_API_KEY"]]
concurrent_calls = 4
submits_per_minute = 60
[runway]
name = "Runway"
credentials = [["RUNWAYML_API_SECRET"]]
concurrent_calls = 4
submits_per_minute = 60
[fal]
name = "fal"
credentials = [["FAL_KEY"]]
concurrent_calls = 4
submits_per_minute = 60
[elevenlabs]
name = "ElevenLabs"
credentials = [["ELEVENLABS_API_KEY"]]
concurrent_calls = 4
submits_per_minute = 60
[heygen]
name = "HeyGen"
credentials = [["HEYGEN_API_KEY"]]
concurrent_calls = 4
submits_per_minute = 60
"#;

const KLING: &str = r#"
id = "kling"
name = "Kling"
description = "Clips with much motion."
default_model = "v2-1"

[[models]]
id = "v2-1"
name = "Kling 2.1"
type = "VIDEO"
aliases = ["kling-v2-1", "2.1"]
quality = 84
inputs = { text = "optional", text_max = 60, image = "optional", last_image = "optional", any_of = [["text", "image"]] }
prompt_options = ["style", "motionIntensity"]
[models.options]
duration = { type = "integer", values = [5, 10], default = 5 }
aspectRatio = { type = "string", values = ["16:9", "9:16", "1:1"], default = "16:9" }
mode = { type = "string", values = ["std", "pro"], aliases = { standard = "std" }, default = "std" }
negativePrompt = { type = "string" }
cfgScale = { type = "number", min = 0, max = 1, description = "How closely the prompt is followed" }
sound = { type = "boolean", description = "With sound" }
[[models.constraints]]
when = { mode = "std" }
with = ["last_image"]
allow = { mode = ["pro"] }
reason = "a last picture needs mode pro"
[[models.routes]]
upstream = "kling"
model = "kling-v2-1"
typical_seconds = 120
price = { per = "second", usd = 0.056, tiers = [{ when = { mode = "PRO" }, usd = 0.098 }], source = "test", date = "2026-01-01" }
[[models.routes]]
upstream = "fal"
model = "fal-ai/kling"
lacks = ["cfgScale"]
typical_seconds = 130
price = { per = "second", usd = 0.05, source = "test", date = "2026-01-01" }
[[models.routes]]
upstream = "fal"
model = "fal-ai/kling/other"
when = { duration = [10] }
typical_seconds = 130
price = { per = "run", usd = 0.5, source = "test", date = "2026-01-01" }

[[models]]
id = "v1-6"
name = "Kling 1.6"
type = "VIDEO"
quality = 70
inputs = { image = "required", text = "optional" }
[models.options]
duration = { type = "integer", values = [5, 10], default = 5 }
cameraControl = { type = "json", description = "Camera movement" }
[[models.routes]]
upstream = "kling"
model = "kling-v1-6"
typical_seconds = 100
price = { per = "run", usd = 0.3, source = "test", date = "2026-01-01" }

[[models]]
id = "image-1"
name = "Kling Image"
type = "IMAGE"
quality = 75
inputs = { text = "required" }
[models.options]
n = { type = "integer", min = 1, max = 4, default = 1 }
resolution = { type = "string", values = ["1k", "2k"], default = "1k" }
[[models.routes]]
upstream = "kling"
model = "kling-image"
typical_seconds = 20
price = { per = "image", usd = 0.0035, source = "test", date = "2026-01-01" }
"#;

const MINIMAX: &str = r#"
id = "minimax"
name = "MiniMax"
description = "Hailuo."
default_model = "hailuo-02"

[[models]]
id = "hailuo-02"
name = "Hailuo 02"
type = "VIDEO"
quality = 86
inputs = { text = "optional", text_max = 2000, image = "optional", any_of = [["text", "image"]] }
prompt_options = ["style"]
[models.options]
duration = { type = "integer", values = [6, 10], default = 6 }
resolution = { type = "string", values = ["512p", "768p", "1080p"], default = "768p" }
[[models.constraints]]
when = { duration = 10 }
allow = { resolution = ["512p", "768p"] }
reason = "10 s clips are made at up to 768p"
[[models.constraints]]
when = { resolution = "512p" }
without = ["image"]
allow = { resolution = ["768p", "1080p"] }
reason = "512p needs a picture"
[[models.routes]]
upstream = "minimax"
model = "MiniMax-Hailuo-02"
typical_seconds = 150
[models.routes.price]
per = "run"
usd = 0.28
source = "test"
date = "2026-01-01"
tiers = [{ when = { duration = 10 }, usd = 0.56 }, { when = { resolution = "1080p" }, usd = 0.49 }]

[[models]]
id = "t2v-01"
name = "T2V-01"
type = "VIDEO"
quality = 60
ends_at = "2026-09-01"
replaced_by = ["hailuo-02"]
inputs = { text = "required", text_max = 2000 }
[[models.routes]]
upstream = "minimax"
model = "T2V-01"
typical_seconds = 180
price = { per = "run", usd = 0.4, source = "test", date = "2026-01-01" }
"#;

const RUNWAY: &str = r#"
id = "runway"
name = "Runway"
description = "Film."
default_model = "gen-4.5"

[[models]]
id = "gen-4.5"
name = "Gen-4.5"
type = "VIDEO"
quality = 95
inputs = { text = "required", image = "optional" }
prompt_options = ["style"]
[models.options]
duration = { type = "integer", min = 2, max = 10, default = 5 }
resolution = { type = "string", values = ["720p", "1080p"], default = "720p" }
aspectRatio = { type = "string", values = ["16:9", "9:16", "1:1", "21:9"], default = "16:9" }
seed = { type = "integer", min = 0, max = 4294967295 }
[[models.routes]]
upstream = "runway"
model = "gen4.5"
typical_seconds = 90
price = { per = "second", usd = 0.25, source = "test", date = "2026-01-01" }

[[models]]
id = "gen-4-turbo"
name = "Gen-4 Turbo"
type = "VIDEO"
quality = 80
inputs = { text = "optional", image = "required" }
[models.options]
duration = { type = "integer", values = [5, 10], default = 5 }
[[models.routes]]
upstream = "runway"
model = "gen4_turbo"
typical_seconds = 60
price = { per = "second", usd = 0.05, source = "test", date = "2026-01-01" }

[[models]]
id = "act-two"
name = "Act-Two"
type = "VIDEO"
quality = 80
inputs = { text = "unused", image = "required", video = "required" }
[[models.routes]]
upstream = "runway"
model = "act_two"
needs = ["RUNWAYML_API_SECRET"]
typical_seconds = 60
price = { per = "second", usd = 0.05, source = "test", date = "2026-01-01" }

[[models]]
id = "gen-3"
name = "Gen-3 Alpha"
type = "VIDEO"
aliases = ["gen3"]
quality = 70
ends_at = "2025-06-01"
replaced_by = ["gen-4-turbo", "gen-4.5"]
inputs = { text = "required", image = "optional" }
[models.options]
duration = { type = "integer", values = [5, 10], default = 5 }
grain = { type = "number", description = "Film grain" }

[[models]]
id = "gen-2"
name = "Gen-2"
type = "VIDEO"
quality = 50
ends_at = "2025-01-01"
replaced_by = ["gen-3"]
inputs = { text = "required" }

[[models]]
id = "gen-1"
name = "Gen-1"
type = "VIDEO"
quality = 40
ends_at = "2024-01-01"
inputs = { video = "required" }
"#;

const ELEVENLABS: &str = r#"
id = "elevenlabs"
name = "ElevenLabs"
description = "Speech."
default_model = "v3"

[[models]]
id = "v3"
name = "Eleven v3"
type = "AUDIO"
quality = 95
inputs = { text = "required", text_max = 5000 }
prompt_options = ["emotion"]
[models.options]
voice = { type = "string", open = true, aliases = { rachel = "21m00Tcm4TlvDq8ikWAM" }, default = "rachel" }
speed = { type = "number", min = 0.7, max = 1.2, default = 1.0 }
[[models.routes]]
upstream = "elevenlabs"
model = "eleven_v3"
typical_seconds = 5
price = { per = "1k-characters", usd = 0.3, source = "test", date = "2026-01-01" }
"#;

const HEYGEN: &str = r#"
id = "heygen"
name = "HeyGen"
description = "Presenters."
default_model = "avatar"

[[models]]
id = "avatar"
name = "Avatar"
type = "AVATAR"
quality = 93
inputs = { text = "optional", audio = "optional", one_of = [["text", "audio"]] }
[models.options]
avatarId = { type = "string", required = true, open = true, aliases = { kate = "Kate_1" } }
voice = { type = "string", values = ["Anna", "Tom"], default = "Anna" }
[[models.routes]]
upstream = "heygen"
model = "v2"
typical_seconds = 90
price = { per = "speech-second", usd = 0.02, source = "test", date = "2026-01-01" }
"#;

const EFFECTS: &str = r#"
[[models]]
id = "effects"
name = "Eleven Effects"
type = "AUDIO"
quality = 99
specialist = true
inputs = { text = "required" }
[models.options]
loop = { type = "boolean", description = "Whether the end meets the beginning" }
[[models.routes]]
upstream = "elevenlabs"
model = "sound"
typical_seconds = 1
price = { per = "run", usd = 0.001, source = "test", date = "2026-01-01" }
"#;

/// The text of the files, by name.
pub(super) fn files() -> BTreeMap<String, String> {
    let files = [
        ("upstreams", UPSTREAMS),
        ("kling", KLING),
        ("minimax", MINIMAX),
        ("runway", RUNWAY),
        ("elevenlabs", ELEVENLABS),
        ("heygen", HEYGEN),
    ];
    let mut files: BTreeMap<_, _> =
        files.into_iter().map(|(name, text)| (format!("{name}.toml"), text.to_owned())).collect();
    files.entry("elevenlabs.toml".to_owned()).and_modify(|text| text.push_str(EFFECTS));
    files
}

/// The catalogue of these files.
pub(super) fn catalog() -> Catalog {
    load::parse(&files()).unwrap()
}

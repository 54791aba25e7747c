//! Who speaks: looks and voices by name, from the service's lists, kept for an hour.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{get, kind};
use crate::{
    domain::{Fault, fault::Kind},
    providers::{
        Cx, Task,
        body::text,
        http::excerpt,
        names::{self, Entry},
    },
};

const LIST_LIFE: Duration = Duration::from_hours(1);

/// Bounds the look-up in a list of thousands.
const MAX_PAGES: usize = 20;

/// Who speaks, and what of the request that person does not act.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Person {
    pub(super) avatar: Option<String>,
    pub(super) voice: Option<String>,
    pub(super) unacted: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Look {
    id: String,
    name: String,
    #[serde(default)]
    avatar_type: String,
    gender: Option<String>,
    #[serde(default)]
    supported_api_engines: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Voice {
    #[serde(rename = "voice_id")]
    id: String,
    name: String,
    gender: Option<String>,
    language: Option<String>,
}

pub(super) async fn choose(cx: &Cx, task: &Task) -> Result<Person, Fault> {
    let mut person = match kind(task) {
        "avatar" | "cinematic" => look(cx, task).await?,
        _ => Person::default(),
    };
    if let Some(asked) = text(task, "voice").filter(|_| task.input.audio.is_none()) {
        person.voice = Some(voice(cx, task, asked).await?);
    }
    Ok(person)
}

async fn look(cx: &Cx, task: &Task) -> Result<Person, Fault> {
    let asked = text(task, "avatarId");
    let moves = ["gesture", "expressiveness"].iter().any(|option| task.options.contains_key(*option));
    if let Some(id) = asked.filter(|asked| is_id(asked) && !moves) {
        return Ok(Person { avatar: Some(id.to_owned()), ..Person::default() });
    }
    pick(task, asked, list(cx, "looks", "/avatars/looks", &[("limit", "50")]).await?)
}

/// The look that is meant, and which of the movements it does not act. Looks that act them go first.
fn pick(task: &Task, asked: Option<&str>, mut looks: Vec<Look>) -> Result<Person, Fault> {
    if kind(task) == "avatar" {
        looks.retain(|look| look.supported_api_engines.is_empty() || look.supported_api_engines.contains(&task.model));
    }
    looks.sort_by_key(|look| unacted(task, Some(look)).len());
    let found = match asked {
        Some(asked) => names::find(&looks, asked, by_name),
        None => looks.first(),
    };
    match (found, asked) {
        (Some(look), _) => {
            Ok(Person { avatar: Some(look.id.clone()), voice: None, unacted: unacted(task, Some(look)) })
        }
        (None, Some(id)) if is_id(id) => {
            Ok(Person { avatar: Some(id.to_owned()), voice: None, unacted: unacted(task, None) })
        }
        (None, asked) => {
            let what = asked.unwrap_or("any name");
            Err(Fault::refused(Kind::InvalidInput, excerpt(&format!("no avatar of {what} for {}", task.model))))
        }
    }
}

fn by_name(look: &Look) -> Entry<'_> {
    Entry { id: &look.id, name: &look.name, gender: look.gender.as_deref() }
}

/// The movements of the request that this look (or one that nothing is known of) does not act.
fn unacted(task: &Task, look: Option<&Look>) -> Vec<String> {
    let photo = look.is_some_and(|look| look.avatar_type == "photo_avatar");
    let acted = |option: &str| match option {
        "gesture" => photo || task.model == "avatar_v",
        _ => photo && task.model == "avatar_iv",
    };
    let asked = |option: &&str| task.options.contains_key(*option);
    ["gesture", "expressiveness"].into_iter().filter(asked).filter(|it| !acted(it)).map(str::to_owned).collect()
}

async fn voice(cx: &Cx, task: &Task, asked: &str) -> Result<String, Fault> {
    if is_id(asked) {
        return Ok(asked.to_owned());
    }
    let mut voices: Vec<Voice> = match kind(task) {
        "speech" => list(cx, "starfish voices", "/voices", &[("engine", "starfish"), ("limit", "100")]).await?,
        _ => list(cx, "voices", "/voices", &[("limit", "100")]).await?,
    };
    // A stand-in speaks English where there is a choice.
    voices.sort_by_key(|voice| !voice.language.as_deref().unwrap_or_default().to_lowercase().starts_with("en"));
    names::find(&voices, asked, |voice| Entry { id: &voice.id, name: &voice.name, gender: voice.gender.as_deref() })
        .map(|voice| voice.id.clone())
        .ok_or_else(|| Fault::refused(Kind::InvalidInput, excerpt(&format!("no voice is called {asked}"))))
}

/// Ids have digits or underscores; names of people do not.
fn is_id(text: &str) -> bool {
    !text.contains(' ') && text.bytes().any(|byte| byte.is_ascii_digit() || byte == b'_')
}

/// A whole list, page by page.
async fn list<T: DeserializeOwned + Serialize>(
    cx: &Cx,
    name: &str,
    path: &str,
    query: &[(&str, &str)],
) -> Result<Vec<T>, Fault> {
    if let Some(items) = cx.cache.get(name, cx.now()).and_then(|kept| serde_json::from_value(kept).ok()) {
        return Ok(items);
    }
    let mut items: Vec<T> = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut query = query.to_vec();
        query.extend(token.as_deref().map(|token| ("token", token)));
        let page = get::<Vec<T>>(cx, path, &query).await?;
        items.extend(page.data);
        token = page.next_token.filter(|_| page.has_more);
        if token.is_none() {
            break;
        }
    }
    if let Ok(kept) = serde_json::to_value(&items) {
        cx.cache.put(name, kept, cx.now() + LIST_LIFE);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(engine: &str, options: Value) -> Task {
        let (Value::Object(options), Value::Object(params)) = (options, json!({ "kind": "avatar" })) else {
            panic!("options are an object")
        };
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Avatar,
            model: engine.to_owned(),
            params,
            input: ContentInput::default(),
            options,
            wire: std::collections::BTreeMap::new(),
        }
    }

    fn looks() -> Vec<Look> {
        serde_json::from_value(json!([
            { "id": "look_1", "name": "Kate in Suit", "avatar_type": "studio_avatar", "gender": "female",
              "supported_api_engines": ["avatar_iii", "avatar_iv"] },
            { "id": "look_2", "name": "Marco", "avatar_type": "studio_avatar", "gender": "male" },
            { "id": "look_3", "name": "Mina", "avatar_type": "photo_avatar", "gender": "female",
              "supported_api_engines": ["avatar_iv", "avatar_v"] },
        ]))
        .unwrap()
    }

    fn picked(engine: &str, asked: Option<&str>, options: Value) -> Person {
        pick(&task(engine, options), asked, looks()).unwrap()
    }

    #[test]
    fn a_look_is_found_by_name_or_gender_and_engine() {
        assert_eq!(picked("avatar_iv", Some("Kate (female)"), json!({})).avatar.as_deref(), Some("look_1"));
        assert_eq!(picked("avatar_v", Some("Kate (female)"), json!({})).avatar.as_deref(), Some("look_3"));
        assert_eq!(picked("avatar_iv", None, json!({})).avatar.as_deref(), Some("look_1"));
        let gesture = json!({ "gesture": "waves" });
        assert_eq!(picked("avatar_iv", None, gesture).avatar.as_deref(), Some("look_3"));
        let unknown = pick(&task("avatar_iv", json!({})), Some("Zoe"), looks());
        assert_eq!(unknown.unwrap_err().kind, Kind::InvalidInput);
    }

    #[test]
    fn a_gesture_is_acted_by_photo_avatars_and_engine_v() {
        let gesture = || json!({ "gesture": "waves", "expressiveness": "high" });
        assert_eq!(picked("avatar_iv", Some("Kate"), gesture()).unacted, ["gesture", "expressiveness"]);
        assert!(picked("avatar_iv", Some("Mina"), gesture()).unacted.is_empty());
        assert!(picked("avatar_v", Some("Marco"), json!({ "gesture": "waves" })).unacted.is_empty());
        assert_eq!(picked("avatar_iv", Some("look_99"), gesture()).unacted.len(), 2);
    }

    #[test]
    fn ids_are_told_from_names() {
        assert!(is_id("Abigail_expressive_2024112501"));
        assert!(is_id("2d5b0e6cf36f460aa7fc47e3eee4ba54"));
        assert!(!is_id("Kate (female)"));
        assert!(!is_id("marco"));
    }
}

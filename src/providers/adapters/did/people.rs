//! Who speaks: presenters, expressive avatars with their sentiments, and voices, from the service's lists, kept for an
//! hour.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::get;
use crate::{
    domain::{Fault, fault::Kind},
    providers::{
        Cx, Task,
        body::{Fields, text},
        http::excerpt,
        names::{self, Entry},
    },
};

const LIST_LIFE: Duration = Duration::from_hours(1);

/// The speech services whose voices are named with a prefix: `elevenlabs:ID`.
const SERVICES: [&str; 5] = ["microsoft", "elevenlabs", "amazon", "google", "azure-openai"];

/// Who speaks, as the bodies say it.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// The presenter or avatar.
    pub(super) avatar: Option<String>,
    /// The sentiment of an expressive avatar.
    pub(super) sentiment: Option<String>,
    /// `script.provider`.
    pub(super) voice: Option<Value>,
}

pub(super) async fn choose(cx: &Cx, task: &Task) -> Result<Person, Fault> {
    let mut person = match task.model.as_str() {
        "clips" => presenter(cx, task).await?,
        "expressives" => expressive(cx, task).await?,
        _ => Person::default(),
    };
    if let Some(asked) = text(task, "voice").filter(|_| task.input.text.is_some()) {
        person.voice = Some(voice(cx, task, asked).await?);
    }
    Ok(person)
}

async fn presenter(cx: &Cx, task: &Task) -> Result<Person, Fault> {
    #[derive(Deserialize)]
    struct Presenter {
        #[serde(rename = "presenter_id")]
        id: String,
        name: Option<String>,
        gender: Option<String>,
    }
    let Some(asked) = text(task, "avatarId") else { return Ok(Person::default()) };
    if is_id(asked) {
        return Ok(Person { avatar: Some(asked.to_owned()), ..Person::default() });
    }
    let presenters: Vec<Presenter> = list(cx, "/clips/presenters", &[("limit", "100")], Some("presenters")).await?;
    let found = names::find(&presenters, asked, |it| Entry {
        id: &it.id,
        name: it.name.as_deref().unwrap_or_default(),
        gender: it.gender.as_deref(),
    });
    let found = found.ok_or_else(|| nobody("presenter", asked))?;
    Ok(Person { avatar: Some(found.id.clone()), ..Person::default() })
}

#[derive(Deserialize)]
struct Avatar {
    id: String,
    name: String,
    gender: Option<String>,
    #[serde(default)]
    sentiments: Vec<Sentiment>,
}

#[derive(Deserialize)]
struct Sentiment {
    id: String,
    sentiment: String,
}

impl Avatar {
    fn sentiment(&self, asked: &str) -> Option<&str> {
        self.sentiments.iter().find(|it| it.sentiment.eq_ignore_ascii_case(asked)).map(|it| it.id.as_str())
    }
}

async fn expressive(cx: &Cx, task: &Task) -> Result<Person, Fault> {
    let asked = text(task, "avatarId").unwrap_or_default();
    let sentiment = text(task, "gesture");
    if is_id(asked) && sentiment.is_none() {
        return Ok(Person { avatar: Some(asked.to_owned()), ..Person::default() });
    }
    let avatars: Vec<Avatar> = list(cx, "/expressives/avatars", &[], Some("avatars")).await?;
    pick(avatars, asked, sentiment)
}

/// The avatar that is meant; those that have the sentiment go first.
fn pick(mut avatars: Vec<Avatar>, asked: &str, sentiment: Option<&str>) -> Result<Person, Fault> {
    avatars.sort_by_key(|avatar| sentiment.is_some_and(|wanted| avatar.sentiment(wanted).is_none()));
    let found = names::find(&avatars, asked, |it| Entry { id: &it.id, name: &it.name, gender: it.gender.as_deref() });
    let avatar = found.ok_or_else(|| nobody("avatar", asked))?;
    let sentiment = match sentiment {
        Some(wanted) => Some(avatar.sentiment(wanted).map(str::to_owned).ok_or_else(|| {
            let has: Vec<_> = avatar.sentiments.iter().map(|it| it.sentiment.as_str()).collect();
            Fault::refused(Kind::InvalidInput, excerpt(&format!("no sentiment {wanted}; it has {}", has.join(", "))))
        })?),
        None => None,
    };
    Ok(Person { avatar: Some(avatar.id.clone()), sentiment, voice: None })
}

/// `script.provider`: by prefix, by the form of Microsoft's ids, or from the list.
async fn voice(cx: &Cx, task: &Task, asked: &str) -> Result<Value, Fault> {
    #[derive(Deserialize)]
    struct Listed {
        id: String,
        name: String,
        gender: Option<String>,
        provider: String,
    }
    if let Some((service, id)) = known(asked) {
        return Ok(provider(task, service, id));
    }
    let voices: Vec<Listed> = list(cx, "/tts/voices", &[], None).await?;
    let found = names::find(&voices, asked, |it| Entry { id: &it.id, name: &it.name, gender: it.gender.as_deref() });
    found.map(|it| provider(task, &it.provider, &it.id)).ok_or_else(|| nobody("voice", asked))
}

fn known(asked: &str) -> Option<(&str, &str)> {
    match asked.split_once(':') {
        Some((service, id)) if SERVICES.contains(&service) => Some((service, id)),
        _ => (asked.split('-').count() >= 3 && !asked.contains(' ')).then_some(("microsoft", asked)),
    }
}

fn provider(task: &Task, service: &str, id: &str) -> Value {
    let style = text(task, "voiceStyle").filter(|_| service == "microsoft");
    Fields::new()
        .set("type", service)
        .set("voice_id", id)
        .maybe("voice_config", style.map(|style| json!({ "style": style })))
        .into()
}

fn nobody(what: &str, asked: &str) -> Fault {
    Fault::refused(Kind::InvalidInput, excerpt(&format!("no {what} is called {asked}")))
}

/// Ids have digits, dashes or underscores; names of people do not.
fn is_id(text: &str) -> bool {
    !text.contains(' ') && text.bytes().any(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
}

async fn list<T>(cx: &Cx, path: &str, query: &[(&str, &str)], under: Option<&str>) -> Result<Vec<T>, Fault>
where
    T: serde::de::DeserializeOwned,
{
    let rows = if let Some(rows) = cx.cache.get(path, cx.now()) {
        rows
    } else {
        let answer: Value = get(cx, path, query).await?;
        let rows = under.map_or(Some(&answer), |name| answer.get(name)).cloned().unwrap_or_default();
        cx.cache.put(path, rows.clone(), cx.now() + LIST_LIFE);
        rows
    };
    // A row without what we need cannot be chosen; the others still can.
    let rows = if let Value::Array(rows) = rows { rows } else { Vec::new() };
    Ok(rows.into_iter().filter_map(|row| serde_json::from_value(row).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn avatars() -> Vec<Avatar> {
        serde_json::from_value(json!([
            { "id": "public_mia@1", "name": "Mia", "gender": "female", "sentiments": [
                { "id": "snt_1", "sentiment": "Professional" }] },
            { "id": "public_zoe@2", "name": "Zoe", "gender": "female", "sentiments": [
                { "id": "snt_2", "sentiment": "Friendly" }] },
        ]))
        .unwrap()
    }

    #[test]
    fn a_stand_in_has_the_sentiment() {
        let person = pick(avatars(), "Kate (female)", Some("friendly")).unwrap();
        assert_eq!((person.avatar.as_deref(), person.sentiment.as_deref()), (Some("public_zoe@2"), Some("snt_2")));
        let person = pick(avatars(), "mia", None).unwrap();
        assert_eq!((person.avatar.as_deref(), person.sentiment), (Some("public_mia@1"), None));
        assert_eq!(pick(avatars(), "mia", Some("friendly")).unwrap_err().kind, Kind::InvalidInput);
    }

    #[test]
    fn voices_are_known_by_prefix_or_form() {
        assert_eq!(known("en-US-JennyNeural"), Some(("microsoft", "en-US-JennyNeural")));
        assert_eq!(known("elevenlabs:21m00Tcm4TlvDq8ikWAM"), Some(("elevenlabs", "21m00Tcm4TlvDq8ikWAM")));
        assert_eq!(known("Jenny"), None);
    }
}

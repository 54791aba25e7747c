//! The rules for inputs: which are given, whether their URLs are URLs, and whether a model takes them.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::{
    request::{Refusal, RefusalKind},
    spec::{InputName, Inputs, Need},
};
use crate::domain::ContentInput;

/// Every input, in the order of the API.
pub(super) const ALL: [InputName; 6] =
    [InputName::Text, InputName::Image, InputName::LastImage, InputName::Images, InputName::Video, InputName::Audio];

impl InputName {
    /// The field in the API.
    pub(super) const fn field(self) -> &'static str {
        match self {
            Self::Text => "input.text",
            Self::Image => "input.image",
            Self::LastImage => "input.lastImage",
            Self::Images => "input.images",
            Self::Video => "input.video",
            Self::Audio => "input.audio",
        }
    }
}

impl Inputs {
    /// Whether an input is taken.
    pub(super) const fn need(&self, input: InputName) -> Option<Need> {
        match input {
            InputName::Text => self.text,
            InputName::Image => self.image,
            InputName::LastImage => self.last_image,
            InputName::Images => self.images,
            InputName::Video => self.video,
            InputName::Audio => self.audio,
        }
    }
}

/// The inputs of a request. Blank ones are as good as missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) text: Option<String>,
    pub(super) images: usize,
    pub(super) names: BTreeSet<InputName>,
    /// What to call each input in an adjustment: the address, or the head of a `data:` URL.
    pub(super) shown: BTreeMap<InputName, String>,
}

impl Given {
    /// Reads the inputs; refuses URLs that are none.
    pub(super) fn read(input: &ContentInput) -> Result<Self, Refusal> {
        let mut given = Self::default();
        if let Some(text) = input.text.as_ref().filter(|text| !text.trim().is_empty()) {
            given.text = Some(text.clone());
            given.add(InputName::Text, text);
        }
        let single = [
            (InputName::Image, &input.image),
            (InputName::LastImage, &input.last_image),
            (InputName::Video, &input.video),
            (InputName::Audio, &input.audio),
        ];
        for (name, url) in single {
            if let Some(url) = url.as_ref().filter(|url| !url.trim().is_empty()) {
                check_url(url, name)?;
                given.add(name, shown(url));
            }
        }
        for url in input.images.iter().flatten() {
            check_url(url, InputName::Images)?;
            given.images += 1;
            given.add(InputName::Images, shown(url));
        }
        Ok(given)
    }

    /// The least a model can be asked with: its required inputs, the first of each group, and text where it takes any.
    pub(super) fn least(inputs: &Inputs, text: &str) -> Self {
        let groups = || inputs.one_of.iter().chain(&inputs.any_of);
        let free = |name: &InputName| !groups().any(|group| group.contains(name));
        let wanted = |name: &InputName| match inputs.need(*name) {
            Some(Need::Required) => true,
            Some(Need::Optional) if *name == InputName::Text && free(name) => true,
            Some(Need::Optional) => groups().any(|group| group.first() == Some(name)),
            Some(Need::Unused) | None => false,
        };
        let names: BTreeSet<_> = ALL.into_iter().filter(wanted).collect();
        let text = names.contains(&InputName::Text).then(|| text.to_owned());
        Self { text, images: usize::from(names.contains(&InputName::Images)), names, ..Self::default() }
    }

    fn add(&mut self, name: InputName, shown: &str) {
        self.names.insert(name);
        self.shown.entry(name).or_insert_with(|| shown.to_owned());
    }

    pub(super) fn has(&self, name: InputName) -> bool {
        self.names.contains(&name)
    }
}

fn shown(url: &str) -> &str {
    if is_data(url) { url.split(',').next().unwrap_or_default() } else { url }
}

fn check_url(url: &str, name: InputName) -> Result<(), Refusal> {
    if is_data(url) || is_http(url) {
        return Ok(());
    }
    let field = name.field();
    let message = format!("{field} must be an http or https URL, or a data: URL in base64");
    Err(Refusal::about(RefusalKind::Url, field, message))
}

fn is_http(url: &str) -> bool {
    Url::parse(url.trim()).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn is_data(url: &str) -> bool {
    let scheme = url.trim_start().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let Some((head, body)) = url.split_once(',') else { return false };
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&byte);
    scheme && head.to_ascii_lowercase().ends_with(";base64") && !body.is_empty() && body.trim().bytes().all(base64)
}

/// Why a model does not take the inputs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem {
    pub(super) field: &'static str,
    /// Continues a sentence that begins with the model's name: `needs input.image`.
    pub(super) message: String,
}

/// Everything that keeps a model from taking the inputs.
pub(super) fn problems(inputs: &Inputs, given: &Given) -> Vec<Problem> {
    let mut found: Vec<_> = ALL.into_iter().filter_map(|name| wrong_presence(inputs, given, name)).collect();
    found.extend(inputs.one_of.iter().filter_map(|group| too_many_of(group, given)));
    let groups = inputs.one_of.iter().chain(&inputs.any_of);
    found.extend(groups.filter_map(|group| none_of(group, given)));
    found.extend(inputs.requires.iter().filter_map(|(name, others)| lacks_company(*name, others, given)));
    found.extend(text_too_long(inputs, given));
    if let Some(max) = inputs.images_max.filter(|max| given.images > *max) {
        let message = format!("takes at most {max} pictures in input.images; {} are given", given.images);
        found.push(Problem { field: InputName::Images.field(), message });
    }
    found
}

fn wrong_presence(inputs: &Inputs, given: &Given, name: InputName) -> Option<Problem> {
    let field = name.field();
    match (inputs.need(name), given.has(name)) {
        (Some(Need::Required), false) => Some(Problem { field, message: format!("needs {field}") }),
        (None, true) => Some(Problem { field, message: format!("does not take {field}") }),
        _ => None,
    }
}

fn too_many_of(group: &[InputName], given: &Given) -> Option<Problem> {
    let second = group.iter().filter(|name| given.has(**name)).nth(1)?;
    Some(Problem { field: second.field(), message: format!("takes only one of {}", either(group)) })
}

fn none_of(group: &[InputName], given: &Given) -> Option<Problem> {
    let field = group.first().filter(|_| !group.iter().any(|name| given.has(*name)))?.field();
    Some(Problem { field, message: format!("needs {}", either(group)) })
}

fn lacks_company(name: InputName, others: &[InputName], given: &Given) -> Option<Problem> {
    let missing = others.iter().find(|other| given.has(name) && !given.has(**other))?.field();
    Some(Problem { field: missing, message: format!("takes {} only with {missing}", name.field()) })
}

fn either(group: &[InputName]) -> String {
    group.iter().map(|name| name.field()).collect::<Vec<_>>().join(" or ")
}

fn text_too_long(inputs: &Inputs, given: &Given) -> Option<Problem> {
    let max = inputs.text_max?;
    let length = given.text.as_ref()?.chars().count();
    let message = || format!("takes at most {max} characters of text; input.text has {length}");
    (length > max).then(|| Problem { field: InputName::Text.field(), message: message() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(names: &[InputName]) -> Given {
        Given { names: names.iter().copied().collect(), ..Given::default() }
    }

    #[test]
    fn urls_are_http_or_data() {
        for url in ["https://example.com/a.png", "http://127.0.0.1:1/x", "data:image/png;base64,iVBORw0KGgo="] {
            assert!(check_url(url, InputName::Image).is_ok(), "{url}");
        }
        for url in ["a.png", "/media/a.png", "ftp://example.com/a", "data:image/png,abc", "data:;base64,", "https://"] {
            let refusal = check_url(url, InputName::Image).unwrap_err();
            assert_eq!((refusal.kind, refusal.field.as_deref()), (RefusalKind::Url, Some("input.image")), "{url}");
        }
    }

    #[test]
    fn blank_inputs_are_missing() {
        let input = ContentInput { text: Some(" \n".into()), image: Some(String::new()), ..ContentInput::default() };
        assert!(Given::read(&input).unwrap().names.is_empty());
    }

    #[test]
    fn of_a_group_exactly_one_is_taken() {
        use InputName::{Audio, Image, Text};
        let inputs = Inputs {
            text: Some(Need::Optional),
            audio: Some(Need::Optional),
            image: Some(Need::Required),
            one_of: vec![vec![Text, Audio]],
            ..Inputs::default()
        };
        assert_eq!(problems(&inputs, &given(&[Text, Image])), []);
        assert_eq!(problems(&inputs, &given(&[Audio, Image])), []);
        assert_eq!(problems(&inputs, &given(&[Image]))[0].field, "input.text");
        assert_eq!(problems(&inputs, &given(&[Text, Audio, Image]))[0].field, "input.audio");
        assert_eq!(problems(&inputs, &given(&[Text]))[0].message, "needs input.image");
        assert_eq!(Given::least(&inputs, "hello").names, [Text, Image].into());
    }
}

//! What an operation is called where requests are counted: by its field at the root. Names of a caller's own would make
//! a series each.

/// The fields of the schema's roots.
const FIELDS: [&str; 14] = [
    "generation",
    "generations",
    "providers",
    "quote",
    "account",
    "generate",
    "videoCreate",
    "imageCreate",
    "audioCreate",
    "avatarCreate",
    "cancelGeneration",
    "redeliverWebhook",
    "rotateWebhookSecret",
    "generationUpdated",
];

/// Of a request that names none of them, or cannot be read.
pub const UNKNOWN: &str = "unknown";

/// The label of an operation with these fields at its root.
pub(super) fn of<'a>(mut roots: impl Iterator<Item = &'a str>) -> &'static str {
    let Some(first) = roots.next() else { return UNKNOWN };
    if roots.any(|other| other != first) {
        return "several";
    }
    if first.starts_with("__") {
        return "introspection";
    }
    FIELDS.into_iter().find(|name| *name == first).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::graphql::builder;

    #[test]
    fn every_field_of_the_roots_has_its_label() {
        let api = builder().finish();
        let names = api.names();
        assert!(FIELDS.iter().all(|name| names.iter().any(|known| known == name)), "{names:?}");
        let sdl = api.sdl();
        let roots = ["type Query {", "type Mutation {", "type Subscription {"];
        let of_type = |start: &str| sdl.split(start).nth(1).unwrap().split("\n}").next().unwrap().to_owned();
        let fields: BTreeSet<String> = roots.into_iter().flat_map(|root| fields(&of_type(root))).collect();
        assert_eq!(fields, FIELDS.iter().map(|name| (*name).to_owned()).collect());
    }

    /// The names of fields in the body of a type, which are indented by one tab.
    fn fields(body: &str) -> Vec<String> {
        let own = body.lines().filter(|line| line.starts_with('\t') && !line.starts_with("\t\t"));
        let named = own.map(|line| line.trim().split(['(', ':']).next().unwrap());
        named.filter(|name| !name.is_empty() && name.chars().all(char::is_alphanumeric)).map(str::to_owned).collect()
    }

    #[test]
    fn callers_names_make_no_label() {
        assert_eq!(of(["generation"].into_iter()), "generation");
        assert_eq!(of(["generate", "generate"].into_iter()), "generate");
        assert_eq!(of(["generate", "account"].into_iter()), "several");
        assert_eq!(of(["__schema"].into_iter()), "introspection");
        assert_eq!(of(["x1234"].into_iter()), UNKNOWN);
        assert_eq!(of([].into_iter()), UNKNOWN);
    }
}

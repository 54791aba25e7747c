//! What holds for any document and any request, over the real catalogue.

use std::collections::BTreeMap;

use async_graphql::parser::{
    parse_query,
    types::{ExecutableDocument, Selection, SelectionSet},
};
use chrono::NaiveDate;
use doitong::{
    catalog::{Asked, Conditions, Health, RefusalKind},
    domain::{ContentInput, GenerationType, Mode, Priority},
    graphql::dialect,
};
use proptest::{collection, prelude::*, sample::select};
use serde_json::{Map, Value};

use crate::providers::support::{CATALOG, LINK, PNG};

/// Selections of the fields that dialects are about, plain and with sub-fields, in fragments and out of them.
fn selection() -> impl Strategy<Value = String> {
    let alias = select(["", "", "", "a: ", "status: ", "error: ", "metadata: "].as_slice());
    let name = select(["status", "error", "metadata", "id", "errorText", "generation(id: 1)"].as_slice());
    let directive = select(["", "", "", " @skip(if: false)"].as_slice());
    let leaf = prop_oneof![
        4 => (alias.clone(), name.clone(), directive).prop_map(|(alias, name, directive)| format!("{alias}{name}{directive}")),
        1 => select(["...F", "...G", "...Nowhere"].as_slice()).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let of = prop_oneof![
            Just("...".to_owned()),
            Just("... on T".to_owned()),
            (alias.clone(), name.clone()).prop_map(|(a, n)| a.to_owned() + n)
        ];
        (of, collection::vec(inner, 1..4)).prop_map(|(of, inner)| format!("{of} {{ {} }}", inner.join(" ")))
    })
}

fn document() -> impl Strategy<Value = String> {
    let set = || collection::vec(selection(), 1..5).prop_map(|all| all.join(" "));
    let kind = select(["", "query A ", "mutation A ", "subscription A "].as_slice());
    (kind, set(), set(), set(), proptest::option::of(set())).prop_map(|(kind, operation, f, g, other)| {
        let other =
            other.filter(|_| !kind.is_empty()).map(|other| format!(" query B {{ {other} }}")).unwrap_or_default();
        format!("{kind}{{ {operation} }} fragment F on T {{ {f} }} fragment G on T {{ {g} }}{other}")
    })
}

/// Each part of a document with its fields, as `key=name`, in their order.
fn fields(document: &ExecutableDocument) -> BTreeMap<String, Vec<(String, String)>> {
    let operations = document.operations.iter().map(|(name, operation)| {
        (name.map(ToString::to_string).unwrap_or_default(), &operation.node.selection_set.node)
    });
    let fragments =
        document.fragments.iter().map(|(name, fragment)| (format!("...{name}"), &fragment.node.selection_set.node));
    operations
        .chain(fragments)
        .map(|(name, set)| {
            let mut found = Vec::new();
            walk(set, &mut found);
            (name, found)
        })
        .collect()
}

fn walk(set: &SelectionSet, found: &mut Vec<(String, String)>) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) => {
                let is_plain = field.node.selection_set.node.items.is_empty();
                let name = format!("{}{}", field.node.name.node, if is_plain { "" } else { " {}" });
                found.push((field.node.response_key().node.to_string(), name));
                walk(&field.node.selection_set.node, found);
            }
            Selection::InlineFragment(fragment) => walk(&fragment.node.selection_set.node, found),
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let words = [
        "5",
        "1080p",
        "16:9",
        "pro",
        "auto",
        "",
        " ",
        "banana",
        "1e999",
        "0x5",
        "9:0",
        "-1",
        "99999999999999999999",
        "rachel",
        "\0",
        "\u{202e}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-3_i64..30).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0.0..30.0).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            collection::btree_map("[a-z]{0,4}", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Requests of any provider, or none, with options that some model knows and ones that none does.
fn any_asked() -> impl Strategy<Value = Asked> {
    let known: Vec<String> = CATALOG
        .providers()
        .flat_map(|provider| &provider.models)
        .flat_map(|model| model.options.keys().cloned())
        .chain(["strict", "model", "voice", "nothing", ""].map(str::to_owned))
        .collect();
    let providers: Vec<Option<String>> = CATALOG
        .providers()
        .map(|provider| Some(provider.id.to_string()))
        .chain([None, Some("nobody".to_owned())])
        .collect();
    let types = [GenerationType::Video, GenerationType::Image, GenerationType::Audio, GenerationType::Avatar];
    let options = collection::btree_map(select(known), any_value(), 0..6).prop_map(Map::from_iter);
    let file = || proptest::option::of(prop_oneof![Just(PNG.to_owned()), Just(LINK.to_owned()), "\\PC{0,8}"]);
    let input = (proptest::option::of("\\PC{0,30}"), file(), file(), file(), proptest::option::of("[a-z ]{0,8}"))
        .prop_map(|(text, image, video, audio, voice)| ContentInput {
            text,
            image,
            video,
            audio,
            voice,
            ..Default::default()
        });
    (
        select(types.to_vec()),
        select(providers),
        proptest::option::weighted(0.1, "\\PC{0,8}"),
        input,
        options,
        proptest::option::weighted(0.2, 0_i64..5_000),
    )
        .prop_map(|(of, provider, model, input, options, max_credits)| Asked {
            r#type: of,
            provider,
            model,
            input,
            options,
            priority: Priority::Balanced,
            max_credits,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_dialect_changes_what_plain_fields_call_for_and_nothing_else(text in document(), name in select([None, Some("A"), Some("B"), Some("C")].as_slice())) {
        let Ok(before) = parse_query(&text) else { return Err(TestCaseError::reject("no document")) };
        let (mut once, mut twice) = (before.clone(), before.clone());
        dialect::rewrite(&mut once, name);
        dialect::rewrite(&mut twice, name);
        dialect::rewrite(&mut twice, name);
        let (old, new) = (fields(&before), fields(&once));
        prop_assert_eq!(&new, &fields(&twice), "a second time");
        let is_plain = |(_, name): &(String, String)| matches!(name.as_str(), "error" | "metadata");
        let lowers = old.values().flatten().any(|(_, name)| name == "error");
        for (part, old) in &old {
            let new = &new[part];
            prop_assert_eq!(old.len(), new.len());
            for (old, new) in old.iter().zip(new) {
                prop_assert_eq!(&old.0, &new.0, "the place in the answer");
                let may_change = is_plain(old) || lowers && old.1.starts_with("status");
                prop_assert!(may_change || old.1 == new.1, "{old:?} {new:?}");
            }
        }
        let nothing_plain = !old.values().flatten().any(is_plain);
        prop_assert!(!nothing_plain || old == new);
    }

    #[test]
    fn any_request_is_refused_with_a_reason_or_served_with_each_option_accounted_for(asked in any_asked()) {
        let conditions = Conditions { mode: Mode::Test, today: NaiveDate::MIN, configured: &|_| true, health: &|_| Health::default() };
        match CATALOG.accept(&asked, &conditions) {
            Ok(choice) => {
                for (name, value) in &asked.options {
                    let is_ours = value.is_null() || matches!(name.as_str(), "strict" | "model");
                    let is_told = choice.adjustments.iter().any(|one| one.option == *name);
                    let is_used = choice.options.contains_key(name) || choice.text != asked.input.text;
                    prop_assert!(is_ours || is_told || is_used, "{name} = {value} is lost: {choice:?}");
                }
                prop_assert!(choice.credit_cost.get() >= 1 && choice.estimated_seconds >= 1);
                prop_assert!(asked.max_credits.is_none_or(|most| choice.credit_cost.get() <= most));
            }
            Err(refusal) => {
                prop_assert!(!refusal.message.is_empty() && refusal.message.len() < 20_000);
                prop_assert!(refusal.field.is_some() || !matches!(refusal.kind, RefusalKind::Option | RefusalKind::Input | RefusalKind::Url));
            }
        }
    }
}

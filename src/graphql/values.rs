//! Arguments of the fields at the root, checked against the schema before anything runs.
//!
//! The library leaves some of them to the field that takes them: a literal or variable that is no object where an input
//! object is wanted, no value where one is needed. By then the fields before it have run, and a document that is wrong in its second half would have done its first.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use anyhow::Context as _;
use async_graphql::{
    Name, Positioned, Variables,
    parser::{
        parse_schema,
        types::{
            BaseType, ExecutableDocument, Field, InputValueDefinition, OperationDefinition, OperationType, Selection,
            SelectionSet, Type, TypeKind, TypeSystemDefinition,
        },
    },
};
use async_graphql_value::{ConstValue, Value};

use super::error::ApiError;

/// The arguments of a field, or the members of an input object.
type Members = HashMap<Name, Member>;

struct Member {
    of: Type,
    /// Whether it may be left out.
    is_optional: bool,
}

/// What our schema wants.
static SCHEMA: LazyLock<Inputs> = LazyLock::new(|| {
    let told = |error: &anyhow::Error| tracing::error!(error = format!("{error:#}"), "arguments are not checked early");
    Inputs::of(&super::sdl()).inspect_err(told).unwrap_or_default()
});

/// Refuses an operation with an argument at its root that does not fit the schema.
pub(super) fn check(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
) -> Result<(), ApiError> {
    SCHEMA.check(document, operation, variables)
}

/// What a schema wants of arguments.
#[derive(Default)]
struct Inputs {
    /// The fields of each object type.
    fields: HashMap<Name, HashMap<Name, Members>>,
    objects: HashMap<Name, Members>,
}

impl Inputs {
    /// Reads a schema.
    fn of(sdl: &str) -> anyhow::Result<Self> {
        let mut inputs = Self { fields: HashMap::new(), objects: HashMap::new() };
        for definition in parse_schema(sdl).context("the schema is no SDL")?.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node;
            match definition.node.kind {
                TypeKind::Object(object) => {
                    let fields = object.fields.into_iter().map(|field| field.node);
                    let fields = fields.map(|field| (field.name.node, members(field.arguments))).collect();
                    inputs.fields.insert(name, fields);
                }
                TypeKind::InputObject(object) => {
                    inputs.objects.insert(name, members(object.fields));
                }
                _ => {}
            }
        }
        Ok(inputs)
    }

    fn check(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> Result<(), ApiError> {
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let Some(fields) = self.fields.get(root) else { return Ok(()) };
        let check = Check { inputs: self, operation, variables };
        let (mut open, mut seen) = (vec![&operation.selection_set.node], HashSet::new());
        while let Some(SelectionSet { items }) = open.pop() {
            for selection in items {
                match &selection.node {
                    Selection::Field(field) => check.field(fields, &field.node)?,
                    Selection::InlineFragment(fragment) => open.push(&fragment.node.selection_set.node),
                    Selection::FragmentSpread(spread) => {
                        let name = &spread.node.fragment_name.node;
                        let fragment = document.fragments.get(name).filter(|_| seen.insert(name));
                        open.extend(fragment.map(|fragment| &fragment.node.selection_set.node));
                    }
                }
            }
        }
        Ok(())
    }
}

fn members(of: Vec<Positioned<InputValueDefinition>>) -> Members {
    let member = |one: Positioned<InputValueDefinition>| {
        let is_optional = one.node.ty.node.nullable || one.node.default_value.is_some();
        (one.node.name.node, Member { of: one.node.ty.node, is_optional })
    };
    of.into_iter().map(member).collect()
}

/// What is wrong, and with which member of the argument.
struct Wrong {
    path: String,
    what: String,
}

impl Wrong {
    fn value(what: impl Into<String>) -> Self {
        Self { path: String::new(), what: what.into() }
    }

    fn within(self, name: &str) -> Self {
        Self { path: format!(".{name}{}", self.path), what: self.what }
    }
}

/// One operation with its variables.
struct Check<'a> {
    inputs: &'a Inputs,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
}

impl<'a> Check<'a> {
    fn field(&self, fields: &HashMap<Name, Members>, field: &Field) -> Result<(), ApiError> {
        // An unknown field or argument, or a missing one, is told by validation.
        let Some(arguments) = fields.get(&field.name.node) else { return Ok(()) };
        for (name, value) in &field.arguments {
            let Some(argument) = arguments.get(&name.node) else { continue };
            self.value(&value.node, argument).map_err(|wrong| {
                let (field, name, Wrong { path, what }) = (&field.name.node, &name.node, wrong);
                let error = ApiError::validation(format!("The argument `{name}{path}` of `{field}` {what}."));
                ApiError { place: Some(Box::new(value.pos)), ..error }
            })?;
        }
        Ok(())
    }

    /// What a variable stands for; `None` where it was not given and has no default.
    fn variable(&self, name: &Name) -> Option<&'a ConstValue> {
        let definition = || self.operation.variable_definitions.iter().find(|one| one.node.name.node == *name);
        self.variables.get(name).or_else(|| definition()?.node.default_value.as_ref().map(|value| &value.node))
    }

    fn value(&self, value: &Value, member: &Member) -> Result<(), Wrong> {
        match value {
            Value::Variable(name) => match self.variable(name) {
                Some(value) => self.constant(value, &member.of),
                None if member.is_optional => Ok(()),
                None => Err(Wrong::value(format!("needs a value, and the variable `${name}` has none"))),
            },
            value => self.literal(value, &member.of),
        }
    }

    fn literal(&self, value: &Value, of: &Type) -> Result<(), Wrong> {
        match (value, &of.base) {
            (Value::Variable(_), _) => self.value(value, &Member { of: of.clone(), is_optional: of.nullable }),
            (Value::Null, _) => null(of),
            (Value::List(items), BaseType::List(of)) => items.iter().try_for_each(|item| self.literal(item, of)),
            (_, BaseType::List(of)) => self.literal(value, of),
            (Value::Object(given), BaseType::Named(name)) => {
                self.object(name, given, |value, of| self.value(value, of))
            }
            (_, BaseType::Named(name)) => self.other(name),
        }
    }

    fn constant(&self, value: &ConstValue, of: &Type) -> Result<(), Wrong> {
        match (value, &of.base) {
            (ConstValue::Null, _) => null(of),
            (ConstValue::List(items), BaseType::List(of)) => items.iter().try_for_each(|item| self.constant(item, of)),
            (_, BaseType::List(of)) => self.constant(value, of),
            (ConstValue::Object(given), BaseType::Named(name)) => {
                self.object(name, given, |value, member| self.constant(value, &member.of))
            }
            (_, BaseType::Named(name)) => self.other(name),
        }
    }

    fn object<'v, V: 'v>(
        &self,
        name: &Name,
        given: impl IntoIterator<Item = (&'v Name, &'v V)> + Copy,
        check: impl Fn(&V, &Member) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        // The other types that take objects take any.
        let Some(members) = self.inputs.objects.get(name) else { return Ok(()) };
        for (name, value) in given {
            let Some(member) = members.get(name) else { return Err(Wrong::value(format!("has no member `{name}`"))) };
            check(value, member).map_err(|wrong| wrong.within(name))?;
        }
        let mut missing = members
            .iter()
            .filter(|(name, member)| !member.is_optional && !given.into_iter().any(|(given, _)| given == *name));
        missing.next().map_or(Ok(()), |(name, _)| Err(Wrong::value(format!("lacks the member `{name}`"))))
    }

    fn other(&self, of: &Name) -> Result<(), Wrong> {
        if self.inputs.objects.contains_key(of) {
            return Err(Wrong::value(format!("must be an object of the type {of}")));
        }
        Ok(())
    }
}

fn null(of: &Type) -> Result<(), Wrong> {
    if of.nullable { Ok(()) } else { Err(Wrong::value("must not be null")) }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::graphql::dialect::executed;

    const SDL: &str = "schema { query: Query } scalar JSON input Inner { n: Int! list: [Int!] any: JSON }
        input Outer { inner: Inner! more: [Inner!] size: Int = 1 } type Query { take(a: Outer!, b: ID!, c: [ID!]): Int }";

    fn check(query: &str, variables: Json) -> Result<(), String> {
        let document = parse_query(query).unwrap();
        let inputs = Inputs::of(SDL).unwrap();
        let checked = inputs.check(&document, executed(&document, None).unwrap(), &Variables::from_json(variables));
        checked.map_err(|error| error.message.into())
    }

    #[test]
    fn our_own_schema_is_read() {
        assert!(SCHEMA.fields["Mutation"].len() >= 8 && SCHEMA.objects.contains_key("GenerateInput"));
    }

    #[test]
    fn what_fits_passes() {
        for (query, variables) in [
            ("{ take(a: { inner: { n: 1 } }, b: 1) other(x: 1) }", json!({})),
            ("{ take(a: { inner: { n: 1, list: 2, any: { x: [{}] } }, more: { n: 1 } }, b: \"x\", c: 1) }", json!({})),
            (
                "query Q($a: Outer!) { take(a: $a, b: 1) }",
                json!({"a": {"inner": {"n": 1}, "more": [{"n": 2}], "size": null}}),
            ),
            ("query Q($n: Int!) { ... on Query { take(a: { inner: { n: $n } }) } }", json!({"n": 1})),
            ("query Q($n: Int! = 3) { ...F } fragment F on Query { ...F take(a: { inner: { n: $n } }) }", json!({})),
            ("query Q($s: Int) { take(a: { inner: { n: 1 }, size: $s }) }", json!({})),
        ] {
            assert_eq!(check(query, variables), Ok(()), "{query}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (query, variables, said) in [
            ("{ take(a: 1) }", json!({}), "`a` of `take` must be an object of the type Outer"),
            ("{ take(a: \"x\") }", json!({}), "must be an object"),
            ("{ take(a: []) }", json!({}), "must be an object"),
            ("{ take(a: X) }", json!({}), "must be an object"),
            ("{ take(a: null) }", json!({}), "`a` of `take` must not be null"),
            ("{ take(a: { inner: 1 }) }", json!({}), "`a.inner` of `take` must be an object of the type Inner"),
            ("{ take(a: { inner: { n: 1 }, more: [{ n: 1 }, true] }) }", json!({}), "`a.more` of `take` must be"),
            ("{ take(a: { inner: {} }) }", json!({}), "`a.inner` of `take` lacks the member `n`"),
            ("{ take(a: { inner: { n: 1 }, x: 1 }) }", json!({}), "`a` of `take` has no member `x`"),
            ("query Q($b: ID) { take(b: $b) }", json!({}), "`b` of `take` needs a value, and the variable `$b`"),
            ("query Q($b: ID) { take(b: $b) }", json!({"b": null}), "`b` of `take` must not be null"),
            ("query Q($a: Outer!) { take(a: $a) }", json!({"a": 1}), "must be an object"),
            ("query Q($a: Outer!) { take(a: $a) }", json!({"a": {"inner": {"n": null}}}), "`a.inner.n` of"),
            (
                "query Q($n: Int) { ... { ...F } } fragment F on Query { take(a: { inner: { n: $n } }) }",
                json!({}),
                "`$n`",
            ),
        ] {
            let error = check(query, variables).unwrap_err();
            assert!(error.contains(said), "{query}: {error}");
        }
    }
}

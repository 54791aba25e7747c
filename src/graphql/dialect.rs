//! The dialect of published clients: `error` and `metadata` selected without sub-fields are plain values.
//!
//! Such a selection is renamed to its scalar twin and keeps its place in the response. An operation that reads `error`
//! as a plain value anywhere gets every `status` in lower case, by the twin of that. The schema shows only the typed
//! fields and the twins.

use std::collections::HashSet;

use async_graphql::{
    Name, Positioned,
    parser::types::{DocumentOperations, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};

/// Rewrites a document. Operations that will not be executed are rewritten too, since they are validated as well; they
/// have no say about `status`.
pub fn rewrite(document: &mut ExecutableDocument, operation_name: Option<&str>) {
    let Some(operation) = executed(document, operation_name) else { return };
    let name = operation_name.map(Name::new).or_else(|| match &document.operations {
        DocumentOperations::Multiple(all) => all.keys().next().cloned(),
        DocumentOperations::Single(_) => None,
    });
    let fragments = reachable(document, &operation.selection_set.node);
    let lower_case = [&operation.selection_set.node]
        .into_iter()
        .chain(fragments.iter().filter_map(|name| Some(&document.fragments.get(name)?.node.selection_set.node)))
        .any(has_plain_error);
    match &mut document.operations {
        DocumentOperations::Single(operation) => rewrite_set(&mut operation.node.selection_set.node, lower_case),
        DocumentOperations::Multiple(all) => {
            for (one, operation) in all {
                rewrite_set(&mut operation.node.selection_set.node, lower_case && Some(one) == name.as_ref());
            }
        }
    }
    for (name, fragment) in &mut document.fragments {
        rewrite_set(&mut fragment.node.selection_set.node, lower_case && fragments.contains(name));
    }
}

/// The operation that will be executed.
pub fn executed<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a OperationDefinition> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(&operation.node),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name).map(|operation| &operation.node),
        (DocumentOperations::Multiple(all), None) => {
            let mut all = all.values();
            all.next().filter(|_| all.next().is_none()).map(|operation| &operation.node)
        }
    }
}

/// The fragments that a selection uses, directly or by others; each once, so that a cycle ends.
fn reachable(document: &ExecutableDocument, root: &SelectionSet) -> HashSet<Name> {
    let (mut found, mut open) = (HashSet::new(), vec![root]);
    while let Some(set) = open.pop() {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => open.push(&field.node.selection_set.node),
                Selection::InlineFragment(fragment) => open.push(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let fragment = document.fragments.get(name);
                    if let Some(fragment) = fragment.filter(|_| found.insert(name.clone())) {
                        open.push(&fragment.node.selection_set.node);
                    }
                }
            }
        }
    }
    found
}

fn is_plain(field: &Field, name: &str) -> bool {
    field.name.node.as_str() == name && field.selection_set.node.items.is_empty()
}

fn has_plain_error(root: &SelectionSet) -> bool {
    let mut open = vec![root];
    while let Some(set) = open.pop() {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) if is_plain(&field.node, "error") => return true,
                Selection::Field(field) => open.push(&field.node.selection_set.node),
                Selection::InlineFragment(fragment) => open.push(&fragment.node.selection_set.node),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    false
}

fn rewrite_set(root: &mut SelectionSet, lower_case_status: bool) {
    let mut open = vec![root];
    while let Some(set) = open.pop() {
        for selection in &mut set.items {
            match &mut selection.node {
                Selection::Field(field) => {
                    rewrite_field(&mut field.node, lower_case_status);
                    open.push(&mut field.node.selection_set.node);
                }
                Selection::InlineFragment(fragment) => open.push(&mut fragment.node.selection_set.node),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
}

fn rewrite_field(field: &mut Field, lower_case_status: bool) {
    let twin = match field.name.node.as_str() {
        "error" if field.selection_set.node.items.is_empty() => "errorText",
        "metadata" if field.selection_set.node.items.is_empty() => "metadataJson",
        "status" if lower_case_status => "statusText",
        _ => return,
    };
    let (pos, name) = (field.name.pos, field.name.node.clone());
    field.alias.get_or_insert(Positioned::new(name, pos));
    field.name.node = Name::new(twin);
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    /// The fields of the executed operation with its fragments, as `alias:name`, in no particular order.
    fn rewritten(query: &str, name: Option<&str>) -> Vec<String> {
        let mut document = parse_query(query).unwrap();
        rewrite(&mut document, name);
        let operation = executed(&document, name).unwrap();
        let fragments = reachable(&document, &operation.selection_set.node);
        let mut open = vec![&operation.selection_set.node];
        open.extend(fragments.iter().map(|name| &document.fragments[name].node.selection_set.node));
        let mut fields = Vec::new();
        while let Some(set) = open.pop() {
            for selection in &set.items {
                match &selection.node {
                    Selection::Field(field) => {
                        let alias = field.node.alias.as_ref().map_or("", |alias| alias.node.as_str());
                        fields.push(format!("{alias}:{}", field.node.name.node));
                        open.push(&field.node.selection_set.node);
                    }
                    Selection::InlineFragment(fragment) => open.push(&fragment.node.selection_set.node),
                    Selection::FragmentSpread(_) => {}
                }
            }
        }
        fields.sort();
        fields
    }

    #[test]
    fn objects_stay_objects() {
        let query = "{ generation(id: 1) { status error { code } metadata { width } } }";
        assert_eq!(rewritten(query, None), [":code", ":error", ":generation", ":metadata", ":status", ":width"]);
    }

    #[test]
    fn plain_metadata_leaves_the_status_alone() {
        let query = "{ generation(id: 1) { status metadata error { code } } }";
        assert_eq!(rewritten(query, None), [":code", ":error", ":generation", ":status", "metadata:metadataJson"]);
    }

    #[test]
    fn a_plain_error_anywhere_lowers_every_status() {
        let query = "query A { generation(id: 1) { ...F s: status } } fragment F on Generation { e: error ...G }
                     fragment G on Generation { status }";
        assert_eq!(rewritten(query, Some("A")), [":generation", "e:errorText", "s:statusText", "status:statusText"]);
    }

    #[test]
    fn another_operation_of_the_document_has_no_say() {
        let query = "query A { generation(id: 1) { status } } query B { generation(id: 1) { status error } }";
        assert_eq!(rewritten(query, Some("A")), [":generation", ":status"]);
    }

    #[test]
    fn another_operation_of_the_document_is_rewritten_to_be_valid() {
        let mut document = parse_query("query A { a } query B { status error metadata }").unwrap();
        rewrite(&mut document, Some("A"));
        let other = executed(&document, Some("B")).unwrap();
        let names: Vec<_> = other.selection_set.node.items.iter().map(|item| item.node.clone()).collect();
        let names = format!("{names:?}");
        assert!(
            names.contains("errorText") && names.contains("metadataJson") && !names.contains("statusText"),
            "{names}"
        );
    }

    #[test]
    fn a_cycle_of_fragments_ends() {
        let query =
            "{ generation(id: 1) { ...F } } fragment F on Generation { error ...G } fragment G on Generation { ...F }";
        assert_eq!(rewritten(query, None), [":generation", "error:errorText"]);
    }

    proptest::proptest! {
        #[test]
        fn no_document_makes_it_panic(query in "(query|mutation|fragment F on T|\\{|\\}|\\.\\.\\.F|error|status|metadata|a:| |\\(id:1\\)|on|@skip){0,40}") {
            if let Ok(mut document) = parse_query(&query) {
                rewrite(&mut document, None);
            }
        }
    }
}

//! From a text to a document that may run: persisted queries, parse, limits, dialect; kept by its text, since clients
//! send the same few documents over and over.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::{
    Variables,
    parser::{
        self, parse_query,
        types::{ExecutableDocument, OperationDefinition, OperationType, Selection},
    },
};
use sha2::{Digest as _, Sha256};

use super::{dialect, error::ApiError, label, limits, values};
use crate::config;

/// Documents and persisted queries kept at once; when there are more, all are forgotten.
const MAX_KEPT: usize = 2_000;
/// Longer texts are not kept.
const MAX_KEPT_BYTES: usize = 16 << 10;

/// Fields at the root that are looked at for what an operation is counted as.
const MAX_LABELLED: usize = 100;

/// A document that may run.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The document, rewritten.
    pub document: ExecutableDocument,
    /// What the executed operation is.
    pub kind: OperationType,
    /// How many generations it asks for.
    pub generations: usize,
    /// What it is counted as.
    pub label: &'static str,
}

impl Prepared {
    /// Refuses values that do not fit the schema, so that nothing runs of a document that is wrong in part.
    pub fn check(&self, operation_name: Option<&str>, variables: &Variables) -> Result<(), ApiError> {
        let operation = dialect::executed(&self.document, operation_name);
        operation.map_or(Ok(()), |operation| values::check(&self.document, operation, variables))
    }
}

/// Prepares documents.
pub struct Documents {
    limits: config::GraphQl,
    prepared: Kept<(String, Option<String>), Arc<Prepared>>,
    persisted: Kept<[u8; 32], Arc<str>>,
}

type Kept<K, V> = Mutex<HashMap<K, V>>;

impl Documents {
    /// Documents under these limits.
    pub fn new(limits: config::GraphQl) -> Self {
        Self { limits, prepared: Mutex::default(), persisted: Mutex::default() }
    }

    /// Operations that one array may hold.
    pub const fn max_batch(&self) -> usize {
        self.limits.max_batch
    }

    /// The document of a text, or why it may not run.
    pub fn prepare(&self, query: &str, operation_name: Option<&str>) -> Result<Arc<Prepared>, ApiError> {
        let key = (query.to_owned(), operation_name.map(str::to_owned));
        if let Some(known) = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let prepared = Arc::new(self.read(query, operation_name)?);
        if query.len() <= MAX_KEPT_BYTES {
            keep(&self.prepared, key, prepared.clone());
        }
        Ok(prepared)
    }

    fn read(&self, query: &str, operation_name: Option<&str>) -> Result<Prepared, ApiError> {
        if query.trim().is_empty() {
            return Err(ApiError::parse("The query is empty. Send a GraphQL document in `query`."));
        }
        limits::check_text(query, &self.limits)?;
        let mut document = parse_query(query).map_err(|error| not_graphql(&error))?;
        let Some(operation) = dialect::executed(&document, operation_name) else {
            return Err(ApiError::validation(match operation_name {
                Some(name) => {
                    format!("The document has no operation {name}. Name one of its operations in `operationName`.")
                }
                None => "The document has several operations. Name one in `operationName`.".to_owned(),
            }));
        };
        let generations = limits::check(&document, operation, &self.limits)?;
        let kind = operation.ty;
        if kind == OperationType::Subscription && !has_one_root(operation) {
            let message =
                "A subscription has one field at its root, not in a fragment. Subscribe several times instead.";
            return Err(ApiError::validation(message));
        }
        let label = label::of(limits::root_fields(&document, &operation.selection_set.node, MAX_LABELLED).into_iter());
        dialect::rewrite(&mut document, operation_name);
        Ok(Prepared { document, kind, generations, label })
    }

    /// The text of a persisted query, by the hash a client sends; with a text, it is kept under that hash.
    pub fn persisted(&self, hash: &str, query: Option<&str>) -> Result<Arc<str>, ApiError> {
        let refused = |message: &str| ApiError::invalid("PERSISTED_QUERY", "extensions.persistedQuery", message);
        let hash: [u8; 32] = hex::decode(hash)
            .ok()
            .and_then(|hash| hash.try_into().ok())
            .ok_or_else(|| refused("`sha256Hash` must be the SHA-256 of the query in 64 hex digits."))?;
        let Some(query) = query else {
            let known = self.persisted.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
            return known.ok_or_else(ApiError::persisted_query_not_found);
        };
        if Sha256::digest(query)[..] != hash {
            return Err(refused("`sha256Hash` is not the SHA-256 of `query`."));
        }
        let text: Arc<str> = query.into();
        if query.len() <= MAX_KEPT_BYTES {
            keep(&self.persisted, hash, text.clone());
        }
        Ok(text)
    }
}

fn has_one_root(operation: &OperationDefinition) -> bool {
    matches!(&operation.selection_set.node.items[..], [root] if matches!(root.node, Selection::Field(_)))
}

fn keep<K: std::hash::Hash + Eq, V>(kept: &Kept<K, V>, key: K, value: V) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_KEPT {
        kept.clear();
    }
    kept.insert(key, value);
}

fn not_graphql(error: &parser::Error) -> ApiError {
    // Of a syntax error's text, which quotes the document, the last line says what was expected.
    let text = error.to_string();
    let what = text.lines().last().unwrap_or_default().trim_start_matches([' ', '=']);
    let place = error.positions().next().map(Box::new);
    let at = place.as_ref().map(|at| format!(" at line {}, column {}", at.line, at.column)).unwrap_or_default();
    ApiError { place, ..ApiError::parse(format!("The query is not GraphQL: {what}{at}.")) }
}

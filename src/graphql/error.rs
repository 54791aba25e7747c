//! The only table from our errors to the codes of the API. Clients never see upstream text, SQL or paths.

use async_graphql::{ErrorExtensionValues, PathSegment, Pos, ServerError};

use crate::{
    catalog::{Refusal, RefusalKind},
    db,
    domain::GenerationId,
    jobs::SubmitError,
    webhooks,
};

/// An error as a client sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiError {
    /// The code.
    pub code: &'static str,
    /// The reason, where the code has several.
    pub reason: Option<&'static str>,
    /// What to do.
    pub message: Box<str>,
    /// Whether the same request may well succeed later.
    pub retryable: bool,
    /// The field it is about.
    pub field: Option<Box<str>>,
    /// Seconds to wait.
    pub retry_after: Option<u64>,
    /// The generation it is about.
    pub generation_id: Option<GenerationId>,
    /// Where in the document it is, when it is about that.
    pub place: Option<Box<Pos>>,
}

/// The code of a request that was refused for a limit.
pub const RATE_LIMIT: &str = "RATE_LIMIT";
/// The code of a request without a good key.
pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
/// The code of our own failures.
pub const INTERNAL: &str = "INTERNAL";
/// The code of a document that is not GraphQL.
pub const PARSE_FAILED: &str = "GRAPHQL_PARSE_FAILED";
/// The code of a document that does not fit the schema.
pub const VALIDATION_FAILED: &str = "GRAPHQL_VALIDATION_FAILED";

impl ApiError {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into().into(), ..Self::default() }
    }

    /// A bad parameter.
    pub fn invalid(reason: &'static str, field: &str, message: impl Into<String>) -> Self {
        let field = Some(field).filter(|field| !field.is_empty()).map(Into::into);
        Self { reason: Some(reason), field, ..Self::new("INVALID_INPUT", message) }
    }

    /// No such thing for this caller.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new("NOT_FOUND", message)
    }

    /// No good key.
    pub fn unauthenticated() -> Self {
        Self::new(
            UNAUTHENTICATED,
            "Send a valid API key: Authorization: Bearer YOUR_API_KEY. Keys are made with: doitong keys create --account NAME",
        )
    }

    /// A limit of the caller.
    pub fn rate_limit(reason: &'static str, retry_after: Option<u64>, message: impl Into<String>) -> Self {
        Self { reason: Some(reason), retryable: true, retry_after, ..Self::new(RATE_LIMIT, message) }
    }

    /// Too many reads.
    pub fn too_many_reads(wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        Self::rate_limit(
            "READS",
            Some(seconds),
            format!("Too many reads. Wait {seconds} s, and poll less often, or use webhooks or subscriptions."),
        )
    }

    /// The document is not GraphQL.
    pub fn parse(message: impl Into<String>) -> Self {
        Self::new(PARSE_FAILED, message)
    }

    /// The document does not fit the schema.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(VALIDATION_FAILED, message)
    }

    /// A persisted query that this process does not know; clients answer by sending it with its text.
    pub fn persisted_query_not_found() -> Self {
        Self { retryable: true, ..Self::new("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound") }
    }

    /// The document is over a limit.
    pub fn too_complex(message: impl Into<String>) -> Self {
        Self::invalid("QUERY_TOO_COMPLEX", "", message)
    }

    /// Something broke here. The cause is logged, once.
    pub fn internal(cause: &anyhow::Error) -> Self {
        if cause.chain().any(<dyn std::error::Error>::is::<db::Overloaded>) {
            return Self::overloaded();
        }
        if db::is_passing(cause) {
            tracing::warn!(error = format!("{cause:#}"), "a request could not be served now");
            return Self::unavailable();
        }
        tracing::error!(error = format!("{cause:#}"), "a request failed");
        Self::new(INTERNAL, "Something went wrong on our side. Try again; if it stays, report the request id.")
    }

    /// The database is away. That was logged when it went.
    pub fn database_away() -> Self {
        Self::unavailable()
    }

    /// No answer in the time that a request may take.
    pub fn too_slow() -> Self {
        tracing::warn!("a request took too long");
        Self::unavailable()
    }

    /// More requests are under way than can be answered soon. Nothing was done, and nothing is logged: they are many.
    pub fn overloaded() -> Self {
        let message = "The service is busier than it can bear. Nothing was done; try again in a moment.";
        Self { retryable: true, retry_after: Some(1), reason: Some("OVERLOADED"), ..Self::new(INTERNAL, message) }
    }

    /// What was asked for may have been done: an answer can be lost behind it.
    fn unavailable() -> Self {
        let message = "The service cannot answer right now. Try again in a moment; with the same Idempotency-Key nothing is done twice.";
        Self { retryable: true, retry_after: Some(1), reason: Some("UNAVAILABLE"), ..Self::new(INTERNAL, message) }
    }

    /// The error in a response.
    pub fn at(self, path: Vec<PathSegment>) -> ServerError {
        let extensions = Some(self.extensions());
        ServerError {
            extensions,
            locations: self.place.into_iter().map(|place| *place).collect(),
            path,
            ..ServerError::new(self.message, None)
        }
    }

    fn extensions(&self) -> ErrorExtensionValues {
        let mut values = ErrorExtensionValues::default();
        values.set("code", self.code);
        values.set("retryable", self.retryable);
        if let Some(reason) = self.reason {
            values.set("reason", reason);
        }
        if let Some(field) = &self.field {
            values.set("field", &**field);
        }
        if let Some(seconds) = self.retry_after {
            values.set("retryAfter", seconds);
        }
        if let Some(id) = self.generation_id {
            values.set("generationId", id.to_string());
        }
        values
    }
}

impl From<ApiError> for async_graphql::Error {
    fn from(error: ApiError) -> Self {
        let extensions = Some(error.extensions());
        Self { message: error.message.into(), source: None, extensions }
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(&error.into())
    }
}

impl From<webhooks::SecretError> for ApiError {
    fn from(error: webhooks::SecretError) -> Self {
        Self::internal(&error.into())
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (code, reason, retryable) = match refusal.kind {
            RefusalKind::Option => ("INVALID_INPUT", Some("OPTION"), false),
            RefusalKind::Input => ("INVALID_INPUT", Some("INPUT"), false),
            RefusalKind::Url => ("INVALID_INPUT", Some("URL"), false),
            RefusalKind::Provider => ("INVALID_INPUT", Some("PROVIDER"), false),
            RefusalKind::Model => ("INVALID_INPUT", Some("MODEL"), false),
            RefusalKind::ModelRetired => ("INVALID_INPUT", Some("MODEL_RETIRED"), false),
            RefusalKind::Unavailable => ("PROVIDER_UNAVAILABLE", None, false),
            RefusalKind::Down => ("PROVIDER_UNAVAILABLE", None, true),
            RefusalKind::MaxCredits => ("INSUFFICIENT_CREDITS", Some("MAX_CREDITS"), false),
        };
        Self { reason, retryable, field: refusal.field.map(Into::into), ..Self::new(code, refusal.message) }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::KeyReused(id) => Self {
                generation_id: Some(id),
                ..Self::invalid(
                    "IDEMPOTENCY_MISMATCH",
                    "",
                    "This Idempotency-Key was used for another request. Use a new key for a new request, or send the first request again.",
                )
            },
            SubmitError::Limited { reason, retry_after, allowance } => {
                use crate::jobs::Limit;
                match reason {
                    Limit::Minute => Self::rate_limit(
                        "REQUESTS_PER_MINUTE",
                        retry_after,
                        format!(
                            "The plan allows {} generations a minute. Wait {} s, or move to a larger plan.",
                            allowance.per_minute,
                            retry_after.unwrap_or(1)
                        ),
                    ),
                    Limit::Day => Self::rate_limit(
                        "DAILY_LIMIT",
                        retry_after,
                        format!(
                            "The plan allows {} generations a day. Go on after midnight UTC, or move to a larger plan.",
                            allowance.daily.unwrap_or_default()
                        ),
                    ),
                    Limit::Queue => Self::rate_limit(
                        "QUEUE_FULL",
                        Some(QUEUE_RETRY),
                        "As many generations wait as the plan allows. Wait until some have ended, or move to a larger plan.",
                    ),
                }
            }
            SubmitError::NotEnoughCredits { need, allowance } => Self::new(
                "INSUFFICIENT_CREDITS",
                format!(
                    "This costs {need} credits and {} are left. Top up, or choose a cheaper model.",
                    allowance.available
                ),
            ),
            SubmitError::Overloaded(overloaded) => Self::internal(&overloaded.into()),
            SubmitError::Internal(cause) => Self::internal(&cause),
        }
    }
}

/// Seconds after which a full queue is worth another try.
const QUEUE_RETRY: u64 = 5;

//! What lives as long as one HTTP request: the caller, its idempotency key, and what the response's headers will say.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use async_graphql::Context;

use super::error::ApiError;
use crate::{accounts::Caller, app::App, limits::Allowance};

/// One HTTP request, shared by all operations of a batch.
pub struct HttpRequest {
    /// Who is calling.
    pub caller: Caller,
    /// The `Idempotency-Key`, already checked.
    pub idempotency_key: Option<String>,
    /// Whether the whole request asks for more than one generation.
    pub several: bool,
    allowance: Mutex<Option<Allowance>>,
    replayed: AtomicBool,
}

/// One operation of a batch.
#[derive(Clone, Copy)]
pub struct Operation {
    /// Its place in the batch, from 0.
    pub index: usize,
}

impl HttpRequest {
    /// A request by this caller.
    pub const fn new(caller: Caller, idempotency_key: Option<String>, several: bool) -> Self {
        Self { caller, idempotency_key, several, allowance: Mutex::new(None), replayed: AtomicBool::new(false) }
    }

    /// Notes what an admission left.
    pub fn note(&self, allowance: Allowance) {
        *self.allowance.lock().unwrap_or_else(PoisonError::into_inner) = Some(allowance);
    }

    /// Notes what a look found, unless an admission told better.
    pub fn note_look(&self, found: Allowance) {
        self.allowance.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(found);
    }

    /// Notes that a generation was made by an earlier request.
    pub fn note_replay(&self) {
        self.replayed.store(true, Ordering::Relaxed);
    }

    /// What is left, if an admission or a look told.
    pub fn allowance(&self) -> Option<Allowance> {
        *self.allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a generation was made by an earlier request.
    pub fn is_replay(&self) -> bool {
        self.replayed.load(Ordering::Relaxed)
    }
}

/// The app behind a resolver.
pub(super) fn app<'a>(ctx: &Context<'a>) -> Result<&'a std::sync::Arc<App>, ApiError> {
    ctx.data().map_err(|_| ApiError::internal(&anyhow::anyhow!("no app in the schema")))
}

/// The HTTP request behind a resolver.
pub(super) fn http<'a>(ctx: &Context<'a>) -> Result<&'a std::sync::Arc<HttpRequest>, ApiError> {
    ctx.data().map_err(|_| ApiError::unauthenticated())
}

/// The app and the caller of a field that reads; counts one read.
pub(super) fn reader<'a>(ctx: &Context<'a>) -> Result<(&'a std::sync::Arc<App>, &'a Caller), ApiError> {
    let (app, caller) = (app(ctx)?, &http(ctx)?.caller);
    app.take_read(caller).map_err(ApiError::too_many_reads)?;
    Ok((app, caller))
}

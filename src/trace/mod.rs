//! Traces: one from a request through the steps of its job, in whatever process they run.
//!
//! Spans are those of the log; they become a trace only where one is sent somewhere ([`export`]). The job keeps the
//! context of its request, in the form of W3C's `traceparent`, and its steps and deliveries go on from there. Where
//! nothing is sent, all of this is nothing.

pub mod export;

use std::collections::HashMap;

use opentelemetry::{
    propagation::TextMapPropagator as _,
    trace::{Status, TraceContextExt as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header, and the column, that a context is in.
pub const TRACEPARENT: &str = "traceparent";

/// The context of the current span.
pub fn current() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    let flags = span.trace_flags().to_u8();
    span.is_valid().then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
}

/// Makes a new span go on from a context, if that is one.
pub fn follow(span: &Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent else { return };
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract(&carrier);
    if context.span().span_context().is_valid() {
        // Without a collector there is nothing to go on with.
        let _ = span.set_parent(context);
    }
}

/// Notes the status of an answer; ours to answer for from 500 on.
pub fn answered(span: &Span, status: u16) {
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// Notes that what a span covers went wrong.
pub fn failed(span: &Span, why: impl std::fmt::Display) {
    span.set_status(Status::error(why.to_string()));
}

//! Sends traces to a collector by OTLP, over HTTP in protobuf. Where to and with which headers, the exporter reads from
//! the variables of OpenTelemetry.

use std::sync::OnceLock;

use anyhow::Context as _;
use async_trait::async_trait;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::DynFilterFn, registry::LookupSpan};

use crate::{config::Traces, egress::trusted_client};

/// The subscriber is one for the process, and so is this.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// The part of the subscriber that sends our spans, with what was logged in them.
pub fn layer<S>(config: &Traces) -> anyhow::Result<impl Layer<S> + use<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let client = Client { http: trusted_client()?, runtime: Handle::try_current()? };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .build()
        .context("traces cannot be sent (OTEL_EXPORTER_OTLP_ENDPOINT)")?;
    let resource = Resource::builder()
        .with_service_name(config.service.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer("doitong");
    PROVIDER.set(provider).map_err(|_| anyhow::anyhow!("traces are sent already"))?;
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    // Libraries have spans too, more than anyone wants to keep. Asked anew each time: where the filters of two layers are
    // remembered, what one of them said of another line is taken for its word on this one.
    let ours = DynFilterFn::new(|metadata, _| {
        metadata.target().starts_with("doitong") && (metadata.is_span() || *metadata.level() <= Level::INFO)
    });
    Ok(layer.with_filter(ours.with_max_level_hint(LevelFilter::DEBUG)))
}

/// Sends what is left, at the end of the process.
pub async fn flush() {
    let Some(provider) = PROVIDER.get() else { return };
    // Waits on a thread of its own, for calls that need this one.
    let ended = tokio::task::spawn_blocking(|| provider.shutdown()).await;
    if let Ok(Err(error)) = ended {
        tracing::warn!(%error, "the last traces were not sent");
    }
}

/// Our HTTP client, for a thread outside of the runtime.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, request) = (self.http.clone(), reqwest::Request::try_from(request)?);
        let call = self.runtime.spawn(async move {
            let answer = http.execute(request).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
        });
        let (status, headers, body) = call.await??;
        let mut response = Response::builder().status(status).body(body)?;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

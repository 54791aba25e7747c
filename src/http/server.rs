//! Connections: how many, how long a silent one is kept, and how they end.
//!
//! `axum::serve` knows neither a limit of connections nor of time to send a request's head. Here a connection beyond the
//! limit waits in the kernel, one that says nothing is closed, and a websocket counts until it ends.
//!
//! While the process drains it still listens, so that a balancer hears from `/readyz` that it is over, and its callers
//! are served until it has moved. New connections get one answer each. A connection that stood before may be about to
//! bring a request: its next answer says `Connection: close`, and it is closed when none comes for a moment. HTTP/2 tells
//! its clients at once, and loses nothing by it.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

pub use axum::Router;
use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Version, header::CONNECTION},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use hyper::server::conn::{
    http1::{self, UpgradeableConnection},
    http2,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// How long a new connection may take to say which protocol it speaks.
const GREETING_LIMIT: Duration = Duration::from_secs(10);
/// The same while the process drains.
const LATE_GREETING_LIMIT: Duration = Duration::from_secs(1);
/// How long a connection that stood before the drain may bring another request.
const LAST_REQUEST_LIMIT: Duration = Duration::from_secs(1);
/// How long a request's head may take, and how long a connection may rest between two: longer than the 60 s after which
/// balancers let go of theirs.
const HEAD_LIMIT: Duration = Duration::from_secs(65);
/// How often an HTTP/2 connection is asked whether it is still there, and how long it has to answer.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long to wait after the machine ran out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const HTTP2_GREETING: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a router's connections.
pub struct Server {
    router: Router,
    slots: Arc<Semaphore>,
    connections: TaskTracker,
    draining: CancellationToken,
}

impl Server {
    /// A server of this router with so many connections at once.
    pub fn new(router: Router, max_connections: u32, draining: CancellationToken) -> Self {
        let router = router.layer(from_fn_with_state(draining.clone(), close_when_draining));
        Self {
            // Prepares the router once instead of for each request.
            router: router.with_state(()),
            slots: Arc::new(Semaphore::new(max_connections as usize)),
            connections: TaskTracker::new(),
            draining,
        }
    }

    /// Takes connections until stopped.
    pub async fn run(&self, listener: TcpListener, stop: &CancellationToken) {
        let accept = async {
            loop {
                let Ok(slot) = self.slots.clone().acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, _)) => self.spawn(stream, slot),
                    Err(error) if is_of_the_connection(&error) => {}
                    Err(error) => {
                        tracing::error!(%error, "no connection could be taken");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(accept).await;
    }

    /// Waits until every connection has ended; sensible once `draining` is cancelled.
    pub async fn drained(&self) {
        self.connections.close();
        self.connections.wait().await;
    }

    fn spawn(&self, stream: TcpStream, slot: OwnedSemaphorePermit) {
        // Answers are whole when they are written; waiting for more would only delay them.
        stream.set_nodelay(true).ok();
        let stream = Counted { stream, _slot: slot, _token: self.connections.token() };
        let (router, draining) = (self.router.clone(), self.draining.clone());
        self.connections.spawn(async move {
            if let Some(protocol) = greeted(&stream.stream, &draining).await {
                serve(stream, protocol, router, draining).await;
            }
        });
    }
}

/// Tells the client that this connection will bring no more answers.
async fn close_when_draining(State(draining): State<CancellationToken>, request: Request, next: Next) -> Response {
    let is_http1 = request.version() < Version::HTTP_2;
    let mut response = next.run(request).await;
    if is_http1 && draining.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[derive(Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

async fn serve(stream: Counted, protocol: Protocol, router: Router, draining: CancellationToken) {
    let (stream, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
    let ended = match protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).keep_alive(!draining.is_cancelled());
            let connection = pin!(builder.serve_connection(stream, service).with_upgrades());
            drive(connection, UpgradeableConnection::graceful_shutdown, LAST_REQUEST_LIMIT, &draining).await
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_EVERY);
            let connection = pin!(builder.serve_connection(stream, service));
            drive(connection, http2::Connection::graceful_shutdown, Duration::ZERO, &draining).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// Serves a connection; when the drain begins, it may end by itself for a while and then is to shut down.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    shut_down: fn(Pin<&mut C>),
    patience: Duration,
    draining: &CancellationToken,
) -> hyper::Result<()> {
    let came_late = draining.is_cancelled();
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = draining.cancelled(), if !came_late => {}
    }
    if let Ok(ended) = tokio::time::timeout(patience, connection.as_mut()).await {
        return ended;
    }
    shut_down(connection.as_mut());
    connection.await
}

/// What a connection speaks, if it begins to in time. One that is silent when the drain begins has a moment left.
async fn greeted(stream: &TcpStream, draining: &CancellationToken) -> Option<Protocol> {
    let mut greeting = pin!(greeting(stream));
    let in_time = tokio::time::timeout(GREETING_LIMIT, greeting.as_mut());
    let greeted = match draining.run_until_cancelled(in_time).await {
        Some(greeted) => greeted,
        None => tokio::time::timeout(LATE_GREETING_LIMIT, greeting).await,
    };
    greeted.ok()?.ok()
}

/// Waits until it shows whether the connection speaks HTTP/1 or HTTP/2.
async fn greeting(stream: &TcpStream) -> io::Result<Protocol> {
    let mut seen = [0; HTTP2_GREETING.len()];
    loop {
        let length = stream.peek(&mut seen).await?;
        if length == HTTP2_GREETING.len() && seen == HTTP2_GREETING {
            return Ok(Protocol::Http2);
        }
        let is_open = length > 0 && length < HTTP2_GREETING.len() && HTTP2_GREETING.starts_with(&seen[..length]);
        if !is_open {
            return Ok(Protocol::Http1);
        }
        // What was seen is still there, so the stream counts as readable: only time tells of more.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether one connection is the matter, which has ended before it was taken.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A stream that counts as a connection for as long as it lives, also after an upgrade.
struct Counted {
    stream: TcpStream,
    _slot: OwnedSemaphorePermit,
    _token: TaskTrackerToken,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

//! Subscriptions over a websocket, by the protocol `graphql-transport-ws` with its close codes.
//! Source: the protocol document of the npm package `graphql-ws`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_graphql::Response as GraphQlResponse;
use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use futures_util::{
    StreamExt as _,
    stream::{self, AbortHandle, BoxStream, SelectAll},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    Edge,
    answer::{self, Sent, completed},
    auth,
    graphql::{prepare, results},
    json,
    operation::{self, Parameters},
    streams::was_revoked,
};
use crate::{
    accounts::Caller,
    feed::KeyWatch,
    graphql::{error, request::HttpRequest},
};

const PROTOCOL: &str = "graphql-transport-ws";
/// How long a client may take to say who it is.
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// How often a connection is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(25);
/// Subscriptions of one connection.
const MAX_SUBSCRIPTIONS: usize = 100;
/// The largest message from a client.
const MAX_MESSAGE: usize = 1 << 20;
/// What a connection that rests keeps for reading; messages that are longer get room of their own.
const READ_BUFFER: usize = 1 << 10;

/// The close codes of the protocol.
mod code {
    pub const BAD_REQUEST: u16 = 4400;
    pub const UNAUTHORIZED: u16 = 4401;
    pub const FORBIDDEN: u16 = 4403;
    pub const BAD_PROTOCOL: u16 = 4406;
    pub const INIT_TIMEOUT: u16 = 4408;
    pub const SUBSCRIBER_EXISTS: u16 = 4409;
    pub const TOO_MANY_INITS: u16 = 4429;
    pub const GOING_AWAY: u16 = 1001;
    pub const PROTOCOL_ERROR: u16 = 1002;
    pub const TOO_LARGE: u16 = 1009;
    pub const TRY_AGAIN_LATER: u16 = 1013;
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ClientMessage {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    Ping {
        #[serde(default)]
        payload: Option<Value>,
    },
    Pong {},
    Subscribe {
        id: String,
        payload: Map<String, Value>,
    },
    Complete {
        id: String,
    },
}

/// Why a connection is closed.
struct Close(u16, String);

fn forbidden() -> Close {
    Close(code::FORBIDDEN, "Forbidden".to_owned())
}

/// Returns when the key is revoked.
async fn revoked(key: Option<&KeyWatch>) {
    match key {
        Some(key) => key.revoked().await,
        None => std::future::pending().await,
    }
}

/// What was sent is no message, or too long a one.
fn unreadable(error: &axum::Error) -> Close {
    if error.to_string().contains("too long") {
        return Close(code::TOO_LARGE, format!("Messages may have {MAX_MESSAGE} bytes"));
    }
    Close(code::PROTOCOL_ERROR, "Unreadable frame".to_owned())
}

/// `GET /graphql/ws`.
pub(super) async fn upgrade(State(edge): State<Edge>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let tracker = edge.app.tracker.clone();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (authorization, request_id) = (text("authorization"), answer::request_id(&headers).map(str::to_owned));
    upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |socket| {
            let spoken = socket.protocol().is_some_and(|protocol| protocol == PROTOCOL);
            let connection = Connection::new(edge, authorization, request_id);
            async move { tracker.track_future(serve(connection, socket, spoken)).await }
        })
        .into_response()
}

async fn serve(mut connection: Connection, mut socket: WebSocket, spoken: bool) {
    let close = if spoken {
        connection.run(&mut socket).await
    } else {
        Some(Close(code::BAD_PROTOCOL, "Subprotocol not acceptable".to_owned()))
    };
    if let Some(Close(code, reason)) = close {
        // The client may be gone; then there is nobody to tell.
        let _ = socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
    }
}

struct Connection {
    edge: Edge,
    authorization: Option<String>,
    request_id: Option<String>,
    /// The key, once the caller said who it is.
    key: Option<KeyWatch>,
    running: HashMap<String, Running>,
    outgoing: SelectAll<BoxStream<'static, Outgoing>>,
}

/// A subscription, for as long as this lives.
struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a subscription sends.
enum Outgoing {
    Next(Arc<str>, Box<GraphQlResponse>),
    Errors(Arc<str>, Value),
    Complete(Arc<str>),
}

impl Connection {
    fn new(edge: Edge, authorization: Option<String>, request_id: Option<String>) -> Self {
        let (running, outgoing) = (HashMap::new(), SelectAll::new());
        Self { edge, authorization, request_id, key: None, running, outgoing }
    }

    /// Serves until the connection is to be closed; `None` when the client closed it.
    async fn run(&mut self, socket: &mut WebSocket) -> Option<Close> {
        let init_limit = tokio::time::sleep(INIT_LIMIT);
        tokio::pin!(init_limit);
        let mut pings = tokio::time::interval(PING_EVERY);
        pings.reset();
        let draining = self.edge.draining.clone();
        loop {
            tokio::select! {
                () = draining.cancelled() => return Some(Close(code::GOING_AWAY, "The server restarts".to_owned())),
                () = &mut init_limit, if self.key.is_none() => {
                    return Some(Close(code::INIT_TIMEOUT, "Connection initialisation timeout".to_owned()));
                }
                () = revoked(self.key.as_ref()) => return Some(forbidden()),
                _ = pings.tick() => send(socket, &json!({"type": "ping"})).await?,
                Some(message) = self.outgoing.next() => match self.pass_on(socket, message).await {
                    Ok(sent) => sent?,
                    Err(close) => return Some(close),
                },
                message = socket.recv() => match message? {
                    // In a box, since a connection that rests need not have the room for it.
                    Ok(message) => match Box::pin(self.receive(socket, message)).await {
                        Ok(sent) => sent?,
                        Err(close) => return Some(close),
                    },
                    Err(error) => return Some(unreadable(&error)),
                },
            }
        }
    }

    /// Answers one message. `Ok(None)`: the client is gone.
    async fn receive(&mut self, socket: &mut WebSocket, message: Message) -> Result<Option<()>, Close> {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => {
                // Sends the reply, after which there is nothing to receive.
                socket.recv().await;
                return Ok(None);
            }
            Message::Ping(_) | Message::Pong(_) => return Ok(Some(())),
            Message::Binary(_) => return Err(Close(code::BAD_REQUEST, "Messages are JSON text".to_owned())),
        };
        let message = json::read(text.as_bytes())
            .and_then(serde_json::from_value)
            .map_err(|_| Close(code::BAD_REQUEST, "Invalid message received".to_owned()))?;
        match message {
            ClientMessage::ConnectionInit { payload } => {
                self.init(payload.unwrap_or_default()).await?;
                Ok(send(socket, &json!({"type": "connection_ack"})).await)
            }
            ClientMessage::Ping { payload } => Ok(send(socket, &pong(payload)).await),
            ClientMessage::Pong {} => Ok(Some(())),
            ClientMessage::Subscribe { id, payload } => self.subscribe(id, payload).await.map(Some),
            ClientMessage::Complete { id } => {
                self.running.remove(&id);
                Ok(Some(()))
            }
        }
    }

    async fn init(&mut self, payload: Map<String, Value>) -> Result<(), Close> {
        if self.key.is_some() {
            return Err(Close(code::TOO_MANY_INITS, "Too many initialisation requests".to_owned()));
        }
        let named = payload.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if let Some((_, Value::String(header))) = named {
            // The key alone will do where there is no header.
            let is_bare = !header.trim().contains(' ');
            self.authorization = Some(if is_bare { format!("Bearer {header}") } else { header });
        }
        let caller = self.caller().await?;
        self.key = Some(self.edge.app.feed.watch_key(&caller));
        Ok(())
    }

    /// Who is calling, looked at anew: a key may be revoked, or its plan changed, while the connection is open.
    async fn caller(&mut self) -> Result<Caller, Close> {
        auth::by_header(&self.edge.app, self.authorization.as_deref()).await.map_err(|error| match error.code {
            error::UNAUTHENTICATED => forbidden(),
            _ => Close(code::TRY_AGAIN_LATER, "The service cannot answer right now".to_owned()),
        })
    }

    async fn subscribe(&mut self, id: String, payload: Map<String, Value>) -> Result<(), Close> {
        if self.key.is_none() {
            return Err(Close(code::UNAUTHORIZED, "Unauthorized".to_owned()));
        }
        if self.running.contains_key(&id) {
            return Err(Close(code::SUBSCRIBER_EXISTS, format!("Subscriber for {id} already exists")));
        }
        if self.running.len() >= MAX_SUBSCRIPTIONS {
            return Err(Close(code::BAD_REQUEST, format!("More than {MAX_SUBSCRIPTIONS} subscriptions")));
        }
        let parameters =
            operation::read(payload).map_err(|refused| Close(code::BAD_REQUEST, refused.1.message.into()))?;
        let http = Arc::new(HttpRequest::new(self.caller().await?, None, false));
        let results = outgoing(&self.edge, &http, self.request_id.clone(), &id, parameters);
        let (results, handle) = stream::abortable(results);
        self.outgoing.push(results.boxed());
        self.running.insert(id, Running(handle));
        Ok(())
    }

    async fn pass_on(&mut self, socket: &mut WebSocket, outgoing: Outgoing) -> Result<Option<()>, Close> {
        let message = match outgoing {
            Outgoing::Next(id, _) | Outgoing::Errors(id, _) | Outgoing::Complete(id)
                if !self.running.contains_key(&*id) =>
            {
                return Ok(Some(()));
            }
            Outgoing::Next(_, result) if was_revoked(&result) => {
                return Err(forbidden());
            }
            Outgoing::Next(id, result) => json!({"id": id, "type": "next", "payload": Sent::from(&*result)}),
            Outgoing::Errors(id, errors) => {
                self.running.remove(&*id);
                json!({"id": id, "type": "error", "payload": errors})
            }
            Outgoing::Complete(id) => {
                self.running.remove(&*id);
                json!({"id": id, "type": "complete"})
            }
        };
        Ok(send(socket, &message).await)
    }
}

/// What the operation of a `subscribe` message sends.
fn outgoing(
    edge: &Edge,
    http: &Arc<HttpRequest>,
    request_id: Option<String>,
    id: &str,
    parameters: Parameters,
) -> BoxStream<'static, Outgoing> {
    let id: Arc<str> = id.into();
    let (parameters, prepared) = match prepare(edge, parameters) {
        Ok(ready) => ready,
        Err(error) => return stream::iter([Outgoing::Errors(id, errors_of(&answer::unread(error)))]).boxed(),
    };
    let (label, begun, mut is_first) = (prepared.label, Instant::now(), true);
    let complete = stream::iter([Outgoing::Complete(id.clone())]);
    let results = results(edge, http.clone(), parameters, prepared).map(move |result| {
        let result = completed(result, request_id.as_deref());
        let was_first = std::mem::take(&mut is_first);
        if was_first {
            answer::measure(label, &result, begun.elapsed());
        }
        // Errors before anything ran are answered by an `error` message, which ends the subscription.
        if was_first && result.data == async_graphql::Value::Null && !result.errors.is_empty() {
            return Outgoing::Errors(id.clone(), errors_of(&result));
        }
        result.errors.iter().for_each(answer::count);
        Outgoing::Next(id.clone(), Box::new(result))
    });
    results.chain(complete).boxed()
}

fn errors_of(result: &GraphQlResponse) -> Value {
    result.errors.iter().for_each(answer::count);
    serde_json::to_value(&result.errors).unwrap_or_default()
}

fn pong(payload: Option<Value>) -> Value {
    let mut pong = json!({"type": "pong"});
    if let Some(payload) = payload {
        pong["payload"] = payload;
    }
    pong
}

async fn send(socket: &mut WebSocket, message: &Value) -> Option<()> {
    socket.send(Message::Text(message.to_string().into())).await.ok()
}

//! A client that watches a generation: one connection, one subscription, over each transport. Plain bytes: five thousand
//! of them share the machine with what is measured.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::http1::find;

/// How subscriptions are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Websocket,
    Events,
    Multipart,
}

impl Transport {
    pub const ALL: [Self; 3] = [Self::Websocket, Self::Events, Self::Multipart];

    pub fn name(self) -> &'static str {
        match self {
            Self::Websocket => "websockets",
            Self::Events => "event streams",
            Self::Multipart => "multipart",
        }
    }
}

/// What every told state has, and nothing else.
const STATE: &[u8] = b"\"generationUpdated\"";

/// A subscription whose first state was told.
pub struct Subscriber {
    stream: TcpStream,
    /// What was read and holds no whole state.
    rest: Vec<u8>,
}

impl Subscriber {
    pub async fn open(server: SocketAddr, transport: Transport, key: &str, id: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let mut subscriber = Self { stream, rest: Vec::new() };
        let document = format!(
            r#"{{"query":"subscription W($id:ID!){{generationUpdated(id:$id){{id status progress queuePosition url}}}}","variables":{{"id":"{id}"}}}}"#
        );
        match transport {
            Transport::Websocket => subscriber.begin_socket(key, &document).await?,
            Transport::Events => subscriber.post(key, "text/event-stream", &document).await?,
            Transport::Multipart => {
                let accept = "multipart/mixed;subscriptionSpec=1.0, application/json";
                subscriber.post(key, accept, &document).await?;
            }
        }
        subscriber.told().await?;
        Ok(subscriber)
    }

    /// Returns when the next state was told.
    pub async fn told(&mut self) -> io::Result<()> {
        self.until(STATE).await
    }

    async fn post(&mut self, key: &str, accept: &str, body: &str) -> io::Result<()> {
        let request = format!(
            "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: {accept}\r\n\
             Authorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await
    }

    async fn begin_socket(&mut self, key: &str, document: &str) -> io::Result<()> {
        let request = "GET /graphql/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
        self.stream.write_all(request.as_bytes()).await?;
        self.until(b"\r\n\r\n").await?;
        let init = format!(r#"{{"type":"connection_init","payload":{{"authorization":"Bearer {key}"}}}}"#);
        self.stream.write_all(&frame(&init)).await?;
        self.until(b"connection_ack").await?;
        let subscribe = format!(r#"{{"type":"subscribe","id":"1","payload":{document}}}"#);
        self.stream.write_all(&frame(&subscribe)).await
    }

    /// Reads up to these bytes.
    async fn until(&mut self, wanted: &[u8]) -> io::Result<()> {
        loop {
            if let Some(at) = find(&self.rest, wanted) {
                self.rest.drain(..at + wanted.len());
                return Ok(());
            }
            let mut read = [0; 1024];
            match self.stream.read(&mut read).await? {
                0 => return Err(io::Error::other(String::from_utf8_lossy(&self.rest).into_owned())),
                length => self.rest.extend_from_slice(&read[..length]),
            }
        }
    }
}

/// A text frame, masked with zeroes.
fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    let mut frame = vec![0x81];
    if length < 126 {
        frame.push(0x80 | length.to_be_bytes()[1]);
    } else {
        frame.push(0xfe);
        frame.extend_from_slice(&length.to_be_bytes());
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

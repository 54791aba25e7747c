//! An HTTP server that may break off, repeat or garble what it says, below anything that a proper server would do.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// The longest head that is read.
const MAX_HEAD: usize = 64 << 10;

/// A request.
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: HashMap<String, String>,
    /// By lower-case name.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An answer.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, content_type: "application/json", body: body.to_string().into_bytes() }
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self { status, content_type: "text/html", body: body.as_bytes().to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { status, content_type, body } = self;
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} Said\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    }
}

/// How an answer goes out.
#[derive(Clone, Copy, Debug)]
pub enum Sent {
    Whole,
    /// After a while.
    Late(Duration),
    /// Not at all: the connection is reset.
    Lost,
    /// The first half, then a reset.
    Cut,
    /// As bytes that are no HTTP.
    Noise,
    /// Two times on end.
    Twice,
    /// Not at all, and the connection stays open for so long.
    Hung(Duration),
}

/// What a server says.
pub trait Service: Send + Sync + 'static {
    fn answer(&self, request: &Request) -> (Answer, Sent);
}

/// Serves on a port of this machine until the process ends; its address.
pub async fn serve(service: Arc<impl Service>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            // A caller that is gone is none of the server's trouble.
            tokio::spawn(async move { converse(stream, &*service).await.ok() });
        }
    });
    url
}

async fn converse(mut stream: TcpStream, service: &impl Service) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await? {
        let (answer, sent) = service.answer(&request);
        let bytes = answer.bytes();
        match sent {
            Sent::Whole => stream.write_all(&bytes).await?,
            Sent::Late(wait) => {
                sleep(wait).await;
                stream.write_all(&bytes).await?;
            }
            Sent::Twice => stream.write_all(&bytes.repeat(2)).await?,
            Sent::Noise => {
                stream.write_all(b"\x16\x03\x01\x02\x00 this is no HTTP \r\n\r\n").await?;
                return Ok(());
            }
            Sent::Lost => return reset(&stream),
            Sent::Cut => {
                stream.write_all(&bytes[..bytes.len() - answer.body.len().div_ceil(2)]).await?;
                // What was written is on its way before the reset takes the rest.
                sleep(Duration::from_millis(5)).await;
                return reset(&stream);
            }
            Sent::Hung(wait) => {
                sleep(wait).await;
                return reset(&stream);
            }
        }
    }
    Ok(())
}

/// The connection ends with RST instead of FIN.
fn reset(stream: &TcpStream) -> io::Result<()> {
    stream.set_zero_linger()
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if buffer.len() > MAX_HEAD || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    while buffer.len() < head_end + length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body = buffer[head_end..head_end + length].to_vec();
    buffer.drain(..head_end + length);
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Ok(Some(Request { method, path: path.to_owned(), query, headers, body }))
}

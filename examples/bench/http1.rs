//! Just enough HTTP/1.1 for load and doubles: kept connections, bodies with a length or in chunks. It shares the cores
//! with what it measures, so it parses nothing that nobody asks for.

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A connection, with what was read ahead.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the head and the body of the message in the buffer end.
    head: usize,
    end: usize,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        TcpStream::connect(address).await?.try_into()
    }

    pub async fn write(&mut self, message: &[u8]) -> io::Result<()> {
        self.stream.write_all(message).await
    }

    /// Reads the next message in place of the last one; `false` at the end of the connection.
    pub async fn read(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.end);
        (self.head, self.end) = (0, 0);
        let mut length = None;
        loop {
            if self.head == 0
                && let Some(at) = find(&self.buffer, b"\r\n\r\n")
            {
                self.head = at + 4;
                length = Some(Length::of(&self.buffer[..at]));
            }
            match length {
                Some(Length::Bytes(bytes)) if self.buffer.len() >= self.head + bytes => {
                    self.end = self.head + bytes;
                    return Ok(true);
                }
                Some(Length::Chunks) if self.buffer.ends_with(b"\r\n0\r\n\r\n") => {
                    self.end = self.buffer.len();
                    return Ok(true);
                }
                _ => {}
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(false) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    pub fn head(&self) -> &[u8] {
        &self.buffer[..self.head]
    }

    pub fn body(&self) -> &[u8] {
        &self.buffer[self.head..self.end]
    }

    /// The status of an answer.
    pub fn status(&self) -> u16 {
        let digits = self.buffer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
    }

    /// The path of a request.
    fn path(&self) -> &str {
        let line = self.buffer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        std::str::from_utf8(line).ok().and_then(|line| line.split(' ').nth(1)).unwrap_or_default()
    }
}

impl TryFrom<TcpStream> for Connection {
    type Error = io::Error;

    fn try_from(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10), head: 0, end: 0 })
    }
}

/// How long a body is.
#[derive(Clone, Copy)]
enum Length {
    Bytes(usize),
    Chunks,
}

impl Length {
    fn of(head: &[u8]) -> Self {
        let mut length = Self::Bytes(0);
        for line in head.split(|byte| *byte == b'\n') {
            if let Some(value) = header(line, b"content-length:") {
                length = Self::Bytes(value.parse().unwrap_or_default());
            } else if header(line, b"transfer-encoding:").is_some() {
                length = Self::Chunks;
            }
        }
        length
    }
}

fn header<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let (start, value) = line.split_at_checked(name.len())?;
    if !start.eq_ignore_ascii_case(name) {
        return None;
    }
    std::str::from_utf8(value).ok().map(str::trim)
}

/// The value of a header of a request or an answer.
pub fn header_of<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    head.split(|byte| *byte == b'\n').find_map(|line| header(line, format!("{name}:").as_bytes()))
}

/// Where a text begins.
pub fn find(within: &[u8], text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = within[from..].iter().position(|byte| *byte == text[0]) {
        if within[from + at..].starts_with(text) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// The number behind a text.
pub fn number_after(within: &[u8], text: &[u8]) -> Option<usize> {
    let rest = &within[find(within, text)? + text.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// An answer with a body.
pub fn answer(content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A request as the handler of a server sees it.
pub struct Request<'a> {
    pub path: &'a str,
    pub head: &'a [u8],
    pub body: &'a [u8],
}

/// Serves on a thread of its own, for as long as the process lives.
pub fn serve(handler: impl Fn(Request<'_>) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        on_one_thread(async move {
            let (listener, handler) = (TcpListener::from_std(listener).unwrap(), Arc::new(handler));
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let handler = handler.clone();
                tokio::spawn(async move {
                    let mut connection: Connection = stream.try_into()?;
                    while connection.read().await? {
                        let (path, head, body) = (connection.path(), connection.head(), connection.body());
                        let answer = handler(Request { path, head, body });
                        connection.write(&answer).await?;
                    }
                    io::Result::Ok(())
                });
            }
        });
    });
    address
}

/// Runs something on this thread alone.
pub fn on_one_thread<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task)
}

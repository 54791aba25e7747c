//! HTTP by hand.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// An answer; status 0: the connection ended without one.
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub took: Duration,
}

impl Answer {
    /// The code and the reason of the first error.
    pub fn refusal(&self) -> (String, String) {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let first = if body.is_array() { body[0].clone() } else { body };
        let text = |name: &str| first["errors"][0]["extensions"][name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("reason"))
    }
}

/// The bytes with the key in its place.
pub fn with_key(bytes: &[u8], key: &str) -> Vec<u8> {
    const MARK: &[u8] = b"Bearer KEY\r\n";
    match bytes.windows(MARK.len()).position(|window| window == MARK) {
        Some(at) => [&bytes[..at], b"Bearer ", key.as_bytes(), b"\r\n", &bytes[at + MARK.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

/// Sends bytes, and reads until the connection ends. After half a request (`hangs_up`) nothing more is sent.
pub fn ask(address: &str, bytes: &[u8], hangs_up: bool) -> Answer {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let got = thread::scope(|scope| {
        // A server that has heard enough may answer while we still send.
        let reading = scope.spawn(move || read(&mut reader));
        if stream.write_all(bytes).is_ok() && hangs_up {
            stream.shutdown(std::net::Shutdown::Write).ok();
        }
        reading.join().unwrap()
    });
    answer(&got, begun.elapsed())
}

/// Everything until the end, however it comes.
pub fn read(stream: &mut TcpStream) -> Vec<u8> {
    let (mut got, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return got,
            Ok(length) => got.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return got,
        }
    }
}

pub fn answer(got: &[u8], took: Duration) -> Answer {
    let text = String::from_utf8_lossy(got);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Answer { status, body: body.to_owned(), took }
}

//! Clients that take their time. Each is let go of within the limit that it is about.

use std::{
    io::Write as _,
    net::TcpStream,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::wire::{self, Answer};

/// A client at work.
struct Slow {
    name: &'static str,
    /// Within how many seconds it is let go of: not before, not after.
    limit: (u64, u64),
    expected: (u16, &'static str),
    answer: JoinHandle<Answer>,
}

/// Slow clients, all at once.
pub struct All(Vec<Slow>);

pub fn start(address: &str, key: &str) -> All {
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    );
    let body = format!("{head}Content-Length: 1000\r\n\r\n");
    let chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let upload = body.replace("/graphql", "/uploads").replace("application/json", "image/png");
    let ws = "GET /graphql/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    let one = |name, limit, expected, first: &str, then: &'static str| {
        let (address, first) = (address.to_owned(), first.to_owned());
        Slow { name, limit, expected, answer: thread::spawn(move || dawdle(&address, &first, then)) }
    };
    All(vec![
        one("a client that says nothing", (8, 30), (0, ""), "", ""),
        one("a client that never ends the greeting of HTTP/2", (8, 30), (0, ""), "PRI * HT", ""),
        one("a head without an end", (55, 100), (0, ""), "POST /graphql HTTP/1.1\r\nHost: x\r\n", ""),
        one("a head that comes letter by letter", (55, 100), (0, ""), "POST /graphql HTTP/1.1\r\nX: ", "y"),
        one("a body that does not come", (15, 45), (408, "REQUEST"), &body, ""),
        one("a body that comes letter by letter", (15, 45), (408, "REQUEST"), &body, " "),
        one("chunks that come letter by letter", (15, 45), (408, "REQUEST"), &chunks, "1\r\n \r\n"),
        one("an upload that does not come", (15, 60), (408, "INPUT"), &upload, ""),
        one("a websocket that does not say who it is", (8, 30), (101, ""), ws, ""),
    ])
}

impl All {
    pub fn end(self) {
        for Slow { name, limit: (least, most), expected, answer } in self.0 {
            let answer = answer.join().unwrap();
            assert_eq!((answer.status, answer.refusal().1.as_str()), expected, "{name}");
            let seconds = answer.took.as_secs();
            assert!((least..most).contains(&seconds), "{name}: {seconds} s");
        }
    }
}

/// Sends the first part, then a little every second, and reads until the connection ends.
fn dawdle(address: &str, first: &str, then: &str) -> Answer {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
    stream.write_all(first.as_bytes()).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let got = thread::scope(|scope| {
        let reading = scope.spawn(move || wire::read(&mut reader));
        while !reading.is_finished() && begun.elapsed() < Duration::from_mins(2) {
            thread::sleep(Duration::from_millis(200));
            if !then.is_empty() && stream.write_all(then.as_bytes()).is_err() {
                break;
            }
        }
        reading.join().unwrap()
    });
    wire::answer(&got, begun.elapsed())
}

//! Websocket frames by hand: too large, of the wrong kind, in the wrong order, too many.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Frames, and the code that the connection must be closed with.
struct Case {
    name: &'static str,
    frames: Vec<u8>,
    code: u16,
}

/// A frame as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            bytes.push(0xfe);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0xff);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    // A mask of nothing.
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

fn text(payload: &str) -> Vec<u8> {
    frame(TEXT, payload.as_bytes())
}

/// Asks each case on a connection of its own; what was closed wrongly.
pub fn ask_all(address: &str, key: &str) -> Vec<String> {
    let ask = |case: &Case| {
        let code = closed(address, &case.frames);
        (code != Some(case.code)).then(|| format!("{}: {code:?}, not {}", case.name, case.code))
    };
    let cases = [unopened(), unreadable(), opened(key)].into_iter().flatten();
    cases.filter_map(|case| ask(&case)).collect()
}

/// Before anyone said who it is.
fn unopened() -> Vec<Case> {
    let subscribe = r#"{"type":"subscribe","id":"1","payload":{"query":"mutation { imageCreate(input: {prompt: \"x\"}) { id } }"}}"#;
    let bad_key = r#"{"type":"connection_init","payload":{"authorization":"Bearer x"}}"#;
    vec![
        Case { name: "a subscription first", frames: text(subscribe), code: 4401 },
        Case { name: "no key", frames: text(r#"{"type":"connection_init"}"#), code: 4403 },
        Case { name: "a bad key", frames: text(bad_key), code: 4403 },
        Case {
            name: "a key that is a number",
            frames: text(r#"{"type":"connection_init","payload":{"authorization":1}}"#),
            code: 4403,
        },
        Case {
            name: "a payload that is a list",
            frames: text(r#"{"type":"connection_init","payload":[]}"#),
            code: 4400,
        },
        Case { name: "no JSON", frames: text("hello"), code: 4400 },
        Case { name: "an empty message", frames: text(""), code: 4400 },
        Case { name: "an array", frames: text("[]"), code: 4400 },
        Case { name: "no type", frames: text("{}"), code: 4400 },
        Case { name: "an unknown type", frames: text(r#"{"type":"start"}"#), code: 4400 },
        Case { name: "a type that is a number", frames: text(r#"{"type":1}"#), code: 4400 },
        Case { name: "a type twice", frames: text(r#"{"type":"ping","type":"connection_init"}"#), code: 4400 },
        Case { name: "a message of the server", frames: text(r#"{"type":"connection_ack"}"#), code: 4400 },
        Case {
            name: "deep JSON",
            frames: text(&format!(r#"{{"type":"ping","payload":{}}}"#, "[".repeat(100_000))),
            code: 4400,
        },
        Case { name: "a number without end", frames: text(r#"{"type":"ping","payload":{"a":1e999}}"#), code: 4400 },
        Case { name: "half a pair", frames: text(r#"{"type":"ping","payload":{"a":"\ud800"}}"#), code: 4400 },
        Case { name: "binary", frames: frame(BINARY, bad_key.as_bytes()), code: 4400 },
        Case { name: "an empty binary", frames: frame(BINARY, b""), code: 4400 },
        Case {
            name: "a megabyte of JSON and more",
            frames: text(&format!(r#"{{"type":"ping","payload":{{"a":"{}"}}}}"#, "x".repeat(1 << 20))),
            code: 1009,
        },
        Case { name: "8 MiB of binary", frames: frame(BINARY, &vec![0; 8 << 20]), code: 1009 },
        Case {
            name: "a frame that says it has 2^62 bytes",
            frames: [&[TEXT, 0xff][..], &(1_u64 << 62).to_be_bytes(), &[0; 4]].concat(),
            code: 1009,
        },
        Case {
            name: "many small frames of one large message",
            frames: [frame(0x01, &[b'x'; 60_000]), frame(0x00, &[b'x'; 60_000]).repeat(20)].concat(),
            code: 1009,
        },
    ]
}

/// What is no frame, or none at this place.
fn unreadable() -> Vec<Case> {
    let broken = |name, frames| Case { name, frames, code: 1002 };
    vec![
        broken("text that is not UTF-8", frame(TEXT, b"\xff\xfe")),
        broken("half a letter", frame(TEXT, "é".as_bytes().split_at(1).0)),
        broken("a frame without a mask", vec![TEXT, 2, b'{', b'}']),
        broken("a reserved bit", frame(TEXT | 0x40, b"{}")),
        broken("all reserved bits", frame(TEXT | 0x70, b"{}")),
        broken("an unknown kind", frame(0x83, b"{}")),
        broken("an unknown kind of control", frame(0x8b, b"{}")),
        broken("a ping in parts", frame(0x09, b"x")),
        broken("a ping of 126 bytes", frame(PING, &[0; 126])),
        broken("a pong of 100,000 bytes", frame(PONG, &vec![0; 100_000])),
        broken("a continuation of nothing", frame(0x80, b"x")),
        broken("a message within a message", [frame(0x01, b"x"), frame(TEXT, b"y")].concat()),
        broken("a request of HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
    ]
}

/// By a caller with a good key.
fn opened(key: &str) -> Vec<Case> {
    let init = text(&format!(r#"{{"type":"connection_init","payload":{{"authorization":"Bearer {key}"}}}}"#));
    let subscribe = |id: usize| {
        text(&format!(r#"{{"type":"subscribe","id":"{id}","payload":{{"query":"{{ account {{ id }} }}"}}}}"#))
    };
    let with = |frames: &[u8]| [&init[..], frames].concat();
    let flood: Vec<u8> =
        (0..20_000).flat_map(|_| text(r#"{"type":"subscribe","id":"1","payload":{"query":"{ nothing }"}}"#)).collect();
    let many: Vec<u8> = (0..2_000).flat_map(subscribe).collect();
    vec![
        Case { name: "a second init", frames: with(&init), code: 4429 },
        Case {
            name: "a subscription without an id",
            frames: with(&text(r#"{"type":"subscribe","payload":{"query":"{ a }"}}"#)),
            code: 4400,
        },
        Case {
            name: "an id that is a number",
            frames: with(&text(r#"{"type":"subscribe","id":1,"payload":{"query":"{ a }"}}"#)),
            code: 4400,
        },
        Case {
            name: "a subscription without a query",
            frames: with(&text(r#"{"type":"subscribe","id":"1","payload":{}}"#)),
            code: 4400,
        },
        Case {
            name: "a query that is a list",
            frames: with(&text(r#"{"type":"subscribe","id":"1","payload":{"query":[]}}"#)),
            code: 4400,
        },
        Case {
            name: "variables that are a text",
            frames: with(&text(r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","variables":"x"}}"#)),
            code: 4400,
        },
        Case {
            name: "a query twice",
            frames: with(&text(r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","query":"{ b }"}}"#)),
            code: 4400,
        },
        Case {
            name: "a hundred thousand pings and a bad message",
            frames: with(&[frame(PING, b"x").repeat(100_000), text("x")].concat()),
            code: 4400,
        },
        Case {
            name: "two thousand subscriptions at once and a bad message",
            frames: with(&[many, text("x")].concat()),
            code: 4400,
        },
        Case { name: "one id over and over", frames: with(&flood), code: 4409 },
    ]
}

/// The code that the server closes with; `None` when it closes without one.
fn closed(address: &str, frames: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let head = "GET /graphql/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = stream.try_clone().unwrap();
    thread::scope(|scope| {
        let reading = scope.spawn(move || read_close(&mut reader));
        // A server that has heard enough closes while we still send.
        stream.write_all(frames).ok();
        reading.join().unwrap()
    })
}

fn read_close(stream: &mut TcpStream) -> Option<u16> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    loop {
        let mut start = [0; 2];
        stream.read_exact(&mut start).ok()?;
        let length = match start[1] {
            126 => {
                let mut length = [0; 2];
                stream.read_exact(&mut length).ok()?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                stream.read_exact(&mut length).ok()?;
                u64::from_be_bytes(length)
            }
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).ok()?;
        if start[0] == 0x88 {
            return Some(u16::from_be_bytes(*payload.first_chunk()?));
        }
    }
}

//! HTTP itself: heads, methods, lengths, chunks, keys, what is accepted, query strings, half requests.

use serde_json::json;

use super::{Case, PARSE, REQUEST, RUN, Refusal, TOO_COMPLEX, VALIDATION, post, post_with};

const UNAUTHENTICATED: Refusal = ("UNAUTHENTICATED", "");
const KEY: &str = "Authorization: Bearer KEY\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
/// What the layer of HTTP says of a request that is none: an answer, or the end of the connection.
const NONE: &[u16] = &[400, 0];
const TOO_MANY: &[u16] = &[431, 400, 0];

fn body() -> String {
    json!({ "query": format!("mutation {{ {RUN} }}") }).to_string()
}

pub fn all() -> Vec<Case> {
    let mut all = Vec::new();
    broken_heads(&mut all);
    large_heads(&mut all);
    lengths(&mut all);
    chunks(&mut all);
    methods(&mut all);
    keys(&mut all);
    accepted(&mut all);
    idempotency_keys(&mut all);
    query_strings(&mut all);
    halves(&mut all);
    all
}

fn request(line: &str, headers: &str) -> Vec<u8> {
    let body = body();
    let length = body.len();
    format!("{line}\r\nHost: x\r\nConnection: close\r\n{KEY}{JSON}{headers}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn broken_heads(all: &mut Vec<Case>) {
    for line in [
        "POST /graphql",
        "POST /graphql HTTP/9.9",
        "POST /graphql HTTP/1.x",
        "POST /graphql HTTP",
        "POST  /graphql HTTP/1.1",
        "POST\t/graphql\tHTTP/1.1",
        "POST /graphql HTTP/1.1 x",
        "POST /gra phql HTTP/1.1",
        "POST /graph\0ql HTTP/1.1",
        "PO\0ST /graphql HTTP/1.1",
        "P(ST /graphql HTTP/1.1",
        "/graphql HTTP/1.1",
        "HTTP/1.1 200 OK",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}",
        "PRI * HTTP/2.0",
        "EHLO example.com",
        "*1",
        "\0",
    ] {
        all.push(Case::status(format!("the first line {line:?}"), request(line, ""), NONE));
    }
    for header in [
        "X\r\n",
        "X Y: z\r\n",
        ": z\r\n",
        "X : z\r\n",
        " X: z\r\n",
        "X: a\0b\r\n",
        "X\0: z\r\n",
        "X(: z\r\n",
        "X: a\r b\r\n",
        "X: a\r\n folded\r\n",
        "X: \u{7f}\r\n",
        "Ü: z\r\n",
    ] {
        all.push(Case::status(format!("the header {header:?}"), request("POST /graphql HTTP/1.1", header), NONE));
    }
    let of_two = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (name, frames) in [
        ("nothing but the greeting of HTTP/2 and noise", &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..]),
        ("a frame of 16 MiB in HTTP/2", b"\xff\xff\xff\x04\0\0\0\0\0"),
        ("data without a stream in HTTP/2", b"\0\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0\0\0\0x"),
        ("headers on an even stream in HTTP/2", b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x02\x82"),
        ("bad compression in HTTP/2", b"\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x05\0\0\0\x01\xff\xff\xff\xff\xff"),
    ] {
        all.push(Case::half(name, [&of_two[..], frames].concat(), &[0]));
    }
}

fn large_heads(all: &mut Vec<Case>) {
    for (name, headers) in [
        ("101 headers", "X: y\r\n".repeat(101)),
        ("1,000 headers", "X: y\r\n".repeat(1_000)),
        ("100,000 headers", "X: y\r\n".repeat(100_000)),
        ("a header of 1 MiB", format!("X: {}\r\n", "y".repeat(1 << 20))),
        ("a header of 4 MiB", format!("X: {}\r\n", "y".repeat(4 << 20))),
        ("a name of 70,000 letters", format!("{}: y\r\n", "X".repeat(70_000))),
        ("90 headers of 10,000 letters", format!("X: {}\r\n", "y".repeat(10_000)).repeat(90)),
    ] {
        all.push(Case::status(name, request("POST /graphql HTTP/1.1", &headers), TOO_MANY));
    }
    for length in [70_000, 500_000, 2_000_000] {
        let line = format!("POST /graphql?{} HTTP/1.1", "x".repeat(length));
        all.push(Case::status(format!("an address of {length} letters"), request(&line, ""), &[414, 431, 400, 0]));
    }
}

fn lengths(all: &mut Vec<Case>) {
    let body = body();
    for length in
        ["-1", "+5", "0x10", "1e3", "", "x", "1, 2", "99999999999999999999999", "18446744073709551616", "1 2", "１"]
    {
        let bytes = format!(
            "POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{KEY}{JSON}Content-Length: {length}\r\n\r\n{body}"
        );
        all.push(Case::status(format!("the length {length:?}"), bytes.into_bytes(), NONE));
    }
    let twice = format!("Content-Length: {}\r\nContent-Length: 1\r\n", body.len());
    for (name, headers) in [
        ("two lengths", twice.as_str()),
        ("an unknown coding", "Transfer-Encoding: x\r\n"),
        ("chunked in the middle", "Transfer-Encoding: chunked, gzip\r\n"),
        ("chunked twice over", "Transfer-Encoding: gzip\r\nTransfer-Encoding: x\r\n"),
        ("a coding that looks like chunked", "Transfer-Encoding: xchunked\r\n"),
    ] {
        let bytes = format!("POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{KEY}{JSON}{headers}\r\n{body}");
        all.push(Case::status(name, bytes.into_bytes(), NONE));
    }
    let bytes = format!(
        "POST /graphql HTTP/1.0\r\nHost: x\r\n{KEY}{JSON}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    );
    all.push(Case::status("chunks in HTTP/1.0", bytes.into_bytes(), NONE));
    // Without a length there is no body.
    let bytes = format!("POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{KEY}{JSON}\r\n{body}");
    all.push(Case::refused("no length", bytes.into_bytes(), 400, REQUEST));
    let bytes = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{KEY}{JSON}Content-Length: 10\r\n\r\n{body}"
    );
    all.push(Case::refused("a length that is too short", bytes.into_bytes(), 400, REQUEST));
}

fn chunks(all: &mut Vec<Case>) {
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{KEY}{JSON}Transfer-Encoding: chunked\r\n\r\n"
    );
    let body = body();
    let size = format!("{:x}", body.len());
    for (name, chunks) in [
        ("a size that is none", format!("xyz\r\n{body}\r\n0\r\n\r\n")),
        ("a negative size", format!("-{size}\r\n{body}\r\n0\r\n\r\n")),
        ("a size of 0x", format!("0x{size}\r\n{body}\r\n0\r\n\r\n")),
        ("a size that overflows", format!("ffffffffffffffffff\r\n{body}\r\n0\r\n\r\n")),
        ("a size of 16 digits", format!("fffffffffffffff1\r\n{body}\r\n0\r\n\r\n")),
        ("no line end after a chunk", format!("{size}\r\n{body}0\r\n\r\n")),
        ("a chunk that is longer than said", format!("5\r\n{body}\r\n0\r\n\r\n")),
        ("no size", format!("\r\n{body}\r\n0\r\n\r\n")),
        ("a size behind a line feed only", format!("{size}\n{body}\n0\n\n")),
        ("an extension of 100,000 letters", format!("{size};{}\r\n{body}\r\n0\r\n\r\n", "x".repeat(100_000))),
    ] {
        all.push(Case::half(format!("chunks: {name}"), format!("{head}{chunks}").into_bytes(), NONE));
    }
    for (name, trailers) in [
        ("a trailer of 1 MiB", format!("X: {}\r\n", "y".repeat(1 << 20))),
        ("10,000 trailers", "X: y\r\n".repeat(10_000)),
    ] {
        let bytes = format!("{head}{size}\r\n{body}\r\n0\r\n{trailers}\r\n");
        all.push(Case::half(format!("chunks: {name}"), bytes.into_bytes(), NONE));
    }
    // Length and chunks: the length is what smuggles; the body that counts is the chunks, and it is not JSON.
    let both = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{KEY}{JSON}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n0\r\n\r\n{body}",
        11 + body.len()
    );
    all.push(Case::status("a length and chunks", both.into_bytes(), NONE));
}

fn methods(all: &mut Vec<Case>) {
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "MKCOL", "QUERY", "post", "X"] {
        let bytes = request(&format!("{method} /graphql HTTP/1.1"), "");
        all.push(Case::refused(format!("the method {method}"), bytes, 405, REQUEST));
    }
    for (line, statuses) in [
        ("POST graphql HTTP/1.1", &[404, 400, 0][..]),
        ("POST / HTTP/1.1", &[404, 405][..]),
        ("POST /graphql/ HTTP/1.1", &[404]),
        ("POST //graphql HTTP/1.1", &[404]),
        ("POST /GRAPHQL HTTP/1.1", &[404]),
        ("POST /graphql%2f HTTP/1.1", &[404]),
        ("POST /../graphql HTTP/1.1", &[404]),
        ("POST /graphql/ws HTTP/1.1", &[400, 405]),
        ("POST /healthz HTTP/1.1", &[405]),
        ("POST /metrics HTTP/1.1", &[405]),
        ("POST /media/x HTTP/1.1", &[405]),
        ("GET /media/../../etc/passwd HTTP/1.1", &[404, 400]),
        ("GET /media/%2e%2e/%2e%2e/etc/passwd HTTP/1.1", &[404, 400]),
        ("GET /media/..%2f..%2fetc%2fpasswd HTTP/1.1", &[404, 400]),
        ("GET /media/%00 HTTP/1.1", &[404, 400]),
        ("GET /media/%ff HTTP/1.1", &[404, 400]),
        ("GET /media//etc/passwd HTTP/1.1", &[404]),
        ("GET /graphql/assets/..%2f..%2fetc%2fpasswd HTTP/1.1", &[404]),
        ("GET /uploads HTTP/1.1", &[405]),
        ("CONNECT example.com:443 HTTP/1.1", &[404, 405, 400, 0]),
        ("GET http://169.254.169.254/latest HTTP/1.1", &[404, 400]),
    ] {
        all.push(Case::status(line, request(line, ""), statuses));
    }
}

fn keys(all: &mut Vec<Case>) {
    let good = post(body().as_bytes());
    let with = |header: &str| String::from_utf8_lossy(&good).replace(KEY, header).into_bytes();
    all.push(Case::refused("no key", with(""), 401, UNAUTHENTICATED));
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "bearer",
        "KEY",
        "Basic a2V5",
        "Token KEY",
        "BearerKEY",
        "Bearer dt_test_",
        "Bearer dt_live_",
        "Bearer null",
        "Bearer *",
        "Bearer ' or 1=1 --",
        "Bearer dt_test_00000000000000000000000000000000",
        "Bearer Bearer x",
        "Digest username=\"x\"",
        "Bearer x,Bearer y",
        "Bearer \u{e4}",
    ] {
        let header = format!("Authorization: {value}\r\n");
        all.push(Case::refused(format!("the key {value:?}"), with(&header), 401, UNAUTHENTICATED));
    }
    for length in [1_000, 100_000] {
        let header = format!("Authorization: Bearer {}\r\n", "x".repeat(length));
        all.push(Case::refused(format!("a key of {length} letters"), with(&header), 401, UNAUTHENTICATED));
    }
}

fn accepted(all: &mut Vec<Case>) {
    for accept in [
        "image/png",
        "text/html",
        "text/plain",
        "application/xml",
        "x",
        "/",
        "",
        "application/json;q=0",
        "*/*;q=0",
        "application/jsonx",
        "text/*",
        "multipart/mixed",
    ] {
        let bytes = post_with(&format!("{JSON}Accept: {accept}\r\n"), body().as_bytes());
        all.push(Case::refused(format!("accepting {accept:?}"), bytes, 406, REQUEST));
    }
}

fn idempotency_keys(all: &mut Vec<Case>) {
    let refusal = ("INVALID_INPUT", "IDEMPOTENCY_KEY");
    let keys = [
        String::new(),
        " ".to_owned(),
        "a b".to_owned(),
        "a\tb".to_owned(),
        "ä".to_owned(),
        "🦊".to_owned(),
        "x".repeat(256),
        "x".repeat(10_000),
    ];
    for key in keys {
        let bytes = post_with(&format!("{JSON}Idempotency-Key: {key}\r\n"), body().as_bytes());
        all.push(Case::refused(format!("an Idempotency-Key of {} letters, {key:.5?}", key.len()), bytes, 200, refusal));
    }
    let bytes = post_with(&format!("{JSON}Idempotency-Key: a\r\nIdempotency-Key: b\r\n"), body().as_bytes());
    all.push(Case::refused("two Idempotency-Keys", bytes, 200, refusal));
}

fn query_strings(all: &mut Vec<Case>) {
    let mut add = |query: &str, accept: &str, status, refusal| {
        let bytes =
            format!("GET /graphql{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{KEY}Accept: {accept}\r\n\r\n");
        let shown: String = query.chars().take(60).collect();
        all.push(Case::refused(
            format!("GET {shown} of {} letters for {accept}", query.len()),
            bytes.into_bytes(),
            status,
            refusal,
        ));
    };
    let graphql = "application/graphql-response+json";
    let run = "mutation%7Bgenerate(input:%7Btype:IMAGE,input:%7Btext:%22x%22%7D%7D)%7Bid%7D%7D";
    for query in [
        format!("?query={run}"),
        format!("?query={run}&variables=%7B%7D"),
        format!("?variables=&query={run}&operationName="),
    ] {
        add(&query, graphql, 405, REQUEST);
        add(&query, "text/event-stream", 405, REQUEST);
    }
    let subscription = "subscription%7BgenerationUpdated(id:1)%7Bid%7D%7D";
    add(&format!("?query={subscription}"), graphql, 400, REQUEST);
    for query in [
        "",
        "?",
        "?query",
        "?query=",
        "?x=1",
        "?Query=x",
        "?query=%7Baccount%7Bid%7D%7D&variables=x",
        "?query=%7Baccount%7Bid%7D%7D&variables=[]",
        "?query=%7Baccount%7Bid%7D%7D&variables=1",
        "?query=%7Baccount%7Bid%7D%7D&variables=%7B",
        "?query=%7Baccount%7Bid%7D%7D&extensions=x",
        "?query=%7Baccount%7Bid%7D%7D&extensions=[1]",
        "?query=%7Baccount%7Bid%7D%7D&variables=%7B%22a%22:1,%22a%22:2%7D",
        "?query=%7Baccount%7Bid%7D%7D&query=%7Baccount%7Bname%7D%7D",
        "?query=%7Baccount%7Bid%7D%7D&variables=%7B%7D&variables=%7B%7D",
        "?query=%7Baccount%7Bid%7D%7D&operationName=A&operationName=B",
        "?query=%7Baccount%7Bid%7D%7D&variables=%7B%22a%22:1e999%7D",
        "?extensions=%7B%22persistedQuery%22:1%7D",
    ] {
        add(query, graphql, 400, REQUEST);
    }
    for query in [
        "?query=x",
        "?query=%7B",
        "?query=%00",
        "?query=%ff",
        "?query=%zz",
        "?query=%",
        "?query=%7Baccount%7Bid%7D%7D%ff",
        "?query=%EF%BF%BE",
    ] {
        add(query, graphql, 400, PARSE);
    }
    add("?query=%7Bnothing%7D", graphql, 400, VALIDATION);
    add("?query=%7Baccount%7Bid%7D%7D&operationName=A", graphql, 400, VALIDATION);
    add(&format!("?query={}", "%7Ba".repeat(70)), graphql, 400, TOO_COMPLEX);
    add(&format!("?query=%7B{}%7D", "a:account%7Bid%7D,".repeat(60)), graphql, 400, TOO_COMPLEX);
    add(&format!("?query=%7B{}%7D", "a,".repeat(10_000)), graphql, 400, TOO_COMPLEX);
}

fn halves(all: &mut Vec<Case>) {
    let whole = post(body().as_bytes());
    let head = whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_default() + 4;
    for length in (0..head).step_by(16) {
        all.push(Case::half(format!("hanging up after {length} bytes of the head"), whole[..length].to_vec(), NONE));
    }
    for length in (head..whole.len()).step_by(16) {
        all.push(Case::half(
            format!("hanging up after {} bytes of the body", length - head),
            whole[..length].to_vec(),
            NONE,
        ));
    }
}

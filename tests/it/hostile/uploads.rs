//! Uploads that are no file of a known kind, and forms that are none.

use super::{Case, Refusal};

const INPUT: Refusal = ("INVALID_INPUT", "INPUT");

fn upload(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /uploads HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer KEY\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub fn all() -> Vec<Case> {
    let mut all = Vec::new();
    unknown_kinds(&mut all);
    forms(&mut all);
    let png = "Content-Type: image/png\r\n";
    all.push(Case::refused("an empty upload", upload(png, b""), 400, INPUT));
    all.push(Case::refused("an upload that says it is too large", {
        b"POST /uploads HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer KEY\r\nContent-Length: 999999999999\r\n\r\nx".to_vec()
    }, 413, INPUT));
    for key in ["", "Bearer", "Bearer dt_test_nobody"] {
        let bytes = upload(png, b"\x89PNG\r\n\x1a\n");
        let bytes = String::from_utf8_lossy(&bytes).replace("Bearer KEY", key).into_bytes();
        all.push(Case::refused(format!("an upload with the key {key:?}"), bytes, 401, ("UNAUTHENTICATED", "")));
    }
    all
}

fn unknown_kinds(all: &mut Vec<Case>) {
    for (name, bytes) in [
        ("text", &b"hello, world"[..]),
        ("HTML", b"<!doctype html><script>alert(1)</script>"),
        ("SVG", b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>"),
        (
            "XML with an entity",
            b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
        ),
        ("a zip", b"PK\x03\x04\x14\0\0\0\x08\0"),
        ("an executable", b"\x7fELF\x02\x01\x01\0\0\0\0\0"),
        ("another executable", b"MZ\x90\0\x03\0\0\0"),
        ("a script", b"#!/bin/sh\nrm -rf /\n"),
        ("a PDF", b"%PDF-1.7\n1 0 obj\n"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        ("zeros", &[0; 5000]),
        ("0xff", &[0xff; 5000]),
        ("one byte", b"x"),
        ("the head of a PNG", b"\x89PNG\r\n\x1a\n"),
        ("a PNG of 4 billion lines", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("the head of a JPEG", b"\xff\xd8\xff"),
        ("the head of a GIF", b"GIF89a"),
        ("the head of a WebP", b"RIFF\xff\xff\xff\xffWEBP"),
        ("the head of a WAV", b"RIFF\xff\xff\xff\xffWAVE"),
        ("the head of an MP4", b"\0\0\0\x18ftypmp42\0\0\0\0"),
        ("an MP4 box without an end", b"\0\0\0\x01ftyp\xff\xff\xff\xff\xff\xff\xff\xffmp42"),
        ("the head of a FLAC", b"fLaC"),
        ("the head of an Ogg", b"OggS\0\x02"),
        ("the head of a WebM", b"\x1a\x45\xdf\xa3"),
        ("the head of an MP3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f"),
        ("a JSON", b"{\"url\": \"file:///etc/passwd\"}"),
        ("a playlist", b"#EXTM3U\nfile:///etc/passwd\n"),
    ] {
        all.push(Case::refused(
            format!("an upload of {name}"),
            upload("Content-Type: image/png\r\n", bytes),
            415,
            INPUT,
        ));
    }
}

fn forms(all: &mut Vec<Case>) {
    let part = |head: &str, body: &str| format!("--b\r\n{head}\r\n\r\n{body}\r\n");
    let file = "Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png";
    let form = "Content-Type: multipart/form-data; boundary=b\r\n";
    for (name, headers, body, status) in [
        ("a form without a boundary", "Content-Type: multipart/form-data\r\n", part(file, "x") + "--b--\r\n", 400),
        (
            "a form with an empty boundary",
            "Content-Type: multipart/form-data; boundary=\r\n",
            part(file, "x") + "--b--\r\n",
            400,
        ),
        (
            "a form with another boundary",
            "Content-Type: multipart/form-data; boundary=c\r\n",
            part(file, "x") + "--b--\r\n",
            400,
        ),
        ("an empty form", form, String::new(), 400),
        ("a form of nothing", form, "--b--\r\n".to_owned(), 400),
        ("a form of a boundary", form, "--b\r\n".to_owned(), 400),
        ("a form that is no form", form, "hello".to_owned(), 400),
        (
            "a form without the file",
            form,
            part("Content-Disposition: form-data; name=\"other\"", "x") + "--b--\r\n",
            400,
        ),
        ("a form with File", form, part("Content-Disposition: form-data; name=\"File\"", "x") + "--b--\r\n", 400),
        ("a part without a name", form, part("Content-Disposition: form-data", "x") + "--b--\r\n", 400),
        ("a part without a disposition", form, part("Content-Type: image/png", "x") + "--b--\r\n", 400),
        ("a part without headers", form, part("", "x") + "--b--\r\n", 400),
        ("a part with a broken header", form, part("Content-Disposition form-data", "x") + "--b--\r\n", 400),
        ("a part with a huge header", form, part(&format!("X: {}", "x".repeat(60_000)), "x") + "--b--\r\n", 400),
        ("a part with a thousand headers", form, part(&"X: x\r\n".repeat(1000), "x") + "--b--\r\n", 400),
        (
            "a name that is a path",
            form,
            part("Content-Disposition: form-data; name=\"../file\"", "x") + "--b--\r\n",
            400,
        ),
        ("a file that is empty", form, part(file, "") + "--b--\r\n", 400),
        ("a file of another kind", form, part(file, "<svg/>") + "--b--\r\n", 415),
        ("a file that is cut off", form, part(file, "x").trim_end().to_owned(), 400),
        ("a form in a form", form, part(file, "--c\r\n\r\nx\r\n--c--") + "--b--\r\n", 415),
        (
            "ten thousand fields",
            form,
            part("Content-Disposition: form-data; name=\"a\"", "x").repeat(10_000) + "--b--\r\n",
            400,
        ),
        (
            "a field of 16 MiB",
            form,
            part("Content-Disposition: form-data; name=\"a\"", &"x".repeat(16 << 20)) + "--b--\r\n",
            400,
        ),
        (
            "a boundary of 1000 letters",
            &format!("Content-Type: multipart/form-data; boundary={}\r\n", "b".repeat(1000)),
            part(file, "x"),
            400,
        ),
    ] {
        all.push(Case::refused(name, upload(headers, body.as_bytes()), status, INPUT));
    }
}

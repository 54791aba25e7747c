//! The media store in a bucket, on a server of the S3 protocol by plain HTTP.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, BufReader},
    path::Path,
    process::{ChildStdin, Command, Stdio},
    thread,
};

use bytes::Bytes;
use doitong::{
    domain::Plan,
    media::{Expected, KeepError, Store},
};
use futures_util::{TryStreamExt as _, stream};
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::OnceCell;

use super::png;
use crate::support::{self, TestApp};

/// The server, and its standard input, whose end is its own: it stops with the tests however they stop.
struct Server {
    endpoint: String,
    _stdin: ChildStdin,
}

const SERVE: &str = "
import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(['-H', '127.0.0.1', '-p', '0'])
";

/// The server looks for a signature, but not into it.
const ANYONE: &str =
    "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// A bucket of its own for a test.
pub struct Bucket {
    /// Its address on the server.
    address: String,
    /// What `media.store` says.
    pub location: String,
    /// The variables of the cloud.
    pub variables: Vec<(&'static str, String)>,
}

impl Bucket {
    pub async fn make() -> Self {
        let (server, name) = (server().await, format!("films-{}", uuid::Uuid::new_v4().simple()));
        let address = format!("{}/{name}", server.endpoint);
        assert!(http().put(&address).send().await.unwrap().status().is_success());
        let variables = vec![
            ("AWS_ENDPOINT_URL", server.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", "id".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "key".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ];
        Self { address, location: format!("s3://{name}/kept"), variables }
    }

    fn secrets(&self) -> HashMap<String, SecretString> {
        self.variables.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect()
    }

    fn store(&self, base: &Path) -> Store {
        Store::open(&self.location, &self.secrets(), base, None).unwrap()
    }

    /// What the server lists: the files, or the uploads in parts that were begun.
    async fn list(&self, what: &str) -> Vec<String> {
        let listed = http().get(format!("{}?{what}", self.address)).send().await.unwrap().text().await.unwrap();
        assert!(listed.contains("Result"), "{listed}");
        listed.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }
}

fn http() -> reqwest::Client {
    doitong::egress::use_ring();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER.get_or_init(start).await
}

async fn start() -> Server {
    let packages = ["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];
    let mut command = Command::new(support::python("bucket-python", &packages).await);
    command.args(["-c", SERVE]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    #[expect(clippy::zombie_processes, reason = "it ends with this process")]
    let start = move || {
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let running = log.find_map(|line| Some(line.split_once("Running on ")?.1.trim().to_owned()));
        // A pipe that nobody reads fills up.
        thread::spawn(move || log.for_each(drop));
        Server {
            endpoint: running.unwrap_or_else(|| panic!("the server ended")),
            _stdin: process.stdin.take().unwrap(),
        }
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

#[tokio::test]
async fn files_small_and_large_come_back_from_a_bucket() {
    let (bucket, dir) = (Bucket::make().await, tempfile::tempdir().unwrap());
    let store = bucket.store(dir.path());
    // One that is held in memory, one that goes to disk, one of several parts.
    for side in [8, 800, 1500] {
        let file = png(side);
        let asset = store.keep_bytes(file.clone(), Expected::Result(None)).await.unwrap();
        assert_eq!((asset.content_type.as_str(), asset.size_bytes), ("image/png", i64::try_from(file.len()).unwrap()));
        assert_eq!(store.read_whole(&asset.path, u64::MAX).await.unwrap().unwrap(), file);
        let found = store.find(&asset.path).await.unwrap().unwrap();
        assert_eq!((found.content_type, found.size_bytes), ("image/png", file.len() as u64));
        let part = store.read(&found, Some(3..7)).await.unwrap().try_collect::<Vec<_>>().await.unwrap().concat();
        assert_eq!(part, file[3..7]);

        // It lies below the prefix, with its type, for a delivery network in front of the bucket.
        let direct = http().get(format!("{}/kept/{}", bucket.address, asset.path)).header("authorization", ANYONE);
        let direct = direct.send().await.unwrap();
        assert_eq!(direct.headers()["content-type"], "image/png");
        assert_eq!(direct.bytes().await.unwrap(), file);

        store.delete(&asset.path).await.unwrap();
        store.delete(&asset.path).await.unwrap();
        assert!(store.find(&asset.path).await.unwrap().is_none());
    }
    store.check().await.unwrap();
    assert_eq!(bucket.list("list-type=2").await, [""; 0]);
}

#[tokio::test]
async fn a_file_that_breaks_off_or_is_refused_leaves_nothing_in_the_bucket() {
    let (bucket, dir) = (Bucket::make().await, tempfile::tempdir().unwrap());
    let store = bucket.store(dir.path());
    let half = [Ok(png(1500)), Err(io::Error::other("reset"))];
    let error = store.keep(stream::iter(half), Expected::Input, u64::MAX).await.unwrap_err();
    assert!(matches!(error, KeepError::Source(_)), "{error:?}");
    let error = store.keep_bytes(Bytes::from_static(b"<html>no</html>"), Expected::Input).await.unwrap_err();
    assert!(matches!(error, KeepError::Unrecognised), "{error:?}");
    assert_eq!(bucket.list("list-type=2").await, [""; 0]);
    assert_eq!(bucket.list("uploads").await, [""; 0]);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_an_error_that_may_pass() {
    let (mut bucket, dir) = (Bucket::make().await, tempfile::tempdir().unwrap());
    bucket.location = "s3://nowhere/kept".to_owned();
    let store = bucket.store(dir.path());
    for side in [8, 800] {
        let error = store.keep_bytes(png(side), Expected::Input).await.unwrap_err();
        assert!(error.is_retryable() && matches!(error, KeepError::Store(_)), "{error:?}");
    }
    assert!(store.check().await.is_err());
}

#[tokio::test]
async fn uploads_results_and_ranges_work_over_a_bucket() {
    let bucket = Bucket::make().await;
    let app = TestApp::with(Plan::Pro, |config, secrets| {
        config.media.store = Some(bucket.location.clone());
        secrets.clouds = bucket.secrets();
    })
    .await;
    let file = png(800);
    let upload = app.http.post(format!("{}/uploads", app.url)).bearer_auth(&app.key.key);
    let uploaded = upload.header("content-type", "image/png").body(file.clone()).send().await.unwrap();
    let uploaded: serde_json::Value = uploaded.json().await.unwrap();
    let image = uploaded["url"].as_str().unwrap();

    let input = json!({"type": "VIDEO", "input": {"text": "it moves", "image": image}});
    let done = app.finish(&app.ask(input).await.id()).await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
    for (url, kind) in [(image, "image/png"), (done["url"].as_str().unwrap(), "video/mp4")] {
        let whole = app.http.get(url).send().await.unwrap();
        assert_eq!((whole.status().as_u16(), &whole.headers()["content-type"]), (200, &kind.parse().unwrap()));
        let whole = whole.bytes().await.unwrap();
        let part = app.http.get(url).header("range", "bytes=2-5").send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.headers()["content-range"], format!("bytes 2-5/{}", whole.len()));
        assert_eq!(part.bytes().await.unwrap(), whole[2..6]);
        let head = app.http.head(url).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], whole.len().to_string());
    }
    assert_eq!(app.http.get(image).send().await.unwrap().bytes().await.unwrap(), file);
    let missing = format!("{}/media/ab/{}.png", app.url, "0".repeat(38));
    assert_eq!(app.http.get(missing).send().await.unwrap().status(), 404);
    let kept = bucket.list("list-type=2").await;
    assert!(kept.len() >= 2 && kept.iter().all(|key| key.starts_with("kept/")), "{kept:?}");
}

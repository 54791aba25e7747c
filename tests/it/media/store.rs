//! Keeping, reading and deleting files.

use std::{collections::HashMap, convert::Infallible, fs, io};

use bytes::Bytes;
use doitong::media::{Expected, KeepError, Store};
use futures_util::{TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::{files, png, store};

fn chunks(bytes: &Bytes) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + use<> {
    let parts: Vec<_> = bytes.chunks(100_000).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    stream::iter(parts)
}

#[tokio::test]
async fn files_small_and_large_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    // One that is held in memory, one that goes to disk, one of several parts.
    for side in [8, 800, 1500] {
        let file = png(side);
        let asset = store.keep(chunks(&file), Expected::Result(None), u64::MAX).await.unwrap();
        assert_eq!(asset.content_type, "image/png");
        assert_eq!(asset.size_bytes, i64::try_from(file.len()).unwrap());
        assert_eq!(asset.sha256, hex::encode(Sha256::digest(&file)));
        assert_eq!(store.read_whole(&asset.path, u64::MAX).await.unwrap().unwrap(), file);

        let found = store.find(&asset.path).await.unwrap().unwrap();
        assert_eq!((found.content_type, found.size_bytes), ("image/png", file.len() as u64));
        let part = store.read(&found, Some(3..7)).await.unwrap().try_collect::<Vec<_>>().await.unwrap().concat();
        assert_eq!(part, file[3..7]);
    }
    store.check().await.unwrap();
    assert_eq!(files(dir.path()).len(), 3);
}

#[tokio::test]
async fn paths_cannot_be_guessed_nor_lead_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    let (one, two) = (
        store.keep_bytes(png(8), Expected::Input).await.unwrap().path,
        store.keep_bytes(png(8), Expected::Input).await.unwrap().path,
    );
    assert_ne!(one, two);
    assert!(one.len() >= 2 + 1 + 32 + 4, "{one}");
    fs::write(dir.path().join("secret.png"), "secret").unwrap();
    for path in
        ["../secret.png", "ab/../../secret.png", "/etc/passwd", "", "ab", &one[..10], &one[..2], &format!("{one}/")]
    {
        assert!(store.find(path).await.unwrap().is_none(), "{path}");
        store.delete(path).await.unwrap();
    }
    assert_eq!(files(dir.path()).len(), 3);
}

#[tokio::test]
async fn deleting_is_repeatable() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    let path = store.keep_bytes(png(8), Expected::Input).await.unwrap().path;
    store.delete(&path).await.unwrap();
    store.delete(&path).await.unwrap();
    assert!(store.find(&path).await.unwrap().is_none());
}

#[tokio::test]
async fn a_file_that_is_refused_or_breaks_off_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    let large = png(1200);
    let error = store.keep(chunks(&large), Expected::Input, 2_000_000).await.unwrap_err();
    assert!(matches!(error, KeepError::TooLarge(2_000_000)) && !error.is_retryable());

    let half = [Ok(large.slice(..2_000_000)), Err(io::Error::other("reset"))];
    let error = store.keep(stream::iter(half), Expected::Input, u64::MAX).await.unwrap_err();
    assert!(matches!(error, KeepError::Source(_)) && error.is_retryable());

    let error = store.keep_bytes(Bytes::new(), Expected::Input).await.unwrap_err();
    assert!(matches!(error, KeepError::Empty));
    assert_eq!(files(dir.path()), [""; 0]);
}

#[tokio::test]
async fn a_file_says_itself_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    let kept = store.keep_bytes(png(8), Expected::Result(Some("video/mp4"))).await.unwrap();
    assert_eq!(kept.content_type, "image/png");

    let raw = Bytes::from_static(&[0, 1, 0, 2, 0, 3]);
    let kept = store.keep_bytes(raw.clone(), Expected::Result(Some("audio/PCM; rate=16000"))).await.unwrap();
    assert_eq!((kept.content_type.as_str(), kept.path.rsplit('.').next()), ("audio/pcm", Some("pcm")));

    let page = Bytes::from_static(b"<html><script>alert(1)</script></html>");
    for (bytes, expected) in [
        (&raw, Expected::Result(None)),
        (&raw, Expected::Input),
        (&raw, Expected::Result(Some("text/html"))),
        (&page, Expected::Result(Some("image/png"))),
        (&page, Expected::Result(Some("text/html"))),
        (&page, Expected::Input),
    ] {
        let error = store.keep_bytes(bytes.clone(), expected).await.unwrap_err();
        assert!(matches!(error, KeepError::Unrecognised), "{expected:?}");
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_worth_another_try() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), None);
    fs::remove_dir(dir.path().join("media")).unwrap();
    fs::write(dir.path().join("media"), "in the way").unwrap();
    for side in [8, 800] {
        let error = store.keep_bytes(png(side), Expected::Input).await.unwrap_err();
        assert!(matches!(error, KeepError::Store(_)) && error.is_retryable(), "{error:?}");
    }
    assert!(store.check().await.is_err());
}

#[tokio::test]
async fn the_store_may_be_named_by_path_or_url() {
    let dir = tempfile::tempdir().unwrap();
    let absolute = dir.path().join("a b");
    for location in [absolute.to_str().unwrap(), url::Url::from_file_path(&absolute).unwrap().as_str()] {
        let store = Store::open(location, &HashMap::new(), dir.path(), None).unwrap();
        store.keep_bytes(png(8), Expected::Input).await.unwrap();
    }
    assert_eq!(files(&absolute).len(), 2);
    assert!(Store::open("nonsense://bucket", &HashMap::new(), dir.path(), None).is_err());
}

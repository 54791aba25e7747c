//! The disk of the media store is full: results wait for space, uploads are told so.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use doitong::domain::Plan;
use rustix::fs::Mode;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Double, TestApp, live_video};

/// A folder that takes no more files: a small file system of its own that is full; where that may not be mounted, a folder
/// that may not be written.
struct Full {
    folder: TempDir,
    is_mounted: bool,
}

impl Full {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(folder.path()).output();
        let full = Self { is_mounted: mounted.is_ok_and(|output| output.status.success()), folder };
        fs::create_dir(full.media()).unwrap();
        full.fill();
        full
    }

    fn media(&self) -> PathBuf {
        self.folder.path().join("media")
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    fn fill(&self) {
        if !self.is_mounted {
            rustix::fs::chmod(self.media(), Mode::from_raw_mode(0o500)).unwrap();
            return;
        }
        let mut file = fs::File::create(self.filler()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        if self.is_mounted {
            fs::remove_file(self.filler()).unwrap();
        } else {
            rustix::fs::chmod(self.media(), Mode::from_raw_mode(0o700)).unwrap();
        }
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        if self.is_mounted {
            // A file that is just being served may still be open.
            Command::new("umount").arg("--lazy").arg(self.folder.path()).status().unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn with_the_disk_full_results_wait_for_space_and_uploads_are_told() {
    let (double, full) = (Double::start().await, Full::new());
    let settings = double.settings();
    let app = TestApp::with(Plan::Pro, |config, secrets| {
        settings(config, secrets);
        config.media.store = Some(full.media().to_str().unwrap().to_owned());
    })
    .await;
    let key = app.live_key().await;
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    app.advance(Duration::ZERO).await;
    for _ in 0..3 {
        app.advance(Duration::from_secs(2)).await;
    }
    assert_eq!(app.generation_as(&key, &id).await["status"], "PROCESSING");
    assert!(double.asked("file") > 1, "the copy was not tried again");

    let upload = || {
        let bytes: &[u8] = include_bytes!("../../fixtures/media/a.mp4");
        app.http.post(format!("{}/uploads", app.url)).bearer_auth(&key).body(bytes).send()
    };
    let refused = upload().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    let refused: serde_json::Value = refused.json().await.unwrap();
    let extensions = &refused["errors"][0]["extensions"];
    assert_eq!((&extensions["code"], &extensions["retryable"]), (&json!("INTERNAL"), &json!(true)), "{refused}");
    assert_eq!(files(&full.media()), Vec::<PathBuf>::new(), "halves were left behind");

    full.make_room();
    assert_eq!(upload().await.unwrap().status(), 200);
    for _ in 0..3 {
        app.advance(Duration::from_secs(2)).await;
    }
    let done = app.generation_as(&key, &id).await;
    assert_eq!((&done["status"], double.asked("submit")), (&json!("COMPLETED"), 1), "{done:#}");
    assert_eq!(app.http.get(done["url"].as_str().unwrap()).send().await.unwrap().status(), 200);
    assert_eq!(files(&full.media()).len(), 2);
    app.audit().await;
}

//! A Python with pinned packages, made once below `target`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{process::Command, sync::Mutex};

/// Several tests may want the same one at once.
static MAKING: Mutex<()> = Mutex::const_new(());

/// The interpreter of an environment that has these packages.
pub async fn python(name: &str, packages: &[&str]) -> PathBuf {
    let _alone = MAKING.lock().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name);
    let (python, marker, wanted) = (folder.join("bin/python"), folder.join("installed"), packages.join(" "));
    if fs::read_to_string(&marker).ok().is_none_or(|installed| installed != wanted) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages)).await;
        fs::write(marker, wanted).unwrap();
    }
    python
}

async fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("these tests need Python 3: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

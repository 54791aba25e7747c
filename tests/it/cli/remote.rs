//! The commands that use a gateway as its clients: `generate`, `watch`, `list`.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Home, Ran, Served, eventually, write};

const FOX: &[&str] = &["generate", "image", "A fox", "--provider", "flux-dev"];

/// A gateway, and a person with a key.
struct Desk {
    home: Home,
    served: Served,
}

impl Desk {
    fn new() -> Self {
        let home = Home::new().with("DOITONG__WORKER__TIME_SCALE", "0.01");
        let served = home.serve(&["--listen", "127.0.0.1:0"]);
        let key = home.json(&["keys", "create", "--account", "ada", "--plan", "pro", "--json"])["key"].clone();
        let home = home.with("DOITONG_API_KEY", key.as_str().unwrap()).with("DOITONG_URL", &*served.url);
        Self { home, served }
    }

    /// A command that must succeed.
    fn run(&self, args: &[&str]) -> Ran {
        let ran = self.home.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.stdout, ran.stderr);
        ran
    }

    /// The one line that a command fails with.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let ran = self.home.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.stdout, ran.stderr);
        let error = ran.stderr.lines().last().unwrap_or_default().to_owned();
        assert!(error.starts_with("error: "), "{}", ran.stderr);
        error
    }

    /// Starts a command that goes on.
    fn start(&self, args: &[&str]) -> Child {
        self.home.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn list(&self) -> Vec<Value> {
        self.home.json(&["list", "--json"]).as_array().unwrap().clone()
    }

    /// The id of the one generation, once an upstream has it.
    fn running(&self) -> String {
        eventually(|| {
            let found = self.list().into_iter().find(|one| one["status"] == "PROCESSING")?;
            found["id"].as_str().map(str::to_owned)
        })
    }

    fn is_file(&self, name: &str) -> bool {
        fs::read(self.home.file(name)).unwrap().len() > 500
    }
}

fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn a_result_is_saved_under_a_name_that_says_what_it_is() {
    let desk = Desk::new();
    let ran = desk.run(&[FOX, &["--option", "quality=ultra", "--option", "n=2"]].concat());
    let lines: Vec<_> = ran.stdout.lines().collect();
    let id = lines[0].split(':').next().unwrap();
    assert!(lines[0].starts_with("gen_") && lines[0].contains(": flux-dev, 50 credits, about "), "{}", ran.stdout);
    assert!(lines[1].starts_with("adjusted: "), "{}", ran.stdout);
    let tail = &id[id.len() - 8..];
    for at in 1..=2 {
        let name = format!("image-flux-dev-{tail}-{at}.png");
        assert!(lines.contains(&&*format!("saved {name}")), "{}", ran.stdout);
        assert!(desk.is_file(&name));
    }
    assert_eq!(ran.stderr, "");

    // Nothing of ours takes the place of a file.
    let again = desk.run(&["watch", id]);
    assert!(again.stdout.contains(&format!("saved image-flux-dev-{tail}-1_2.png")), "{}", again.stdout);
    let table = desk.run(&["list"]).stdout;
    assert!(table.starts_with("ID ") && table.contains(id) && table.contains("completed"), "{table}");
    desk.served.stop();
}

#[test]
fn a_result_goes_where_it_is_asked_for() {
    let desk = Desk::new();
    let saved = desk.run(&[FOX, &["-o", "fox.png"]].concat());
    assert!(saved.stdout.ends_with("saved fox.png\n") && desk.is_file("fox.png"), "{}", saved.stdout);
    let replaced = desk.run(&[FOX, &["-o", "fox.png"]].concat());
    assert!(replaced.stdout.ends_with("replaced fox.png\n"), "{}", replaced.stdout);

    fs::create_dir(desk.home.file("pictures")).unwrap();
    let told = desk.home.json(&[FOX, &["--json", "-o", "pictures"]].concat());
    let file = told["files"][0].as_str().unwrap();
    assert!(file.starts_with("pictures/image-flux-dev-") && desk.is_file(file), "{told}");
    assert_eq!((&told["status"], &told["assets"][0]["contentType"]), (&json!("COMPLETED"), &json!("image/png")));

    let output = desk.home.command(&[FOX, &["-o", "-"]].concat()).output().unwrap();
    assert!(output.stdout.starts_with(b"\x89PNG"), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("gen_"));
    let both = desk.fails(2, &[FOX, &["-o", "-", "--json"]].concat());
    assert!(both.contains("choose one"), "{both}");
    let made = desk.list().len();
    let nowhere = desk.fails(2, &[FOX, &["-o", "missing/fox.png"]].concat());
    assert!(nowhere.contains("there is no folder missing"), "{nowhere}");
    assert_eq!(desk.list().len(), made);
    let unnamable = desk.fails(7, &[FOX, &["-o", &"x".repeat(300)]].concat());
    assert!(unnamable.contains("/media/"), "{unnamable}");
}

#[test]
fn files_are_uploaded_and_urls_are_passed_on() {
    let desk = Desk::new();
    desk.run(&[FOX, &["-o", "fox.png"]].concat());
    let picture = desk.home.file("fox.png");
    let video = ["generate", "VIDEO", "It runs", "--provider", "kling", "--no-wait", "--json", "--image"];
    let told = desk.home.json(&[&video[..], &[picture.to_str().unwrap()]].concat());
    assert_eq!((&told["type"], &told["provider"]), (&json!("VIDEO"), &json!("kling")));
    let url = desk.list()[1]["url"].as_str().unwrap().to_owned();
    desk.home.json(&[&video[..], &[&url, "--last-image", &url]].concat());

    let missing = desk.fails(2, &[&video[..], &["missing.png"]].concat());
    assert!(missing.contains("missing.png") && missing.contains("neither a URL nor a file"), "{missing}");
    let text = write(&desk.home.file("notes.png"), "no picture at all");
    let refused = desk.fails(2, &[&video[..], &[&text]].concat());
    assert!(refused.contains("INVALID_INPUT/INPUT"), "{refused}");
}

#[test]
fn what_is_submitted_is_watched_and_listed_later() {
    let desk = Desk::new();
    let told = desk.home.json(&[FOX, &["--no-wait", "--json"]].concat());
    let id = told["id"].as_str().unwrap();
    let watched = desk.home.json(&["watch", id, "--json"]);
    assert_eq!((&watched["id"], &watched["status"]), (&told["id"], &json!("COMPLETED")));
    let said = desk.run(&["generate", "audio", "Hello", "--no-wait"]).stdout;
    assert!(said.starts_with("gen_") && !said.contains("saved"), "{said}");

    let ids = |args: &[&str]| {
        let list = desk.home.json(&[&["list", "--json"], args].concat());
        list.as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]), ["AUDIO", "IMAGE"]);
    assert_eq!(ids(&["--type", "image"]), ["IMAGE"]);
    assert_eq!(ids(&["--status", "completed", "--provider", "flux-dev"]), ["IMAGE"]);
    assert_eq!(ids(&["--first", "1"]), ["AUDIO"]);
}

#[test]
fn every_class_of_error_has_its_exit_code() {
    let mut desk = Desk::new();
    let fails = |code, more: &[&str]| desk.fails(code, &[FOX, more].concat());
    let failed = desk.fails(1, &["generate", "image", "[[fail]] A fox", "--provider", "flux-dev"]);
    assert!(failed.starts_with("error: GENERATION_FAILED/"), "{failed}");
    let rejected = desk.fails(1, &["generate", "image", "[[reject]] A fox", "--provider", "flux-dev"]);
    assert!(rejected.contains("CONTENT_REJECTED"), "{rejected}");
    let unknown = fails(2, &["--option", "qualty=high"]);
    assert!(unknown.contains("INVALID_INPUT/OPTION") && unknown.contains("quality"), "{unknown}");
    let none = desk.fails(2, &["watch", "gen_00000000000000000000000000000000"]);
    assert!(none.starts_with("error: NOT_FOUND: "), "{none}");
    assert!(fails(4, &["--max-credits", "1"]).contains("INSUFFICIENT_CREDITS/MAX_CREDITS"));
    for usage in [&["generate"][..], &["generate", "song", "x"], &[FOX, &["--option", "n"]].concat()] {
        assert_eq!(desk.home.run(usage).code, 2, "{usage:?}");
    }

    let none = Home::new().with("DOITONG_URL", &*desk.served.url);
    assert_eq!(none.run(FOX).code, 3);
    let other = none.with("DOITONG_API_KEY", "dt_test_none");
    let refused = other.run(FOX);
    assert_eq!((refused.code, refused.stderr.contains("UNAUTHENTICATED")), (3, true), "{}", refused.stderr);

    desk.home.run(&["accounts", "set-plan", "ada", "free", "--per-minute", "1"]);
    let limited = eventually(|| {
        let ran = desk.home.run(&[FOX, &["--no-wait"]].concat());
        (ran.code != 0).then_some(ran)
    });
    assert_eq!((limited.code, limited.stderr.contains("RATE_LIMIT/")), (5, true), "{}", limited.stderr);

    desk.served.signal(Signal::TERM);
    desk.served.ended();
    let away = desk.fails(6, FOX);
    assert!(away.contains("UNREACHABLE") && away.contains("DOITONG_URL"), "{away}");
}

#[test]
fn an_interrupt_cancels_where_nobody_can_be_asked() {
    let desk = Desk::new();
    let child = desk.start(&["generate", "image", "[[hang]] A fox", "--provider", "flux-dev", "--json"]);
    desk.running();
    interrupt(&child);
    let ran = ended(child);
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    assert!(ran.stderr.contains("is cancelled; it costs nothing"), "{}", ran.stderr);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&told["status"], &desk.list()[0]["status"]), (&json!("CANCELLED"), &json!("CANCELLED")));
}

/// A command on a terminal of its own, which its standard input and output stand for.
fn on_a_terminal(desk: &Desk, args: &[&str]) -> Child {
    let words: Vec<_> = [env!("CARGO_BIN_EXE_doitong")].iter().chain(args).map(|word| format!("'{word}'")).collect();
    let mut command = desk.home.command(&[]);
    let variables: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = Command::new("script");
    command.env_clear().current_dir(desk.home.folder.path()).env("TERM", "xterm");
    for (name, value) in variables {
        command.env(name, value.unwrap_or_default());
    }
    command.args(["-q", "-e", "-c", &words.join(" "), "/dev/null"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads on until this was written.
fn until(child: &mut Child, wanted: &str) -> String {
    let (stdout, mut seen) = (child.stdout.as_mut().unwrap(), Vec::new());
    let mut chunk = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(wanted) {
        let size = stdout.read(&mut chunk).unwrap();
        assert!(size > 0, "{wanted:?} was not written: {}", String::from_utf8_lossy(&seen));
        seen.extend(&chunk[..size]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

fn press(child: &mut Child, keys: &[u8]) {
    child.stdin.as_mut().unwrap().write_all(keys).unwrap();
}

const CTRL_C: &[u8] = b"\x03";

#[test]
fn on_a_terminal_there_is_a_bar_and_ctrl_c_asks_first_and_leaves_then() {
    let desk = Desk::new();
    let args = ["generate", "image", "[[hang]] A fox", "--provider", "flux-dev"];
    let mut child = on_a_terminal(&desk, &args);
    let seen = until(&mut child, "flux-dev: running");
    assert!(seen.contains("░") && seen.contains('%'), "{seen}");
    press(&mut child, CTRL_C);
    until(&mut child, "[y/N]");
    // The bar is not drawn over the answer.
    press(&mut child, b"no");
    assert!(!until(&mut child, "no").contains('░'));
    press(&mut child, b"\n");
    // It goes on, and can be asked again.
    until(&mut child, "flux-dev: running");
    press(&mut child, CTRL_C);
    until(&mut child, "[y/N]");
    press(&mut child, CTRL_C);
    until(&mut child, "goes on");
    assert_eq!(ended(child).code, 130);
    let id = desk.running();

    let mut child = on_a_terminal(&desk, &["watch", &id]);
    until(&mut child, "running");
    cancel(child);
    assert_eq!(desk.list()[0]["status"], "CANCELLED");
}

/// Interrupts a command that follows a generation, and says yes to its question.
fn cancel(mut child: Child) {
    press(&mut child, CTRL_C);
    until(&mut child, "[y/N]");
    press(&mut child, b"y\n");
    until(&mut child, "is cancelled; it costs nothing");
    assert_eq!(ended(child).code, 130);
}

#[test]
fn a_terminal_says_that_the_gateway_is_away_and_goes_on_when_it_is_back() {
    let mut desk = Desk::new();
    let mut child = on_a_terminal(&desk, &["generate", "image", "[[hang]] A fox", "--provider", "flux-dev"]);
    until(&mut child, "flux-dev: running");
    let address = desk.served.url.strip_prefix("http://").unwrap().to_owned();
    desk.served.signal(Signal::TERM);
    desk.served.ended();
    until(&mut child, "reconnecting");
    desk.served = desk.home.serve(&["--listen", &address]);
    until(&mut child, "flux-dev: running");
    cancel(child);
}

#[test]
fn a_gateway_that_goes_and_comes_back_is_watched_on() {
    let mut desk = Desk::new();
    let child = desk.start(&["generate", "image", "[[hang]] A fox", "--provider", "flux-dev"]);
    let id = desk.running();
    let address = desk.served.url.strip_prefix("http://").unwrap().to_owned();
    desk.served.signal(Signal::TERM);
    desk.served.ended();
    desk.served = desk.home.serve(&["--listen", &address]);
    // By another client: the watching one is told.
    let key = desk.home.variables.iter().find(|(name, _)| *name == "DOITONG_API_KEY").unwrap().1.clone();
    let (_, answer) = desk.served.ask(&key, &format!(r#"mutation {{ cancelGeneration(id: "{id}") }}"#));
    assert_eq!(answer["data"]["cancelGeneration"], true, "{answer}");
    let ran = ended(child);
    assert_eq!((ran.code, ran.stderr), (1, format!("error: {id} was cancelled\n")));
}

/// A proxy that loses the answers to the first requests, each done by the gateway, and passes on the others.
fn lossy(gateway: &str, unanswered: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, seen) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let (gateway, count) = (gateway.strip_prefix("http://").unwrap().to_owned(), seen.clone());
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, gateway) = (client.unwrap(), TcpStream::connect(&gateway).unwrap());
            let loses = count.fetch_add(1, Ordering::SeqCst) < unanswered;
            let (mut from, mut to) = (client.try_clone().unwrap(), gateway.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            thread::spawn(move || answer(client, gateway, loses));
        }
    });
    (url, seen)
}

fn answer(mut client: TcpStream, mut gateway: TcpStream, loses: bool) {
    if loses {
        // The answer has begun, so the request was done.
        gateway.read_exact(&mut [0; 12]).unwrap();
        client.shutdown(std::net::Shutdown::Both).unwrap();
    } else {
        std::io::copy(&mut gateway, &mut client).ok();
        client.shutdown(std::net::Shutdown::Both).ok();
    }
}

#[test]
fn a_lost_answer_buys_nothing_twice() {
    let desk = Desk::new();
    let (url, connections) = lossy(&desk.served.url, 2);
    let output = desk.home.command(FOX).env("DOITONG_URL", url).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(connections.load(Ordering::SeqCst) >= 3);
    assert_eq!(desk.list().len(), 1);
}

/// A proxy that breaks every connection on which an event stream is asked for.
fn without_streams(gateway: &str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, broken) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let (gateway, count) = (gateway.strip_prefix("http://").unwrap().to_owned(), broken.clone());
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, gateway) = (client.unwrap(), TcpStream::connect(&gateway).unwrap());
            let (from, to, count) = (client.try_clone().unwrap(), gateway.try_clone().unwrap(), count.clone());
            thread::spawn(move || pass_unless_stream(from, to, &count));
            thread::spawn(move || answer(client, gateway, false));
        }
    });
    (url, broken)
}

fn pass_unless_stream(mut from: TcpStream, mut to: TcpStream, broken: &AtomicUsize) {
    let mut chunk = [0; 8192];
    while let Ok(size @ 1..) = from.read(&mut chunk) {
        if String::from_utf8_lossy(&chunk[..size]).contains("text/event-stream") {
            broken.fetch_add(1, Ordering::SeqCst);
            break;
        }
        to.write_all(&chunk[..size]).unwrap();
    }
    to.shutdown(std::net::Shutdown::Both).ok();
}

#[test]
fn where_no_stream_comes_through_it_is_polled() {
    let desk = Desk::new();
    let (url, broken) = without_streams(&desk.served.url);
    let output = desk.home.command(&[FOX, &["-o", "fox.png"]].concat()).env("DOITONG_URL", url).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(broken.load(Ordering::SeqCst), 2);
    assert!(desk.is_file("fox.png"));
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let home = Home::new();
    let script = home.run(&["completions", "bash"]);
    assert!(script.stdout.contains("--max-credits"), "{}", script.stdout);
    let file = write(&home.file("doitong.bash"), &script.stdout);
    assert!(Command::new("bash").args(["-n", &file]).status().unwrap().success());
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(home.run(&["completions", shell]).stdout.contains("doitong"), "{shell}");
    }
    assert_eq!(home.run(&["completions", "dos"]).code, 2);
}

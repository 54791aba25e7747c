//! Two API processes are replaced, one after the other, behind a balancer and under load: no caller notices.

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Database, new_key};
use crate::cli::{Home, Served, eventually};

/// How often the balancer asks, and the refusals after which it sends nobody any more.
const ASK_EVERY: Duration = Duration::from_millis(100);
const FALL: u32 = 3;

/// A balancer that knows connections only: it asks `/readyz` as many do, and tries nothing twice.
struct Balancer {
    url: String,
    targets: Arc<Vec<Target>>,
    tasks: JoinSet<()>,
}

struct Target {
    address: SocketAddr,
    is_up: AtomicBool,
}

impl Balancer {
    async fn start(addresses: &[SocketAddr]) -> Self {
        let target = |address: &SocketAddr| Target { address: *address, is_up: AtomicBool::new(false) };
        let targets: Arc<Vec<Target>> = Arc::new(addresses.iter().map(target).collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(forward(listener, targets.clone()));
        for at in 0..targets.len() {
            tasks.spawn(look_after(targets.clone(), at));
        }
        Self { url, targets, tasks }
    }

    fn is_up(&self, at: usize) -> bool {
        self.targets[at].is_up.load(Ordering::SeqCst)
    }
}

async fn forward(listener: TcpListener, targets: Arc<Vec<Target>>) {
    let (mut turn, mut connections) = (0, JoinSet::new());
    while let Ok((mut client, _)) = listener.accept().await {
        turn += 1;
        let up: Vec<_> = targets.iter().filter(|target| target.is_up.load(Ordering::SeqCst)).collect();
        assert!(!up.is_empty(), "nobody is up");
        let address = up[turn % up.len()].address;
        connections.spawn(async move {
            let mut target = TcpStream::connect(address).await?;
            copy_bidirectional(&mut client, &mut target).await
        });
    }
}

async fn look_after(targets: Arc<Vec<Target>>, at: usize) {
    let (target, mut refusals) = (&targets[at], 0);
    loop {
        let is_ready =
            timeout(Duration::from_secs(1), is_ready(target.address)).await.is_ok_and(|ready| ready.is_some());
        refusals = if is_ready { 0 } else { refusals + 1 };
        if is_ready {
            target.is_up.store(true, Ordering::SeqCst);
        } else if refusals >= FALL {
            target.is_up.store(false, Ordering::SeqCst);
        }
        sleep(ASK_EVERY).await;
    }
}

async fn is_ready(address: SocketAddr) -> Option<()> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(())
}

/// Callers that ask without a pause, and what went wrong.
#[derive(Default)]
pub(super) struct Load {
    pub answers: AtomicU32,
    pub failures: Mutex<Vec<String>>,
    pub is_over: AtomicBool,
}

impl Load {
    /// Waits until so many more calls were answered.
    pub fn go_on(&self, answers: u32) {
        let goal = self.answers.load(Ordering::SeqCst) + answers;
        eventually(|| (self.answers.load(Ordering::SeqCst) >= goal).then_some(()));
    }

    /// Half of the callers keep their connections, the others open one for each call.
    pub async fn run(self: Arc<Self>, url: String, key: String, caller: usize) {
        let idle = if caller.is_multiple_of(2) { 8 } else { 0 };
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(idle).build().unwrap();
        let mut calls = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            calls += 1;
            let query = if calls % 10 == 0 {
                r#"mutation { generate(input: { type: AUDIO, input: { text: "A" } }) { id } }"#
            } else {
                "{ account { name } }"
            };
            let sent = http.post(format!("{url}/graphql")).bearer_auth(&key).json(&json!({ "query": query })).send();
            let outcome = match sent.await {
                Ok(answer) if answer.status() == 200 => match answer.json::<Value>().await {
                    Ok(answer) if answer.get("errors").is_none() => Ok(()),
                    Ok(answer) => Err(answer.to_string()),
                    Err(error) => Err(format!("{error:?}")),
                },
                Ok(answer) => Err(format!("HTTP {}", answer.status())),
                Err(error) => Err(format!("{error:?}")),
            };
            self.answers.fetch_add(1, Ordering::SeqCst);
            if let Err(failure) = outcome {
                self.failures.lock().unwrap().push(failure);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn start(home: &Home, address: SocketAddr) -> Served {
    home.serve(&["--role", "api", "--listen", &address.to_string()])
}

#[test]
fn no_call_fails_while_two_api_processes_are_replaced() {
    doitong::egress::use_ring();
    let database = Database::start();
    let home = database.home();
    let key = new_key(&home);
    let free = || StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let addresses = [free(), free()];
    let mut processes = addresses.map(|address| start(&home, address));

    let mut balancer = database.runtime.block_on(Balancer::start(&addresses));
    eventually(|| (balancer.is_up(0) && balancer.is_up(1)).then_some(()));
    let load = Arc::new(Load::default());
    for caller in 0..8 {
        balancer.tasks.spawn_on(load.clone().run(balancer.url.clone(), key.clone(), caller), database.runtime.handle());
    }
    let after = |answers| load.go_on(answers);
    after(50);
    for at in [0, 1] {
        processes[at].signal(Signal::TERM);
        assert_eq!(processes[at].ended().code(), Some(0), "{}", processes[at].log());
        assert!(!processes[at].log().contains("not everything ended in time"), "{}", processes[at].log());
        assert!(!balancer.is_up(at), "it ended before the balancer had moved");
        after(50);
        processes[at] = start(&home, addresses[at]);
        eventually(|| balancer.is_up(at).then_some(()));
        after(50);
    }
    load.is_over.store(true, Ordering::SeqCst);
    let failures = load.failures.lock().unwrap().clone();
    assert!(failures.is_empty(), "{} of {:?} calls failed: {failures:#?}", failures.len(), load.answers);
    database.runtime.block_on(balancer.tasks.shutdown());
}

//! What the kernel tells of processes.

use std::{fs, path::Path};

/// Ticks a second of the times in `/proc`; the same on every Linux in use.
const TICKS: f64 = 100.0;

/// Seconds of CPU of a process; zero when it is gone.
pub fn cpu(pid: u32) -> f64 {
    own_cpu(Path::new(&format!("/proc/{pid}/stat")))
}

/// Seconds of CPU of this thread.
pub fn thread_cpu() -> f64 {
    own_cpu(Path::new("/proc/thread-self/stat"))
}

fn own_cpu(stat: &Path) -> f64 {
    ticks(stat)[..2].iter().sum::<f64>() / TICKS
}

/// Seconds of CPU of a process and its children, those that have ended too.
pub fn family_cpu(parent: u32) -> f64 {
    let own: f64 = ticks(Path::new(&format!("/proc/{parent}/stat"))).iter().sum();
    own / TICKS + children(parent).into_iter().map(cpu).sum::<f64>()
}

/// User and system time, and those of ended children.
fn ticks(stat: &Path) -> [f64; 4] {
    let text = fs::read_to_string(stat).unwrap_or_default();
    let mut fields = text.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').skip(11);
    std::array::from_fn(|_| fields.next().and_then(|field| field.parse().ok()).unwrap_or_default())
}

fn children(parent: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Resident memory of a process in MB.
pub fn rss_mb(pid: u32) -> f64 {
    memory(pid, "VmRSS:")
}

/// The most it ever had.
pub fn peak_mb(pid: u32) -> f64 {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kilobytes: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

/// Seconds of CPU of the machine since its start: busy ones, and all.
pub fn machine() -> (f64, f64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> =
        text.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8).flat_map(str::parse).collect();
    let all: f64 = fields.iter().sum();
    let busy = all - fields.get(3).unwrap_or(&0.0) - fields.get(4).unwrap_or(&0.0);
    (busy / TICKS, all / TICKS)
}

/// The processor's name.
pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.and_then(|line| line.split_once(": ")).map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned())
}

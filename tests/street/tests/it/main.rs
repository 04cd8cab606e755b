//! The street itself, against masters and clients that we did not write: Debian's mbpoll (libmodbus) reads the simulated
//! devices, mosquitto's clients meet the core.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod core;
mod devices;
mod load;
mod proxy;

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a program that is not ours, to its end or for ten seconds; returns whether it was content, and what it printed.
fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is needed ({error}); `make needs` installs it"));
    let end = Instant::now() + Duration::from_secs(10);
    let status = until(end, || child.try_wait().unwrap()).unwrap_or_else(|| {
        child.kill().unwrap();
        child.wait().unwrap()
    });
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (status.success(), text)
}

/// Looks again and again until something is found or the time is over.
fn until<T>(end: Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

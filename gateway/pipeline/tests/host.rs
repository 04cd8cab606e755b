//! The programs that the pipeline starts, for the tests of this crate: the plugin host, the compiler, and a probe that tries what a
//! process that is confined like them is not to do, and tells how it went.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "the probe is a test")]

use std::fmt::Debug;
use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::ptrace;
use nix::unistd::Pid;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["plugin-host"] => curb_pipeline::plugin_host(),
        ["plugin-compile"] => curb_pipeline::plugin_compile(),
        ["probe", "confined", victim] => {
            curb_pipeline::confine().unwrap();
            probe(victim)
        }
        ["probe", "free", victim] => probe(victim),
        _ => ExitCode::from(2),
    }
}

/// Each line: what was tried, and `ok` or the error. `victim`: another process of this user.
fn probe(victim: &str) -> ExitCode {
    let pid = Pid::from_raw(victim.parse().unwrap());
    tell("file", &File::open("/etc/passwd"));
    tell("folder", &std::fs::read_dir("/"));
    tell("make", &File::create(format!("/tmp/curb-probe-{}", std::process::id())));
    std::fs::remove_file(format!("/tmp/curb-probe-{}", std::process::id())).ok();
    tell("device", &File::open("/dev/zero"));
    tell("memory", &File::open(format!("/proc/{victim}/mem")));
    tell("environment", &std::fs::read(format!("/proc/{victim}/environ")));
    tell("tcp", &TcpListener::bind("127.0.0.1:0"));
    tell("udp", &UdpSocket::bind("127.0.0.1:0"));
    tell("unix", &UnixStream::pair());
    tell("signal", &nix::sys::signal::kill(pid, None));
    let traced = ptrace::seize(pid, ptrace::Options::empty());
    tell("ptrace", &traced);
    tell("child", &Command::new("/bin/true").status());
    // What a plugin needs is left.
    tell("thread", &std::thread::Builder::new().spawn(|| vec![1u8; 1 << 20]).map(|thread| thread.join().is_ok()));
    tell("clock", &Ok::<_, ()>(std::time::Instant::now()));
    // The last: it takes this process's place.
    let error = Command::new("/bin/echo").arg("exec ok").exec();
    tell::<(), _>("exec", &Err(error));
    ExitCode::SUCCESS
}

fn tell<T, E: Debug>(what: &str, result: &Result<T, E>) {
    match result {
        Ok(_) => println!("{what} ok"),
        Err(error) => println!("{what} {error:?}"),
    }
}

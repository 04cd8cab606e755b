//! Modbus servers that we did not write, as processes on loopback.

use std::path::{Path, PathBuf};

use street::{Process, eventually};

use crate::{PATIENCE, Site, free_port};

/// A Modbus TCP server.
#[derive(Debug)]
pub struct Server {
    /// The process, for its log and its end.
    pub process: Process,
    /// Where it listens.
    pub port: u16,
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(file)
}

async fn listening(process: Process, port: u16) -> Server {
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
    eventually(PATIENCE, "the Modbus server listens", &[&process], listens).await.expect("the Modbus server starts");
    Server { process, port }
}

/// libmodbus: `peers/modbus_server.c`, compiled on the spot.
///
/// # Panics
/// libmodbus-dev or a compiler is not there (`make needs`).
pub async fn libmodbus_tcp(site: &Site) -> Server {
    let program = site.path().join("modbus_server");
    let source = here("modbus_server.c").display().to_string();
    let arguments = ["-O1", "-o", &program.display().to_string(), &source, "-lmodbus"];
    let (status, _) =
        Process::run("cc", Path::new("/usr/bin/cc"), arguments, site.path(), PATIENCE).await.expect("run cc");
    assert!(status.success(), "cc {source}: {status}; is libmodbus-dev there? (make needs)");
    let port = free_port();
    let process =
        Process::start("libmodbus", &program, ["tcp", "127.0.0.1", &port.to_string()], site.path()).expect("start it");
    listening(process, port).await
}

/// What to put before a program, so that looking up a name takes it a minute: `peers/slow_names.c`, compiled on the spot.
///
/// # Panics
/// A compiler is not there (`make needs`).
pub async fn slow_names(site: &Site) -> [String; 2] {
    let library = site.path().join("slow_names.so").display().to_string();
    let source = here("slow_names.c").display().to_string();
    let arguments = ["-shared", "-fPIC", "-o", &library, &source];
    let (status, _) =
        Process::run("cc", Path::new("/usr/bin/cc"), arguments, site.path(), PATIENCE).await.expect("run cc");
    assert!(status.success(), "cc {source}: {status}");
    ["env".to_owned(), format!("LD_PRELOAD={library}")]
}

/// pymodbus: `peers/pymodbus_server.py`, in the virtual environment of `make needs`.
///
/// # Panics
/// The virtual environment is not there.
pub async fn pymodbus_tcp(site: &Site) -> Server {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/bin/python");
    assert!(python.exists(), "{} is missing: make needs", python.display());
    let port = free_port();
    let script = here("pymodbus_server.py").display().to_string();
    let process = Process::start("pymodbus", &python, [&script, &port.to_string()], site.path()).expect("start it");
    listening(process, port).await
}

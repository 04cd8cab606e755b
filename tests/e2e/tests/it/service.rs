//! The systemd unit, booted under systemd-nspawn.

use std::path::Path;
use std::time::Duration;

use street::{Process, binary};

#[tokio::test]
async fn the_unit_comes_up_confined_reaches_its_core_and_goes_down_cleanly() {
    if !rustix::process::geteuid().is_root() {
        println!("not run: systemd-nspawn mounts and boots, which needs root; as root: tests/nspawn");
        return;
    }
    binary("curb").expect("curb is built");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nspawn");
    let folder = tempfile::TempDir::new().unwrap();
    let none: [&str; 0] = [];
    let (status, out) = Process::run("nspawn", &script, none, folder.path(), Duration::from_secs(200)).await.unwrap();
    let log = std::fs::read_to_string(folder.path().join("nspawn.log")).unwrap();
    assert!(status.success(), "{status}\n{}\n{log}", String::from_utf8_lossy(&out));
}

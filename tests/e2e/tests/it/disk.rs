//! A state folder that fills up: said, survived, and no reason not to stop.

use std::path::PathBuf;
use std::process::Command;

use e2e::{Hub, Ingest, Mosquitto, Site, peers};
use street::eventually;

use crate::meter;

/// A small disk, unmounted when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&path).status().unwrap();
        assert!(mounted.success(), "mount a tmpfs at {}", path.display());
        Self(path)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Leaves no room.
    fn fill(&self) {
        let all = vec![0_u8; 16 << 20];
        assert!(std::fs::write(self.filler(), all).is_err(), "the disk is smaller than that");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(), "unmount the small disk");
    }
}

#[tokio::test]
async fn a_full_disk_is_said_survived_and_no_reason_not_to_stop() {
    if !rustix::process::geteuid().is_root() {
        println!("not run: mounting a small disk needs root");
        return;
    }
    let site = Site::new().await;
    let mut broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let disk = SmallDisk::mount(site.path().join("hub/state"));
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "10ms"));
    hub.start().await;
    let first = || ingest.readings("meter/voltage").first().cloned();
    eventually(e2e::PATIENCE, "a reading", &[hub.process(), &ingest.process], first).await.unwrap();

    // Nothing is delivered from here on, so that the queue has no room of its own to use again.
    broker.go_away().await;
    disk.fill();
    hub.fault("disk-full").await;
    std::fs::remove_file(disk.filler()).unwrap();
    hub.no_fault("disk-full").await;
    disk.fill();
    hub.fault("disk-full").await;
    assert_eq!(hub.stop().await, Some(0), "a stop has a deadline: {}", hub.log());
    std::fs::remove_file(disk.filler()).unwrap();
    broker.come_back().await;
    hub.start().await;
    let before = ingest.readings("meter/voltage").len();
    let more = || (ingest.readings("meter/voltage").len() > before).then_some(());
    eventually(e2e::PATIENCE, "readings of the next run", &[hub.process(), &ingest.process], more).await.unwrap();
    hub.shows("an empty queue", |status| (status["queue"]["readings"].as_u64()? < 100).then_some(())).await;
    assert_eq!(hub.stop().await, Some(0));
    drop(disk);
}

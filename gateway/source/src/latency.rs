//! How long a serial adapter may hold back what it has received. Pure, but for what the caller reads for it.
//!
//! A USB adapter collects bytes and hands them over when it has many, or when its latency timer has run. A time-out that
//! does not know this is too short for a unit that answers in time.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a USB adapter holds bytes back for, where it does not tell: the latency timer that FTDI's come with, and longer
/// than that of any other kind.
const USB: Duration = Duration::from_millis(16);

/// Longest that is believed, one byte of milliseconds: the register in the adapter is no wider.
const MAX: Duration = Duration::from_millis(255);

/// The latency of the adapter behind `port`, a device file with all links followed, as `/dev/ttyUSB0`. `read` reads a file
/// of the system's.
pub(crate) fn of(port: &Path, read: impl FnOnce(&Path) -> io::Result<String>) -> Duration {
    let Some(name) = port.file_name().and_then(|name| name.to_str()) else { return Duration::ZERO };
    let timer = PathBuf::from("/sys/class/tty").join(name).join("device/latency_timer");
    let told = read(&timer).ok().and_then(|text| text.trim().parse().ok()).map(Duration::from_millis);
    let is_usb = ["ttyUSB", "ttyACM"].iter().any(|kind| name.starts_with(kind));
    told.map_or(if is_usb { USB } else { Duration::ZERO }, |told| told.min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_given_the_time_that_it_takes() {
        let check = |port: &str, told: Option<&str>, latency_ms| {
            let read = |path: &Path| {
                let name = port.rsplit('/').next().unwrap();
                assert_eq!(path, Path::new(&format!("/sys/class/tty/{name}/device/latency_timer")));
                told.map(str::to_owned).ok_or_else(|| io::ErrorKind::NotFound.into())
            };
            assert_eq!(of(Path::new(port), read), Duration::from_millis(latency_ms), "{port} {told:?}");
        };
        check("/dev/ttyUSB0", Some("16\n"), 16);
        check("/dev/ttyUSB0", Some("1\n"), 1);
        check("/dev/ttyUSB12", None, 16);
        check("/dev/ttyACM0", None, 16);
        check("/dev/ttyUSB0", Some("soon"), 16);
        check("/dev/ttyUSB0", Some("99999"), 255);
        check("/dev/ttyS0", None, 0);
        check("/dev/ttyAMA0", None, 0);
        check("/dev/pts/3", None, 0);
    }
}

//! A serial line with something wrong on it: a pseudo-terminal whose far end says whatever a test wants.
//!
//! The far end sees the baud rate that the near end is set to, and can be understood at one rate only. (Parity cannot be
//! seen on a pseudo-terminal.)

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// How often the far end looks for a request.
const LOOK: Duration = Duration::from_millis(1);

/// A request is read until nothing has come for so many looks.
const QUIET: u32 = 3;

/// The line; ends when it is dropped.
#[derive(Debug)]
pub struct FaultyLine {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FaultyLine {
    /// A line behind `link`. `answer` is given the baud rate and what has come (nothing, some hundred times a second).
    ///
    /// # Panics
    /// There is no pseudo-terminal.
    #[must_use]
    pub fn new(link: &Path, mut answer: impl FnMut(u32, &[u8]) -> Vec<u8> + Send + 'static) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("make a terminal");
        grantpt(&master).expect("grant it");
        unlockpt(&master).expect("unlock it");
        let name = ptsname(&master, Vec::new()).expect("name it").into_string().expect("names of terminals are ASCII");
        let slave = open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("open it");
        let mut raw = tcgetattr(&slave).expect("read its settings");
        raw.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &raw).expect("make it raw");
        fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK).expect("make it not wait");
        std::os::unix::fs::symlink(&name, link).expect("link it");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        // The slave is kept open: what is sent while nobody listens must not be an error.
        let serve = move || serve(&master, &slave, &stopped, &mut answer);
        let thread = std::thread::Builder::new().name("faulty-line".to_owned()).spawn(serve).expect("start a thread");
        Self { path: link.to_owned(), stop, thread: Some(thread) }
    }

    /// The port.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FaultyLine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(master: &OwnedFd, slave: &OwnedFd, stop: &AtomicBool, answer: &mut dyn FnMut(u32, &[u8]) -> Vec<u8>) {
    let (mut request, mut quiet) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let mut bytes = [0; 256];
        match rustix::io::read(master, &mut bytes) {
            Ok(len @ 1..) => {
                request.extend_from_slice(&bytes[..len]);
                quiet = 0;
            }
            Ok(0) | Err(_) => quiet += 1,
        }
        if request.is_empty() || quiet >= QUIET {
            let baud = tcgetattr(slave).map_or(0, |settings| settings.output_speed());
            let said = answer(baud, &request);
            request.clear();
            // Nobody may read it: then it is lost, as on a wire.
            rustix::io::write(master, &said).ok();
        }
        let look = LOOK.try_into().expect("a millisecond is a time");
        drop(rustix::thread::nanosleep(&look));
    }
}

/// A frame with its check sum.
#[must_use]
pub fn framed(body: &[u8]) -> Vec<u8> {
    let shift = |crc: u16, _bit: u8| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 };
    let crc = body.iter().fold(0xFFFF, |crc: u16, &byte| (0..8).fold(crc ^ u16::from(byte), shift));
    [body, &crc.to_le_bytes()].concat()
}

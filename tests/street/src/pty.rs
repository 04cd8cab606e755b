//! A serial port that is not there: a pseudo-terminal behind a link whose name stays the same when it is unplugged.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::net::unix::pipe;

use crate::error::Error;

/// How often a port that nobody has open looks for somebody. A pseudo-terminal cannot be waited on for that.
const LOOK: Duration = Duration::from_millis(10);

/// The device's side of a port. Dropping it is pulling the plug: the other side sees its port vanish.
#[derive(Debug)]
pub(crate) struct Port {
    link: Link,
    master: OwnedFd,
}

/// A symbolic link that goes when it is dropped.
#[derive(Debug)]
struct Link(PathBuf);

impl Drop for Link {
    fn drop(&mut self) {
        // It may be gone already, with the street's folder.
        drop(fs::remove_file(&self.0));
    }
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// This many bytes.
    Bytes(usize),
    /// Nothing: nobody has the port open.
    Nobody,
}

impl Port {
    /// A new port behind `link`.
    pub(crate) fn plug(link: &Path) -> Result<Self, Error> {
        let make = || -> io::Result<OwnedFd> {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let path = PathBuf::from(std::ffi::OsString::from_vec(ptsname(&master, Vec::new())?.into_bytes()));
            // Opened and closed once: only from then on does the kernel tell "nobody has it open".
            let slave = open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
            let mut raw = tcgetattr(&slave)?;
            raw.make_raw();
            tcsetattr(&slave, OptionalActions::Now, &raw)?;
            fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
            symlink(&path, link)?;
            Ok(master)
        };
        let master = make().map_err(|source| Error::Pty { link: link.to_owned(), source })?;
        Ok(Self { link: Link(link.to_owned()), master })
    }

    /// Ready to be waited on, in the runtime of the calling thread.
    pub(crate) fn listen(self) -> io::Result<Listening> {
        // A terminal is waited on and read just like a pipe; the runtime has no safe type of its own for one.
        let master = pipe::Receiver::from_owned_fd_unchecked(self.master)?;
        Ok(Listening { _link: self.link, master })
    }
}

/// A port in use by its simulator.
#[derive(Debug)]
pub(crate) struct Listening {
    _link: Link,
    master: pipe::Receiver,
}

impl Listening {
    /// Waits until bytes come, or for a moment while nobody has the port open.
    ///
    /// # Cancel safety
    /// Cancel safe: bytes are taken in the same poll that returns them.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<Input> {
        loop {
            self.master.readable().await?;
            match self.master.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.forget_hangup()?,
                Err(error) if is_nobody(&error) => {
                    tokio::time::sleep(LOOK).await;
                    return Ok(Input::Nobody);
                }
                read => return read.map(Input::Bytes),
            }
        }
    }

    /// The runtime takes "the other side has closed" for final, and would call the port ready for ever; a port can be
    /// opened again. A fresh registration knows nothing of it.
    fn forget_hangup(&mut self) -> io::Result<()> {
        self.master = pipe::Receiver::from_owned_fd_unchecked(self.master.as_fd().try_clone_to_owned()?)?;
        Ok(())
    }

    /// What there is at once: some bytes, `Bytes(0)` for none, or nobody there.
    pub(crate) fn glance(&self, buffer: &mut [u8]) -> Input {
        match rustix::io::read(&self.master, buffer) {
            Err(Errno::IO) => Input::Nobody,
            Ok(count) => Input::Bytes(count),
            Err(_) => Input::Bytes(0),
        }
    }

    /// Sends bytes. What nobody reads is lost, as on a wire.
    pub(crate) fn write(&self, bytes: &[u8]) {
        if let Err(error) = rustix::io::write(&self.master, bytes)
            && error != Errno::AGAIN
        {
            tracing::warn!(%error, "a simulated port takes no bytes");
        }
    }
}

fn is_nobody(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::IO)
}

/// How bytes have left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// Whether somebody had the port open from the first byte to the last.
    pub(crate) heard: bool,
    /// How many bytes came from the other side meanwhile, and are lost.
    pub(crate) collided: u64,
    /// When the last byte left, never too late: a master that has seen it is not to be accused of being early.
    pub(crate) ended: Instant,
}

/// Sends `bytes` at the pace of a line on which a character takes `character`, the first from `begin` on.
///
/// The thread sleeps in between, to a few microseconds: it serves this one line and nobody else.
pub(crate) fn send_paced(port: &Listening, bytes: &[u8], begin: Instant, character: Duration) -> Sent {
    let mut sent = Sent { heard: true, collided: 0, ended: begin };
    let mut left = bytes;
    let mut ends = begin;
    while !left.is_empty() {
        sleep_until(ends + character);
        let now = Instant::now();
        // At high rates the machine sleeps longer than a character takes: what has ended meanwhile goes together.
        let mut ended = 0;
        while ended < left.len() && ends + character <= now {
            ends += character;
            ended += 1;
        }
        let (written, rest) = left.split_at(ended);
        left = rest;
        match port.glance(&mut [0; 256]) {
            Input::Nobody => sent.heard = false,
            Input::Bytes(count) => sent.collided += count as u64,
        }
        sent.ended = now;
        if sent.heard {
            port.write(written);
        }
    }
    sent
}

/// Sleeps more exactly than the runtime's timer, which counts in milliseconds.
fn sleep_until(moment: Instant) {
    let rest = moment.saturating_duration_since(Instant::now());
    if let (false, Ok(rest)) = (rest.is_zero(), rest.try_into()) {
        // An interrupted sleep makes one character early by less than a millisecond; the next is on time again.
        drop(rustix::thread::nanosleep(&rest));
    }
}

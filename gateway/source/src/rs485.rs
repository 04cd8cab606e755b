//! Asks a serial driver to switch an RS-485 transceiver between sending and receiving (TIOCSRS485).
//!
//! The driver raises RTS with the first bit and drops it with the last one. A program that did so would be late, by as
//! much as the system is busy, and the first bytes of an answer would be lost.
//!
//! ```text
//! struct serial_rs485   flags (4)  delay before sending, ms (4)  delay after (4)  reserved (20)      linux/serial.h
//! ```
//!
//! The one file with `unsafe` in this crate. Deliberately absent: delays, which no transceiver of today needs, and the
//! other flags (receiving while sending would be an echo, and termination belongs to the cable).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl};
use tokio_serial::SerialStream;

use crate::config::Rs485;

/// TIOCSRS485 on every architecture but those of the 1990s.
const SET: Opcode = 0x542F;

/// SER_RS485_ENABLED.
const ENABLED: u32 = 1 << 0;

/// SER_RS485_RTS_ON_SEND: RTS is up while sending, and down after it.
const RTS_ON_SEND: u32 = 1 << 1;

/// `struct serial_rs485`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct Settings {
    flags: u32,
    delay_before_ms: u32,
    delay_after_ms: u32,
    reserved: [u32; 5],
}

// The kernel copies as many bytes as its own struct has.
const _: () = assert!(size_of::<Settings>() == 32);

/// Why a port does not switch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It was to, and cannot.
    #[error(
        "rs485 = \"on\", but the driver of this port cannot switch the direction ({0}); \"auto\" or \"off\" can be used"
    )]
    Cannot(Errno),
    /// Something else is wrong with the port.
    #[error("cannot set the RS-485 direction: {0}")]
    Failed(Errno),
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let (Error::Cannot(errno) | Error::Failed(errno)) = &error;
        let kind = Self::from(*errno).kind();
        Self::new(kind, error)
    }
}

/// Does as `mode` says with an open port.
pub(crate) fn set(port: &SerialStream, mode: Rs485) -> Result<(), Error> {
    match mode {
        Rs485::Off => Ok(()),
        Rs485::Auto | Rs485::On => judge(enable(port), mode),
    }
}

fn judge(result: Result<(), Errno>, mode: Rs485) -> Result<(), Error> {
    match result {
        Err(errno) if !cannot(errno) => Err(Error::Failed(errno)),
        Err(errno) if mode == Rs485::On => Err(Error::Cannot(errno)),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Whether a driver says so that it does not know the request: each kind in its own way.
fn cannot(errno: Errno) -> bool {
    [Errno::NOTTY, Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS].contains(&errno)
}

#[expect(unsafe_code, reason = "no crate here knows TIOCSRS485, and a serial stream does not lend its descriptor")]
fn enable(port: &SerialStream) -> Result<(), Errno> {
    let mut settings = Settings { flags: ENABLED | RTS_ON_SEND, ..Settings::default() };
    // SAFETY: the descriptor belongs to `port`, which is open and borrowed until this function returns.
    let descriptor = unsafe { BorrowedFd::borrow_raw(port.as_raw_fd()) };
    // SAFETY: TIOCSRS485 reads a `struct serial_rs485` and writes one back. The assertion above says that `Settings` is as
    // long; all its bytes are integers, for which any value is right; and it outlives the call.
    unsafe { ioctl(descriptor, Updater::<SET, Settings>::new(&mut settings)) }?;
    // The driver writes back what it has made of it.
    if settings.flags & ENABLED == 0 { Err(Errno::OPNOTSUPP) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_switch_is_left_alone_unless_it_must() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let (_master, port) = SerialStream::pair().unwrap();
        set(&port, Rs485::Auto).unwrap();
        set(&port, Rs485::Off).unwrap();
        let error = io::Error::from(set(&port, Rs485::On).unwrap_err());
        let text = error.to_string();
        assert!(text.contains("rs485 = \"on\"") && text.contains("\"auto\" or \"off\""), "{text}");
    }

    #[test]
    fn only_a_driver_that_does_not_know_the_request_is_forgiven() {
        let check = |errno, mode, is_open| {
            assert_eq!(judge(Err(errno), mode).is_ok(), is_open, "{errno} {mode:?}");
        };
        for errno in [Errno::NOTTY, Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS] {
            check(errno, Rs485::Auto, true);
            check(errno, Rs485::On, false);
        }
        for errno in [Errno::IO, Errno::NXIO, Errno::NODEV] {
            check(errno, Rs485::Auto, false);
            check(errno, Rs485::On, false);
        }
    }
}

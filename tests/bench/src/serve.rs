//! Modbus TCP devices for the load, as a process of their own, so that their CPU time is nobody's figure.
//!
//! Every device answers at once. Register 0 holds the moment of the answer (see [`clock::stamp`]), which makes the delay
//! to the core readable from the value itself; register `a` holds `a` in its low byte and the answer's number in its
//! high byte, which makes a value in the wrong place visible.
//!
//! Deliberately absent: everything a street tests with. These devices have no delays and no faults; `street` has.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use crate::clock;

const READ_HOLDING: u8 = 3;
const READ_INPUT: u8 = 4;
const MOST_REGISTERS: u16 = 125;

/// What register `address` holds, apart from the answer's number; `None` for the one that holds a moment.
pub(crate) fn low_byte(address: u16) -> Option<u8> {
    (address != 0).then_some(address.to_le_bytes()[0])
}

/// Serves `devices` devices, each on a port of its own, and says the ports in one line on stdout. Ends with its stdin.
pub(crate) fn serve(devices: u16) -> io::Result<()> {
    let mut ports = Vec::new();
    for number in 0..devices {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        ports.push(listener.local_addr()?.port().to_string());
        thread::Builder::new().name(format!("device-{number}")).spawn(move || accept(&listener))?;
    }
    writeln!(io::stdout(), "{}", ports.join(" "))?;
    // The threads hold nothing that could be lost, and go with the process.
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
}

fn accept(listener: &TcpListener) {
    for master in listener.incoming().flatten() {
        // A master that hangs up, or says what is not Modbus, ends its connection; the device goes on.
        let serving = thread::Builder::new().name("master".to_owned()).spawn(move || drop(answer_all(master)));
        drop(serving);
    }
}

/// Request: transaction(2) protocol(2) length(2) unit(1) function(1) address(2) count(2).
/// Answer: transaction(2) protocol(2) length(2) unit(1) function(1) bytes(1) values(2 × count).
fn answer_all(mut master: TcpStream) -> io::Result<()> {
    master.set_nodelay(true)?;
    let mut answers: u8 = 0;
    let mut request = [0; 12];
    let mut answer = Vec::with_capacity(9 + 2 * usize::from(MOST_REGISTERS));
    loop {
        master.read_exact(&mut request)?;
        let [t0, t1, _, _, _, length, unit, function, a0, a1, c0, c1] = request;
        let (address, count) = (u16::from_be_bytes([a0, a1]), u16::from_be_bytes([c0, c1]));
        let known = matches!(function, READ_HOLDING | READ_INPUT) && (1..=MOST_REGISTERS).contains(&count);
        if length != 6 || !known {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let bytes = u8::try_from(2 * count).map_err(io::Error::other)?;
        answer.clear();
        answer.extend([t0, t1, 0, 0]);
        answer.extend((u16::from(bytes) + 3).to_be_bytes());
        answer.extend([unit, function, bytes]);
        for register in (address..=u16::MAX).take(count.into()) {
            let value =
                low_byte(register).map_or_else(|| clock::stamp(clock::now()), |low| u16::from_be_bytes([answers, low]));
            answer.extend(value.to_be_bytes());
        }
        master.write_all(&answer)?;
        answers = answers.wrapping_add(1);
    }
}

//! A Modbus TCP device.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::device::{Behaviour, Device};
use crate::error::Error;
use crate::record::Log;
use crate::unit::{self, Unit, WireFault};
use crate::worker::Worker;

/// The longest request there is: unit id and 253 bytes.
const LONGEST: u16 = 254;

/// A Modbus TCP device that listens on the loopback interface, for any unit id.
#[derive(Debug)]
pub struct TcpDevice {
    unit: Arc<Mutex<Unit>>,
    log: Log,
    address: SocketAddr,
    worker: Option<Worker>,
}

impl TcpDevice {
    /// Starts a device on a free port.
    ///
    /// # Errors
    /// There is no port or no thread to be had.
    pub fn start(device: Device, behaviour: Behaviour, log: &Log) -> Result<Self, Error> {
        let unit = Arc::new(Mutex::new(Unit::new(device, behaviour)));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut device = Self { unit, log: log.clone(), address, worker: None };
        device.plug()?;
        Ok(device)
    }

    /// Plugs the device in again, on the port that it had.
    ///
    /// # Errors
    /// Somebody else has taken the port meanwhile.
    pub fn plug(&mut self) -> Result<(), Error> {
        self.worker = None;
        let listen = || -> io::Result<_> {
            // Through the runtime's builder, for the address to be free again at once after a connection was cut.
            let listener = std::net::TcpListener::bind(self.address)?;
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        };
        let (address, listener) = listen().map_err(|source| Error::Listen { address: self.address, source })?;
        let (unit, log) = (Arc::clone(&self.unit), self.log.clone());
        self.worker = Some(Worker::start("tcp-device", move |stop| serve(listener, unit, log, stop))?);
        self.address = address;
        Ok(())
    }

    /// Pulls the plug: connections are cut and new ones refused.
    pub fn unplug(&mut self) {
        self.worker = None;
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how it treats requests.
    pub fn behave(&self, behaviour: Behaviour) {
        self.unit.lock().unwrap_or_else(PoisonError::into_inner).behaviour = behaviour;
    }
}

async fn serve(listener: std::net::TcpListener, unit: Arc<Mutex<Unit>>, log: Log, stop: CancellationToken) {
    let listener = TcpListener::from_std(listener).expect("a bound socket can be waited on");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Ok((stream, _)) = listener.accept() => {
                let (unit, log) = (Arc::clone(&unit), log.clone());
                connections.spawn(async move {
                    if let Err(error) = converse(stream, &unit, &log).await {
                        tracing::debug!(%error, "a connection to a simulated device ended");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers one request after the other, as small devices do.
async fn converse(mut stream: TcpStream, unit: &Mutex<Unit>, log: &Log) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let transaction = stream.read_u16().await?;
        let protocol = stream.read_u16().await?;
        let length = stream.read_u16().await?;
        if protocol != 0 || !(2..=LONGEST).contains(&length) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no Modbus header"));
        }
        let id = stream.read_u8().await?;
        let mut pdu = vec![0; usize::from(length) - 1];
        stream.read_exact(&mut pdu).await?;
        let reply = unit.lock().unwrap_or_else(PoisonError::into_inner).ask(&pdu, log);
        let Some(reply) = reply else { continue };
        tokio::time::sleep(reply.delay).await;
        let length = u16::try_from(reply.pdu.len() + 1).expect("an answer has at most 254 bytes");
        let (transaction, length) = match reply.fault {
            Some(WireFault::Stranger) => (transaction.wrapping_add(1), length),
            Some(WireFault::Damaged) => (transaction, length + 1),
            None => (transaction, length),
        };
        let mut frame = Vec::with_capacity(reply.pdu.len() + 7);
        frame.extend(transaction.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(length.to_be_bytes());
        frame.push(id);
        frame.extend(reply.pdu);
        let sent = stream.write_all(&frame).await;
        unit::record(reply.answer, sent.is_ok(), log);
        sent?;
    }
}

//! Serial ports: opening them, and how long things take on them.
//!
//! A port that is unplugged reads as an end of file for ever, and writes as an error. Whoever sees either lets go of the
//! port *before* it is opened again: a held handle makes the kernel give the adapter another name.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialStream};

use crate::config::{DataBits, Parity, SerialConfig, StopBits};
use crate::{latency, rs485};

/// Least silence between frames above 19,200 baud (Modbus over Serial Line 1.02, section 2.5.1.1).
const LEAST_SILENCE: Duration = Duration::from_micros(1750);

/// How long a running frame may pause, beside what its adapter holds back: units compute in the middle of an answer, and
/// the hub itself may be late to look.
const LEAST_SETTLE: Duration = Duration::from_millis(20);

/// A serial port, real or in memory.
pub(crate) trait Port: AsyncRead + AsyncWrite + Unpin + Sized {
    fn open(config: &SerialConfig) -> io::Result<Self>;

    /// Changes rate and character of the open port.
    fn set(&mut self, config: &SerialConfig) -> io::Result<()>;

    /// Throws away what has been received and not read.
    fn clear_input(&mut self) -> io::Result<()>;
}

impl Port for SerialStream {
    fn open(config: &SerialConfig) -> io::Result<Self> {
        let path = config.path.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        let builder = tokio_serial::new(path, config.baud)
            .data_bits(config.data_bits.into())
            .parity(config.parity.into())
            .stop_bits(config.stop_bits.into());
        // Exclusive, which is the default: a second program on the line would garble both.
        let mut port = Self::open(&builder)?;
        // What came before we set the rate is garbage.
        port.clear_input()?;
        rs485::set(&port, config.rs485)?;
        Ok(port)
    }

    fn set(&mut self, config: &SerialConfig) -> io::Result<()> {
        self.set_baud_rate(config.baud)?;
        self.set_data_bits(config.data_bits.into())?;
        self.set_parity(config.parity.into())?;
        self.set_stop_bits(config.stop_bits.into())?;
        // What came at the old settings is garbage at the new ones.
        self.clear_input()
    }

    fn clear_input(&mut self) -> io::Result<()> {
        Ok(self.clear(ClearBuffer::Input)?)
    }
}

impl From<DataBits> for tokio_serial::DataBits {
    fn from(bits: DataBits) -> Self {
        match bits {
            DataBits::Seven => Self::Seven,
            DataBits::Eight => Self::Eight,
        }
    }
}

impl From<Parity> for tokio_serial::Parity {
    fn from(parity: Parity) -> Self {
        match parity {
            Parity::None => Self::None,
            Parity::Even => Self::Even,
            Parity::Odd => Self::Odd,
        }
    }
}

impl From<StopBits> for tokio_serial::StopBits {
    fn from(bits: StopBits) -> Self {
        match bits {
            StopBits::One => Self::One,
            StopBits::Two => Self::Two,
        }
    }
}

/// How long things take on a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    /// One character.
    pub(crate) character: Duration,
    /// The silence that parts two frames: 3.5 characters.
    pub(crate) silence: Duration,
    /// The silence after which nothing more of a frame is to be expected.
    pub(crate) settle: Duration,
    /// How long the adapter may hold back what it has received.
    pub(crate) latency: Duration,
}

impl Timing {
    /// On a port with an adapter of this latency.
    pub(crate) fn of(config: &SerialConfig, latency: Duration) -> Self {
        let data_bits = match config.data_bits {
            DataBits::Seven => 7,
            DataBits::Eight => 8,
        };
        let parity_bits = match config.parity {
            Parity::None => 0,
            Parity::Even | Parity::Odd => 1,
        };
        let stop_bits = match config.stop_bits {
            StopBits::One => 1,
            StopBits::Two => 2,
        };
        let bits = 1 + data_bits + parity_bits + stop_bits;
        let nanos = |tenths_of_bits: u64| Duration::from_nanos(tenths_of_bits * 100_000_000 / u64::from(config.baud));
        // 3.5 characters of 11 bits, also where characters are shorter: it costs little, and slow units rely on it.
        let silence = if config.baud > 19_200 { LEAST_SILENCE } else { nanos(385) };
        Self { character: nanos(bits * 10), silence, settle: silence.max(LEAST_SETTLE) + latency, latency }
    }

    /// How long the frames of a read take whose answer brings `data` bytes: 8 characters to ask, 5 around the data.
    pub(crate) fn exchange(&self, data: usize) -> Duration {
        self.sending(8 + 5 + data)
    }

    /// How long `bytes` characters take.
    pub(crate) fn sending(&self, bytes: usize) -> Duration {
        self.character * u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// How long the adapter of a port may hold back what it has received.
pub(crate) fn latency(config: &SerialConfig) -> Duration {
    config.latency.unwrap_or_else(|| {
        // A stable path is a link. A port that is not there has no latency.
        let port = config.path.canonicalize();
        port.map_or(Duration::ZERO, |port| latency::of(&port, |file| std::fs::read_to_string(file)))
    })
}

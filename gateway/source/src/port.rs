//! Serial ports: opening them, and how long things take on them.
//!
//! A port that is unplugged reads as an end of file for ever, and writes as an error. Whoever sees either lets go of the
//! port *before* it is opened again: a held handle makes the kernel give the adapter another name.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialStream};

use crate::config::{DataBits, Parity, SerialConfig, StopBits};

/// Least silence between frames above 19,200 baud (Modbus over Serial Line 1.02, section 2.5.1.1).
const LEAST_SILENCE: Duration = Duration::from_micros(1750);

/// How long a running frame may pause: a USB adapter hands over what it has every 16 ms.
const LEAST_SETTLE: Duration = Duration::from_millis(20);

/// A serial port, real or in memory.
pub(crate) trait Port: AsyncRead + AsyncWrite + Unpin + Sized {
    fn open(config: &SerialConfig) -> io::Result<Self>;

    /// Throws away what has been received and not read.
    fn clear_input(&mut self) -> io::Result<()>;
}

impl Port for SerialStream {
    fn open(config: &SerialConfig) -> io::Result<Self> {
        let path = config.path.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        let builder = tokio_serial::new(path, config.baud)
            .data_bits(match config.data_bits {
                DataBits::Seven => tokio_serial::DataBits::Seven,
                DataBits::Eight => tokio_serial::DataBits::Eight,
            })
            .parity(match config.parity {
                Parity::None => tokio_serial::Parity::None,
                Parity::Even => tokio_serial::Parity::Even,
                Parity::Odd => tokio_serial::Parity::Odd,
            })
            .stop_bits(match config.stop_bits {
                StopBits::One => tokio_serial::StopBits::One,
                StopBits::Two => tokio_serial::StopBits::Two,
            });
        // Exclusive, which is the default: a second program on the line would garble both.
        let mut port = Self::open(&builder)?;
        // What came before we set the rate is garbage.
        port.clear_input()?;
        Ok(port)
    }

    fn clear_input(&mut self) -> io::Result<()> {
        Ok(self.clear(ClearBuffer::Input)?)
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
}

impl Timing {
    pub(crate) fn of(config: &SerialConfig) -> Self {
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
        Self { character: nanos(bits * 10), silence, settle: silence.max(LEAST_SETTLE) }
    }

    /// How long `bytes` characters take.
    pub(crate) fn sending(&self, bytes: usize) -> Duration {
        self.character * u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

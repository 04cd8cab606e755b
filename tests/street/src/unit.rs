//! One device as a Modbus server, whatever the wire: what it answers to a request, when, and what the record says of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::now_ms;
use crate::device::{Behaviour, Device, Table};
use crate::modbus::{self, Read, Write};
use crate::record::{Failure, Log, Served, What};

/// How long a real device thinks, in microseconds.
const THINKS_US: std::ops::Range<u64> = 2000..5000;

#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) device: Device,
    pub(crate) behaviour: Behaviour,
    /// What a master has written; it stands there instead of the moving value.
    written: BTreeMap<(Table, u16), u16>,
    answers: u64,
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Reply {
    /// How long after the request.
    pub(crate) delay: Duration,
    /// Function code first.
    pub(crate) pdu: Vec<u8>,
    pub(crate) fault: Option<WireFault>,
    /// For the record once the last byte has left; faulty answers are recorded at once.
    pub(crate) answer: Option<Served>,
}

/// What the wire is to do wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireFault {
    Stranger,
    Damaged,
}

impl Unit {
    pub(crate) fn new(device: Device, behaviour: Behaviour) -> Self {
        Self { device, behaviour, written: BTreeMap::new(), answers: 0 }
    }

    /// Takes a request (function code first) and says what to send, if anything.
    pub(crate) fn ask(&mut self, pdu: &[u8], log: &Log) -> Option<Reply> {
        let delay = Duration::from_micros(fastrand::u64(THINKS_US));
        let reply = Reply { delay, pdu: Vec::new(), fault: None, answer: None };
        let function = *pdu.first()?;
        let Some(read) = Read::parse(pdu) else {
            let pdu = self.other(pdu).unwrap_or_else(|code| modbus::exception(function, code));
            return match self.behaviour {
                Behaviour::Dead => None,
                Behaviour::Late(delay) => Some(Reply { pdu, delay, ..reply }),
                Behaviour::Exception(code) => Some(Reply { pdu: modbus::exception(function, code), ..reply }),
                Behaviour::Stranger => Some(Reply { pdu, fault: Some(WireFault::Stranger), ..reply }),
                Behaviour::Damaged => Some(Reply { pdu, fault: Some(WireFault::Damaged), ..reply }),
                Behaviour::Alive | Behaviour::Short => Some(Reply { pdu, ..reply }),
            };
        };
        let Read { table, address, count, .. } = read;
        let n = self.answers;
        self.answers += 1;
        let words = self.device.read(n, table, address, count).map(|words| self.with_written(table, address, words));
        let behaviour = if words.is_none() && self.behaviour == Behaviour::Alive {
            Behaviour::Exception(modbus::ILLEGAL_ADDRESS)
        } else {
            self.behaviour
        };
        let words = words.unwrap_or_else(|| vec![0; usize::from(count)]);
        let served = |what| Served { device: Arc::clone(&self.device.name), at_ms: now_ms(), what };
        let failed = |failure| log.push(served(What::Failed { table, address, count, failure }));
        let pdu = read.answer(&words);
        let reply = match behaviour {
            Behaviour::Alive => {
                let answer = served(What::Answer { table, address, words, heard: true });
                return Some(Reply { pdu, answer: Some(answer), ..reply });
            }
            Behaviour::Dead => {
                failed(Failure::Silent);
                return None;
            }
            Behaviour::Late(delay) => {
                failed(Failure::Late);
                return Some(Reply { pdu, delay, ..reply });
            }
            Behaviour::Exception(code) => {
                failed(Failure::Exception(code));
                return Some(Reply { pdu: modbus::exception(function, code), ..reply });
            }
            Behaviour::Short => Reply { pdu: read.answer(words.get(1..).unwrap_or_default()), ..reply },
            Behaviour::Stranger => Reply { pdu, fault: Some(WireFault::Stranger), ..reply },
            Behaviour::Damaged => Reply { pdu, fault: Some(WireFault::Damaged), ..reply },
        };
        failed(Failure::Spoilt);
        Some(reply)
    }
}

impl Unit {
    /// The answer to what is no read, or the exception code.
    fn other(&mut self, pdu: &[u8]) -> Result<Vec<u8>, u8> {
        if let Some(answer) = modbus::identification(pdu, &self.device.identification) {
            return Ok(answer);
        }
        let write = Write::parse(pdu).ok_or(modbus::ILLEGAL_FUNCTION)?;
        let Write { table, address, words } = write;
        let count = u16::try_from(words.len()).map_err(|_too_many| modbus::ILLEGAL_ADDRESS)?;
        self.device.read(0, table, address, count).ok_or(modbus::ILLEGAL_ADDRESS)?;
        if matches!(self.behaviour, Behaviour::Alive | Behaviour::Short | Behaviour::Late(_)) {
            self.written.extend((address..).zip(words).map(|(address, word)| ((table, address), word)));
        }
        Ok(Write::answer(pdu))
    }

    fn with_written(&self, table: Table, address: u16, mut words: Vec<u16>) -> Vec<u16> {
        for (address, word) in (address..=u16::MAX).zip(&mut words) {
            if let Some(written) = self.written.get(&(table, address)) {
                *word = *written;
            }
        }
        words
    }
}

/// Writes an answer that has left into the record.
pub(crate) fn record(answer: Option<Served>, heard_all: bool, log: &Log) {
    if let Some(Served { device, what: What::Answer { table, address, words, .. }, .. }) = answer {
        let what = What::Answer { table, address, words, heard: heard_all };
        log.push(Served { device, at_ms: now_ms(), what });
    }
}

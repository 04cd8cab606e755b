//! Modbus requests and answers as bytes, on the server's side. Only what a street needs: the four reads, the four writes and
//! device identification; whatever else is asked gets exception 1.

use crate::device::Table;

/// Exception: the device does not know the function.
pub(crate) const ILLEGAL_FUNCTION: u8 = 1;
/// Exception: the device has nothing there.
pub(crate) const ILLEGAL_ADDRESS: u8 = 2;

/// A read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) function: u8,
    pub(crate) table: Table,
    pub(crate) address: u16,
    pub(crate) count: u16,
}

impl Read {
    /// The read that this request (function code first) asks for.
    pub(crate) fn parse(pdu: &[u8]) -> Option<Self> {
        let &[function, address_high, address_low, count_high, count_low] = pdu else {
            return None;
        };
        let table = match function {
            1 => Table::Coil,
            2 => Table::Discrete,
            3 => Table::Holding,
            4 => Table::Input,
            _ => return None,
        };
        let count = u16::from_be_bytes([count_high, count_low]);
        let most = if table.is_bits() { 2000 } else { 125 };
        (1..=most).contains(&count).then_some(Self {
            function,
            table,
            address: u16::from_be_bytes([address_high, address_low]),
            count,
        })
    }

    /// The answer with these words (function code first).
    pub(crate) fn answer(&self, words: &[u16]) -> Vec<u8> {
        let body: Vec<u8> = if self.table.is_bits() {
            words.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit != 0))).collect()
        } else {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        let length = u8::try_from(body.len()).expect("2000 bits and 125 registers stay below 256 bytes");
        [&[self.function, length][..], &body].concat()
    }
}

/// A write of registers or coils, which are words that are 0 or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) table: Table,
    pub(crate) address: u16,
    pub(crate) words: Vec<u16>,
}

impl Write {
    /// The write that this request (function code first) asks for.
    pub(crate) fn parse(pdu: &[u8]) -> Option<Self> {
        let &[function, address_high, address_low, high, low, ref rest @ ..] = pdu else { return None };
        let address = u16::from_be_bytes([address_high, address_low]);
        let word = u16::from_be_bytes([high, low]);
        let count = usize::from(word);
        let (table, words) = match (function, rest) {
            (5, []) => (Table::Coil, vec![u16::from(word == 0xFF00)]),
            (6, []) => (Table::Holding, vec![word]),
            (15, [length, bytes @ ..]) if bytes.len() == usize::from(*length) && bytes.len() == count.div_ceil(8) => {
                (Table::Coil, (0..count).map(|n| u16::from(bytes[n / 8] >> (n % 8) & 1)).collect())
            }
            (16, [length, bytes @ ..]) if bytes.len() == usize::from(*length) && bytes.len() == count * 2 => {
                (Table::Holding, bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
            }
            _ => return None,
        };
        Some(Self { table, address, words })
    }

    /// The answer to the request: its first five bytes.
    pub(crate) fn answer(pdu: &[u8]) -> Vec<u8> {
        pdu.iter().take(5).copied().collect()
    }
}

/// The answer to a question for the basic objects of device identification (function 43 / 14).
pub(crate) fn identification(pdu: &[u8], objects: &[String]) -> Option<Vec<u8>> {
    if objects.is_empty() || !matches!(pdu, [43, 14, 1, _]) {
        return None;
    }
    let mut answer = vec![43, 14, 1, 1, 0, 0, u8::try_from(objects.len()).ok()?];
    for (id, text) in (0..).zip(objects) {
        answer.push(id);
        answer.push(u8::try_from(text.len()).ok()?);
        answer.extend(text.as_bytes());
    }
    Some(answer)
}

/// An exception answer to a request of this function.
pub(crate) fn exception(function: u8, code: u8) -> Vec<u8> {
    vec![function | 0x80, code]
}

/// How long an RTU request is, from its first bytes (unit id first, check sum included); `None` while too little is
/// known. A function that is not known here counts as the shortest frame there is.
pub(crate) fn request_length(bytes: &[u8]) -> Option<usize> {
    match *bytes.get(1)? {
        1..=6 => Some(8),
        15 | 16 => bytes.get(6).map(|count| 9 + usize::from(*count)),
        43 => Some(7),
        _ => Some(4),
    }
}

/// The bytes with their check sum behind them.
pub(crate) fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// CRC-16 of Modbus: polynomial 0xA001 (reflected), from 0xFFFF.
pub(crate) fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xA001 } else { sum >> 1 })
    })
}

//! One request, and what its answer looks like. Pure; the same for every framing.
//!
//! ```text
//! function    answer, after unit and function                      shape
//! 1 2 3 4     byte count, data                                     Data(byte count)
//! 5 6 15 16   address (2), value or quantity (2), as asked         Echo(4)
//! 22          address (2), and-mask (2), or-mask (2), as asked     Echo(6)
//! 17          byte count, data                                     Counted
//! 43 / 14     14, code, conformity, more, next, n, n × (id, length, bytes)   Identification
//! any + 0x80  exception code                                       a refusal, whatever the shape
//! ```
//!
//! Modbus Application Protocol 1.1b3, sections 6 and 7.

/// Bit that marks a refusal in the function code.
pub(crate) const REFUSAL: u8 = 0x80;

/// MEI type of device identification (section 6.21).
const DEVICE_IDENTIFICATION: u8 = 14;

/// A request on its way, as far as it matters for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Query {
    /// Modbus address of the device.
    pub(crate) unit: u8,
    pub(crate) function: u8,
    pub(crate) shape: Shape,
}

/// What stands in an answer after unit and function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// This byte count, and as many bytes.
    Data(u8),
    /// So many bytes of the request, repeated.
    Echo(usize),
    /// Any byte count, and as many bytes.
    Counted,
    /// A list of objects.
    Identification,
}

/// What the bytes that have come make of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has this many bytes, of which all or some are here.
    Length(usize),
    /// More bytes are needed to tell.
    Open,
    /// It is none.
    Foreign,
}

impl Query {
    /// How long the answer is that begins with `pdu` (from the function code on), as far as can be told. `request` is what
    /// was asked, from the function code on.
    pub(crate) fn progress(self, pdu: &[u8], request: &[u8]) -> Progress {
        let fits = |index: usize, expected: u8| pdu.get(index).is_none_or(|&byte| byte == expected);
        if pdu.first() == Some(&(self.function | REFUSAL)) {
            return Progress::Length(2);
        }
        if !fits(0, self.function) {
            return Progress::Foreign;
        }
        match self.shape {
            Shape::Data(len) if fits(1, len) => Progress::Length(2 + usize::from(len)),
            Shape::Echo(len) if (1..=len).all(|at| request.get(at).is_some_and(|&byte| fits(at, byte))) => {
                Progress::Length(1 + len)
            }
            Shape::Data(_) | Shape::Echo(_) => Progress::Foreign,
            Shape::Counted => pdu.get(1).map_or(Progress::Open, |&len| Progress::Length(2 + usize::from(len))),
            Shape::Identification if fits(1, DEVICE_IDENTIFICATION) => objects(pdu),
            Shape::Identification => Progress::Foreign,
        }
    }

    /// Bytes of the shortest answer, from the function code on, refusals aside.
    pub(crate) const fn least_len(self) -> usize {
        match self.shape {
            Shape::Data(len) => 2 + len as usize,
            Shape::Echo(len) => 1 + len,
            Shape::Counted => 2,
            Shape::Identification => 7,
        }
    }

    /// Bytes of the longest answer.
    pub(crate) const fn most_len(self) -> usize {
        match self.shape {
            Shape::Data(_) | Shape::Echo(_) => self.least_len(),
            Shape::Counted | Shape::Identification => 253,
        }
    }
}

/// The length of a list of objects.
fn objects(pdu: &[u8]) -> Progress {
    let Some(&count) = pdu.get(6) else { return Progress::Open };
    let mut at = 7;
    for _ in 0..count {
        let Some(&len) = pdu.get(at + 1) else { return Progress::Open };
        at += 2 + usize::from(len);
    }
    Progress::Length(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_shape_and_nothing_else() {
        let check = |function, shape, request: &[u8], pdu: &[u8], expected: Progress| {
            let query = Query { unit: 7, function, shape };
            assert_eq!(query.progress(pdu, request), expected, "{shape:?} {pdu:02x?}");
        };
        let read = [3, 0, 10, 0, 2];
        check(3, Shape::Data(4), &read, &[], Progress::Length(6));
        check(3, Shape::Data(4), &read, &[3, 4, 1, 2, 3, 4], Progress::Length(6));
        check(3, Shape::Data(4), &read, &[3, 2], Progress::Foreign);
        check(3, Shape::Data(4), &read, &[4, 4], Progress::Foreign);
        check(3, Shape::Data(4), &read, &[0x83, 2], Progress::Length(2));
        let write = [6, 0, 10, 1, 2];
        check(6, Shape::Echo(4), &write, &[6, 0, 10], Progress::Length(5));
        check(6, Shape::Echo(4), &write, &[6, 0, 11], Progress::Foreign);
        check(6, Shape::Echo(4), &write, &[6, 0, 10, 1, 3], Progress::Foreign);
        check(17, Shape::Counted, &[17], &[17], Progress::Open);
        check(17, Shape::Counted, &[17], &[17, 3], Progress::Length(5));
        let identify = [43, 14, 1, 0];
        check(43, Shape::Identification, &identify, &[43, 13], Progress::Foreign);
        check(43, Shape::Identification, &identify, &[43, 14, 1, 1, 0, 0, 2, 0, 1, b'A', 1], Progress::Open);
        check(43, Shape::Identification, &identify, &[43, 14, 1, 1, 0, 0, 2, 0, 1, b'A', 1, 2], Progress::Length(14));
    }
}

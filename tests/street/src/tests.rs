//! Promises of the simulated devices.

use crate::device::{Device, Kind, Register, Signal, Table};
use crate::modbus::{Read, crc, with_crc};

#[test]
fn check_sum_is_that_of_the_specification() {
    assert_eq!(crc(b"123456789"), 0x4B37, "the check value of CRC-16/MODBUS");
    assert_eq!(crc(&with_crc(vec![1, 4, 0, 0, 0, 2])), 0, "a frame with its check sum leaves nothing");
}

#[test]
fn bits_are_packed_lowest_first() {
    let read = Read::parse(&[1, 0, 19, 0, 10]).unwrap();
    assert_eq!(read.answer(&[1, 0, 1, 1, 0, 0, 1, 1, 1, 0]), [1, 2, 0xCD, 0x01]);
}

#[test]
fn only_reads_of_an_allowed_size_are_reads() {
    let check = |pdu: &[u8], is_read: bool| assert_eq!(Read::parse(pdu).is_some(), is_read, "{pdu:?}");
    check(&[3, 0, 0, 0, 125], true);
    check(&[3, 0, 0, 0, 126], false);
    check(&[2, 0, 0, 0x07, 0xD0], true);
    check(&[4, 0, 0, 0, 0], false);
    check(&[6, 0, 0, 0, 1], false);
    check(&[4, 0, 0], false);
}

#[test]
fn every_answer_holds_other_values_until_the_signal_comes_round() {
    let device = Device::new("meter")
        .with(Register::new("voltage", Table::Input, 0, Kind::U16, Signal::new(2300, 1, 50)))
        .with(Register::new("energy", Table::Input, 3, Kind::U32, Signal::new(0x1_0000, 7, 700)).low_word_first())
        .with(Register::new("level", Table::Input, 5, Kind::I16, Signal::new(-20, 3, 30)));
    assert_eq!(device.read(0, Table::Input, 0, 6).unwrap(), [2300, 0, 0, 0, 1, 0xFFEC]);
    assert_eq!(device.read(1, Table::Input, 0, 6).unwrap(), [2301, 0, 0, 7, 1, 0xFFEF]);
    assert_eq!(device.read(50, Table::Input, 0, 1).unwrap(), [2300]);
    assert_eq!(device.read(1, Table::Input, 4, 2).unwrap(), [1, 0xFFEF], "half a value is served as it lies");
    assert_eq!(device.read(0, Table::Input, 0, 7), None);
    assert_eq!(device.read(0, Table::Holding, 0, 1), None);
}

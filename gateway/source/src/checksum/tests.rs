//! Check sums against the frames of the makers' manuals.

use super::*;
use crate::config::Order;

fn check(kind: ChecksumKind, skip: usize, behind: usize, order: Order, frame: &[u8]) {
    let checksum = Checksum { kind, skip, behind, order };
    assert!(checksum.fits(frame), "{kind:?} {frame:02X?}");
    for at in skip..frame.len() - behind {
        let mut damaged = frame.to_vec();
        damaged[at] ^= 0x10;
        assert!(!checksum.fits(&damaged), "{kind:?} {damaged:02X?}");
    }
    for len in 0..skip + behind + kind.width() {
        assert!(!checksum.fits(&frame[..len.min(frame.len() - 1)]), "{kind:?} {len} bytes");
    }
}

#[test]
fn a_check_sum_is_the_makers() {
    use ChecksumKind::{Crc16Modbus, Lrc8, Sum8, Sum16, Xor8};
    // Nova SDS011: the six bytes of data.
    let sds011 = [0xAA, 0xC0, 0xD4, 0x04, 0x3A, 0x0A, 0xA1, 0x60, 0x1D, 0xAB];
    check(Sum8, 2, 1, Order::Abcd, &sds011);
    // Winsen MH-Z19, 608 ppm: everything behind the first byte.
    check(Lrc8, 1, 0, Order::Abcd, &[0xFF, 0x86, 0x02, 0x60, 0x47, 0x00, 0x00, 0x00, 0xD1]);
    // NMEA's own kind, over a sentence without its marks.
    check(Xor8, 0, 0, Order::Abcd, &[b"GPGLL,5300.97914,N,00259.98174,E,125926,A".as_slice(), &[0x28]].concat());
    // Modbus over Serial Line: 02 07 has the CRC 41 12, least significant byte first.
    check(Crc16Modbus, 0, 0, Order::Dcba, &[0x02, 0x07, 0x41, 0x12]);
    check(Crc16Modbus, 0, 0, Order::Abcd, &[0x02, 0x07, 0x12, 0x41]);
    check(Sum16, 0, 0, Order::Abcd, &[0x42, 0x4D, 0x00, 0x04, 0x01, 0x02, 0x00, 0x96]);
    check(Sum16, 0, 1, Order::Dcba, &[0x42, 0x4D, 0xFF, 0x8E, 0x01, 0x0A]);
}

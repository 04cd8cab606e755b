use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::{ADDRESSES_MAX, first, order};

/// `4a` is 192.0.2.10, `6b` is 2001:db8::b.
fn address(word: &str) -> SocketAddr {
    let (family, last) = word.split_at(1);
    let last = u8::from_str_radix(last, 16).unwrap();
    let ip: IpAddr = match family {
        "4" => [192, 0, 2, last].into(),
        _ => [0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()].into(),
    };
    SocketAddr::new(ip, 8883)
}

fn addresses(words: &str) -> Vec<SocketAddr> {
    words.split_whitespace().map(address).collect()
}

#[test]
fn the_families_take_turns_in_the_resolvers_order() {
    let cases = [
        ("", ""),
        ("4a", "4a"),
        ("6a 6b 4a 4b", "6a 4a 6b 4b"),
        ("4a 4b 6a", "4a 6a 4b"),
        ("6a 4a 4b 4c", "6a 4a 4b 4c"),
        ("4a 6a 4a 6a 4b", "4a 6a 4b"),
    ];
    for (found, expected) in cases {
        assert_eq!(order(addresses(found)), addresses(expected), "{found}");
    }
    let many = order((0..100).map(|last| address(&format!("4{last:x}"))));
    assert_eq!(many.len(), ADDRESSES_MAX);
}

/// Races addresses of which those that end in a refuse, in b do not answer, in c answer at once.
async fn raced(words: &str) -> io::Result<SocketAddr> {
    let connect = |address: SocketAddr| async move {
        let last = match address.ip() {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(ip) => ip.octets()[15],
        };
        match last {
            0xa => Err(io::ErrorKind::ConnectionRefused.into()),
            0xb => std::future::pending().await,
            _ => Ok(address),
        }
    };
    tokio::time::timeout(Duration::from_secs(20), first(addresses(words), connect)).await.unwrap()
}

#[tokio::test]
async fn an_address_that_does_not_answer_does_not_keep_the_next_from_being_tried() {
    let before = Instant::now();
    assert_eq!(raced("6b 4c").await.unwrap(), address("4c"));
    assert_eq!(raced("6b 4b 6a 4c").await.unwrap(), address("4c"));
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}

#[tokio::test]
async fn the_first_that_answers_is_taken_and_refusals_cost_no_time() {
    assert_eq!(raced("6c 4c").await.unwrap(), address("6c"));
    assert_eq!(raced("6a 4a 6c").await.unwrap(), address("6c"));
    assert_eq!(raced("6a 4a").await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(raced("").await.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
}

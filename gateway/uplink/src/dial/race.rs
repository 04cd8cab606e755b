//! Several addresses of one host: the first that takes a connection has it. An address that does not answer holds up the
//! next one by [`STAGGER`] and not by the whole time-out: a hub whose IPv6 leads nowhere reaches its core all the same.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long an address has before the next one is tried beside it: what RFC 8305 (5) recommends.
const STAGGER: Duration = Duration::from_millis(250);

/// Addresses tried at most. A name with more is served by a crowd, of which the first will do.
const ADDRESSES_MAX: usize = 8;

/// The addresses in the order in which they are tried, each once: as the resolver sorted them, with the two families
/// taking turns.
pub(super) fn order(found: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let first_is_ipv6 = unique.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        unique.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut ordered = Vec::new();
    while ordered.len() < ADDRESSES_MAX {
        let pair = [preferred.next(), other.next()];
        if pair == [None, None] {
            break;
        }
        ordered.extend(pair.into_iter().flatten());
    }
    ordered.truncate(ADDRESSES_MAX);
    ordered
}

/// The first connection that stands; if none does, why the last one to fail did not.
///
/// # Cancel safety
/// Dropping the future drops the tries under way.
pub(super) async fn first<S, C, F>(addresses: Vec<SocketAddr>, connect: C) -> io::Result<S>
where
    S: Send + 'static,
    C: Fn(SocketAddr) -> F,
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    let mut tries = JoinSet::new();
    let mut left = addresses.into_iter();
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match left.next() {
            Some(address) => {
                tries.spawn(connect(address));
            }
            None if tries.is_empty() => return Err(failed),
            None => {}
        }
        tokio::select! {
            Some(tried) = tries.join_next() => match tried {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = error,
                Err(panicked) => failed = io::Error::other(panicked),
            },
            () = sleep(STAGGER), if left.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests;

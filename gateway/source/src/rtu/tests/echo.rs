//! An adapter that echoes late, or in two pieces, is no second master.

use super::*;
use crate::modbus::Put;

/// A read that fails, and the next one, before whose answer the echo of the first comes.
fn check(act: Act, failure: Reason, counted: LineCounters) {
    let (first, second) = (ask(100, 4), ask(200, 4));
    let (results, counters) = run(vec![act.clone()], &[first, second]);
    assert_eq!(results, [Err(failure), Ok(right(2, second))], "{act:?}");
    let expected = LineCounters { requests: 2, answers: 1, echo: 1, ..counted };
    assert_eq!(counters, expected, "{act:?}");
}

#[test]
fn an_echo_after_the_time_of_its_request_is_an_echo() {
    check(Act::EchoLate, Reason::Timeout, LineCounters { timeouts: 1, ..LineCounters::default() });
    for at in 2..8 {
        check(Act::EchoCut(at), Reason::Framing, LineCounters { framing: 1, ..LineCounters::default() });
    }
}

#[test]
fn so_is_that_of_a_write() {
    let check = |act: Act| {
        let runtime: Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let counters = runtime.block_on(async {
            let (near, far) = tokio::io::duplex(4096);
            let mut unit = JoinSet::new();
            unit.spawn(play(far, vec![act.clone()]));
            let mut client = line(near);
            assert!(client.write(7, &Put::Register(10, 1), LIMITS).await.is_err(), "{act:?}");
            let answer = client.read(ask(100, 4), LIMITS).await.unwrap();
            assert_eq!(answer, Some(right(2, ask(100, 4))), "{act:?}");
            client.counters
        });
        let (foreign, noise) = (counters.foreign + counters.foreign_requests, counters.noise_bytes);
        assert_eq!((counters.echo, foreign, noise), (1, 0, 0), "{act:?}");
    };
    check(Act::EchoLate);
    (2..8).for_each(|at| check(Act::EchoCut(at)));
}

//! Promises of RTU frames over a connection, against a scripted serial server on the loopback.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::tests::trace;
use super::super::{RtuLine, crc16};
use super::*;
use crate::config::Table;
use crate::health::LineCounters;
use crate::modbus::{Answer, Client, Limits, Line};
use crate::plan::Ask;

const LIMITS: Limits = Limits { timeout: Duration::from_millis(100), min_gap: Duration::ZERO };

/// What the unit behind the server makes of its right answer.
#[derive(Debug, Clone, Copy)]
enum Act {
    Answer,
    Silent,
    Garbled,
    OtherUnit,
    Half,
    Refuse,
    /// Answers when the next request has come, before it looks at that one, over the connection that there is then.
    AnswerLate,
    /// Closes the connection instead.
    Close,
}

const fn ask(address: u16) -> Ask {
    Ask { unit: 7, table: Table::Holding, address, quantity: 2 }
}

/// Serves one connection after the other; each register holds its own address.
async fn serve(listener: TcpListener, script: Vec<Act>) {
    let mut acts = script.into_iter();
    let mut late = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        while stream.read_exact(&mut request).await.is_ok() {
            let start = u16::from_be_bytes([request[2], request[3]]);
            let mut body = vec![request[0], request[1], request[5] * 2];
            body.extend((start..start + u16::from(request[5])).flat_map(u16::to_be_bytes));
            let act = acts.next().unwrap_or(Act::Answer);
            match act {
                Act::OtherUnit => body[0] += 1,
                Act::Refuse => body = vec![request[0], request[1] | 0x80, 2],
                Act::Answer | Act::Silent | Act::Garbled | Act::Half | Act::AnswerLate | Act::Close => {}
            }
            let mut answer = [&body[..], &crc16(&body).to_le_bytes()].concat();
            match act {
                Act::Silent => answer.clear(),
                Act::Garbled => answer[4] ^= 1,
                Act::Half => answer.truncate(5),
                Act::AnswerLate => late.append(&mut answer),
                Act::Close => break,
                Act::Answer | Act::OtherUnit | Act::Refuse => answer.splice(..0, late.drain(..)).for_each(drop),
            }
            if stream.write_all(&answer).await.is_err() {
                break;
            }
        }
    }
}

/// Asks for register 100 and then for 200. Says what came, in how many connections, and what was counted.
fn run(script: &[Act]) -> ([Result<Answer, String>; 2], usize, LineCounters) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server(listener.local_addr().unwrap().to_string());
        let mut peer = JoinSet::new();
        peer.spawn(serve(listener, script.to_vec()));
        let line = RtuLine::new(server, Duration::ZERO, trace());
        let mut client = Client::new(line, LineCounters::default(), CancellationToken::new());
        let mut opened = 0;
        let mut results = [const { Ok(Answer::Exception(0)) }; 2];
        for (result, address) in results.iter_mut().zip([100, 200]) {
            if !client.line.is_open() {
                client.line.open().await.unwrap();
                opened += 1;
            }
            let answer = client.read(ask(address), LIMITS).await.transpose().expect("it is not to stop");
            *result = answer.map_err(|failure| failure.reason().to_string());
        }
        (results, opened, client.counters)
    })
}

#[test]
fn after_anything_but_an_answer_the_connection_is_another() {
    let check = |act: Act, first: Result<Answer, &str>, connections: usize| {
        let (results, opened, _) = run(&[act]);
        let second = Ok(Answer::Registers(vec![200, 201]));
        assert_eq!(results, [first.map_err(str::to_owned), second], "{act:?}");
        assert_eq!(opened, connections, "{act:?}");
    };
    check(Act::Answer, Ok(Answer::Registers(vec![100, 101])), 1);
    check(Act::Refuse, Ok(Answer::Exception(2)), 1);
    check(Act::Silent, Err("timeout"), 2);
    check(Act::Garbled, Err("crc"), 2);
    check(Act::OtherUnit, Err("framing"), 2);
    check(Act::Half, Err("framing"), 2);
    check(Act::Close, Err("port"), 2);
}

#[test]
fn a_late_answer_that_a_server_sends_over_the_next_connection_is_not_the_next_requests() {
    let (results, opened, counters) = run(&[Act::AnswerLate]);
    assert_eq!(results, [Err("timeout".to_owned()), Ok(Answer::Registers(vec![200, 201]))]);
    assert_eq!((opened, counters.late), (2, 1));
}

#[test]
fn a_server_that_closes_an_idle_connection_is_no_fault() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut line = RtuLine::new(Server(listener.local_addr().unwrap().to_string()), Duration::ZERO, trace());
        line.open().await.unwrap();
        drop(listener.accept().await.unwrap());
        assert!(line.listen(&mut LineCounters::default()).await.is_none());
        assert!(!line.is_open());
    });
}

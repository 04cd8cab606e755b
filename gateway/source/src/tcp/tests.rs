//! Promises of a connection, against a scripted device on the loopback.

use curb_model::{HubClock, HubTime};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::Table;
use crate::modbus::{Answer, Client};

fn trace() -> Trace {
    Trace::new(HubClock::starting_at(HubTime::ZERO))
}

const ASK: Ask = Ask { unit: 7, table: Table::Holding, address: 100, quantity: 2 };
const LIMITS: Limits = Limits { timeout: Duration::from_millis(100), min_gap: Duration::ZERO };

/// What the device makes of its right answer; nothing is silence.
type Change = fn(&mut Vec<u8>);

/// Answers one request on each connection after the other, the first as `first` says, all later ones rightly.
async fn serve(listener: TcpListener, first: Change) {
    let mut change: Change = first;
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 12];
        while stream.read_exact(&mut request).await.is_ok() {
            let mut answer = vec![request[0], request[1], 0, 0, 0, 7, request[6], request[7], 4, 0, 1, 0, 2];
            change(&mut answer);
            change = |_| {};
            if stream.write_all(&answer).await.is_err() {
                break;
            }
        }
    }
}

/// Reads twice from a device whose first answer is changed; the second one is right.
fn check(what: &str, change: Change, first: Result<Answer, &str>, connections: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut device = JoinSet::new();
        device.spawn(serve(listener, change));
        let mut client = Client::new(TcpLine::new(address, trace()), LineCounters::default(), CancellationToken::new());
        let mut opened = 0;
        let mut results = Vec::new();
        for _ in 0..2 {
            if !client.line.is_open() {
                client.line.open().await.unwrap();
                opened += 1;
            }
            let result = client.read(ASK, LIMITS).await.transpose().expect("it is not to stop");
            results.push(result.map_err(|failure| failure.reason().to_string()));
        }
        assert_eq!(results, [first.map_err(str::to_owned), Ok(Answer::Registers(vec![1, 2]))], "{what}");
        assert_eq!(opened, connections, "{what}");
    });
}

#[test]
fn after_anything_but_an_answer_the_connection_is_another() {
    let right = || Ok(Answer::Registers(vec![1, 2]));
    check("right", |_| {}, right(), 1);
    check("silent", Vec::clear, Err("timeout"), 2);
    check("late number", |a| a[1] = a[1].wrapping_sub(1), Err("framing"), 2);
    check("other protocol", |a| a[3] = 1, Err("framing"), 2);
    check("other unit", |a| a[6] = 8, Err("framing"), 2);
    check("other function", |a| a[7] = 4, Err("framing"), 2);
    check("wrong length", |a| a[5] = 9, Err("framing"), 2);
    check("too many registers", |a| a.splice(5.., [9, 7, 3, 6, 0, 1, 0, 2, 0, 3]).for_each(drop), Err("framing"), 2);
    check("too few registers", |a| a.splice(5.., [5, 7, 3, 2, 0, 1]).for_each(drop), Err("framing"), 2);
    check("more than an answer", |a| a.push(0), Err("framing"), 2);
    check("half an answer", |a| a.truncate(10), Err("framing"), 2);
    check("refusal", |a| a.splice(5.., [3, 7, 0x83, 2]).for_each(drop), Ok(Answer::Exception(2)), 1);
}

#[test]
fn a_stop_takes_an_answer_that_has_come_and_waits_for_no_other() {
    let check = |what, change: Change, expected: Option<Answer>| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stop = CancellationToken::new();
            let line = TcpLine::new(listener.local_addr().unwrap().to_string(), trace());
            let mut client = Client::new(line, LineCounters::default(), stop.clone());
            client.line.open().await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let device = async {
                let mut request = [0; 12];
                stream.read_exact(&mut request).await.unwrap();
                let mut answer = vec![request[0], request[1], 0, 0, 0, 7, 7, 3, 4, 0, 1, 0, 2];
                change(&mut answer);
                stream.write_all(&answer).await.unwrap();
                stop.cancel();
            };
            let limits = Limits { timeout: Duration::from_secs(60), ..LIMITS };
            let read = timeout(Duration::from_secs(1), client.read(ASK, limits));
            let (result, ()) = tokio::join!(read, device);
            assert_eq!(result.expect("it gives up at once").unwrap(), expected, "{what}");
        });
    };
    check("whole", |_| {}, Some(Answer::Registers(vec![1, 2])));
    check("half", |answer| answer.truncate(10), None);
    check("none", Vec::clear, None);
}

#[test]
fn a_device_that_closes_an_idle_connection_is_no_fault() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut line = TcpLine::new(listener.local_addr().unwrap().to_string(), trace());
        line.open().await.unwrap();
        drop(listener.accept().await.unwrap());
        assert!(line.listen(&mut LineCounters::default()).await.is_none());
        assert!(!line.is_open());
    });
}

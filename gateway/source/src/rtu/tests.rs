//! Promises of the line guard: what is handed up is the answer to this very request, or nothing.
//!
//! The unit at the far end of a port in memory is scripted, and counts the requests that it gets: each answer carries the
//! number of its request, so that a value which belongs to another request is seen at once.

use curb_model::{HubClock, HubTime, Reason};
use proptest::prelude::*;
use tokio::io::DuplexStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::frames::{Head, Kind};
use super::*;
use crate::config::{SerialConfig, Table};
use crate::modbus::{Answer, Client};

mod echo;
mod fuzz;

/// A port in memory.
#[derive(Debug)]
struct Memory(Timing);

impl Wire for Memory {
    type Port = DuplexStream;
    const LONGEST_REST: Duration = Duration::ZERO;
    const REST_AFTER_REOPEN: Duration = Duration::ZERO;
    const FINE_WAIT: Duration = Duration::ZERO;
    const AFTER_FAILURE: AfterFailure = AfterFailure::Drain;

    async fn open(&self) -> io::Result<DuplexStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn timing(&self) -> Timing {
        self.0
    }

    fn configure(&self, _port: Option<&mut DuplexStream>, _settings: Option<&SerialConfig>) -> io::Result<Timing> {
        Ok(self.0)
    }

    fn clear_input(_port: &mut DuplexStream) -> io::Result<()> {
        Ok(())
    }

    fn is_fault(_error: &io::Error) -> bool {
        true
    }
}

const LIMITS: Limits = Limits { timeout: Duration::from_millis(25), min_gap: Duration::ZERO };

/// What the unit does with one request.
#[derive(Debug, Clone)]
enum Act {
    Answer,
    /// Answers when the next request has come, before it looks at that one.
    AnswerLate,
    /// Answers when the next request has come, after it has answered that one.
    AnswerOutOfOrder,
    Silent,
    Refuse(u8),
    /// Hears itself, as on a two-wire adapter that does not mute its receiver.
    Echo,
    /// Does not answer, and is heard by an adapter that hands over the echo when the next request has come.
    EchoLate,
    /// The same, but so many bytes of the echo come at once.
    EchoCut(usize),
    /// Answers after these bytes.
    After(Vec<u8>),
    /// Answers before these bytes.
    Then(Vec<u8>),
    /// Sends these bytes alone.
    Only(Vec<u8>),
    /// Answers in two pieces.
    Split(usize),
    /// Answers with a pause in the middle.
    Pause,
    /// Answers, with this bit of it turned.
    Flip(usize),
    /// Stops after this many bytes of its answer.
    Short(usize),
    /// Loses this many bytes at the beginning of its answer.
    Headless(usize),
    /// Answers under another address.
    OtherUnit,
    /// Answers with more or less than it was asked for.
    OtherAmount(u8),
}

fn framed(body: &[u8]) -> Vec<u8> {
    [body, &crc16(body).to_le_bytes()].concat()
}

/// What register `address` holds in the answer to the request `number`.
fn held(number: u16, address: u16) -> u16 {
    number << 8 | address & 0xFF
}

/// The right answer to the request `number`.
fn answer_to(request: &[u8], number: u16, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let [unit, function, high, low, _, quantity, ..] = *request else { panic!("short request {request:02x?}") };
    let address = u16::from_be_bytes([high, low]);
    let data: Vec<u8> = (0..u16::from(quantity)).flat_map(|n| held(number, address + n).to_be_bytes()).collect();
    let mut body = vec![unit, function, u8::try_from(data.len()).unwrap()];
    body.extend(data);
    change(&mut body);
    framed(&body)
}

/// Plays the unit until the port is closed.
async fn play(mut port: DuplexStream, script: Vec<Act>) {
    let mut late: Vec<u8> = Vec::new();
    let mut out_of_order: Vec<u8> = Vec::new();
    let mut acts = script.into_iter();
    let mut number = 0;
    let mut request = [0; 8];
    while port.read_exact(&mut request).await.is_ok() {
        number += 1;
        let answer = answer_to(&request, number, |_| {});
        let bytes = match acts.next().unwrap_or(Act::Answer) {
            Act::Answer => answer,
            Act::AnswerLate => {
                late.extend(answer);
                continue;
            }
            Act::AnswerOutOfOrder => {
                out_of_order.extend(answer);
                continue;
            }
            Act::EchoLate => {
                late.extend(request);
                continue;
            }
            Act::EchoCut(at) => {
                port.write_all(&request[..at]).await.unwrap();
                late.extend(&request[at..]);
                continue;
            }
            Act::Silent => Vec::new(),
            Act::Refuse(code) => framed(&[request[0], request[1] | 0x80, code]),
            Act::Echo => [&request[..], &answer].concat(),
            Act::After(noise) => [noise, answer].concat(),
            Act::Then(noise) => [answer, noise].concat(),
            Act::Only(noise) => noise,
            Act::Split(at) => {
                let at = at % answer.len();
                port.write_all(&late).await.unwrap();
                late.clear();
                port.write_all(&answer[..at]).await.unwrap();
                tokio::task::yield_now().await;
                answer[at..].to_vec()
            }
            Act::Pause => {
                port.write_all(&answer[..5]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
                answer[5..].to_vec()
            }
            Act::Flip(bit) => {
                let mut answer = answer;
                let bit = bit % (answer.len() * 8);
                answer[bit / 8] ^= 1 << (bit % 8);
                answer
            }
            Act::Short(len) => answer[..len % answer.len()].to_vec(),
            Act::Headless(missing) => answer[missing % answer.len()..].to_vec(),
            Act::OtherUnit => answer_to(&request, number, |body| body[0] = body[0].wrapping_add(1)),
            Act::OtherAmount(registers) => {
                let other = if registers % 20 == request[5] { 20 } else { registers % 20 };
                let data = vec![0; usize::from(other) * 2];
                framed(&[&[request[0], request[1], u8::try_from(data.len()).unwrap()], &data[..]].concat())
            }
        };
        late.extend(bytes);
        late.append(&mut out_of_order);
        if port.write_all(&late).await.is_err() {
            return;
        }
        late.clear();
    }
}

pub(super) fn trace() -> Trace {
    Trace::new(HubClock::starting_at(HubTime::ZERO))
}

/// A line at so high a rate that only the least silences count.
fn line(port: DuplexStream) -> Client<RtuLine<Memory>> {
    let timing = Timing::of(&SerialConfig::new("/none", 4_000_000), Duration::ZERO);
    let mut line = RtuLine::new(Memory(timing), Duration::ZERO, trace());
    line.port = Some(port);
    Client::new(line, LineCounters::default(), CancellationToken::new())
}

const fn ask(address: u16, quantity: u16) -> Ask {
    Ask { unit: 7, table: Table::Holding, address, quantity }
}

/// The right answer of the scripted unit to its request `number`.
fn right(number: u16, ask: Ask) -> Answer {
    Answer::Registers((0..ask.quantity).map(|n| held(number, ask.address + n)).collect())
}

/// Reads each of `asks` from a unit that plays `script`. Returns what came, and what was counted.
fn run(script: Vec<Act>, asks: &[Ask]) -> (Vec<Result<Answer, Reason>>, LineCounters) {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (near, far) = tokio::io::duplex(4096);
        let mut unit = JoinSet::new();
        unit.spawn(play(far, script));
        let mut client = line(near);
        let mut results = Vec::new();
        for ask in asks {
            let result = client.read(*ask, LIMITS).await.transpose().expect("it is not to stop");
            if let Ok(Answer::Registers(_)) = &result {
                // Whatever is answered is the answer to the request that was sent last.
                let number = u16::try_from(client.counters.requests).unwrap();
                assert_eq!(result.as_ref().unwrap(), &right(number, *ask));
            }
            results.push(result.map_err(|failure| failure.reason()));
        }
        (results, client.counters)
    })
}

#[test]
fn the_check_sum_is_that_of_the_standard() {
    assert_eq!(crc16(b"123456789"), 0x4B37);
    assert_eq!(framed(&[0x02, 0x07]), [0x02, 0x07, 0x41, 0x12]);
}

#[test]
fn timing_follows_the_rate() {
    let check = |baud, silence_us, character_us| {
        let timing = Timing::of(&SerialConfig::new("/none", baud), Duration::ZERO);
        assert_eq!((timing.silence.as_micros(), timing.character.as_micros()), (silence_us, character_us), "{baud}");
    };
    check(9_600, 4_010, 1_145);
    check(19_200, 2_005, 572);
    check(115_200, 1_750, 95);
}

#[test]
fn each_trouble_is_told_apart() {
    let check = |act: Act, result: Result<(), Reason>, counted: LineCounters| {
        let asked = ask(100, 4);
        let (results, counters) = run(vec![act.clone()], &[asked]);
        let expected = result.map(|()| right(1, asked));
        assert_eq!(results, [expected], "{act:?}");
        assert_eq!(counters, LineCounters { requests: 1, ..counted }, "{act:?}");
    };
    let counters = LineCounters::default();
    let answered = LineCounters { answers: 1, ..counters };
    let framing = LineCounters { framing: 1, ..counters };
    check(Act::Answer, Ok(()), answered);
    check(Act::Pause, Ok(()), LineCounters { split: 1, ..answered });
    check(Act::Echo, Ok(()), LineCounters { echo: 1, ..answered });
    check(Act::After(vec![0; 40]), Ok(()), LineCounters { noise_bytes: 40, ..answered });
    check(Act::After(framed(&[9, 3, 2, 1, 1])), Ok(()), LineCounters { foreign: 1, ..answered });
    check(Act::Silent, Err(Reason::Timeout), LineCounters { timeouts: 1, ..counters });
    check(Act::Flip(40), Err(Reason::Crc), LineCounters { crc: 1, noise_bytes: 13, ..counters });
    for missing in 1..=10 {
        check(Act::Short(13 - missing), Err(Reason::Framing), LineCounters { short: 1, ..framing });
    }
    for missing in 1..=3 {
        check(Act::Headless(missing), Err(Reason::Framing), LineCounters { headless: 1, ..framing });
    }
    check(Act::Headless(4), Err(Reason::Framing), LineCounters { noise_bytes: 9, ..framing });
    check(Act::OtherUnit, Err(Reason::Framing), LineCounters { wrong_unit: 1, ..framing });
    check(Act::OtherAmount(2), Err(Reason::Framing), LineCounters { foreign: 1, ..framing });
    check(Act::Only(vec![0xFF; 600]), Err(Reason::Framing), LineCounters { noise_bytes: 600, ..framing });
    check(
        Act::Only(vec![0xFF; 1_200]),
        Err(Reason::Framing),
        LineCounters { babble: 1, noise_bytes: 1_200, ..framing },
    );
}

#[test]
fn a_transceiver_that_is_released_too_late_shows_as_answers_without_their_first_bytes() {
    let asked = ask(100, 4);
    let (results, counters) = run(vec![Act::Headless(1), Act::Headless(3), Act::Headless(2)], &[asked, asked, asked]);
    assert!(results.iter().all(|result| *result == Err(Reason::Framing)), "{results:?}");
    assert_eq!((counters.headless, counters.short, counters.noise_bytes), (3, 0, 0));
}

/// Another master's question to read.
fn question(unit: u8, address: u8, quantity: u8) -> Vec<u8> {
    framed(&[unit, 3, 0, address, 0, quantity])
}

#[test]
fn another_masters_frames_are_known_for_what_they_are_and_cost_no_answer() {
    let broadcast = framed(&[0, 16, 0, 1, 0, 2, 4, 0, 1, 0, 2]);
    let broadcast_of_one = framed(&[0, 6, 0, 1, 0, 2]);
    let answer = framed(&[9, 3, 4, 1, 2, 3, 4]);
    let written = framed(&[9, 6, 0, 1, 0, 2]);
    let check = |frames: &[&[u8]], requests: u64| {
        let asked = ask(100, 4);
        let (results, counters) = run(vec![Act::After(frames.concat())], &[asked]);
        assert_eq!(results, [Ok(right(1, asked))], "{frames:02x?}");
        let foreign = u64::try_from(frames.len()).unwrap();
        let expected =
            LineCounters { requests: 1, answers: 1, foreign, foreign_requests: requests, ..LineCounters::default() };
        assert_eq!(counters, expected, "{frames:02x?}");
    };
    check(&[&broadcast], 1);
    check(&[&broadcast, &broadcast_of_one], 2);
    check(&[&question(9, 100, 2), &answer], 1);
    check(&[&written, &written], 0);
    check(&[&question(9, 100, 2), &answer, &broadcast, &question(7, 100, 3)], 3);
}

#[test]
fn an_answer_that_another_master_has_asked_for_is_not_ours() {
    let asked = ask(100, 4);
    let reply = framed(&[7, 3, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    // In the middle of our exchange.
    let (results, counters) = run(vec![Act::Only([question(7, 50, 4), reply.clone()].concat())], &[asked, asked]);
    assert_eq!(results, [Err(Reason::Framing), Ok(right(2, asked))]);
    assert_eq!((counters.foreign, counters.foreign_requests, counters.noise_bytes), (2, 1, 0));
    // Asked before ours, answered after it.
    let acts = vec![Act::Then(question(7, 50, 4)), Act::After(reply)];
    let (results, counters) = run(acts, &[asked, asked]);
    assert_eq!(results[0], Ok(right(1, asked)));
    assert!(results[1] == Err(Reason::Framing) || results[1] == Ok(right(2, asked)), "{:?}", results[1]);
    assert_eq!((counters.foreign_requests, counters.noise_bytes), (1, 0));
}

#[test]
fn a_refusal_is_handed_up_with_its_code() {
    let (results, counters) = run(vec![Act::Refuse(2)], &[ask(100, 4), ask(100, 4)]);
    assert_eq!(results, [Ok(Answer::Exception(2)), Ok(right(2, ask(100, 4)))]);
    assert_eq!((counters.exceptions, counters.answers), (1, 1));
}

#[test]
fn a_late_answer_is_never_that_of_the_next_request() {
    let check = |first: Ask, second: Ask, results: &[Result<Answer, Reason>], counted: LineCounters| {
        let (found, counters) = run(vec![Act::AnswerLate], &[first, second]);
        assert_eq!(found, results, "{first:?} then {second:?}");
        assert_eq!(counters, counted, "{first:?} then {second:?}");
    };
    let counters = LineCounters { requests: 2, timeouts: 1, late: 1, answers: 1, ..LineCounters::default() };
    for second in [ask(100, 4), ask(200, 4), ask(200, 3), ask(0, 4)] {
        check(ask(100, 4), second, &[Err(Reason::Timeout), Ok(right(2, second))], counters);
    }
    check(ask(0, 1), ask(0, 1), &[Err(Reason::Timeout), Ok(right(2, ask(0, 1)))], counters);
}

#[test]
fn a_unit_without_registers_beside_the_wanted_ones_is_read_from_the_other_side_or_later() {
    let (first, second) = (ask(100, 4), ask(200, 4));
    let (results, _) = run(vec![Act::Silent, Act::Refuse(2)], &[first, second]);
    assert_eq!(results, [Err(Reason::Timeout), Ok(right(3, second))]);
    let (results, _) = run(vec![Act::Silent, Act::Refuse(2), Act::Refuse(2)], &[first, second, ask(200, 3)]);
    assert_eq!(results, [Err(Reason::Timeout), Err(Reason::Timeout), Ok(right(4, ask(200, 3)))]);
}

#[test]
fn a_unit_that_is_always_late_is_never_believed() {
    let (results, counters) = run(vec![Act::AnswerLate; 40], &[ask(100, 4); 10]);
    assert!(results.iter().all(Result::is_err), "{results:?}");
    assert_eq!(counters.answers, 0);
}

#[test]
fn a_port_that_is_gone_is_let_go() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (near, far) = tokio::io::duplex(64);
        drop(far);
        let mut client = line(near);
        let result = client.read(ask(0, 1), LIMITS).await;
        assert!(matches!(result, Err(Failure::Gone(_))), "{result:?}");
        assert!(!client.line.is_open());
    });
}

fn any_act() -> impl Strategy<Value = Act> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..60);
    prop_oneof![
        3 => Just(Act::Answer),
        3 => Just(Act::AnswerLate),
        2 => Just(Act::AnswerOutOfOrder),
        1 => Just(Act::Silent),
        1 => (1_u8..12).prop_map(Act::Refuse),
        1 => Just(Act::Echo),
        1 => bytes().prop_map(Act::After),
        1 => bytes().prop_map(Act::Then),
        1 => bytes().prop_map(Act::Only),
        1 => (0_usize..50).prop_map(Act::Split),
        1 => (0_usize..400).prop_map(Act::Flip),
        1 => (0_usize..50).prop_map(Act::Short),
        1 => (0_usize..50).prop_map(Act::Headless),
        1 => Just(Act::OtherUnit),
        1 => any::<u8>().prop_map(Act::OtherAmount),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever a unit does, a value that is handed up is the one that it served for this request; `run` asserts it.
    #[test]
    fn every_value_is_the_one_that_was_served_for_its_request(
        script in prop::collection::vec(any_act(), 1..16),
        asks in prop::collection::vec((0_u16..3, 1_u16..5), 1..12),
    ) {
        let asks: Vec<Ask> = asks.into_iter().map(|(address, quantity)| ask(address * 100, quantity)).collect();
        let (results, counters) = run(script, &asks);
        let ended = counters.answers + counters.exceptions + counters.timeouts + counters.crc + counters.framing;
        prop_assert_eq!(results.len(), asks.len());
        prop_assert!(ended >= counters.requests);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Garbage around an answer neither hides nor makes one.
    #[test]
    fn an_answer_is_found_in_garbage_and_only_there(
        before in prop::collection::vec(any::<u8>(), 0..80),
        after in prop::collection::vec(any::<u8>(), 0..80),
        address in 0_u16..1000,
        quantity in 1_u16..40,
        served: bool,
    ) {
        let asked = ask(address, quantity);
        let [high, low] = address.to_be_bytes();
        let answer = answer_to(&[7, 3, high, low, 0, u8::try_from(quantity).unwrap()], 47, |_| {});
        let bytes = if served { [&before[..], &answer, &after].concat() } else { [&before[..], &after].concat() };
        match frames::find(&bytes, asked.query(), &[]) {
            Some((at, len)) if len > 5 => prop_assert_eq!(&bytes[at..at + len], &answer[..]),
            Some(_) => {}
            None => prop_assert!(!served || frames::head(&bytes, asked.query(), &[]) == Head::Partial),
        }
        let mut told = 0;
        while told < bytes.len() {
            let (kind, len) = frames::first(&bytes[told..]);
            prop_assert!(len >= 1 && (kind != Kind::Noise || len == 1));
            told += len;
        }
        prop_assert_eq!(told, bytes.len());
    }
}

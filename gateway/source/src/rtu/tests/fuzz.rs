//! Millions of frames with everything wrong with them: a value that is handed up is what the unit held for this very
//! request, and nothing else is a value.
//!
//! Many lines in memory live side by side, because most of their time is waiting for an answer that does not come. Every
//! register of every answer is a number of its own, made from the request and the address, so that a value which belongs
//! to another request, another register, or another master's question is seen at once.
//!
//! Deliberately absent, because no frame of RTU could tell: another master's answer whose question was not heard; a unit
//! that answers the same request twice, the second time seconds later; damage that a sum of 16 bits does not see; another
//! master's question for bits from address 768 to 1,023, which is an answer of three bytes to the last bit.
//!
//! In the suite a short run; a long one is `CURB_FUZZ_FRAMES=5000000 cargo test -p curb-source --lib fuzz -- --nocapture`,
//! with `CURB_FUZZ_SEED` for another one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::AddAssign;
use std::rc::Rc;

use fastrand::Rng;
use tokio::task::LocalSet;

use super::*;

/// Lines side by side: enough that the processor is never idle, few enough that answers come in time.
const LINES: u64 = 48;

/// Frames in the suite's run.
const FRAMES: u64 = 40_000;

const PATIENCE: Limits = Limits { timeout: Duration::from_millis(6), min_gap: Duration::ZERO };

/// Silences that cost no time: what is tested is what is believed, not when it is asked.
const TIMING: Timing = Timing {
    character: Duration::ZERO,
    silence: Duration::ZERO,
    settle: Duration::from_millis(2),
    latency: Duration::ZERO,
};

/// What a register or eight bits hold, in the answer to request `number` of a line.
fn held(number: u64, unit: u8, function: u8, address: u16) -> u16 {
    let key = number << 32 | u64::from(unit) << 24 | u64::from(function) << 16 | u64::from(address);
    // The finish of SplitMix64: every bit of the key changes every bit of the result.
    let mixed = (key ^ key >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    u16::try_from(mixed >> 48).unwrap()
}

/// The data of the answer to `ask`.
fn data(number: u64, ask: Ask) -> Vec<u8> {
    let held = |address| held(number, ask.unit, ask.function(), address);
    if ask.table.is_bits() {
        let bit = |n: u16| held(ask.address + n) & 1;
        let byte = |byte: u16| (0..8).filter(|n| byte * 8 + n < ask.quantity).map(|n| bit(byte * 8 + n) << n).sum();
        (0..ask.quantity.div_ceil(8)).map(byte).map(|byte: u16| u8::try_from(byte).unwrap()).collect()
    } else {
        (0..ask.quantity).flat_map(|n| held(ask.address + n).to_be_bytes()).collect()
    }
}

fn request(ask: Ask) -> Vec<u8> {
    let [high, low] = ask.address.to_be_bytes();
    let [many, few] = ask.quantity.to_be_bytes();
    framed(&[ask.unit, ask.function(), high, low, many, few])
}

fn answer(number: u64, ask: Ask) -> Vec<u8> {
    framed(&[&[ask.unit, ask.function(), ask.data_len()], &data(number, ask)[..]].concat())
}

const TABLES: [Table; 4] = [Table::Coil, Table::Discrete, Table::Holding, Table::Input];

fn parsed(request: &[u8]) -> Ask {
    Ask {
        unit: request[0],
        table: TABLES[usize::from(request[1]) - 1],
        address: u16::from_be_bytes([request[2], request[3]]),
        quantity: u16::from_be_bytes([request[4], request[5]]),
    }
}

/// Any question; often one that looks like the last.
fn any_ask(rng: &mut Rng, last: Ask) -> Ask {
    let address = rng.u16(0..400);
    match rng.u8(0..4) {
        0 | 1 => Ask { address, ..last },
        2 => Ask { address, quantity: rng.u16(1..10), ..last },
        _ => {
            let table = TABLES[rng.usize(0..4)];
            let quantity = if table.is_bits() { rng.u16(9..400) } else { rng.u16(1..40) };
            Ask { unit: rng.u8(1..=247), table, address, quantity }
        }
    }
}

/// A unit, and whoever else is on its line.
struct Far {
    port: DuplexStream,
    rng: Rng,
    number: u64,
    /// Comes when the next request has come.
    late: Vec<Vec<u8>>,
    frames: Rc<Cell<u64>>,
    said: Said,
}

/// The last that was said on a line, to understand a failure.
type Said = Rc<RefCell<VecDeque<String>>>;

impl Far {
    /// Plays until the port is closed.
    async fn play(mut self) {
        let mut heard = [0; 8];
        while self.port.read_exact(&mut heard).await.is_ok() {
            self.number += 1;
            let (now, later) = self.act(parsed(&heard), &heard);
            let mut frames = std::mem::replace(&mut self.late, later);
            frames.extend(now);
            self.note(&heard, &frames);
            // Frames come in pieces, as adapters hand them over; the line is not silent between two of these frames.
            let mut piece = Vec::new();
            for frame in frames {
                let cut = if self.rng.u8(0..3) == 0 { self.rng.usize(0..frame.len()) } else { 0 };
                piece.extend_from_slice(&frame[..cut]);
                if cut > 0 {
                    if self.port.write_all(&piece).await.is_err() {
                        return;
                    }
                    piece.clear();
                    tokio::task::yield_now().await;
                }
                piece.extend_from_slice(&frame[cut..]);
            }
            if self.port.write_all(&piece).await.is_err() {
                return;
            }
        }
    }

    fn note(&self, heard: &[u8], frames: &[Vec<u8>]) {
        let mut said = self.said.borrow_mut();
        said.push_back(format!("{}: {:?}\n  > {heard:02x?}\n  < {frames:02x?}", self.number, parsed(heard)));
        if said.len() > 4 {
            said.pop_front();
        }
    }

    fn frames(&self, count: u64) {
        self.frames.set(self.frames.get() + count);
    }

    /// The frames on the line after a request: now, and when the next one has come.
    fn act(&mut self, ask: Ask, request: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let right = answer(self.number, ask);
        let refusal = framed(&[ask.unit, ask.function() | 0x80, self.rng.u8(1..12)]);
        let echo = request.to_vec();
        let none = Vec::new;
        self.frames(2);
        match self.rng.u8(0..40) {
            0..=13 => (vec![right], none()),
            14 => (none(), none()),
            15..=17 => (none(), vec![right]),
            18 => (none(), vec![refusal]),
            19 => (vec![refusal], none()),
            20 | 21 => (vec![right[..self.rng.usize(1..right.len())].to_vec()], none()),
            22 => (vec![right[self.rng.usize(1..right.len())..].to_vec()], none()),
            23..=25 => (vec![self.flipped(right)], none()),
            26 | 27 => (vec![echo, right], none()),
            28 => (vec![echo, self.noise(), right], none()),
            29 => (vec![answer(self.number, Ask { unit: ask.unit % 247 + 1, ..ask })], none()),
            30 => (vec![answer(self.number, Ask { quantity: ask.quantity + self.rng.u16(1..30), ..ask })], none()),
            31 => (vec![right.clone(), right], none()),
            32 => (vec![self.noise(), right], none()),
            33 => (vec![right, self.noise()], none()),
            34 => (vec![self.noise()], none()),
            35 | 36 => {
                let (question, reply) = self.foreign(ask);
                (vec![question, reply, right], none())
            }
            37 => {
                let (question, reply) = self.foreign(ask);
                (vec![right, question, reply], none())
            }
            38 => {
                let (question, reply) = self.foreign(ask);
                (vec![right, question], vec![reply])
            }
            _ => {
                let (question, reply) = self.foreign(ask);
                (vec![question], vec![reply, right])
            }
        }
    }

    /// Another master's question and its answer; often they look like ours. Its registers are none that we ask for.
    fn foreign(&mut self, ask: Ask) -> (Vec<u8>, Vec<u8>) {
        self.frames(2);
        let foreign = any_ask(&mut self.rng, ask);
        let foreign = Ask { address: foreign.address + 1024, ..foreign };
        (request(foreign), answer(self.number, foreign))
    }

    fn noise(&mut self) -> Vec<u8> {
        let len = self.rng.usize(1..40);
        std::iter::repeat_with(|| self.rng.u8(..)).take(len).collect()
    }

    /// One to three bits turned, which a sum of 16 bits always sees.
    fn flipped(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        let right = frame.clone();
        while frame == right {
            for _ in 0..self.rng.u8(1..=3) {
                let bit = self.rng.usize(0..frame.len() * 8);
                frame[bit / 8] ^= 1 << (bit % 8);
            }
        }
        frame
    }
}

/// How questions ended.
#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    asked: u64,
    good: u64,
    refused: u64,
    bad: u64,
    not_asked: u64,
}

impl AddAssign for Ended {
    fn add_assign(&mut self, other: Self) {
        self.asked += other.asked;
        self.good += other.good;
        self.refused += other.refused;
        self.bad += other.bad;
        self.not_asked += other.not_asked;
    }
}

/// Asks on one line until all lines together have carried enough frames.
async fn ask_on(seed: u64, frames: Rc<Cell<u64>>, enough: u64) -> (Ended, LineCounters) {
    let (near, port) = tokio::io::duplex(4096);
    let mut rng = Rng::with_seed(seed);
    let said = Said::default();
    let far =
        Far { port, rng: rng.fork(), number: 0, late: Vec::new(), frames: Rc::clone(&frames), said: Rc::clone(&said) };
    let line = RtuLine { port: Some(near), ..RtuLine::new(Memory(TIMING), Duration::ZERO, trace()) };
    let mut client = Client::new(line, LineCounters::default(), CancellationToken::new());
    let mut ended = Ended::default();
    let mut ask = Ask { unit: 1, table: Table::Holding, address: 0, quantity: 2 };
    let asking = async {
        while frames.get() < enough {
            ask = any_ask(&mut rng, ask);
            ended.asked += 1;
            let result = client.read(ask, PATIENCE).await.transpose().expect("it is not to stop");
            let number = client.counters.requests;
            let wanted = data(number, ask);
            let told = || {
                format!(
                    "seed {seed}, request {number}, {ask:?}:\n{}",
                    said.borrow().iter().map(|said| format!("{said}\n")).collect::<String>()
                )
            };
            match result {
                Ok(Answer::Registers(registers)) => {
                    let found: Vec<u8> = registers.iter().flat_map(|register| register.to_be_bytes()).collect();
                    assert_eq!(found, wanted, "{}", told());
                    ended.good += 1;
                }
                Ok(Answer::Bits(bits)) => {
                    let bits = &bits[..usize::from(ask.quantity)];
                    let wanted = (0..bits.len()).map(|n| wanted[n / 8] >> (n % 8) & 1 == 1);
                    assert!(wanted.eq(bits.iter().copied()), "{}", told());
                    ended.good += 1;
                }
                Ok(Answer::Exception(_)) => ended.refused += 1,
                Ok(Answer::Done | Answer::Identity(_) | Answer::ServerId(_)) => panic!("not asked: {}", told()),
                Err(Failure::NotAsked(_)) => ended.not_asked += 1,
                Err(Failure::Timeout | Failure::Crc | Failure::Framing) => ended.bad += 1,
                Err(Failure::Gone(error)) => panic!("seed {seed}: the port is memory: {error}"),
            }
        }
        let counters = client.counters;
        drop(client);
        (ended, counters)
    };
    let (result, ()) = tokio::join!(asking, far.play());
    result
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn every_value_among_frames_with_every_fault_is_what_the_unit_held_for_this_request() {
    let enough = setting("CURB_FUZZ_FRAMES", FRAMES);
    let seed = setting("CURB_FUZZ_SEED", 4);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let frames = Rc::new(Cell::new(0));
    let start = Instant::now();
    let lines = LocalSet::new();
    let (ended, all) = lines.block_on(&runtime, async {
        let mut asking = JoinSet::new();
        for line in 0..LINES {
            asking.spawn_local(ask_on(seed * LINES + line, Rc::clone(&frames), enough));
        }
        let mut ended = Ended::default();
        let mut all = Vec::new();
        for (one, counters) in asking.join_all().await {
            ended += one;
            all.push(counters);
        }
        (ended, all)
    });
    let seconds = start.elapsed().as_secs_f64();
    let sum = |counter: fn(&LineCounters) -> u64| all.iter().map(counter).sum::<u64>();
    println!("{} frames in {seconds:.1} s, {:.0} a second; {ended:?}", frames.get(), frames.get() as f64 / seconds);
    assert_eq!(ended.asked, ended.good + ended.refused + ended.bad + ended.not_asked);
    assert!(ended.good * 4 > ended.asked, "{ended:?}");
    let named = [
        ("timeouts", sum(|counters| counters.timeouts)),
        ("crc", sum(|counters| counters.crc)),
        ("framing", sum(|counters| counters.framing)),
        ("exceptions", sum(|counters| counters.exceptions)),
        ("late", sum(|counters| counters.late)),
        ("echo", sum(|counters| counters.echo)),
        ("foreign", sum(|counters| counters.foreign)),
        ("foreign requests", sum(|counters| counters.foreign_requests)),
        ("wrong unit", sum(|counters| counters.wrong_unit)),
        ("short", sum(|counters| counters.short)),
        ("headless", sum(|counters| counters.headless)),
        ("split", sum(|counters| counters.split)),
        ("noise bytes", sum(|counters| counters.noise_bytes)),
    ];
    for (name, count) in named {
        println!("{name}: {count}");
        assert!(count > 0, "no {name} seen");
    }
}

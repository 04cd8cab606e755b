//! An honest hub's history, for the tests to spoil.

use std::ops::Range;
use std::time::Duration;

use crate::device::{Device, Kind, Register, Signal, Table};
use crate::judge::{Accepted, Account, Arrived, Case, End, Ledger, Life, Point, Verdict, judge};
use crate::record::{Failure, Served, What};

/// When every history starts.
pub(super) const START_MS: i64 = 1_795_000_000_000;
/// What a SIGKILL may cost.
const WINDOW: Duration = Duration::from_millis(1000);

/// A hub that does as it should, and what it was given.
#[derive(Debug, Clone)]
pub(super) struct History {
    pub(super) points: Vec<Point>,
    pub(super) served: Vec<Served>,
    pub(super) accepted: Vec<Accepted>,
    pub(super) lives: Vec<Life>,
    pub(super) ledger: Ledger,
    /// When the machine stood still.
    pub(super) halts: Vec<(i64, i64)>,
    messages: u64,
}

impl History {
    pub(super) fn judge(&self) -> Verdict {
        judge(&Case {
            points: &self.points,
            served: &self.served,
            accepted: &self.accepted,
            ledger: Some(&self.ledger),
            lives: &self.lives,
            forgot_ms: &[],
            window: WINDOW,
            halts: &self.halts,
        })
    }
}

fn meter() -> Device {
    Device::new("meter")
        .with(Register::new("voltage", Table::Input, 0, Kind::U16, Signal::new(2300, 1, 4000)).scale(0.1).unit("V"))
        .with(Register::new("energy", Table::Input, 4, Kind::U32, Signal::new(100_000, 7, 70_000)).low_word_first())
        .with(Register::new("door", Table::Discrete, 0, Kind::Bool, Signal::new(0, 1, 2)))
}

/// One message for each reading: the meter's input registers each second, its door at the half, a dead device each five.
/// `killed_at` seconds after the start the hub is killed, its last `unsent` readings are lost, and it is back a second
/// later.
pub(super) fn history(seconds: u32, killed_at: Option<u32>, jitter_ms: i64) -> History {
    let device = meter();
    let mut points = Point::of_device(&device);
    points[0] = points[0].clone().deadband(0.5);
    points.extend(Point::of_device(&Device::new("sign").with(Register::new(
        "state",
        Table::Holding,
        0,
        Kind::U16,
        Signal::new(0, 1, 10),
    ))));
    let at = |second: u32, half: i64| START_MS + i64::from(second) * 1000 + half;
    let lives = match killed_at {
        None => vec![stopped(START_MS, at(seconds, 900))],
        Some(killed) => vec![
            Life { started_ms: START_MS, ended_ms: at(killed, 0), end: End::Killed },
            stopped(at(killed, 990), at(seconds, 900)),
        ],
    };
    let mut history = History {
        points,
        served: Vec::new(),
        accepted: Vec::new(),
        lives,
        ledger: Ledger::default(),
        halts: Vec::new(),
        messages: 0,
    };
    let mut last_voltage: Option<f64> = None;
    for second in 0..seconds {
        let life = usize::from(killed_at.is_some_and(|killed| second >= killed));
        let down = killed_at == Some(second);
        let unsent = killed_at.is_some_and(|killed| second + 1 == killed);
        if down {
            last_voltage = None;
        }
        let n = u64::from(second);
        let voltage = f64::from(2300 + second % 4000) / 10.0;
        let energy = f64::from(100_000 + 7 * second % 70_000);
        let words = device.read(n, Table::Input, 0, 6).unwrap();
        let door = device.read(n, Table::Discrete, 0, 1).unwrap();
        let input = What::Answer { table: Table::Input, address: 0, words, heard: !down };
        let discrete = What::Answer { table: Table::Discrete, address: 0, words: door, heard: !down };
        history.served.push(Served { device: "meter".into(), at_ms: at(second, 100), what: input });
        history.served.push(Served { device: "meter".into(), at_ms: at(second, 500), what: discrete });
        if down {
            continue;
        }
        let news = last_voltage.is_none_or(|last| (voltage - last).abs() >= 0.5);
        let account = history.account(life, "meter");
        account.read += 3;
        account.filtered += u64::from(!news);
        if news {
            last_voltage = Some(voltage);
            history.deliver(
                life,
                unsent,
                "meter",
                at(second, 100 + jitter_ms),
                "meter/voltage",
                voltage.into(),
                "good",
            );
        }
        history.deliver(life, unsent, "meter", at(second, 100 + jitter_ms), "meter/energy", energy.into(), "good");
        let open = second % 2 == 1;
        history.deliver(life, unsent, "meter", at(second, 500 + jitter_ms), "meter/door", open.into(), "good");
        if second % 5 == 0 {
            let what = What::Failed { table: Table::Holding, address: 0, count: 1, failure: Failure::Silent };
            history.served.push(Served { device: "sign".into(), at_ms: at(second, 550), what });
            history.account(life, "sign").read += 1;
            let bad = (serde_json::Value::Null, "bad:timeout");
            history.deliver(life, unsent, "sign", at(second, 850 + jitter_ms), "sign/state", bad.0, bad.1);
        }
    }
    history
}

fn stopped(started_ms: i64, asked_ms: i64) -> Life {
    Life { started_ms, ended_ms: asked_ms + 50, end: End::Stopped { asked_ms } }
}

impl History {
    pub(super) fn judge_without_ledger(&self, forgot_ms: &[i64]) -> Verdict {
        let Self { points, served, accepted, lives, .. } = self;
        judge(&Case { points, served, accepted, ledger: None, lives, forgot_ms, window: WINDOW, halts: &[] })
    }

    /// Delivers the voltage of these seconds anew, as a deadband does that knows of nothing before.
    pub(super) fn voltage_afresh(&mut self, life: usize, seconds: Range<u32>) {
        let at_ms = |second: u32| START_MS + i64::from(second) * 1000 + 105;
        // One second more: its reading is what the deadband does not know of.
        let from = at_ms(seconds.start - 1);
        self.accepted.retain(|message| {
            let reading = &message.readings[0];
            reading.point != "meter/voltage"
                || reading.time_ms.is_some_and(|time_ms| time_ms < from || message.run != run(life))
        });
        let mut last = f64::NEG_INFINITY;
        for second in seconds {
            let voltage = f64::from(2300 + second) / 10.0;
            if voltage - last >= 0.5 {
                last = voltage;
                self.deliver(life, false, "meter", at_ms(second), "meter/voltage", voltage.into(), "good");
            }
        }
    }

    pub(super) fn account(&mut self, life: usize, stream: &str) -> &mut Account {
        let run = run(life);
        let accounts = &mut self.ledger.accounts;
        self.ledger.closes = true;
        let index = accounts.iter().position(|account| account.run == run && account.stream == stream);
        let index = index.unwrap_or_else(|| {
            accounts.push(Account { run, stream: stream.to_owned(), ..Account::default() });
            accounts.len() - 1
        });
        &mut accounts[index]
    }

    #[expect(clippy::too_many_arguments, reason = "a message is made of that many things")]
    pub(super) fn deliver(
        &mut self,
        life: usize,
        unsent: bool,
        stream: &str,
        time_ms: i64,
        point: &str,
        value: serde_json::Value,
        quality: &str,
    ) {
        if unsent {
            // The counters of a killed run are as old as its last message.
            self.account(life, stream).read -= 1;
            return;
        }
        self.account(life, stream).delivered += 1;
        let unit = (point == "meter/voltage").then(|| "V".to_owned());
        let quality = quality.to_owned();
        self.messages += 1;
        let reading = Arrived { point: point.to_owned(), value, unit, quality, time_ms: Some(time_ms) };
        self.accepted.push(Accepted {
            received_ms: time_ms + 3,
            hub: "lamp".to_owned(),
            run: run(life),
            stream: stream.to_owned(),
            seq: self.messages,
            duplicate: false,
            readings: vec![reading],
        });
    }

    pub(super) fn first(&self, point: &str) -> usize {
        self.accepted.iter().position(|message| message.readings[0].point == point).unwrap()
    }
}

pub(super) fn run(life: usize) -> String {
    format!("{}-00000000000000ff", life + 9)
}

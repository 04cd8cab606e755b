//! Each way of a command through the daemon, against a real store and a bus whose device is not there: what is answered, what
//! is recorded, and what is remembered. What a device has to do with is in tests/e2e.

use std::sync::Arc;

use bytes::Bytes;
use curb_model::{Batch, Class, HubTime, Message, Point, Stream, UtcOffset, ValueType};
use curb_source::{BusConfig, Config, DeviceConfig, Encoding, Grant, Link, ModbusDevice, ModbusPoint, Source, Table};
use curb_uplink::{Answer as Sent, ReplyTo};
use curb_wire::command::AuditRecord;
use tempfile::TempDir;

use super::*;

/// The hub's clock says this when it begins.
const UTC_MS: i64 = 1_795_555_555_000;

/// How long anything may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A hub with one lamp, that is not there.
struct Hub {
    folder: TempDir,
    clock: HubClock,
    store: Store,
    source: Source,
    commands: Commands,
    answers: mpsc::Receiver<Sent>,
    answers_in: mpsc::Sender<Sent>,
    /// A bus whose readings nobody takes ends.
    readings: mpsc::Receiver<Batch>,
}

fn lamp() -> Config {
    let name = PointName::parse("lamp/dim").unwrap();
    let stream = Stream::device(name.owner());
    let point = Point { name, stream, class: Class::Data, unit: None, value_type: ValueType::U16, range: None };
    let mut dim = ModbusPoint::new(Arc::new(point), Table::Holding, 0, Encoding::U16);
    dim.write = Some(Grant { bounds: Some((0.0, 100.0)), target: None, encoding: None });
    let mut device = ModbusDevice::new(1, Duration::from_secs(3600));
    device.points.push(dim);
    // Port 1 of the loopback: nobody listens there.
    let devices = [(Name::new("lamp").unwrap(), DeviceConfig::Modbus(device))].into();
    let bus = BusConfig { link: Link::Tcp("127.0.0.1:1".to_owned()), devices };
    Config { buses: [(Name::new("lan").unwrap(), bus)].into() }
}

impl Hub {
    fn new() -> Self {
        Self::in_folder(TempDir::new().unwrap())
    }

    fn in_folder(folder: TempDir) -> Self {
        let name = Name::new("lamp-0042").unwrap();
        let opened = Store::open(curb_store::Config::new(folder.path().join("queue"), name.clone())).unwrap();
        let clock = HubClock::starting_at(HubTime::ZERO);
        clock.set_offset(Some(UtcOffset::from_nanos(UTC_MS * 1_000_000)));
        let store = opened.begin(clock.clone()).unwrap();
        let (out, readings) = mpsc::channel(64);
        let source = Source::start(lamp(), clock.clone(), out).unwrap();
        let commands = Commands::start(folder.path(), &name, &clock, &store).unwrap();
        let (answers_in, answers) = mpsc::channel(64);
        Self { folder, clock, store, source, commands, answers, answers_in, readings }
    }

    /// A power cut, and the next start.
    fn restart(self) -> Self {
        let Self { folder, store, source, commands, readings, .. } = self;
        drop((commands, source, store, readings));
        Self::in_folder(folder)
    }

    fn command(&self, id: &str, payload: &str) -> Command {
        let command = Command::new("write", Bytes::from(payload.to_owned()), self.answers_in.clone());
        Command { correlation: Some(Bytes::from(id.to_owned())), ..command }
    }

    fn begin(&mut self, command: Command) {
        let source = &self.source;
        self.commands.begin(command, |point, value| source.permitted(point, value));
    }

    /// Sends it, and waits for its answer: its word, or `done`.
    async fn ask(&mut self, command: Command) -> String {
        self.begin(command);
        let sent = timeout(PATIENCE, self.answers.recv()).await.unwrap().unwrap();
        word(Answer::decode(&sent.payload).unwrap().outcome)
    }

    /// The words of all audit records.
    async fn recorded(&self) -> Vec<String> {
        self.store.sync().await.unwrap();
        let messages = self.store.next(Class::Data, None, 10_000, usize::MAX).await.unwrap().messages;
        let audit = |message: &Message| AuditRecord::decode(&message.payload).unwrap();
        let audit = messages.iter().filter(|message| message.stream == Stream::audit()).map(audit);
        audit.map(|record| word(record.audit.outcome)).collect()
    }
}

fn word(outcome: Outcome) -> String {
    outcome.result.map_or_else(|refusal| refusal.word, |_| "done".to_owned())
}

/// A request whose deadline is `ms` after the hub's start.
fn request(value: u32, ms: i64) -> String {
    let deadline = Write {
        point: PointName::parse("lamp/dim").unwrap(),
        value: Value::U64(value.into()),
        deadline_ms: UTC_MS + ms,
    };
    String::from_utf8(deadline.encode()).unwrap()
}

#[tokio::test]
async fn what_may_not_be_done_is_refused_with_its_word_and_recorded() {
    let mut hub = Hub::new();
    let fine = request(50, 60_000);
    let mut words = Vec::new();
    let mut check = async |hub: &mut Hub, change: &dyn Fn(Command) -> Command, payload: &str, word: &str| {
        let command = change(hub.command("1", payload));
        assert_eq!(hub.ask(command).await, word);
        words.push(word.to_owned());
    };
    let same: &dyn Fn(Command) -> Command = &|command| command;
    check(&mut hub, &|command| Command { name: "format".into(), ..command }, &fine, "unknown-command").await;
    check(&mut hub, &|command| Command { retained: true, ..command }, &fine, "retained").await;
    check(&mut hub, &|command| Command { correlation: None, ..command }, &fine, "no-correlation").await;
    check(&mut hub, &|command| Command { correlation: Some(Bytes::new()), ..command }, &fine, "no-correlation").await;
    let long = Bytes::from(vec![7; 65]);
    check(&mut hub, &|command| Command { correlation: Some(long.clone()), ..command }, &fine, "bad-request").await;
    check(&mut hub, same, "{}", "bad-request").await;
    check(&mut hub, same, &request(50, -1), "deadline").await;
    let expired = Some(std::time::Instant::now());
    check(&mut hub, &|command| Command { expires: expired, ..command }, &fine, "deadline").await;
    check(&mut hub, same, &request(50, 3_700_000), "deadline-too-far").await;
    check(&mut hub, same, &request(101, 60_000), "out-of-bounds").await;
    check(&mut hub, same, &fine.replace("dim", "dam"), "unknown-point").await;
    hub.clock.set_offset(None);
    check(&mut hub, same, &fine, "clock-not-trusted").await;
    assert_eq!(hub.recorded().await, words);

    // An answer that may go nowhere is a request that is not carried out, and recorded.
    hub.clock.set_offset(Some(UtcOffset::from_nanos(UTC_MS * 1_000_000)));
    let reply_to = ReplyTo::Unusable("curb/v1/a/b/data/c".into());
    hub.begin(Command { reply_to, ..hub.command("1", &fine) });
    // Nobody wants an answer: carried out and recorded all the same.
    hub.begin(Command { reply_to: ReplyTo::Nobody, ..hub.command("2", &fine) });
    hub.commands.finish().await;
    assert!(hub.answers.try_recv().is_err());
    let messages = hub.store.next(Class::Data, None, 10_000, usize::MAX).await.unwrap().messages;
    assert_eq!(messages.iter().filter(|message| message.stream == Stream::audit()).count(), words.len() + 2);
}

#[tokio::test]
async fn what_was_carried_out_is_answered_from_memory_in_this_life_and_the_next() {
    let mut hub = Hub::new();
    let first = hub.command("7", &request(50, 60_000));
    assert_eq!(hub.ask(first).await, "not-sent", "the lamp is not there");
    let repeated = hub.command("7", &request(50, 70_000));
    assert_eq!(hub.ask(repeated).await, "not-sent");
    let other = hub.command("7", &request(51, 60_000));
    assert_eq!(hub.ask(other).await, "duplicate-id");
    assert_eq!(hub.recorded().await, ["not-sent", "duplicate-id"], "a repeated one is not recorded again");
    let mut hub = hub.restart();
    let repeated = hub.command("7", &request(50, -60_000));
    assert_eq!(hub.ask(repeated).await, "not-sent", "what came of it is told also when it is too late for a new one");
    assert_eq!(hub.recorded().await.len(), 2);
}

#[tokio::test]
async fn what_was_under_way_at_a_power_cut_is_recorded_as_unconfirmed() {
    let folder = TempDir::new().unwrap();
    let mut seen = Seen::default();
    let write = Write::decode(request(50, 60_000).as_bytes()).unwrap();
    assert_eq!(seen.admit(b"7", &write, UTC_MS), Admission::Go);
    curb_durable::File::new(folder.path().join("commands")).write(&seen.encode()).unwrap();
    let mut hub = Hub::in_folder(folder);
    let repeated = hub.command("7", &request(50, 60_000));
    assert_eq!(hub.ask(repeated).await, "unconfirmed");
    hub.commands.finish().await;
    let messages = hub.store.next(Class::Data, None, 10_000, usize::MAX).await.unwrap().messages;
    let last = messages.iter().find(|message| message.stream == Stream::audit()).unwrap();
    let record = AuditRecord::decode(&last.payload).unwrap().audit;
    assert_eq!((record.correlation.as_deref(), word(record.outcome).as_str()), (Some(&b"7"[..]), "unconfirmed"));
}

#[tokio::test]
async fn a_disk_that_refuses_keeps_a_command_from_the_device() {
    let folder = TempDir::new().unwrap();
    // A folder stands where the file should.
    std::fs::create_dir(folder.path().join("commands")).unwrap();
    let mut hub = Hub::in_folder(folder);
    for _ in 0..2 {
        let command = hub.command("7", &request(50, 60_000));
        assert_eq!(hub.ask(command).await, "not-recorded", "nothing was done, so that it may be tried again");
    }
}

#[tokio::test]
async fn a_write_of_somebody_on_the_hub_is_recorded_and_one_that_comes_at_the_end_is_told_so() {
    let mut hub = Hub::new();
    let (point, value) = (PointName::parse("lamp/dim").unwrap(), Value::U64(50));
    let deadline = Instant::now() + PATIENCE;
    let way = hub.source.permitted(&point, &value);
    let result = hub.commands.write_here(way, point.clone(), value.clone(), deadline);
    assert_eq!(timeout(PATIENCE, result).await.unwrap().unwrap(), Err(WriteError::NotSent(Reason::Port)));
    let result = hub.commands.write_here(Err(WriteError::NotGranted(point.clone())), point.clone(), value, deadline);
    assert_eq!(timeout(PATIENCE, result).await.unwrap().unwrap(), Err(WriteError::NotGranted(point)));
    assert_eq!(hub.recorded().await, ["not-sent", "not-granted"]);

    let late = hub.command("8", &request(50, 60_000));
    hub.commands.hand_over().try_send(late).unwrap();
    hub.commands.finish().await;
    let sent = timeout(PATIENCE, hub.answers.recv()).await.unwrap().unwrap();
    assert_eq!(word(Answer::decode(&sent.payload).unwrap().outcome), "stopped");
}

#[test]
fn a_text_that_is_cut_says_so_within_its_bound() {
    let check = |text: &str, expected: &str| assert_eq!(super::clip(text), expected);
    check("short", "short");
    check(&"x".repeat(256), &"x".repeat(256));
    check(&"x".repeat(257), &format!("{}…", "x".repeat(253)));
    // No half letters: 126 of two bytes each, and one more would be too much.
    check(&"é".repeat(200), &format!("{}…", "é".repeat(126)));
}

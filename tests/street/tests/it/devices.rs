//! Simulated devices are devices to a master that we did not write.

use std::time::Duration;

use street::{
    Behaviour, Column, Device, Failure, Kind, Log, Parity, Register, RtuLine, Served, Signal, Table, Talker, TcpDevice,
    What,
};

use crate::{run, text, until};

fn meter(name: &str) -> Device {
    Device::new(name)
        .with(Register::new("voltage", Table::Input, 0, Kind::U16, Signal::new(2300, 1, 500)))
        .with(Register::new("energy", Table::Holding, 10, Kind::U32, Signal::new(0x1_0002, 1, 500)))
        .with(Register::new("on", Table::Coil, 3, Kind::Bool, Signal::new(1, 1, 1)))
        .with(Register::new("door", Table::Discrete, 0, Kind::Bool, Signal::new(0, 1, 1)))
}

/// mbpoll's words for a table, with our address (from 0) and count; one poll, as raw numbers.
fn mbpoll(target: &[&str], table: &str, address: u16, count: u16) -> (bool, Vec<u32>, String) {
    let (address, count) = (address.to_string(), count.to_string());
    let arguments = [&["-0", "-1", "-q", "-t", table, "-r", &address, "-c", &count, "-o", "1"][..], target].concat();
    let (fine, printed) = run("mbpoll", &arguments);
    let values =
        printed.lines().filter_map(|line| line.strip_prefix('[')?.split_once(':')?.1.split_whitespace().next());
    (fine, values.filter_map(|value| value.parse().ok()).collect(), printed)
}

fn check_reads(target: &[&str], log: &Log) {
    let check = |table: &str, address, expected: &[u32]| {
        let (fine, values, printed) = mbpoll(target, table, address, u16::try_from(expected.len()).unwrap());
        assert!(fine && values == expected, "{table}:{address}: {printed}");
    };
    check("3", 0, &[2300]);
    check("4", 10, &[1, 3]);
    check("0", 3, &[1]);
    check("1", 0, &[0]);
    check("3", 0, &[2304]);
    let served = log.served();
    let words: Vec<&[u16]> = served
        .iter()
        .filter_map(
            |served| if let What::Answer { words, heard: true, .. } = &served.what { Some(&words[..]) } else { None },
        )
        .collect();
    assert_eq!(words, [&[2300][..], &[1, 3], &[1], &[0], &[2304]]);
    let (fine, _, printed) = mbpoll(target, "3", 1, 1);
    assert!(!fine && printed.contains("Illegal data address"), "{printed}");
}

/// What mbpoll writes, in our words for a target.
fn mbpoll_writes(target: &[&str], table: &str, address: u16, values: &[&str]) -> (bool, String) {
    let address = address.to_string();
    run("mbpoll", &[&["-0", "-1", "-q", "-t", table, "-r", &address, "-o", "1"][..], target, values].concat())
}

#[test]
fn a_foreign_master_writes_a_device_and_reads_what_it_wrote() {
    let device = TcpDevice::start(meter("meter"), Behaviour::Alive, &Log::new()).unwrap();
    let port = device.address().port().to_string();
    let target = ["-m", "tcp", "-p", &port, "127.0.0.1"];
    let check = |table: &str, address, values: &[&str]| {
        let (fine, printed) = mbpoll_writes(&target, table, address, values);
        assert!(fine, "{table}:{address} = {values:?}: {printed}");
        let (fine, found, printed) = mbpoll(&target, table, address, u16::try_from(values.len()).unwrap());
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(fine && found == values, "{table}:{address} = {values:?}: {printed}");
    };
    check("4", 10, &["7"]);
    check("4", 10, &["8", "9"]);
    check("0", 3, &["0"]);
    check("0", 3, &["1"]);
    let (fine, printed) = mbpoll_writes(&target, "4", 12, &["7"]);
    assert!(!fine && printed.contains("Illegal data address"), "{printed}");
}

#[test]
fn a_foreign_master_reads_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new();
    let mut line = RtuLine::new(&folder.path().join("tty"), 19_200, Parity::Even, &log)
        .unit(3, meter("meter"), Behaviour::Alive)
        .unit(4, meter("dead"), Behaviour::Dead)
        .unit(5, meter("damaged"), Behaviour::Damaged);
    line.plug().unwrap();
    let target = |id| ["-m", "rtu", "-b", "19200", "-P", "even", "-a", id, text(line.path())];
    check_reads(&target("3"), &log);
    let before = log.served().len();
    assert!(!mbpoll(&target("4"), "3", 0, 1).0, "the dead unit answered");
    assert!(!mbpoll(&target("5"), "3", 0, 1).0, "a damaged answer was taken");
    let failures: Vec<Failure> = log.served()[before..]
        .iter()
        .filter_map(|served| if let What::Failed { failure, .. } = &served.what { Some(*failure) } else { None })
        .collect();
    assert_eq!(failures, [Failure::Silent, Failure::Spoilt]);
    let counters = line.counters();
    assert_eq!((counters.requests, counters.for_nobody, counters.answers), (8, 0, 7), "{counters:?}");
    assert_eq!((counters.gap_violations, counters.collided_bytes, counters.damaged), (0, 0, 0), "{counters:?}");
}

#[test]
fn a_foreign_client_reads_the_tcp_device() {
    let log = Log::new();
    let mut device = TcpDevice::start(meter("charger"), Behaviour::Alive, &log).unwrap();
    let port = device.address().port().to_string();
    let target = ["-m", "tcp", "-p", &port, "127.0.0.1"];
    check_reads(&target, &log);
    device.behave(Behaviour::Exception(4));
    assert!(mbpoll(&target, "3", 0, 1).2.contains("Slave device or server failure"));
    device.behave(Behaviour::Stranger);
    assert!(!mbpoll(&target, "3", 0, 1).0, "an answer to another transaction was taken");
    device.unplug();
    assert!(mbpoll(&target, "3", 0, 1).2.contains("Connection refused"));
    device.plug().unwrap();
    device.behave(Behaviour::Alive);
    assert!(mbpoll(&target, "3", 0, 1).0);
}

#[test]
fn a_port_vanishes_and_returns_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut line = RtuLine::new(&folder.path().join("tty"), 9600, Parity::None, &Log::new()).unit(
        1,
        meter("meter"),
        Behaviour::Alive,
    );
    let path = line.path().to_owned();
    let poll = || mbpoll(&["-m", "rtu", "-b", "9600", "-P", "none", "-a", "1", text(&path)], "3", 0, 1).0;
    assert!(!poll());
    line.plug().unwrap();
    assert!(poll());
    line.unplug();
    assert!(!path.exists() && !poll());
    line.plug().unwrap();
    assert!(poll());
}

#[test]
fn a_line_has_the_pace_of_its_baud_rate() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new();
    // 125 registers: 255 characters of 11 bits at 4800 baud are 584 ms, the request 18 ms.
    let long = Device::new("long").with(Register::new("end", Table::Holding, 0, Kind::U16, Signal::new(7, 1, 9)));
    let long = long.with(Register::new("last", Table::Holding, 124, Kind::U16, Signal::new(7, 1, 9)));
    let mut line = RtuLine::new(&folder.path().join("tty"), 4800, Parity::Even, &log).unit(1, long, Behaviour::Alive);
    line.plug().unwrap();
    let target = ["-m", "rtu", "-b", "4800", "-P", "even", "-a", "1", "-o", "2", text(line.path())];
    let begin = street::now_ms();
    let (fine, values, printed) = mbpoll(&target, "4", 0, 125);
    assert!(fine && values.len() == 125, "{printed}");
    let took = log.served()[0].at_ms - begin;
    assert!(took >= 600, "the answer was there after {took} ms");
    assert_eq!(line.counters().characters, 8 + 255);
}

#[test]
fn a_talker_is_heard_by_whoever_has_its_port_open() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new();
    let mut air = Talker::new("air", &folder.path().join("tty"), 9600, Duration::from_millis(100), &log)
        .column(Column::new("pm25", "ug/m3", Signal::new(123, 1, 500)))
        .column(Column::new("pm10", "ug/m3", Signal::new(456, 2, 500)));
    air.plug().unwrap();
    let end = || std::time::Instant::now() + Duration::from_secs(10);
    until(end(), || (log.served().len() >= 2).then_some(())).expect("it talks");
    let (fine, heard) = run("socat", &["-u", "-T", "2", &format!("{},rawer,readbytes=30", text(air.path())), "STDOUT"]);
    assert!(fine, "{heard}");
    until(end(), || log.served().iter().rev().take(2).all(|served| !is_heard(served)).then_some(()))
        .expect("nobody hears it any more");
    let served = log.served();
    assert!(!is_heard(&served[0]), "nobody had the port open");
    let lines: Vec<String> = served
        .iter()
        .filter_map(|served| {
            if let What::Line { columns, .. } = &served.what {
                Some(format!("{:.1},{:.1}", columns[0], columns[1]))
            } else {
                None
            }
        })
        .collect();
    for line in heard.split('\n').skip(1).filter(|line| line.len() == 9) {
        assert!(lines.iter().any(|spoken| spoken == line), "{line:?} was never spoken: {lines:?}");
    }
    assert!(served.iter().any(is_heard), "{served:?}");
}

fn is_heard(served: &Served) -> bool {
    matches!(served.what, What::Line { heard: true, .. })
}

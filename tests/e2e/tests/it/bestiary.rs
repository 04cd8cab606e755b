//! A broker of the bestiary, one fault a test: while it misbehaves, and after it is mended, no row is lost, each reaches
//! the ingester once, and the ledger closes. The hub waits for receipts, as the only promise from end to end.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::{HUB, Hub, Ingest, PATIENCE, Site};
use street::judge::{Accepted, Case, End, Follower, Ledger, Life, Loss, Point, judge};
use street::{
    Behaviour, Broker, CoreFiles, Device, Fault, Kind, Log, Process, Register, Signal, Table, TcpDevice, eventually,
    now_ms,
};

/// The hub's keep-alive: the shortest there is.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// What is special about a fault.
struct Trial {
    fault: Fault,
    /// Data messages that must meet it before it is mended.
    bites: u64,
    /// Whether the ingester sees each stream in order: not if the broker itself loses or refuses what comes first.
    order: Order,
    /// Whether messages may be set aside, which the core is told.
    aside: Aside,
}

#[derive(PartialEq, Eq)]
enum Order {
    Kept,
    BrokenByBroker,
}

#[derive(PartialEq, Eq)]
enum Aside {
    None,
    Some,
}

/// What a test for each fault is.
const fn trial(fault: Fault) -> Trial {
    let (kept, none) = (Order::Kept, Aside::None);
    match fault {
        Fault::NoSubscriber => Trial { fault, bites: 4, order: kept, aside: none },
        Fault::SleepingSubscriber => Trial { fault, bites: 20, order: Order::BrokenByBroker, aside: none },
        Fault::OutOfOrder => Trial { fault, bites: 30, order: kept, aside: none },
        Fault::Never | Fault::StopsReading => Trial { fault, bites: 1, order: kept, aside: none },
        Fault::Late => Trial { fault, bites: 10, order: kept, aside: none },
        Fault::Twice => Trial { fault, bites: 3, order: kept, aside: none },
        Fault::LeavesOut => Trial { fault, bites: 3, order: kept, aside: none },
        Fault::SessionLost => Trial { fault, bites: 20, order: kept, aside: none },
        Fault::SubscriptionLost => Trial { fault, bites: 20, order: kept, aside: none },
        Fault::Refuses(0x90 | 0x95) | Fault::ThrowsOut => {
            Trial { fault, bites: 3, order: Order::BrokenByBroker, aside: Aside::Some }
        }
        Fault::Refuses(_) => Trial { fault, bites: 3, order: Order::BrokenByBroker, aside: none },
        Fault::ReceiveMaximum1 => Trial { fault, bites: 30, order: kept, aside: none },
        Fault::PacketSizeSmall => Trial { fault, bites: 20, order: kept, aside: Aside::Some },
        Fault::DiesBetween => Trial { fault, bites: 4, order: kept, aside: none },
    }
}

/// One test each, and a list of them.
macro_rules! survives {
    ($($name:ident: $fault:expr,)*) => {
        mod no_row_is_lost_to_a_broker_that {
            use street::Fault;
            $(
                #[tokio::test]
                async fn $name() {
                    super::survives($fault).await;
                }
            )*
        }

        const TESTED: &[Fault] = &[$($fault),*];
    };
}

survives! {
    has_no_subscriber: Fault::NoSubscriber,
    overflows_a_sleeping_subscriber: Fault::SleepingSubscriber,
    acknowledges_out_of_order: Fault::OutOfOrder,
    never_acknowledges: Fault::Never,
    acknowledges_late: Fault::Late,
    acknowledges_twice: Fault::Twice,
    leaves_acknowledgements_out: Fault::LeavesOut,
    loses_its_sessions: Fault::SessionLost,
    forgets_a_subscription: Fault::SubscriptionLost,
    stops_reading_in_a_packet: Fault::StopsReading,
    refuses_with_0x80: Fault::Refuses(0x80),
    refuses_with_0x87: Fault::Refuses(0x87),
    refuses_with_0x90: Fault::Refuses(0x90),
    refuses_with_0x95: Fault::Refuses(0x95),
    refuses_with_0x97: Fault::Refuses(0x97),
    ends_the_connection_over_a_large_message: Fault::ThrowsOut,
    takes_one_message_at_a_time: Fault::ReceiveMaximum1,
    takes_small_packets: Fault::PacketSizeSmall,
    dies_between_message_and_acknowledgement: Fault::DiesBetween,
}

#[test]
fn every_fault_of_the_bestiary_has_its_test() {
    assert_eq!(TESTED, Fault::ALL);
}

/// Two small devices, and one whose messages are larger than 1,024 bytes.
fn devices() -> Vec<Device> {
    let device = |name: &str, base: i64, points: u16| {
        (0..points).fold(Device::new(name), |device, at| {
            let signal = Signal::new(base + i64::from(at) * 1000, 1, 900);
            device.with(Register::new(&format!("point-{at}"), Table::Holding, at, Kind::U16, signal))
        })
    };
    vec![device("meter", 1000, 2), device("pump", 4000, 2), device("cabinet", 10_000, 40)]
}

fn settings(devices: &[(Device, TcpDevice)]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (device, server) in devices {
        let every = if device.registers.len() > 10 { "1s" } else { "100ms" };
        let name = &device.name;
        write!(text, "[bus.{name}]\ntcp = \"{}\"\n[device.{name}]\nbus = \"{name}\"\nunit_id = 1\n", server.address())
            .unwrap();
        writeln!(text, "every = \"{every}\"").unwrap();
        for register in &device.registers {
            let (point, address) = (&register.point, register.address);
            writeln!(text, "[device.{name}.point.{point}]\nregister = \"holding:{address}\"\ntype = \"u16\"").unwrap();
        }
    }
    text
}

async fn survives(fault: Fault) {
    let Trial { fault, bites, order, aside } = trial(fault);
    let site = Site::new().await;
    let core = |file: &str| site.core(file);
    let files =
        CoreFiles { certificate: core("core.crt"), key: core("core.key"), roots: core("roots.pem"), sessions: None };
    let broker = Broker::start(&files, HUB).unwrap();
    let url = format!("mqtts://localhost:{}", broker.address().port());
    let ingest = Ingest::at(&site, &url).await;

    let log = Log::new();
    let start = |device: Device| (device.clone(), TcpDevice::start(device, Behaviour::Alive, &log).unwrap());
    let devices: Vec<(Device, TcpDevice)> = devices().into_iter().map(start).collect();
    let mut hub = Hub::with_core(&site, &url, &settings(&devices));
    let text = std::fs::read_to_string(hub.config()).unwrap();
    let eager = format!("reconnect_spread = \"100ms\"\nack = \"core\"\nkeep_alive = \"{}s\"", KEEP_ALIVE.as_secs());
    std::fs::write(hub.config(), text.replace("reconnect_spread = \"1s\"", &eager)).unwrap();
    let started_ms = now_ms();
    hub.start().await;
    let mut arrived = Arrived { follower: Follower::new(&site.path().join("ingest.out")), messages: Vec::new() };
    arrived.more(&[&ingest.process, hub.process()]).await;

    broker.behave(fault);
    let bitten = || (broker.bites() >= bites).then_some(());
    eventually(PATIENCE, &format!("{fault} hurts {bites} times"), &[&ingest.process, hub.process()], bitten)
        .await
        .unwrap();
    broker.heal();
    if [Fault::Never, Fault::StopsReading].contains(&fault) {
        let gone_on = || broker.stalls().first().copied();
        let logs = [&ingest.process, hub.process()];
        let stall = eventually(PATIENCE, "the hub sends on another connection", &logs, gone_on).await.unwrap();
        assert!(stall <= 2 * KEEP_ALIVE, "sent again after {stall:?} only");
    }
    arrived.more(&[&ingest.process, hub.process()]).await;
    hub.shows(&format!("a connection after {fault}"), |status| {
        (status["core"]["state"] == "connected" && status["queue"]["readings"].as_u64()? < 100).then_some(())
    })
    .await;
    // What the broker lost is there before the hub is asked to end: its grace is shorter than its patience.
    let until = tokio::time::Instant::now() + PATIENCE;
    while !site.ledger().await.0 {
        assert!(tokio::time::Instant::now() < until, "{fault}: there are holes yet\n{}", hub.log());
    }
    let asked_ms = now_ms();
    assert_eq!(hub.stop().await, Some(0), "{}", hub.log());
    let life = Life { started_ms, ended_ms: now_ms(), end: End::Stopped { asked_ms } };

    let (closed, printed) = site.ledger().await;
    assert!(closed, "{fault}: the ledger does not close: {printed:#}\n{}\n{}", ingest.process.tail(), hub.log());
    let ledger = Ledger::parse(printed.to_string().as_bytes()).unwrap();
    let accepted = arrived.all();
    let points: Vec<Point> = devices.iter().flat_map(|(device, _)| Point::of_device(device)).collect();
    let verdict = judge(&Case {
        points: &points,
        served: &log.served(),
        accepted: &accepted,
        ledger: Some(&ledger),
        lives: &[life],
        forgot_ms: &[],
        window: Duration::ZERO,
        halts: &[],
    });
    let set_aside = Loss::Gap("set-aside".to_owned());
    let lost = verdict.lost.keys().any(|loss| aside == Aside::None || *loss != set_aside);
    assert!(verdict.is_fine() && !lost, "{fault}: {verdict}\n{:#?}\n{}", verdict.problems, hub.log());
    if order == Order::Kept {
        assert_eq!(out_of_order(&accepted), [""; 0], "{fault}");
    }
    assert_eq!(broker.violations(), [""; 0], "{fault}");
}

/// What the ingester has taken in.
struct Arrived {
    follower: Follower,
    messages: Vec<Accepted>,
}

impl Arrived {
    /// Waits for five more messages of each kind of device.
    async fn more(&mut self, logs: &[&Process]) {
        let mut counts = BTreeMap::from([("meter", 0), ("pump", 0)]);
        let look = || {
            for message in self.follower.more().unwrap() {
                if let Some(count) = counts.get_mut(message.stream.as_str()).filter(|_| !message.duplicate) {
                    *count += 1;
                }
                self.messages.push(message);
            }
            counts.values().all(|count| *count >= 5).then_some(())
        };
        eventually(PATIENCE, "more readings at the core", logs, look).await.unwrap();
    }

    fn all(mut self) -> Vec<Accepted> {
        self.messages.extend(self.follower.more().unwrap());
        self.messages
    }
}

/// Messages that came after a later one of their stream.
fn out_of_order(accepted: &[Accepted]) -> Vec<String> {
    let mut last: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut late = Vec::new();
    for Accepted { run, stream, seq, .. } in accepted.iter().filter(|message| !message.duplicate) {
        let before = last.entry((run, stream)).or_default();
        if seq < before {
            late.push(format!("{stream} {seq} after {before}"));
        }
        *before = (*before).max(*seq);
    }
    late
}

//! Promises of the planner.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Class, Name, Point, PointName, Stream};
use proptest::prelude::*;

use super::*;
use crate::config::{Encoding, ModbusPoint};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn point(table: Table, address: u16, encoding: Encoding, every_s: Option<u64>) -> ModbusPoint {
    let point = Arc::new(Point {
        name: PointName::parse("meter/power").unwrap(),
        stream: Stream::device(&Name::new("meter").unwrap()),
        class: Class::Data,
        unit: None,
        value_type: encoding.value_type(),
        range: None,
    });
    let every = every_s.map(Duration::from_secs);
    ModbusPoint { every, ..ModbusPoint::new(point, table, address, encoding) }
}

fn device(points: Vec<ModbusPoint>) -> ModbusDevice {
    ModbusDevice { points, ..ModbusDevice::new(3, Duration::from_secs(1)) }
}

/// Checks the blocks, written `table address quantity`, of a device whose points all have its own period.
fn check(points: Vec<ModbusPoint>, expected: &[(Table, u16, u16)]) {
    let rounds = rounds(&device(points));
    assert_eq!(rounds.len(), 1);
    let found: Vec<_> = rounds[0].blocks.iter().map(|b| (b.ask.table, b.ask.address, b.ask.quantity)).collect();
    assert_eq!(found, expected);
}

#[test]
fn neighbours_share_a_read() {
    use Encoding::{Bool, F32, U16, U32};
    use Table::{Coil, Discrete, Holding, Input};
    let at = |table, address, encoding| point(table, address, encoding, None);
    check(vec![at(Holding, 0, U16), at(Holding, 1, U32), at(Holding, 3, U16)], &[(Holding, 0, 4)]);
    check(vec![at(Holding, 3, U16), at(Holding, 0, U16)], &[(Holding, 0, 4)]);
    check(vec![at(Input, 0, F32), at(Input, 6, F32), at(Input, 12, F32)], &[(Input, 0, 14)]);
    check(vec![at(Input, 0, U16), at(Input, 6, U16)], &[(Input, 0, 1), (Input, 6, 1)]);
    check(vec![at(Holding, 0, U16), at(Input, 1, U16)], &[(Holding, 0, 1), (Input, 1, 1)]);
    check(vec![at(Holding, 5, U32), at(Holding, 5, U16)], &[(Holding, 5, 2)]);
    check(vec![at(Coil, 0, Bool), at(Coil, 64, Bool), at(Discrete, 65, Bool)], &[(Coil, 0, 65), (Discrete, 65, 1)]);
    check(vec![at(Holding, 65_535, U16)], &[(Holding, 65_535, 1)]);
}

#[test]
fn a_read_never_asks_for_more_than_the_protocol_carries() {
    let registers = (0..200).map(|address| point(Table::Holding, address, Encoding::U16, None)).collect();
    check(registers, &[(Table::Holding, 0, 125), (Table::Holding, 125, 75)]);
    let bits = (0..2100).map(|address| point(Table::Coil, address, Encoding::Bool, None)).collect();
    check(bits, &[(Table::Coil, 0, 2000), (Table::Coil, 2000, 100)]);
    let pairs = (0..63).map(|n| point(Table::Holding, n * 2, Encoding::U32, None)).collect();
    check(pairs, &[(Table::Holding, 0, 124), (Table::Holding, 124, 2)]);
}

/// What a device answers that has the registers of which `has` says so, and refuses any read of another one.
fn answer(ask: Ask, has: &dyn Fn(Table, u16) -> bool) -> Verdict {
    let all = (ask.address..=ask.address + (ask.quantity - 1)).all(|address| has(ask.table, address));
    if all { Verdict::Data } else { Verdict::Exception(2) }
}

/// Plays a round; returns what was asked, and the points that were read.
fn play(
    round: &mut Round,
    device: &ModbusDevice,
    now: Duration,
    answer: impl Fn(Ask) -> Verdict,
) -> (Vec<Ask>, BTreeSet<usize>) {
    round.begin(device, now);
    let (mut asked, mut good, mut told) = (Vec::new(), BTreeSet::new(), 0);
    let mut index = 0;
    while let Some(block) = round.blocks.get(index).cloned() {
        asked.push(block.ask);
        let verdict = answer(block.ask);
        if round.note(device, index, verdict, now) == Noted::Done {
            told += block.points.len();
            good.extend(block.points.iter().map(|place| place.point).filter(|_| verdict == Verdict::Data));
            index += 1;
        }
    }
    told += round.resting().count();
    round.end(now);
    let due = device.points.iter().filter(|point| point.every.unwrap_or(device.every) == round.period);
    assert_eq!(told, due.count(), "each point has one reading in each round");
    (asked, good)
}

fn ranges(asked: &[Ask]) -> Vec<(u16, u16)> {
    asked.iter().map(|ask| (ask.address, ask.quantity)).collect()
}

#[test]
fn one_missing_register_costs_its_own_point_and_no_other() {
    let device = device((0..8).map(|address| point(Table::Holding, address, Encoding::U16, None)).collect());
    let round = &mut rounds(&device)[0];
    let has = |_, address| address != 5;
    let mut next = |second| {
        let (asked, good) = play(round, &device, SECOND * second, |ask| answer(ask, &has));
        (ranges(&asked), good.len())
    };
    // Found in the first round, by halves.
    assert_eq!(next(0), (vec![(0, 8), (0, 4), (4, 4), (4, 2), (4, 1), (5, 1), (6, 2)], 7));
    // Asked alone once more, then joined around it, and it rests.
    assert_eq!(next(1), (vec![(0, 5), (6, 2), (5, 1)], 7));
    assert_eq!(next(2), (vec![(0, 5), (6, 2)], 7));
    assert_eq!(next(60), (vec![(0, 5), (6, 2)], 7));
    assert_eq!(next(61), (vec![(0, 5), (6, 2), (5, 1)], 7));
    assert_eq!(next(62), (vec![(0, 5), (6, 2)], 7));
}

#[test]
fn a_register_that_appears_is_found_and_joined_again() {
    let device = device((0..8).map(|address| point(Table::Holding, address, Encoding::U16, None)).collect());
    let round = &mut rounds(&device)[0];
    for second in 0..10 {
        play(round, &device, SECOND * second, |ask| answer(ask, &|_, address| address != 5));
    }
    let (_, good) = play(round, &device, SECOND * 70, |ask| answer(ask, &|_, _| true));
    assert_eq!(good.len(), 8);
    let (asked, good) = play(round, &device, SECOND * 71, |ask| answer(ask, &|_, _| true));
    assert_eq!((ranges(&asked), good.len()), (vec![(0, 8)], 8));
}

#[test]
fn a_refused_hole_is_not_read_along_again_for_a_day() {
    let at = |address| point(Table::Input, address, Encoding::U16, None);
    let device = device(vec![at(0), at(1), at(4), at(8), at(9)]);
    let round = &mut rounds(&device)[0];
    let has = |_, address| address != 2;
    let mut next = |now| ranges(&play(round, &device, now, |ask| answer(ask, &has)).0);
    assert_eq!(next(Duration::ZERO), [(0, 10), (0, 2), (4, 6)]);
    assert_eq!(next(SECOND), [(0, 2), (4, 6)]);
    assert_eq!(next(HOUR * 23), [(0, 2), (4, 6)]);
    assert_eq!(next(HOUR * 24), [(0, 10), (0, 2), (4, 6)]);
}

#[test]
fn a_device_that_takes_shorter_reads_than_it_is_said_to_is_read_whole() {
    let device = device((0..60).map(|address| point(Table::Holding, address, Encoding::U16, None)).collect());
    let round = &mut rounds(&device)[0];
    let short = |ask: Ask| if ask.quantity > 20 { Verdict::Exception(3) } else { Verdict::Data };
    let mut last = Vec::new();
    for second in 0..10 {
        let (asked, good) = play(round, &device, SECOND * second, short);
        assert_eq!(good.len(), 60);
        last = asked;
    }
    assert_eq!(ranges(&last), [(0, 15), (15, 15), (30, 15), (45, 15)]);
}

#[test]
fn a_profile_of_another_device_costs_one_request_a_round() {
    let device = device((0..60).map(|address| point(Table::Holding, address, Encoding::U16, None)).collect());
    let round = &mut rounds(&device)[0];
    let asked: Vec<usize> =
        (0..200).map(|second| play(round, &device, SECOND * second, |_| Verdict::Exception(2)).0.len()).collect();
    assert!(asked[100..].iter().all(|&asked| asked == 1), "{asked:?}");
    let most = asked.iter().max().unwrap();
    assert!(*most <= 70, "at worst each point alone: {most}");
}

#[test]
fn other_exceptions_and_silence_say_nothing_about_registers() {
    let device = device((0..8).map(|address| point(Table::Holding, address, Encoding::U16, None)).collect());
    for verdict in [Verdict::Exception(1), Verdict::Exception(4), Verdict::Exception(6), Verdict::Unknown] {
        let round = &mut rounds(&device)[0];
        for second in 0..5 {
            assert_eq!(ranges(&play(round, &device, SECOND * second, |_| verdict).0), [(0, 8)]);
        }
    }
}

#[test]
fn points_with_another_period_are_read_on_their_own() {
    let points = vec![
        point(Table::Holding, 0, Encoding::U16, None),
        point(Table::Holding, 1, Encoding::U16, Some(60)),
        point(Table::Holding, 2, Encoding::U16, None),
    ];
    let rounds = rounds(&device(points));
    let found: Vec<_> = rounds.iter().map(|r| (r.period.as_secs(), r.blocks[0].points.len())).collect();
    assert_eq!(found, [(1, 2), (60, 1)]);
}

fn any_points() -> impl Strategy<Value = Vec<ModbusPoint>> {
    let tables = [Table::Coil, Table::Discrete, Table::Holding, Table::Input];
    let one =
        (0_usize..4, 0_u16..400, any::<bool>(), prop::option::of(1_u64..4), prop::option::weighted(0.1, 0_u16..40));
    let one = one.prop_map(move |(table, address, wide, every, exponent)| {
        let table = tables[table];
        let encoding = match (table.is_bits(), wide) {
            (true, _) => Encoding::Bool,
            (false, true) => Encoding::U32,
            (false, false) => Encoding::U16,
        };
        let exponent = exponent.filter(|_| !table.is_bits()).map(|distance| address + distance);
        ModbusPoint { exponent, ..point(table, address, encoding, every) }
    });
    prop::collection::vec(one, 1..60)
}

proptest! {
    #[test]
    fn every_point_lies_in_exactly_one_block(points in any_points()) {
        let device = device(points);
        let mut seen = vec![0; device.points.len()];
        for round in rounds(&device) {
            for block in &round.blocks {
                let max = if block.ask.table.is_bits() { ModbusDevice::MAX_BITS } else { ModbusDevice::MAX_REGISTERS };
                prop_assert!(block.ask.quantity <= max);
                for place in &block.points {
                    let point = &device.points[place.point];
                    seen[place.point] += 1;
                    prop_assert_eq!(point.table, block.ask.table);
                    prop_assert_eq!(point.span().0, block.ask.address + place.offset);
                    prop_assert!(place.offset + point.span().1 <= block.ask.quantity);
                    prop_assert_eq!(point.every.unwrap_or(device.every), round.period);
                }
            }
        }
        prop_assert!(seen.iter().all(|&times| times == 1));
    }

    /// Whatever registers a device has, and however long a read it takes (of what any point needs): in the end each point
    /// that it has is good, nothing that it refuses is asked for in a block, and no read is ever longer than allowed.
    #[test]
    fn in_the_end_all_that_exists_is_read(
        points in any_points(),
        missing in prop::collection::btree_set(0_u16..440, 0..40),
        most in 42_u16..130,
    ) {
        let device = ModbusDevice { max_registers: 100, max_bits: 150, ..device(points) };
        let has = |_, address| !missing.contains(&address);
        let answer = |ask: Ask| if ask.quantity > most { Verdict::Exception(3) } else { answer(ask, &has) };
        for mut round in rounds(&device) {
            // As many rounds as it takes: each halves some block, or learns something, of which there is no more than
            // two for each point.
            let rounds = 4 * u32::try_from(device.points.len()).unwrap() + 8;
            let mut last = Default::default();
            for number in 0..rounds {
                last = play(&mut round, &device, SECOND * number, answer);
                for ask in &last.0 {
                    let limit = if ask.table.is_bits() { device.max_bits } else { device.max_registers };
                    prop_assert!(ask.quantity <= limit, "{ask:?}");
                }
            }
            let (asked, good) = last;
            for (index, point) in device.points.iter().enumerate() {
                if point.every.unwrap_or(device.every) != round.period {
                    continue;
                }
                let (address, span) = point.span();
                let exists = (address..address + span).all(|address| !missing.contains(&address));
                prop_assert_eq!(good.contains(&index), exists, "{:?}", point.span());
            }
            // One refused point in its turn, at most.
            let refused = asked.iter().filter(|ask| answer(**ask) != Verdict::Data);
            prop_assert!(refused.count() <= 1, "{asked:?}");
        }
    }
}

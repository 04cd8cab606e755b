//! One point's history: which delivered reading is which served one, and what became of the others.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::accepted::{Accepted, Arrived, Value};
use super::rule::Last;
use super::truth::{self, Offer, Point};
use super::{Case, Cost, End, Life, Loss, Trouble};

/// How far a reading's time may be from the moment when its last byte left, in milliseconds. The hub can only be later,
/// by the time it takes to be woken; half the shortest period of the demo's polls, so that no two answers are mixed up.
const TIME_SLACK_MS: i64 = 500;

/// How long after a request its failure may be dated, in milliseconds: the longest time-out, and being woken late.
const FAILURE_REACH_MS: i64 = 2000;

/// How long after a request it has failed at the earliest, in milliseconds: the time-out of the street's settings.
const TIMED_OUT_MS: i64 = 300;

/// How far from the death of their process the plugins may have forgotten, in milliseconds: readings that were on their
/// way are given to the next process.
const FORGET_SLACK_MS: i64 = 1000;

/// How long before a SIGKILL a halt of the machine still has an effect, in milliseconds.
const HALT_REACH_MS: i64 = 10_000;

/// How long a daemon may take to open its ports, in milliseconds.
const START_MS: i64 = 3000;

/// How far two numbers may differ, as a share: what is lost when a decimal number is written and read again. An f32
/// that was not widened by its decimal text differs by 100 times that.
const SAME: f64 = 1e-10;

/// A reading that arrived at the core.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) at_ms: i64,
    pub(super) reading: &'a Arrived,
    pub(super) message: &'a Accepted,
}

impl Arrival<'_> {
    fn describe(&self) -> String {
        let Arrived { point, value, .. } = self.reading;
        format!("{point} = {value} of {} ({} {})", self.at_ms, self.message.run, self.message.seq)
    }
}

/// A count for each life of the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ByLife(BTreeMap<usize, u64>);

impl ByLife {
    fn add(&mut self, life: usize) {
        *self.0.entry(life).or_default() += 1;
    }

    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn of(&self, life: usize) -> u64 {
        self.0.get(&life).copied().unwrap_or(0)
    }

    pub(super) fn join(&mut self, other: &Self) {
        for (life, count) in &other.0 {
            *self.0.entry(*life).or_default() += count;
        }
    }
}

/// What became of a point's readings.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) delivered: u64,
    pub(super) bad: ByLife,
    pub(super) disputed: u64,
    pub(super) filtered: ByLife,
    pub(super) lost: BTreeMap<Loss, u64>,
    /// What each SIGKILL cost, by life.
    pub(super) costs: BTreeMap<usize, Cost>,
    /// Delivered instead of what was served.
    altered: u64,
    /// Values that the daemon had, in each life.
    pub(super) heard: ByLife,
    /// Values that left while the daemon was ending: they may have become readings or not.
    pub(super) ending: ByLife,
}

impl Found {
    /// All readings that were offered.
    pub(super) fn read(&self) -> u64 {
        let lost: u64 = self.lost.values().sum();
        self.delivered + self.bad.total() + self.filtered.total() + self.altered + lost
    }
}

/// What arrived of an offered value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Missing,
    Delivered,
    /// Something else was delivered in its place.
    Altered,
    /// A bad reading was delivered in its place.
    CalledBad,
}

/// Judges one point.
pub(super) fn judge(
    case: &Case<'_>,
    point: &Point,
    arrived: &[Arrival<'_>],
    gaps: &mut BTreeMap<(String, String), u64>,
    trouble: &mut Trouble,
) -> Found {
    let (offers, failed) = truth::of_point(point, case.served);
    let mut found = Found::default();
    let mut fates = vec![Fate::Missing; offers.len()];
    let (values, bads): (Vec<Arrival<'_>>, Vec<Arrival<'_>>) =
        arrived.iter().partition(|arrival| arrival.reading.value().is_some());
    found.altered = match_values(point, &offers, &values, &mut fates, trouble);
    let failures = truth::failures(&point.device, case.served);
    found.disputed = match_bads(&offers, &bads, &failures, &mut fates);
    let mut losses = Losses { case, point, gaps, trouble, lost: BTreeMap::new(), costs: BTreeMap::new() };
    walk(case, point, &offers, &fates, &bads, &mut found, &mut losses);
    for at_ms in failed {
        let told = |arrival: &Arrival<'_>| (at_ms - TIME_SLACK_MS..=at_ms + FAILURE_REACH_MS).contains(&arrival.at_ms);
        let asked_again = |offer: &Offer| offer.heard && (at_ms..=at_ms + FAILURE_REACH_MS).contains(&offer.at_ms);
        // What the daemon was still waiting for when it ended had not failed yet.
        let cut_off = |life: &Life| matches!(life.end, End::Stopped { asked_ms } if (at_ms..=at_ms + TIMED_OUT_MS).contains(&asked_ms));
        if !bads.iter().any(told) && !offers.iter().any(asked_again) && !case.lives.iter().any(cut_off) {
            losses.add(at_ms + TIMED_OUT_MS, true, "no word of its failure");
        }
    }
    (found.lost, found.costs) = (losses.lost, losses.costs);
    found
}

/// Finds for each delivered value the served one that it is, and for those that are none what they were made of.
/// Returns how many served readings something else was delivered for.
fn match_values(
    point: &Point,
    offers: &[Offer],
    values: &[Arrival<'_>],
    fates: &mut [Fate],
    trouble: &mut Trouble,
) -> u64 {
    let mut strays = Vec::new();
    for arrival in values {
        let Some(value) = arrival.reading.value() else { continue };
        let as_served = |index: usize| same(&offers[index].value, &value);
        match nearest(offers, fates, near(offers, arrival.at_ms), arrival.at_ms, as_served) {
            Some(index) => {
                fates[index] = Fate::Delivered;
                if arrival.reading.unit != point.unit {
                    let unit = arrival.reading.unit.as_deref().unwrap_or("no unit");
                    trouble.wrong.push(format!("{}: in {unit}", arrival.describe()));
                }
            }
            None => strays.push((arrival, value)),
        }
    }
    let mut altered = 0;
    for (arrival, value) in strays {
        let as_served = |index: usize| same(&offers[index].value, &value);
        let whenever = nearest(offers, fates, 0..offers.len(), arrival.at_ms, as_served);
        let (index, what) = if let Some(index) = whenever {
            (Some(index), format!("served at {}", offers[index].at_ms))
        } else if offers.iter().any(|offer| same(&offer.value, &value)) {
            (None, "delivered before under another number".to_owned())
        } else if let Some(index) = nearest(offers, fates, near(offers, arrival.at_ms), arrival.at_ms, |_| true) {
            (Some(index), format!("{:?} was served", offers[index].value))
        } else {
            (None, "never served".to_owned())
        };
        if let Some(index) = index {
            fates[index] = Fate::Altered;
            altered += 1;
        }
        trouble.wrong.push(format!("{}: {what}", arrival.describe()));
    }
    altered
}

/// The offers whose time a reading of this moment may have.
fn near(offers: &[Offer], at_ms: i64) -> Range<usize> {
    let from = offers.partition_point(|offer| offer.at_ms < at_ms - TIME_SLACK_MS);
    let to = offers.partition_point(|offer| offer.at_ms <= at_ms + TIME_SLACK_MS);
    from..to
}

/// Of the offers in `range` that fit and that nothing was delivered for yet, the nearest in time.
fn nearest(
    offers: &[Offer],
    fates: &[Fate],
    range: Range<usize>,
    at_ms: i64,
    fits: impl Fn(usize) -> bool,
) -> Option<usize> {
    range
        .filter(|index| fates[*index] == Fate::Missing && fits(*index))
        .min_by_key(|index| (offers[*index].at_ms - at_ms).abs())
}

/// Finds the bad readings that no failure of the device explains, and the good answers that they stand for. Returns how
/// many there are.
fn match_bads(offers: &[Offer], bads: &[Arrival<'_>], failures: &[i64], fates: &mut [Fate]) -> u64 {
    let mut disputed = 0;
    for Arrival { at_ms, .. } in bads {
        let reach = at_ms - FAILURE_REACH_MS..=at_ms + TIME_SLACK_MS;
        if failures.iter().any(|failure| reach.contains(failure)) {
            continue;
        }
        disputed += 1;
        let from = offers.partition_point(|offer| offer.at_ms < *reach.start());
        let to = offers.partition_point(|offer| offer.at_ms <= *reach.end());
        let stands_for = nearest(offers, fates, from..to, *at_ms, |_| true);
        if let Some(index) = stands_for {
            fates[index] = Fate::CalledBad;
        }
    }
    disputed
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Offer(usize),
    Bad,
}

/// Goes through a point's life in order, with the deadband's rule in mind, and puts each reading into its column.
fn walk(
    case: &Case<'_>,
    point: &Point,
    offers: &[Offer],
    fates: &[Fate],
    bads: &[Arrival<'_>],
    found: &mut Found,
    losses: &mut Losses<'_, '_>,
) {
    let mut events: Vec<(i64, Event)> = bads.iter().map(|bad| (bad.at_ms, Event::Bad)).collect();
    events.extend(offers.iter().enumerate().map(|(index, offer)| (offer.at_ms, Event::Offer(index))));
    events.sort_by_key(|(at_ms, _)| *at_ms);
    let mut last = Last::Nothing;
    let mut last_life = None;
    let mut deaths = case.forgot_ms.iter().copied().peekable();
    let mut forgot = VecDeque::new();
    for (at_ms, event) in events {
        let life = life_at(case.lives, at_ms);
        if life != last_life {
            last = Last::Nothing;
            last_life = life;
        }
        while let Some(death) = deaths.next_if(|death| death - FORGET_SLACK_MS <= at_ms) {
            forgot.push_back(death);
        }
        let Event::Offer(index) = event else {
            last = Last::Bad;
            found.bad.add(life.unwrap_or(0));
            continue;
        };
        let (offer, fate) = (&offers[index], fates[index]);
        if fate == Fate::CalledBad {
            continue; // It is counted, and remembered, as the bad reading that came.
        }
        let ending = is_ending(case.lives, at_ms);
        let news = point.deadband.is_none_or(|threshold| last.is_news(&offer.value, threshold));
        let arrived = fate != Fate::Missing;
        if let (true, false, Some(life)) = (offer.heard || arrived, ending, life) {
            found.heard.add(life);
        }
        if arrived {
            found.delivered += u64::from(fate == Fate::Delivered);
            if !news && forgot.pop_front().is_none() {
                losses.trouble.extra.push(format!("{} = {:?} of {at_ms}", point.name, offer.value));
            }
            // What was held back after the plugins forgot was held back by those that had not forgotten yet.
            forgot.retain(|death| at_ms <= *death);
            last = Last::Good(offer.value.clone());
            if ending {
                found.ending.add(life.unwrap_or(0));
            }
        } else if ending {
            // Not a reading: whoever would have made it had been asked to end.
            found.ending.add(life.unwrap_or(0));
        } else if news || !offer.heard {
            if losses.add(at_ms, offer.heard, "its value") && offer.heard {
                last = Last::Good(offer.value.clone());
            }
        } else {
            found.filtered.add(life.unwrap_or(0));
        }
    }
}

/// Whether the daemon had been asked to end when this was served.
fn is_ending(lives: &[Life], at_ms: i64) -> bool {
    lives
        .iter()
        .any(|life| matches!(life.end, End::Stopped { asked_ms } if (asked_ms..=life.ended_ms).contains(&at_ms)))
}

/// Which life of the daemon this moment is in.
fn life_at(lives: &[Life], at_ms: i64) -> Option<usize> {
    lives.iter().position(|life| (life.started_ms..=life.ended_ms).contains(&at_ms))
}

/// Finds out why readings are missing.
#[derive(Debug)]
struct Losses<'a, 'case> {
    case: &'a Case<'case>,
    point: &'a Point,
    /// What the hub told of, by stream and reason, and no reading has been found for yet.
    gaps: &'a mut BTreeMap<(String, String), u64>,
    trouble: &'a mut Trouble,
    lost: BTreeMap<Loss, u64>,
    costs: BTreeMap<usize, Cost>,
}

impl Losses<'_, '_> {
    /// Notes a missing reading of this moment; returns whether it was offered to the hub at all.
    fn add(&mut self, at_ms: i64, heard: bool, what: &str) -> bool {
        let Some(loss) = self.reason(at_ms, heard) else { return false };
        if !loss.is_promised() {
            self.trouble.unexplained.push(format!("{} of {at_ms} ({what}; {loss})", self.point.name));
        }
        *self.lost.entry(loss).or_default() += 1;
        true
    }

    /// `None`: no daemon was there yet, or any more, or it was just opening its ports for the first time.
    fn reason(&mut self, at_ms: i64, heard: bool) -> Option<Loss> {
        let lives = self.case.lives;
        let (first, last) = (lives.first()?, lives.last()?);
        let before = if heard { first.started_ms } else { first.started_ms + START_MS };
        if at_ms < before || at_ms > last.ended_ms || is_ending(lives, at_ms) {
            return None;
        }
        let window = i64::try_from(self.case.window.as_millis()).unwrap_or(i64::MAX);
        let starting = |life: &Life| (life.started_ms..life.started_ms + START_MS).contains(&at_ms);
        let killed = |life: &Life| {
            let since = life.ended_ms.saturating_sub(window + halted(self.case.halts, life.ended_ms));
            life.end == End::Killed && (since..=life.ended_ms).contains(&at_ms)
        };
        if let Some(life) = lives.iter().position(killed) {
            let cost = self.costs.entry(life).or_default();
            cost.readings += 1;
            cost.longest_ms = cost.longest_ms.max(lives[life].ended_ms - at_ms);
            return Some(Loss::Window);
        }
        if life_at(lives, at_ms).is_none() || (!heard && lives.iter().any(starting)) {
            return Some(Loss::Down);
        }
        if !heard {
            return Some(Loss::Unheard);
        }
        let told = self.gaps.iter_mut().find(|((stream, _), count)| **stream == *self.point.device && **count > 0);
        Some(match told {
            Some(((_, reason), count)) => {
                *count -= 1;
                Loss::Gap(reason.clone())
            }
            None => Loss::Unexplained,
        })
    }
}

/// How long the machine stood still in the last seconds before this moment.
fn halted(halts: &[(i64, i64)], before_ms: i64) -> i64 {
    let overlap = |(from, to): &(i64, i64)| (*to.min(&before_ms) - *from.max(&(before_ms - HALT_REACH_MS))).max(0);
    halts.iter().map(overlap).sum()
}

fn same(served: &Value, delivered: &Value) -> bool {
    match (served, delivered) {
        (Value::Number(served), Value::Number(delivered)) => {
            (served - delivered).abs() <= SAME * served.abs().max(f64::MIN_POSITIVE)
        }
        _ => served == delivered,
    }
}

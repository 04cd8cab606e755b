//! What was seen → sentences that say what is wrong and what to do. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::sign::Sign;
use super::sweep::Setting;

/// Spoilt answers of one unit that make it more than bad luck.
const SPOILT: usize = 2;

/// Modbus TCP gateways that answer for everybody are found out by so many units that say the same.
const ALL_THE_SAME: usize = 16;

/// Everything that a scan has seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seen {
    /// The settings that the config or the command line names.
    pub(crate) own: Option<Setting>,
    /// What each request came to.
    pub(crate) signs: Vec<(Option<Setting>, u8, Sign)>,
    /// What was heard before anything was asked.
    pub(crate) strangers: Option<Sign>,
    /// Whether this is a line, and not a connection.
    pub(crate) serial: bool,
    /// The port or address cannot be used any more: why.
    pub(crate) gone: Option<String>,
}

/// How two devices with one address are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// At once: nobody can read them.
    Spoilt,
    /// One after the other.
    Two,
}

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Somebody answers at other settings than those of the config. `garbled`: bytes came at the config's, too.
    OtherSettings { own: Setting, right: Setting, unit: u8, garbled: bool },
    /// More than one device has this address.
    TwoOnOneId { unit: u8, answers: Answers },
    /// Another master talks on the line.
    ForeignMaster,
    /// All of the same byte.
    SwappedOrFloating { byte: u8 },
    /// Bytes at these settings, and never a right check sum at any.
    NeverACrc { at: Vec<Setting> },
    /// Only our own requests.
    EchoOnly,
    /// A unit answers to what another was asked, and not when it is asked itself.
    WrongUnit { asked: u8, unit: u8 },
    /// Something takes the connection and says no Modbus.
    NotModbus,
    /// It went while it was asked on.
    PortGone { why: String },
    /// Nothing at all.
    Silence { serial: bool },
    /// One device answers to every address.
    EveryUnit { units: usize },
}

impl Verdict {
    /// One stable word, for programs.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::OtherSettings { .. } => "other-settings",
            Self::TwoOnOneId { .. } => "two-on-one-id",
            Self::ForeignMaster => "foreign-master",
            Self::SwappedOrFloating { .. } => "swapped-or-floating",
            Self::NeverACrc { .. } => "never-a-crc",
            Self::EchoOnly => "echo-only",
            Self::WrongUnit { .. } => "wrong-unit",
            Self::NotModbus => "not-modbus",
            Self::PortGone { .. } => "port-gone",
            Self::Silence { .. } => "silence",
            Self::EveryUnit { .. } => "every-unit",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherSettings { own, right, unit, garbled: true } => write!(
                f,
                "bytes arrive but never a right check sum at {own}; at {right} unit {unit} answers: change the settings of \
                 the bus"
            ),
            Self::OtherSettings { own, right, unit, garbled: false } => {
                write!(f, "nothing answers at {own}; at {right} unit {unit} does: change the settings of the bus")
            }
            Self::TwoOnOneId { unit, answers: Answers::Two } => write!(
                f,
                "two devices answer on unit {unit}, one after the other: give one of them another address (unplug one and \
                 scan again)"
            ),
            Self::TwoOnOneId { unit, answers: Answers::Spoilt } => write!(
                f,
                "answers of unit {unit} are spoilt again and again: two devices have this address (unplug one and scan \
                 again), or its driver is broken"
            ),
            Self::ForeignMaster => f.write_str(
                "another master talks on this line: find it (a second gateway, a logger, a program on this port) and take \
                 it off",
            ),
            Self::SwappedOrFloating { byte } => write!(
                f,
                "only bytes 0x{byte:02X} arrive: A and B are probably swapped, or the line has no bias and no termination"
            ),
            Self::NeverACrc { at } => {
                let at: Vec<String> = at.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "bytes arrive ({}) but never a right check sum: a rate that was not tried (-b), noise, or no Modbus",
                    at.join(", ")
                )
            }
            Self::EchoOnly => f.write_str(
                "only our own requests are heard: the adapter does not mute its receiver, which does no harm, and nothing \
                 else is on the line; look at A and B (swapped?), power, and which port it is",
            ),
            Self::WrongUnit { asked, unit } => write!(
                f,
                "unit {unit} answers when unit {asked} is asked: it answers late (give it time: -o 1s), or does not look at \
                 the unit id"
            ),
            Self::NotModbus => f.write_str(
                "something answers at this address, but not Modbus TCP: another port number, or RTU frames behind a serial \
                 server (-m rtu)",
            ),
            Self::PortGone { why } => write!(f, "the port is gone: {why}"),
            Self::Silence { serial: true } => f.write_str(
                "silence: A and B may be swapped, the devices without power, this may be the wrong port, or the line is not \
                 connected through",
            ),
            Self::Silence { serial: false } => f.write_str("silence: nothing answers at this address"),
            Self::EveryUnit { units } => {
                write!(f, "all {units} units answer the same: one device that does not look at the unit id")
            }
        }
    }
}

/// Units that are there, with the settings at which they answer.
pub(crate) fn units(seen: &Seen) -> Vec<(u8, Option<Setting>)> {
    let there = seen.signs.iter().filter(|(_, _, sign)| matches!(sign, Sign::Answer | Sign::Doubled));
    let all: BTreeMap<u8, Option<Setting>> = there.map(|(setting, unit, _)| (*unit, *setting)).collect();
    all.into_iter().collect()
}

/// What is wrong, the most telling first. Empty: nothing.
pub(crate) fn verdicts(seen: &Seen, all_the_same: bool) -> Vec<Verdict> {
    let units = units(seen);
    let mut verdicts = Vec::new();
    let all = || seen.signs.iter().map(|(_, _, sign)| *sign).chain(seen.strangers);
    let count = |wanted: Sign| all().filter(|sign| *sign == wanted).count();
    if all_the_same && units.len() >= ALL_THE_SAME {
        verdicts.push(Verdict::EveryUnit { units: units.len() });
    }
    if let Some(why) = &seen.gone {
        verdicts.push(Verdict::PortGone { why: why.clone() });
    }
    let (foreign, stray) = (count(Sign::Foreign), count(Sign::Stray));
    if foreign > 0 || stray > 1 {
        verdicts.push(Verdict::ForeignMaster);
    }
    let others = seen.signs.iter().filter_map(|(_, asked, sign)| {
        let Sign::Other(unit) = sign else { return None };
        let is_there = units.iter().any(|(there, _)| there == unit);
        (!is_there).then_some((*unit, *asked))
    });
    // Once for each unit, with the first that was asked.
    let others: BTreeMap<u8, u8> = others.rev().collect();
    verdicts.extend(others.into_iter().map(|(unit, asked)| Verdict::WrongUnit { asked, unit }));
    verdicts.extend(doubled(seen).into_iter().map(|(unit, answers)| Verdict::TwoOnOneId { unit, answers }));
    if let (Some(own), Some(&(unit, Some(right)))) = (seen.own, units.first())
        && right != own
    {
        let at_own = |sign: Sign| !matches!(sign, Sign::Silence | Sign::Echo);
        let garbled = seen.signs.iter().any(|(setting, _, sign)| *setting == Some(own) && at_own(*sign));
        verdicts.push(Verdict::OtherSettings { own, right, unit, garbled });
    }
    if !units.is_empty() || !verdicts.is_empty() {
        return verdicts;
    }
    verdicts.push(nothing_answers(seen));
    verdicts
}

/// Units whose answers are spoilt, or come twice.
fn doubled(seen: &Seen) -> BTreeMap<u8, Answers> {
    let mut spoilt: BTreeMap<u8, usize> = BTreeMap::new();
    let mut doubled = BTreeMap::new();
    for (_, unit, sign) in &seen.signs {
        match sign {
            Sign::Spoilt => *spoilt.entry(*unit).or_default() += 1,
            Sign::Doubled => {
                doubled.insert(*unit, Answers::Two);
            }
            Sign::Answer
            | Sign::Silence
            | Sign::Echo
            | Sign::Other(_)
            | Sign::Stray
            | Sign::Foreign
            | Sign::Unspoken
            | Sign::Constant(_)
            | Sign::Garbage => {}
        }
    }
    for (unit, _) in spoilt.into_iter().filter(|(_, times)| *times >= SPOILT) {
        doubled.entry(unit).or_insert(Answers::Spoilt);
    }
    doubled
}

fn nothing_answers(seen: &Seen) -> Verdict {
    let all = || seen.signs.iter().map(|(_, _, sign)| *sign).chain(seen.strangers);
    let constant = all().find_map(|sign| if let Sign::Constant(byte) = sign { Some(byte) } else { None });
    if all().any(|sign| matches!(sign, Sign::Garbage | Sign::Spoilt)) {
        let noisy = seen.signs.iter().filter(|(_, _, sign)| matches!(sign, Sign::Garbage | Sign::Spoilt));
        let at: BTreeSet<Setting> = noisy.filter_map(|(setting, ..)| *setting).collect();
        return Verdict::NeverACrc { at: at.into_iter().collect() };
    }
    if let Some(byte) = constant {
        return Verdict::SwappedOrFloating { byte };
    }
    if all().any(|sign| sign == Sign::Unspoken) {
        return Verdict::NotModbus;
    }
    if all().any(|sign| sign == Sign::Stray) {
        return Verdict::ForeignMaster;
    }
    if all().any(|sign| sign == Sign::Echo) { Verdict::EchoOnly } else { Verdict::Silence { serial: seen.serial } }
}

#[cfg(test)]
mod tests {
    use super::super::sweep::Check;
    use super::*;

    const SLOW: Setting = Setting { baud: 9_600, parity: Check::None, stop: 1 };
    const FAST: Setting = Setting { baud: 19_200, parity: Check::Even, stop: 1 };

    #[test]
    fn each_fault_is_named() {
        let check = |what: &str, signs: &[(Setting, u8, Sign)], strangers: Sign, expected: &[&str]| {
            let signs = signs.iter().map(|(setting, unit, sign)| (Some(*setting), *unit, *sign)).collect();
            let seen = Seen { own: Some(SLOW), signs, strangers: Some(strangers), serial: true, gone: None };
            let words: Vec<&str> = verdicts(&seen, false).iter().map(Verdict::word).collect();
            assert_eq!(words, expected, "{what}");
        };
        use Sign::{Answer, Constant, Doubled, Echo, Foreign, Garbage, Other, Silence, Spoilt, Stray, Unspoken};
        check("all is well", &[(SLOW, 1, Silence), (SLOW, 3, Answer)], Silence, &[]);
        check("one bad answer is bad luck", &[(SLOW, 3, Spoilt), (SLOW, 3, Answer)], Silence, &[]);
        check("nobody", &[(SLOW, 1, Silence), (FAST, 1, Silence)], Silence, &["silence"]);
        check("nothing was asked", &[], Silence, &["silence"]);
        check("echo", &[(SLOW, 1, Echo), (FAST, 1, Echo)], Silence, &["echo-only"]);
        check("swapped", &[(SLOW, 1, Constant(0)), (FAST, 1, Silence)], Silence, &["swapped-or-floating"]);
        check("floating", &[(SLOW, 1, Silence)], Constant(0xFF), &["swapped-or-floating"]);
        check("noise", &[(SLOW, 1, Garbage), (FAST, 1, Silence)], Silence, &["never-a-crc"]);
        check("wrong rate, silent", &[(SLOW, 3, Silence), (FAST, 3, Answer)], Silence, &["other-settings"]);
        check("wrong rate, garbled", &[(SLOW, 3, Garbage), (FAST, 3, Answer)], Silence, &["other-settings"]);
        check("two in a row", &[(SLOW, 3, Doubled), (SLOW, 4, Answer)], Silence, &["two-on-one-id"]);
        check("two at once", &[(SLOW, 3, Spoilt), (SLOW, 3, Spoilt), (SLOW, 4, Answer)], Silence, &["two-on-one-id"]);
        check("two at once and nobody else", &[(SLOW, 3, Spoilt); 3], Silence, &["two-on-one-id"]);
        check("a master while we are silent", &[(SLOW, 3, Answer)], Foreign, &["foreign-master"]);
        check("a master beside us", &[(SLOW, 3, Foreign), (SLOW, 4, Silence)], Silence, &["foreign-master"]);
        check("a master seldom heard", &[(SLOW, 3, Stray), (SLOW, 4, Answer)], Stray, &["foreign-master"]);
        check("one frame beside answers is chance", &[(SLOW, 3, Stray), (SLOW, 4, Answer)], Silence, &[]);
        check("one frame in noise is chance", &[(SLOW, 3, Stray), (SLOW, 4, Garbage)], Silence, &["never-a-crc"]);
        check("one frame and else nothing", &[(SLOW, 3, Stray), (SLOW, 4, Silence)], Silence, &["foreign-master"]);
        check("one late answer is no master", &[(SLOW, 3, Other(4)), (SLOW, 4, Answer)], Silence, &[]);
        check("always the other", &[(SLOW, 3, Other(4)), (SLOW, 4, Silence)], Silence, &["wrong-unit"]);
        check("no Modbus there", &[(SLOW, 3, Unspoken), (SLOW, 4, Silence)], Silence, &["not-modbus"]);
        check("a gateway that hangs up on some", &[(SLOW, 3, Unspoken), (SLOW, 4, Answer)], Silence, &[]);
    }

    #[test]
    fn a_port_that_goes_is_no_silence() {
        let signs = vec![(Some(SLOW), 3, Sign::Silence)];
        let gone = Some("/dev/ttyUSB0: No such file or directory".to_owned());
        let seen = Seen { own: Some(SLOW), signs, strangers: None, serial: true, gone };
        let said: Vec<String> = verdicts(&seen, false).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["the port is gone: /dev/ttyUSB0: No such file or directory"]);
    }

    #[test]
    fn the_sentence_says_what_to_change() {
        let signs = vec![(Some(SLOW), 3, Sign::Garbage), (Some(FAST), 3, Sign::Answer)];
        let seen = Seen { own: Some(SLOW), signs, strangers: None, serial: true, gone: None };
        let said = verdicts(&seen, false)[0].to_string();
        assert_eq!(
            said,
            "bytes arrive but never a right check sum at 9600 8N1; at 19200 8E1 unit 3 answers: change the settings of the bus"
        );
    }

    #[test]
    fn a_device_that_answers_to_every_address_is_one() {
        let signs = (1..=20).map(|unit| (None, unit, Sign::Answer)).collect();
        let seen = Seen { own: None, signs, strangers: None, serial: false, gone: None };
        assert_eq!(verdicts(&seen, true), [Verdict::EveryUnit { units: 20 }]);
        assert_eq!(verdicts(&seen, false), []);
    }
}

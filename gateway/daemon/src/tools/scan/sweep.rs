//! Which settings and units are asked next. Pure: time is an argument.
//!
//! ```text
//! likely units at every setting ── somebody understands us ──► all units at that setting
//!              └ nobody does ──► all units at each setting, those at which something was heard first
//! ```
//!
//! A unit whose answer is spoilt is asked again, so that bad luck is told from two units with one address.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use curb_source::{Parity, SerialConfig, StopBits};

use super::sign::Sign;

/// How often a unit is asked whose answer is spoilt.
pub(super) const TRIES: u32 = 3;

/// What a line may be set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Setting {
    pub(crate) baud: u32,
    pub(crate) parity: Check,
    /// 1 or 2.
    pub(crate) stop: u8,
}

/// The parity, in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Check {
    None,
    Even,
    Odd,
}

/// What devices are delivered with and installers set, the most usual first.
pub(super) const USUAL: [(u32, Check, u8); 16] = [
    (9_600, Check::None, 1),
    (19_200, Check::Even, 1),
    (9_600, Check::Even, 1),
    (115_200, Check::None, 1),
    (19_200, Check::None, 1),
    (38_400, Check::None, 1),
    (2_400, Check::None, 1),
    (4_800, Check::None, 1),
    (57_600, Check::None, 1),
    (38_400, Check::Even, 1),
    (115_200, Check::Even, 1),
    (4_800, Check::Even, 1),
    (9_600, Check::None, 2),
    (19_200, Check::None, 2),
    (9_600, Check::Odd, 1),
    (19_200, Check::Odd, 1),
];

impl Setting {
    pub(crate) fn of(serial: &SerialConfig) -> Self {
        let parity = match serial.parity {
            Parity::None => Check::None,
            Parity::Even => Check::Even,
            Parity::Odd => Check::Odd,
        };
        let stop = match serial.stop_bits {
            StopBits::One => 1,
            StopBits::Two => 2,
        };
        Self { baud: serial.baud, parity, stop }
    }

    /// The port's settings with these in them.
    pub(crate) fn on(self, serial: &SerialConfig) -> SerialConfig {
        let parity = match self.parity {
            Check::None => Parity::None,
            Check::Even => Parity::Even,
            Check::Odd => Parity::Odd,
        };
        let stop_bits = if self.stop == 2 { StopBits::Two } else { StopBits::One };
        SerialConfig { baud: self.baud, parity, stop_bits, ..serial.clone() }
    }

    /// The config's word.
    pub(crate) const fn parity_word(self) -> &'static str {
        match self.parity {
            Check::None => "none",
            Check::Even => "even",
            Check::Odd => "odd",
        }
    }
}

/// `9600 8N1`.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Check::None => 'N',
            Check::Even => 'E',
            Check::Odd => 'O',
        };
        write!(f, "{} 8{parity}{}", self.baud, self.stop)
    }
}

/// One request to make: setting (`None` where the line has none) and unit.
pub(crate) type Ask = (Option<Setting>, u8);

/// A scan under way.
#[derive(Debug)]
pub(crate) struct Sweep {
    budget: Duration,
    units: Vec<u8>,
    settings: Vec<Option<Setting>>,
    waiting: VecDeque<Ask>,
    /// The setting at which somebody understands us.
    locked: Option<Option<Setting>>,
    /// Settings at which all units are yet to be asked; `None` before the likely ones are done.
    thorough: Option<VecDeque<Option<Setting>>>,
    asked: BTreeMap<Ask, u32>,
    heard: Vec<Option<Setting>>,
}

impl Sweep {
    /// `likely` units are asked at every setting before the rest of `units` is.
    pub(crate) fn new(settings: Vec<Option<Setting>>, likely: &[u8], units: Vec<u8>, budget: Duration) -> Self {
        let likely: Vec<u8> = likely.iter().copied().filter(|unit| units.contains(unit)).collect();
        let waiting = settings.iter().flat_map(|&setting| likely.iter().map(move |&unit| (setting, unit)));
        let waiting = waiting.collect();
        Self {
            budget,
            units,
            settings,
            waiting,
            locked: None,
            thorough: None,
            asked: BTreeMap::new(),
            heard: Vec::new(),
        }
    }

    /// What to ask next; `None` when all is done, or the time is over.
    pub(crate) fn next(&mut self, elapsed: Duration) -> Option<Ask> {
        if elapsed >= self.budget {
            return None;
        }
        loop {
            if let Some(ask) = self.waiting.pop_front() {
                return Some(ask);
            }
            let settings = match (&self.locked, &mut self.thorough) {
                (Some(_), _) => return None,
                (None, Some(settings)) => settings,
                (None, None) => {
                    let heard = self.heard.clone();
                    let mut settings = self.settings.clone();
                    settings.sort_by_key(|setting| !heard.contains(setting));
                    self.thorough.insert(settings.into())
                }
            };
            let setting = settings.pop_front()?;
            self.rest(setting);
        }
    }

    /// What came of it.
    pub(crate) fn take(&mut self, ask: Ask, sign: Sign) {
        let (setting, _) = ask;
        let tries = self.asked.entry(ask).or_default();
        *tries += 1;
        let again = matches!(sign, Sign::Spoilt | Sign::Garbage) && *tries < TRIES;
        if sign.is_understood() && self.locked.is_none() {
            self.locked = Some(setting);
            self.waiting.clear();
            self.rest(setting);
        }
        if !matches!(sign, Sign::Silence | Sign::Echo) && !self.heard.contains(&setting) {
            self.heard.push(setting);
        }
        if let Sign::Other(unit) = sign {
            let other = (setting, unit);
            if !self.asked.contains_key(&other) {
                self.waiting.retain(|waiting| *waiting != other);
                self.waiting.push_front(other);
            }
        }
        if again && self.locked.is_none_or(|locked| locked == setting) {
            self.waiting.push_front(ask);
        }
    }

    /// Whether somebody has understood us, so that only units at his settings are asked.
    pub(crate) const fn is_locked(&self) -> bool {
        self.locked.is_some()
    }

    /// How many requests are left in this stage, for the progress line.
    pub(crate) fn left(&self) -> usize {
        self.waiting.len()
    }

    /// Those units at a setting that have not been asked there.
    fn rest(&mut self, setting: Option<Setting>) {
        let missing = self.units.iter().map(|&unit| (setting, unit)).filter(|ask| !self.asked.contains_key(ask));
        self.waiting.extend(missing);
    }
}

/// Settings to try: the line's own first, only those that the command line leaves.
pub(crate) fn settings(own: Setting, baud: Option<u32>, parity: Option<Check>) -> Vec<Option<Setting>> {
    let usual = USUAL.map(|(baud, parity, stop)| Setting { baud, parity, stop });
    let mut all = vec![own];

    all.extend(usual);
    if let Some(baud) = baud {
        all.extend(usual.map(|setting| Setting { baud, ..setting }));
    }
    let mut settings: Vec<Option<Setting>> = Vec::new();
    for setting in all {
        let wanted =
            baud.is_none_or(|baud| setting.baud == baud) && parity.is_none_or(|parity| setting.parity == parity);
        if wanted && !settings.contains(&Some(setting)) {
            settings.push(Some(setting));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Setting = Setting { baud: 9_600, parity: Check::None, stop: 1 };
    const FAST: Setting = Setting { baud: 19_200, parity: Check::Even, stop: 1 };

    /// Runs a sweep against a line on which `sign` answers, 100 ms each; what was asked.
    fn swept(budget_s: u64, sign: impl Fn(Setting, u8) -> Sign) -> Vec<(Setting, u8)> {
        let settings = vec![Some(SLOW), Some(FAST)];
        let mut sweep = Sweep::new(settings, &[1, 2], (1..=20).collect(), Duration::from_secs(budget_s));
        let mut asked = Vec::new();
        let each = Duration::from_millis(100);
        while let Some(ask) = sweep.next(each * u32::try_from(asked.len()).unwrap()) {
            let (setting, unit) = (ask.0.unwrap(), ask.1);
            asked.push((setting, unit));
            sweep.take(ask, sign(setting, unit));
        }
        asked
    }

    #[test]
    fn a_setting_that_answers_is_kept() {
        let asked = swept(60, |setting, unit| if setting == FAST && unit == 2 { Sign::Answer } else { Sign::Silence });
        assert_eq!(asked[..4], [(SLOW, 1), (SLOW, 2), (FAST, 1), (FAST, 2)]);
        assert_eq!(asked.len(), 4 + 18);
        assert!(asked[4..].iter().all(|(setting, unit)| *setting == FAST && *unit > 2));
    }

    #[test]
    fn a_silent_line_is_asked_everything_once_until_the_time_is_over() {
        let asked = swept(60, |_, _| Sign::Silence);
        assert_eq!(asked.len(), 40);
        assert_eq!(swept(2, |_, _| Sign::Silence).len(), 20);
        // Where something was heard the rest is asked first.
        let asked = swept(60, |setting, _| if setting == FAST { Sign::Constant(0) } else { Sign::Silence });
        assert_eq!(asked[4], (FAST, 3));
    }

    #[test]
    fn a_spoilt_answer_is_asked_for_again_and_not_for_ever() {
        let asked = swept(60, |setting, unit| if (setting, unit) == (SLOW, 1) { Sign::Spoilt } else { Sign::Silence });
        assert_eq!(asked.iter().filter(|ask| **ask == (SLOW, 1)).count(), 3);
        assert!(asked.iter().all(|(setting, _)| *setting == SLOW));
    }

    #[test]
    fn who_answers_for_another_is_asked_next() {
        let asked = swept(60, |_, unit| match unit {
            2 => Sign::Other(14),
            14 => Sign::Answer,
            _ => Sign::Silence,
        });
        assert_eq!(asked[..3], [(SLOW, 1), (SLOW, 2), (SLOW, 14)]);
        assert_eq!(asked.len(), 20, "each once");
        assert!(asked.iter().all(|(setting, _)| *setting == SLOW), "right frames are proof of the settings");
    }

    #[test]
    fn the_lines_own_settings_come_first_and_the_command_line_narrows_them() {
        let all = settings(FAST, None, None);
        assert_eq!((all[0], all.len()), (Some(FAST), USUAL.len()));
        let some = settings(FAST, Some(14_400), None);
        assert!(!some.is_empty() && some.iter().all(|setting| setting.is_some_and(|s| s.baud == 14_400)), "{some:?}");
        let odd = settings(FAST, None, Some(Check::Odd));
        assert_eq!(odd.len(), 2);
        assert_eq!(SLOW.to_string(), "9600 8N1");
    }
}

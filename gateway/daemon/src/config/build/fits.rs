//! Whether each bus can carry what it is asked for, as far as can be reckoned beforehand.
//!
//! A plan that cannot fit is a problem to `curb check`. A hub runs it all the same, with a warning: what does not fit is
//! skipped and counted, each point keeps its turn, and the units may be faster than was assumed. An update that reckons
//! more strictly must not stop a hub.

use curb_source::{ANSWER, BusConfig, Remedy};

use super::Part;
use crate::config::problem::Misfit;
use crate::config::report::Report;
use crate::config::schema;

/// Notes a bus that is asked for more than it can carry.
pub(super) fn check(bus: &BusConfig, part: &Part<'_, schema::Bus>, report: &mut Report) {
    let Some(line) = curb_source::load(bus, ANSWER).line.filter(|line| line.share > 1.0) else { return };
    let found = format!("devices that keep the line busy for {:.0} % of its time", line.share * 100.0);
    let remedies: Vec<String> = line.remedies.iter().map(words).collect();
    let expected = format!("at most 100 %, if each unit answers within {}", humantime::format_duration(ANSWER));
    let help = (!remedies.is_empty()).then(|| format!("it fits {}", remedies.join(", or ")));
    report.too_full(part.origin(&[]), &part.key(&[]), found, Misfit { expected, help });
}

fn words(remedy: &Remedy) -> String {
    match remedy {
        Remedy::Baud(baud) => format!("at {baud} baud"),
        Remedy::Every { device, every } => {
            format!("with every = \"{}\" on device {device}", humantime::format_duration(*every))
        }
        Remedy::Slower(times) => format!("with all periods {times} times as long"),
        Remedy::NoRest => "with min_gap = \"0s\" on devices that stand it".to_owned(),
    }
}

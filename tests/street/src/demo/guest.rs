//! A plugin of somebody's own in the demo's street.
//!
//! The judge knows what the street served and what the demo's deadband holds back. It cannot know what a stranger's plugin makes of
//! readings, so it leaves the streams that such a plugin sees or makes to the core's ledger, which must close all the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::error::Error;
use crate::judge::{Accepted, Ledger, Point};

/// A plugin and what it sees.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The component.
    pub component: PathBuf,
    /// Which points it sees, `device/point`, `*` for any.
    pub points: String,
    /// Its settings, as the text of a TOML value.
    pub settings: Option<String>,
}

impl Guest {
    /// Makes its path one that the hub finds from wherever it runs.
    pub(super) fn found(mut self) -> Result<Self, Error> {
        self.component = self.component.canonicalize().map_err(Error::file(&self.component))?;
        Ok(self)
    }

    /// Its name in the hub's settings: that of its file.
    pub(super) fn name(&self) -> String {
        self.component.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The device whose points it sees.
    fn device(&self) -> &str {
        self.points.split('/').next().unwrap_or_default()
    }

    /// It must see points that are there, and not those that the judge has a rule for.
    pub(super) fn check(&self, points: &[Point]) -> Result<(), Error> {
        let free = points.iter().filter(|point| point.deadband.is_none());
        let devices: BTreeSet<&str> = free.map(|point| &*point.device).collect();
        if devices.contains(self.device()) {
            return Ok(());
        }
        let devices = devices.into_iter().collect::<Vec<_>>().join(", ");
        Err(Error::Guest { points: self.points.clone(), devices })
    }

    /// What the hub's settings say of it, behind all else.
    pub(super) fn to_toml(&self) -> String {
        let component = self.component.to_string_lossy();
        let mut text = format!("\n[plugin.{}]\norder = 20\ncomponent = {component:?}\n", self.name());
        writeln!(text, "points = [{:?}]", self.points).expect("a string takes whatever is written");
        self.settings.iter().fold(text, |text, settings| text + &format!("settings = {settings}\n"))
    }

    /// Whether a stream is that of a device that it sees, or one that it makes.
    fn is_its(&self, stream: &str) -> bool {
        let owner = stream.split('.').next().unwrap_or_default();
        owner == self.device() || owner == self.name()
    }
}

/// What the judge can judge: all, but for what goes through a plugin of somebody's own.
pub(super) fn without(
    guest: Option<&Guest>,
    points: &[Point],
    accepted: &[Accepted],
    ledger: Ledger,
) -> (Vec<Point>, Vec<Accepted>, Ledger) {
    let is_ours = |stream: &str| !guest.is_some_and(|guest| guest.is_its(stream));
    let Ledger { closes, accounts } = ledger;
    (
        points.iter().filter(|point| is_ours(&point.device)).cloned().collect(),
        accepted.iter().filter(|message| is_ours(&message.stream)).cloned().collect(),
        Ledger { closes, accounts: accounts.into_iter().filter(|account| is_ours(&account.stream)).collect() },
    )
}

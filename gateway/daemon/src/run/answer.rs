//! What the daemon answers on its control socket. What takes long runs as a task: the loop never waits for a bus.

use curb_model::{Glob, Name, PointName, Value};
use curb_source::{BusHandle, SerialConfig};
use tokio::time::Instant;

use super::Daemon;
use crate::control::{Answer, MAX_TAPS, Op, Request};
use crate::stored::{self, Shelves};
use crate::{field, tap};

impl Daemon {
    pub(super) async fn answer(&mut self, Request { op, answers }: Request) {
        let answer = match op {
            Op::Status => Answer::json(&self.report(&self.faults())),
            Op::Reload => Answer::json(&self.reload().await),
            Op::Tap { at, points } => {
                match points.iter().map(|glob| Glob::parse(glob)).collect::<Result<Vec<_>, _>>() {
                    Ok(_) if self.taps.len() >= MAX_TAPS => too_many_taps(),
                    Ok(points) => {
                        self.taps.spawn(tap::serve(self.rooms.taps.clone(), at, points, answers));
                        return;
                    }
                    Err(error) => Answer::Refused(error.to_string()),
                }
            }
            Op::Watch { .. } if self.taps.len() >= MAX_TAPS => too_many_taps(),
            Op::Watch { bus } => match self.bus(&bus) {
                Ok((handle, _)) => {
                    self.taps.spawn(field::watch(handle, answers));
                    return;
                }
                Err(refusal) => refusal,
            },
            Op::Probe { bus, probe } => match self.bus(&bus) {
                Ok((handle, own)) => {
                    self.asking.spawn(field::probe(handle, probe, own, answers));
                    return;
                }
                Err(refusal) => refusal,
            },
            Op::Write { point, value } => match self.point(&point, &value) {
                Ok((point, value)) => {
                    let written = self.rooms.write(point, value, Instant::now() + field::WRITE_PATIENCE);
                    self.asking.spawn(field::write(written, answers));
                    return;
                }
                Err(refusal) => refusal,
            },
            Op::StoreShow => {
                self.asking.spawn(stored::serve::show(self.shelves(), answers));
                return;
            }
            Op::StoreExport { what } => {
                let policy = self.settings.pipeline.policy.clone();
                self.asking.spawn(stored::serve::export(self.shelves(), policy, what, answers));
                return;
            }
            Op::StoreChange { change, rows } => {
                let policy = self.settings.pipeline.policy.clone();
                let (store, clock) = (self.rooms.store.clone(), self.clock.clone());
                self.asking.spawn(stored::serve::change(store, clock, policy, change, rows, answers));
                return;
            }
        };
        // A caller that hung up meanwhile does not want it.
        drop(answers.try_send(answer));
    }

    fn shelves(&self) -> Shelves {
        Shelves::Live(self.rooms.store.clone())
    }

    /// A running bus, and the serial settings of its config.
    fn bus(&self, name: &str) -> Result<(BusHandle, Option<SerialConfig>), Answer> {
        let none = || Answer::Refused(format!("no bus {name:?} runs here"));
        let name = Name::new(name).map_err(|_no_name| none())?;
        let own = self.settings.source.buses.get(&name).and_then(|bus| field::serial(&bus.link));
        Ok((self.rooms.source.bus(&name).ok_or_else(none)?, own.cloned()))
    }

    /// A point, and the value as the point takes it.
    fn point(&self, name: &str, value: &serde_json::Value) -> Result<(PointName, Value), Answer> {
        let none = || Answer::Refused(format!("no point {name:?} is read on any bus"));
        let point = PointName::parse(name).map_err(|_no_name| none())?;
        let value = field::value_for(field::point(&self.settings, &point), value);
        let value = value.ok_or_else(|| Answer::Refused("a value is a number, true, false or a text".to_owned()))?;
        Ok((point, value))
    }
}

fn too_many_taps() -> Answer {
    Answer::Busy(format!("{MAX_TAPS} taps run already: end one of them"))
}

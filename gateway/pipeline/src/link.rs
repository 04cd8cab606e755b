//! Frames between the pipeline and its host.
//!
//! ```text
//! ┌─────────┬──────┬───────────┐   len: bytes of kind and body, little endian, bounded for each way
//! │ len u32 │ kind │ body      │   body: fields of the message in order; numbers little endian,
//! └─────────┴──────┴───────────┘   text, bytes and lists behind a u32 count, options behind a 0 or 1
//! ```
//!
//! Both ends are one binary, so there is one version. Neither end trusts the other: a count is checked against the bytes
//! that are really there before anything is allocated, and a frame that does not end where its body ends is refused.
//! Each question ([`ToHost::Load`], [`ToHost::Reset`], [`ToHost::Process`], [`ToHost::Tick`], [`ToHost::Finish`],
//! [`ToHost::Snapshot`]) gets one answer; there is one at a time for each plugin.

use std::io::{self, Read};

use crate::cache::CODE_MAX;
use crate::chain::Emission;
use crate::codec::{Body, Damaged, Writer};
use crate::columns::Columns;
use crate::config::Engine;
use crate::state::Saved;

/// Longest frame to the host. The code of a component (at most [`CODE_MAX`]) must fit with its settings and its state.
const TO_HOST_MAX: usize = CODE_MAX + (2 << 20);

/// Longest frame from the host, which may have been taken over by what it runs: an answer is at most what it may lift out of a
/// plugin, a megabyte, and a state.
const FROM_HOST_MAX: usize = 4 << 20;

/// Largest component file, unless the operator grants more. A filter in Rust has some 50 KB, one in JavaScript 1.7 MB; this admits
/// small runtimes but not a mistake.
pub(crate) const COMPONENT_MAX: usize = 4 << 20;

/// Most that may be granted. One in Python has 18 MB.
pub(crate) const COMPONENT_MOST: usize = 20 << 20;

/// A plugin as both ends number it; a new one each time that it is loaded, never reused, so that a late answer of the
/// one before cannot be taken for its.
pub(crate) type Slot = u32;

/// From the pipeline to its host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ToHost {
    /// Instantiate and initialize. Answer: [`FromHost::Ready`], [`FromHost::Refused`], [`FromHost::Unrestored`] or
    /// [`FromHost::Trapped`].
    Load(Box<Load>),
    /// A fresh instance, with this state. Answers as for `Load`.
    Reset { slot: Slot, state: Option<Saved> },
    /// Handle a batch. Answer: [`FromHost::Done`], [`FromHost::Declined`] or [`FromHost::Trapped`].
    Process { slot: Slot, now: Now, columns: Columns },
    /// Time has passed. Answer: [`FromHost::Added`] or [`FromHost::Trapped`].
    Tick { slot: Slot, now: Now },
    /// Give out what is held back; nothing else will be asked. Answers as for `Tick`.
    Finish { slot: Slot, now: Now },
    /// Give the state out. Answer: [`FromHost::Snapshot`] or [`FromHost::Trapped`].
    Snapshot { slot: Slot },
    /// The plugin is no more. No answer.
    Unload { slot: Slot },
}

/// The time of the batch being handled, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) hub: i64,
    pub(crate) utc_offset: Option<i64>,
}

/// All that the host needs for a plugin.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Load {
    pub(crate) slot: Slot,
    pub(crate) name: String,
    /// The component, compiled for this machine; the host is the only process that runs it.
    pub(crate) code: Vec<u8>,
    /// Settings as JSON.
    pub(crate) settings: String,
    pub(crate) inputs: Vec<Input>,
    pub(crate) seed: Vec<u8>,
    /// Points that it has declared before, and their ids.
    pub(crate) own: Vec<(String, u32)>,
    /// The id of the first other point that it declares; the next has the next.
    pub(crate) first_own: u32,
    pub(crate) state: Option<Saved>,
    pub(crate) engine: Engine,
    pub(crate) memory: u64,
    pub(crate) call_ms: u32,
    pub(crate) init_ms: u32,
}

/// A point that the plugin sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) unit: Option<String>,
}

/// From the host to the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FromHost {
    /// The plugin is initialized, and has declared these points since it was loaded. `stateful`: it has state to give out.
    /// `tick_ms`: how often it wants to be called; 0: never.
    Ready { slot: Slot, declared: Vec<Declared>, stateful: bool, tick_ms: u32 },
    /// The plugin will not run as it is, ever.
    Refused { slot: Slot, refusal: Refusal, text: String },
    /// The plugin is well, but cannot start from the state that it was given.
    Unrestored { slot: Slot, text: String },
    /// The answer to a batch, with the state behind it if it lets something out and there is state.
    Done { slot: Slot, emission: Box<Emission>, metrics: Vec<Metric>, state: Option<Saved> },
    /// What the plugin has to say of itself, with the state behind it if it says something and there is state.
    Added { slot: Slot, added: Columns, metrics: Vec<Metric>, state: Option<Saved> },
    /// The state.
    Snapshot { slot: Slot, state: Saved },
    /// The plugin cannot handle this batch.
    Declined { slot: Slot, text: String },
    /// The instance is dead.
    Trapped { slot: Slot, text: String },
    /// A line of the plugin's log. Not an answer.
    Log { slot: Slot, level: u8, text: String },
}

/// Who refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The engine: no component, wrong world.
    Component,
    /// The plugin itself, in `init`.
    Settings,
}

/// A point that the plugin declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) unit: Option<String>,
    pub(crate) output: String,
    pub(crate) alarm: bool,
}

/// A metric of the plugin, as it stood after a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: String,
    /// Added to what it was, instead of taking its place.
    pub(crate) adds: bool,
    pub(crate) value: f64,
}

/// Why nothing more can be read from the other end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("read from the other end")]
    Io(#[from] io::Error),
    #[error("accept a frame of {0} bytes")]
    TooLong(usize),
    #[error("understand a frame")]
    Damaged(#[from] Damaged),
}

/// A message that goes one way.
pub(crate) trait Message: Sized {
    /// Its longest frame, in bytes of kind and body.
    const MAX: usize;

    fn write(&self, body: &mut Writer);
    fn read(body: &mut Body<'_>) -> Result<Self, Damaged>;

    /// The whole frame.
    fn to_frame(&self) -> Vec<u8> {
        let mut writer = Writer::frame();
        self.write(&mut writer);
        writer.into_frame()
    }
}

/// Takes the first whole frame off the front of `buffer`; `None` if it is not all there yet.
///
/// # Errors
/// The frame is too long, or no message.
pub(crate) fn take_frame<M: Message>(buffer: &mut Vec<u8>) -> Result<Option<M>, LinkError> {
    let Some((len, rest)) = buffer.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let len = checked_len::<M>(*len)?;
    let Some(body) = rest.get(..len) else {
        return Ok(None);
    };
    let message = parse(body)?;
    buffer.drain(..4 + len);
    Ok(Some(message))
}

/// Reads one frame; `None` at the end of input.
///
/// # Errors
/// Reading fails, or what comes is no message.
pub(crate) fn read_frame<M: Message>(input: &mut impl Read) -> Result<Option<M>, LinkError> {
    let mut len = [0; 4];
    if let Err(error) = input.read_exact(&mut len) {
        return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error.into()) };
    }
    let mut body = vec![0; checked_len::<M>(len)?];
    input.read_exact(&mut body)?;
    Ok(Some(parse(&body)?))
}

fn checked_len<M: Message>(len: [u8; 4]) -> Result<usize, LinkError> {
    let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
    if len > M::MAX { Err(LinkError::TooLong(len)) } else { Ok(len) }
}

fn parse<M: Message>(body: &[u8]) -> Result<M, Damaged> {
    let mut body = Body::new(body);
    let message = M::read(&mut body)?;
    body.finish()?;
    Ok(message)
}

impl Message for ToHost {
    const MAX: usize = TO_HOST_MAX;

    fn write(&self, w: &mut Writer) {
        match self {
            Self::Load(load) => w
                .u8(1)
                .u32(load.slot)
                .text(&load.name)
                .bytes(&load.code)
                .text(&load.settings)
                .list(&load.inputs, |w, input| {
                    w.u32(input.id).text(&input.name).option(input.unit.as_ref(), |w, unit| w.text(unit))
                })
                .bytes(&load.seed)
                .list(&load.own, |w, (name, id)| w.text(name).u32(*id))
                .u32(load.first_own)
                .option(load.state.as_ref(), Writer::saved)
                .u8(u8::from(load.engine == Engine::Pulley))
                .u64(load.memory)
                .u32(load.call_ms)
                .u32(load.init_ms),
            Self::Reset { slot, state } => w.u8(2).u32(*slot).option(state.as_ref(), Writer::saved),
            Self::Process { slot, now, columns } => w.u8(3).u32(*slot).now(*now).columns(columns),
            Self::Unload { slot } => w.u8(4).u32(*slot),
            Self::Snapshot { slot } => w.u8(5).u32(*slot),
            Self::Tick { slot, now } => w.u8(6).u32(*slot).now(*now),
            Self::Finish { slot, now } => w.u8(7).u32(*slot).now(*now),
        };
    }

    fn read(r: &mut Body<'_>) -> Result<Self, Damaged> {
        Ok(match r.u8()? {
            1 => Self::Load(Box::new(Load {
                slot: r.u32()?,
                name: r.text()?,
                code: r.bytes()?.to_vec(),
                settings: r.text()?,
                inputs: r.list(9, |r| Ok(Input { id: r.u32()?, name: r.text()?, unit: r.option(Body::text)? }))?,
                seed: r.bytes()?.to_vec(),
                own: r.list(8, |r| Ok((r.text()?, r.u32()?)))?,
                first_own: r.u32()?,
                state: r.option(Body::saved)?,
                engine: if r.flag()? { Engine::Pulley } else { Engine::Cranelift },
                memory: r.u64()?,
                call_ms: r.u32()?,
                init_ms: r.u32()?,
            })),
            2 => Self::Reset { slot: r.u32()?, state: r.option(Body::saved)? },
            3 => Self::Process { slot: r.u32()?, now: r.now()?, columns: r.columns()? },
            4 => Self::Unload { slot: r.u32()? },
            5 => Self::Snapshot { slot: r.u32()? },
            6 => Self::Tick { slot: r.u32()?, now: r.now()? },
            7 => Self::Finish { slot: r.u32()?, now: r.now()? },
            kind => return Err(Damaged::Kind(kind)),
        })
    }
}

impl Message for FromHost {
    const MAX: usize = FROM_HOST_MAX;

    fn write(&self, w: &mut Writer) {
        match self {
            Self::Ready { slot, declared, stateful, tick_ms } => w
                .u8(0)
                .u32(*slot)
                .list(declared, |w, point| {
                    w.u32(point.id)
                        .text(&point.name)
                        .option(point.unit.as_ref(), |w, unit| w.text(unit))
                        .text(&point.output)
                        .u8(u8::from(point.alarm))
                })
                .u8(u8::from(*stateful))
                .u32(*tick_ms),
            Self::Refused { slot, refusal, text } => {
                w.u8(1).u32(*slot).u8(u8::from(*refusal == Refusal::Settings)).text(text)
            }
            Self::Done { slot, emission, metrics, state } => w
                .u8(2)
                .u32(*slot)
                .list(&emission.keep, |w, row| w.u32(*row))
                .columns(&emission.add)
                .list(&emission.remark, |w, (row, quality)| w.u32(*row).u8(*quality))
                .list(&emission.rejects, |w, (row, reason)| w.u32(*row).text(reason))
                .metrics(metrics)
                .option(state.as_ref(), Writer::saved),
            Self::Declined { slot, text } => w.u8(3).u32(*slot).text(text),
            Self::Trapped { slot, text } => w.u8(4).u32(*slot).text(text),
            Self::Log { slot, level, text } => w.u8(5).u32(*slot).u8(*level).text(text),
            Self::Unrestored { slot, text } => w.u8(6).u32(*slot).text(text),
            Self::Snapshot { slot, state } => w.u8(7).u32(*slot).saved(state),
            Self::Added { slot, added, metrics, state } => {
                w.u8(8).u32(*slot).columns(added).metrics(metrics).option(state.as_ref(), Writer::saved)
            }
        };
    }

    fn read(r: &mut Body<'_>) -> Result<Self, Damaged> {
        Ok(match r.u8()? {
            0 => Self::Ready {
                slot: r.u32()?,
                declared: r.list(14, |r| {
                    Ok(Declared {
                        id: r.u32()?,
                        name: r.text()?,
                        unit: r.option(Body::text)?,
                        output: r.text()?,
                        alarm: r.flag()?,
                    })
                })?,
                stateful: r.flag()?,
                tick_ms: r.u32()?,
            },
            1 => Self::Refused {
                slot: r.u32()?,
                refusal: if r.flag()? { Refusal::Settings } else { Refusal::Component },
                text: r.text()?,
            },
            2 => Self::Done {
                slot: r.u32()?,
                emission: Box::new(Emission {
                    keep: r.list(4, Body::u32)?,
                    add: r.columns()?,
                    remark: r.list(5, |r| Ok((r.u32()?, r.u8()?)))?,
                    rejects: r.list(8, |r| Ok((r.u32()?, r.text()?.into())))?,
                }),
                metrics: r.metrics()?,
                state: r.option(Body::saved)?,
            },
            3 => Self::Declined { slot: r.u32()?, text: r.text()? },
            4 => Self::Trapped { slot: r.u32()?, text: r.text()? },
            5 => Self::Log { slot: r.u32()?, level: r.u8()?, text: r.text()? },
            6 => Self::Unrestored { slot: r.u32()?, text: r.text()? },
            7 => Self::Snapshot { slot: r.u32()?, state: r.saved()? },
            8 => Self::Added {
                slot: r.u32()?,
                added: r.columns()?,
                metrics: r.metrics()?,
                state: r.option(Body::saved)?,
            },
            kind => return Err(Damaged::Kind(kind)),
        })
    }
}

//! Frames come out as they went in, and no bytes bring the reader down.

use proptest::prelude::*;

use super::batches;
use crate::chain::{Emission, Selection};
use crate::columns::Columns;
use crate::config::Engine;
use crate::link::{
    Declared, FromHost, Input, LinkError, Load, Message, Metric, Now, Refusal, ToHost, read_frame, take_frame,
};
use crate::state::Saved;

fn columns() -> impl Strategy<Value = Columns> {
    batches().prop_map(|batch| {
        let inputs = batch.readings.iter().map(|r| (r.point.name.clone(), 3)).collect();
        Selection::of(&batch, &inputs).map(|selection| selection.columns).unwrap_or_default()
    })
}

fn saved() -> impl Strategy<Value = Option<Saved>> {
    let saved = (any::<u32>(), any::<Vec<u8>>()).prop_map(|(version, data)| Saved { version, data: data.into() });
    proptest::option::of(saved)
}

fn to_host() -> impl Strategy<Value = ToHost> {
    let input = (any::<u32>(), ".*", proptest::option::of(".*")).prop_map(|(id, name, unit)| Input { id, name, unit });
    prop_oneof![
        (any::<[u32; 4]>(), ".*", any::<Vec<u8>>(), ".*", prop::collection::vec(input, 0..4), any::<u64>(), saved())
            .prop_map(|([slot, first_own, call_ms, init_ms], name, code, settings, inputs, memory, state)| {
                ToHost::Load(Box::new(Load {
                    slot,
                    own: vec![(name.clone(), init_ms), (settings.clone(), slot)],
                    state,
                    engine: if memory % 2 == 0 { Engine::Cranelift } else { Engine::Pulley },
                    name,
                    seed: code.clone(),
                    code,
                    settings,
                    inputs,
                    first_own,
                    memory,
                    call_ms,
                    init_ms,
                }))
            }),
        (any::<u32>(), saved()).prop_map(|(slot, state)| ToHost::Reset { slot, state }),
        any::<u32>().prop_map(|slot| ToHost::Snapshot { slot }),
        (any::<u32>(), any::<i64>(), any::<Option<i64>>(), any::<bool>()).prop_map(|(slot, hub, utc_offset, last)| {
            let now = Now { hub, utc_offset };
            if last { ToHost::Finish { slot, now } } else { ToHost::Tick { slot, now } }
        }),
        any::<u32>().prop_map(|slot| ToHost::Unload { slot }),
        (any::<u32>(), any::<i64>(), any::<Option<i64>>(), columns()).prop_map(|(slot, hub, utc_offset, columns)| {
            ToHost::Process { slot, now: Now { hub, utc_offset }, columns }
        }),
    ]
}

fn from_host() -> impl Strategy<Value = FromHost> {
    let declared = (any::<u32>(), ".*", proptest::option::of(".*"), ".*", any::<bool>())
        .prop_map(|(id, name, unit, output, alarm)| Declared { id, name, unit, output, alarm });
    let metric = (".*", any::<bool>(), -1e9..1e9f64).prop_map(|(name, adds, value)| Metric { name, adds, value });
    let emission = (any::<Vec<u32>>(), columns(), any::<Vec<(u32, u8)>>(), any::<Vec<(u32, Box<str>)>>())
        .prop_map(|(keep, add, remark, rejects)| Emission { keep, add, remark, rejects });
    prop_oneof![
        (any::<u32>(), prop::collection::vec(declared, 0..4), any::<bool>(), any::<u32>())
            .prop_map(|(slot, declared, stateful, tick_ms)| FromHost::Ready { slot, declared, stateful, tick_ms }),
        (any::<u32>(), columns(), prop::collection::vec(metric.clone(), 0..4), saved())
            .prop_map(|(slot, added, metrics, state)| FromHost::Added { slot, added, metrics, state }),
        (any::<u32>(), ".*").prop_map(|(slot, text)| FromHost::Unrestored { slot, text }),
        (any::<u32>(), saved()).prop_map(|(slot, state)| FromHost::Snapshot {
            slot,
            state: state.unwrap_or(Saved { version: 0, data: [].into() })
        }),
        (any::<u32>(), any::<bool>(), ".*").prop_map(|(slot, settings, text)| {
            let refusal = if settings { Refusal::Settings } else { Refusal::Component };
            FromHost::Refused { slot, refusal, text }
        }),
        (any::<u32>(), emission, prop::collection::vec(metric, 0..4), saved()).prop_map(
            |(slot, emission, metrics, state)| FromHost::Done { slot, emission: Box::new(emission), metrics, state }
        ),
        (any::<u32>(), ".*").prop_map(|(slot, text)| FromHost::Declined { slot, text }),
        (any::<u32>(), ".*").prop_map(|(slot, text)| FromHost::Trapped { slot, text }),
        (any::<u32>(), any::<u8>(), ".*").prop_map(|(slot, level, text)| FromHost::Log { slot, level, text }),
    ]
}

fn check<M: Message + PartialEq + std::fmt::Debug>(message: &M) -> Result<(), TestCaseError> {
    let frame = message.to_frame();
    let read = read_frame::<M>(&mut frame.as_slice()).unwrap();
    prop_assert_eq!(read.as_ref(), Some(message));
    let mut buffer = frame.clone();
    buffer.extend_from_slice(&frame[..frame.len() - 1]);
    let taken = take_frame::<M>(&mut buffer).unwrap();
    prop_assert_eq!(taken.as_ref(), Some(message));
    prop_assert!(take_frame::<M>(&mut buffer).unwrap().is_none());
    prop_assert_eq!(buffer, &frame[..frame.len() - 1]);
    Ok(())
}

proptest! {
    #[test]
    fn a_frame_comes_out_as_it_went_in(to in to_host(), from in from_host()) {
        check(&to)?;
        check(&from)?;
    }

    #[test]
    fn damaged_frames_are_an_error_and_nothing_else(message in from_host(), place in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut frame = message.to_frame();
        let place = place.index(frame.len());
        frame[place] ^= 1 << bit;
        drop(take_frame::<FromHost>(&mut frame.clone()));
        drop(take_frame::<ToHost>(&mut frame));
    }
}

#[test]
fn a_count_is_not_believed_before_the_bytes_are_there() {
    let frame = |body: &[u8]| {
        let mut frame = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        frame.extend_from_slice(body);
        frame
    };
    // A list of 2^32 - 1 points in a frame of nine bytes.
    let damaged = take_frame::<FromHost>(&mut frame(&[0, 1, 0, 0, 0, 255, 255, 255, 255]));
    assert!(matches!(damaged, Err(LinkError::Damaged(_))), "{damaged:?}");
    let long = |most: usize| u32::try_from(most + 1).unwrap().to_le_bytes();
    assert!(matches!(take_frame::<FromHost>(&mut long(FromHost::MAX).to_vec()), Err(LinkError::TooLong(_))));
    assert!(matches!(read_frame::<ToHost>(&mut &long(ToHost::MAX)[..]), Err(LinkError::TooLong(_))));
}

//! Messages that are no longer than the core takes.

use std::collections::BTreeMap;

use curb_model::{Batch, Class, Dropped, GapReason, Sample, Value};
use curb_wire::senml::{self, Compress, Encoding, Form};
use proptest::prelude::*;

use super::support::{Core, append, at, batch, config, end_run, memory, settle, writer};
use crate::Config;
use crate::writer::Request;

fn form() -> impl Strategy<Value = Form> {
    let encoding = prop_oneof![Just(Encoding::Json), Just(Encoding::Cbor)];
    let compress = prop_oneof![Just(Compress::None), Just(Compress::Deflate)];
    (encoding, compress).prop_map(|(encoding, compress)| Form { encoding, compress })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn pieces_hold_the_same_readings_in_order_and_their_counters_close(
        batches in prop::collection::vec((0..120_usize, 0..4_u64, 0..3_u64, 0..3_u64, any::<bool>()), 1..6),
        limit in prop_oneof![0..400_usize, 200..4_000_usize, Just(usize::MAX)],
        form in form(),
        seed in any::<u64>(),
    ) {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        let mut writer = writer(&Config { form, message_bytes: limit, ..config(folder.path()) });
        // A spread of lengths.
        let mut next = seed | 1;
        let mut value = || { next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); next >> (next % 60) };
        let mut expected = Vec::new();
        let (mut read, mut lost) = (0, 0);
        for (readings, filtered, refused, dropped, dated) in batches {
            let values: Vec<u64> = (0..readings).map(|_| value()).collect();
            let mut batch = batch("meter", &writer.clock, values.clone());
            expected.extend(values);
            batch.counts.read += filtered + refused + dropped;
            (batch.counts.filtered, batch.counts.refused) = (filtered, refused);
            if dropped > 0 {
                batch.dropped = vec![Dropped { reason: GapReason::Overload, count: dropped, from: at(1), to: at(2) }];
            }
            batch.offset = batch.offset.filter(|_| dated);
            read += batch.counts.read;
            lost += dropped;
            writer.queue.append(&batch, writer.clock.now());
        }
        let (mut found, mut told) = (Vec::new(), BTreeMap::new());
        // Those that wait for the clock have rows of their own.
        let mut messages: Vec<_> = writer.queue.changes.rows.iter().filter(|new| new.stored.readings > 0).collect();
        messages.sort_by_key(|new| new.stored.seq);
        for new in messages {
            prop_assert!(new.payload.len() <= limit || new.stored.readings == 1, "{} bytes", new.payload.len());
            let pack = senml::decode(&new.payload).unwrap();
            prop_assert_eq!(pack.records.len(), new.stored.readings as usize);
            let header = pack.header;
            prop_assert_eq!(header.seq, new.stored.seq);
            told.insert(header.seq, (header.read, pack.records.len() as u64, header.filtered + header.refused));
            found.extend(pack.records.into_iter().map(|record| record.sample));
        }
        let whole = |value: &u64| Sample::Good(Value::U64(*value));
        prop_assert_eq!(found, expected.iter().map(whole).collect::<Vec<_>>());
        // At each message: what was read up to here is here, left out, or in a gap.
        let mut delivered = 0;
        for (read, readings, left_out) in told.values() {
            delivered += readings;
            prop_assert!((delivered + left_out..=delivered + left_out + lost).contains(read));
        }
        writer.queue.release_undated();
        let mut core = Core::default();
        settle(&mut writer, &mut core);
        let run = writer.queue.run();
        let account = core.account(run, "meter");
        prop_assert_eq!((account.told.read, account.delivered()), (read, expected.len() as u64));
    }
}

#[test]
fn what_the_core_takes_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let messages = |told: Option<Option<usize>>| {
        let mut writer = writer(&config);
        if let Some(bytes) = told {
            writer.answer(Request::PayloadMax(bytes));
        }
        let alarm = Batch { class: Class::Alarm, ..batch("meter.alarm", &writer.clock, 0..100) };
        append(&mut writer, &alarm);
        let messages = writer.next(Class::Alarm, None, 1_000, usize::MAX).unwrap().messages;
        let rows = messages.iter().map(|message| message.row).collect();
        writer.answer(Request::Delivered(rows));
        end_run(&mut writer);
        writer.disk.close().unwrap();
        messages.len()
    };
    assert_eq!(messages(None), 1);
    let parted = messages(Some(Some(1_000)));
    assert!((3..20).contains(&parted), "{parted}");
    assert_eq!(messages(None), parted);
    assert_eq!(messages(Some(Some(1_000))), parted);
    assert_eq!(messages(Some(None)), 1);
    assert_eq!(messages(None), 1);
}

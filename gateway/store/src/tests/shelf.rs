//! What was set aside: seen, put back, thrown away, and counted once whatever happens to it.

use std::fs;

use curb_model::{Class, Message, RowId, RunId};
use tokio::sync::oneshot;

use super::support::{Core, append, batch, config, drain, end_run, memory, settle, stream, writer};
use crate::disk::Error as DiskError;
use crate::shelf::Shelf;
use crate::writer::{Request, Writer};
use crate::{Config, Error, Kept, Store, Workbench};

/// A run with three messages of three readings, of which the broker has refused the second; all else is at the core.
fn refused(config: &Config, core: &mut Core) -> (Writer, RunId, Message) {
    let mut writer = writer(config);
    for n in 0..3 {
        let batch = batch("meter", &writer.clock, n * 3..n * 3 + 3);
        append(&mut writer, &batch);
    }
    let messages = writer.next(Class::Data, None, 100, usize::MAX).unwrap().messages;
    let refused = messages.iter().find(|message| message.stream == stream("meter") && message.seq == 2).unwrap();
    writer.answer(Request::SetAside { row: refused.row, code: 0x99 });
    drain(&mut writer, core);
    assert_eq!((core.delivered(), core.lost(), writer.aside), (6, 3, 1));
    let run = writer.queue.run();
    (writer, run, refused.clone())
}

fn restart(mut old: Writer, config: &Config) -> Writer {
    end_run(&mut old);
    old.disk.close().unwrap();
    writer(config)
}

fn aside(writer: &Writer) -> Vec<Kept> {
    writer.disk.look(Shelf::Aside, 0, usize::MAX, usize::MAX).unwrap()
}

fn put_back(writer: &mut Writer, rows: &[RowId]) -> Vec<RowId> {
    let (reply, mut answer) = oneshot::channel();
    writer.answer(Request::PutBack { rows: rows.to_vec(), reply });
    answer.try_recv().unwrap()
}

fn throw_away(writer: &mut Writer, rows: &[RowId]) -> Vec<RowId> {
    let (reply, mut answer) = oneshot::channel();
    writer.answer(Request::ThrowAway { rows: rows.to_vec(), reply });
    answer.try_recv().unwrap()
}

#[test]
fn a_message_that_is_put_back_is_sent_as_it_was_and_counts_once() {
    let check = |lives: usize| {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        let config = config(folder.path());
        let mut core = Core::default();
        let (mut writer, run, message) = refused(&config, &mut core);
        for _ in 1..lives {
            writer = restart(writer, &config);
            drain(&mut writer, &mut core);
        }
        let kept = aside(&writer);
        assert_eq!((kept[0].run, kept[0].seq, kept[0].code), (run, 2, Some(0x99)));
        assert_eq!(put_back(&mut writer, &[kept[0].row, RowId(77)]), [kept[0].row], "the other is not there");
        assert_eq!(put_back(&mut writer, &[kept[0].row]), [], "once");
        assert_eq!((writer.aside, writer.queue.waiting.readings), (0, 0), "its readings are in a gap");
        // The core's receipts cover gaps: they say nothing about it.
        writer.answer(Request::Receipt { run, stream: stream("meter"), seq: 3 });
        // It is durable.
        let mut writer = restart(writer, &config);
        let messages = writer.next(Class::Data, None, 100, usize::MAX).unwrap().messages;
        let again = messages.iter().find(|message| message.stream == stream("meter")).unwrap();
        assert!(again.is_released() && again.row > message.row);
        assert_eq!((again.run, again.seq, &again.payload), (run, 2, &message.payload), "{lives} lives");
        drain(&mut writer, &mut core);
        assert_eq!((core.delivered(), core.lost()), (9, 0), "{lives} lives");
        core.check_closes();
        assert_eq!(writer.queue.waiting.rows, 0);
    };
    (1..=3).for_each(check);
}

#[test]
fn what_happens_to_a_message_that_was_put_back_is_no_second_loss() {
    let check = |case: &str, happens: &dyn Fn(&mut Writer)| {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        let config = config(folder.path());
        let mut core = Core::default();
        let (mut writer, _, _) = refused(&config, &mut core);
        let rows: Vec<RowId> = aside(&writer).iter().map(|kept| kept.row).collect();
        assert_eq!(put_back(&mut writer, &rows), rows);
        happens(&mut writer);
        settle(&mut writer, &mut core);
        assert_eq!((core.delivered(), core.lost()), (6, 3), "{case}");
    };
    let row = |writer: &mut Writer| {
        let messages = writer.next(Class::Data, None, 100, usize::MAX).unwrap().messages;
        messages.iter().find(|message| message.is_released()).unwrap().row
    };
    check("refused once more", &|writer| {
        let row = row(writer);
        writer.answer(Request::SetAside { row, code: 0x95 });
        assert_eq!(aside(writer)[0].code, Some(0x95));
    });
    check("over the limit", &|writer| {
        writer.limit_bytes = 100;
        writer.commit();
        assert_eq!(writer.queue.waiting.rows, 0);
        writer.limit_bytes = 1 << 20;
    });
    check("the disk is lost", &|writer| writer.failed(&DiskError::Nonsense { what: "page" }));
}

#[test]
fn what_is_thrown_away_is_gone_and_stays_told() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let config = config(folder.path());
    let mut core = Core::default();
    let (mut writer, _, _) = refused(&config, &mut core);
    let row = aside(&writer)[0].row;
    assert_eq!(throw_away(&mut writer, &[row, RowId(-1)]), [row]);
    assert_eq!(throw_away(&mut writer, &[row]), []);
    let mut writer = restart(writer, &config);
    assert!(aside(&writer).is_empty());
    drain(&mut writer, &mut core);
    assert_eq!((core.delivered(), core.lost(), writer.aside), (6, 3, 0));
    core.check_closes();
}

#[test]
fn without_a_daemon_the_same_is_done_under_its_lock() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let config = config(folder.path());
    assert!(matches!(Workbench::open(folder.path()), Err(Error::Absent { .. })));
    let mut core = Core::default();
    let (writer, run, message) = refused(&config, &mut core);
    assert!(matches!(Workbench::open(folder.path()), Err(Error::Locked { .. })), "a daemon has it");
    let mut writer = restart(writer, &config);
    let lamp = batch("lamp", &writer.clock, [1, 2]);
    append(&mut writer, &lamp);
    // As a kill leaves it.
    writer.disk.close().unwrap();

    let mut bench = Workbench::open(folder.path()).unwrap();
    assert!(matches!(Store::open(config.clone()), Err(Error::Locked { .. })), "it holds the lock of a daemon");
    let lamp = bench.waiting().unwrap().into_iter().find(|waiting| waiting.stream == "lamp").unwrap();
    assert_eq!((lamp.rows, lamp.readings, lamp.released), (1, 2, 0));
    let kept = bench.look(Shelf::Aside, None, 10, usize::MAX).unwrap();
    assert_eq!((kept.len(), &kept[0].payload), (1, &message.payload));
    assert_eq!(bench.put_back(&[kept[0].row]).unwrap(), [kept[0].row]);
    assert_eq!(bench.put_back(&[kept[0].row]).unwrap(), []);
    let meter = bench.waiting().unwrap().into_iter().find(|waiting| waiting.stream == "meter").unwrap();
    assert_eq!((meter.rows, meter.readings, meter.released), (1, 0, 1), "its readings were told as lost");
    let queue = bench.look(Shelf::Queue, None, 100, usize::MAX).unwrap();
    assert!(queue.iter().any(|kept| (kept.run, kept.seq) == (run, 2)), "{queue:?}");
    drop(bench);
    let mut writer = super::support::writer(&config);
    assert!(writer.faults.is_empty(), "{:?}", writer.faults);
    drain(&mut writer, &mut core);
    assert_eq!((core.delivered(), core.lost()), (11, 0));
}

#[test]
fn a_tool_leaves_what_is_damaged_to_the_daemon() {
    let check = |bytes: &[u8], is_absent: bool| {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        let file = folder.path().join("queue.db");
        fs::write(&file, bytes).unwrap();
        let error = Workbench::open(folder.path()).unwrap_err();
        assert_eq!(matches!(error, Error::Absent { .. }), is_absent, "{error}");
        assert_eq!(fs::read(&file).unwrap(), bytes, "as it was");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing beside it");
    };
    check(b"", true);
    check(&[0xA5; 8_192], false);
}

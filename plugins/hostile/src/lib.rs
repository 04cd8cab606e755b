//! Breaks one rule at a time, as its setting says: `{ "attack": "spin" }`. For tests of the plugin host; it shows what
//! the worst author can do, not what a plugin looks like, and therefore speaks the raw contract without the SDK's rows.
//!
//! What no compiler lets through is beside it as text: `attacks`, each in the frame of `frame.wat`.

use curb_plugin::bindings::curb::plugin::log::{Level, log};
use curb_plugin::bindings::curb::plugin::points::{Class, declare};
use curb_plugin::bindings::curb::plugin::types::{Columns, Emission, Now};
use curb_plugin::bindings::exports::curb::plugin::transform::{Guest, Plan, Setup};
use std::cell::{Cell, RefCell};

thread_local! {
    static ATTACK: RefCell<String> = const { RefCell::new(String::new()) };
    static OWN: Cell<u32> = const { Cell::new(0) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

struct Hostile;

impl Guest for Hostile {
    fn init(setup: Setup) -> Result<Plan, String> {
        if setup.config.contains("spin-init") {
            spin();
        }
        if setup.config.contains("bad-settings") {
            return Err("attack: found \"bad-settings\", expected mercy".to_owned());
        }
        if setup.config.contains("add") {
            OWN.set(declare("noise", None, "out", Class::Data)?);
        }
        ATTACK.set(setup.config);
        Ok(Plan { tick_ms: 0 })
    }

    fn process(now: Now, readings: Columns) -> Result<Emission, String> {
        let rows = u32::try_from(readings.points.len()).unwrap_or(u32::MAX);
        let mut emission = Emission { keep: (0..rows).collect(), add: nothing(), remark: vec![], rejects: vec![] };
        let calls = CALLS.get() + 1;
        CALLS.set(calls);
        let attack = ATTACK.take();
        // The longest name first: `contains` finds `spin` in `spin-init` as well.
        let has = |name: &str| attack.contains(name);
        if has("spin") {
            spin();
        } else if has("bomb") {
            bomb();
        } else if has("recursion") {
            emission.keep.push(recursion(0));
        } else if has("trap-third") && calls == 3 {
            std::process::abort();
        } else if has("decline") {
            return Err("not today".to_owned());
        } else if has("forge") {
            emission.keep.push(rows + 7);
        } else if has("log-flood") {
            (0..10_000).for_each(|_| log(Level::Error, &"x".repeat(1_000)));
        } else if has("add-flood") {
            add(&mut emission.add, &now, 5_000);
        } else if has("add") {
            add(&mut emission.add, &now, 2);
        } else if has("huge") {
            emission.add.values = vec![0.0; 500_000];
        }
        ATTACK.set(attack);
        Ok(emission)
    }

    fn tick(_: Now) -> Result<Columns, String> {
        Ok(nothing())
    }

    fn finish(_: Now) -> Result<Columns, String> {
        Ok(nothing())
    }
}

fn nothing() -> Columns {
    curb_plugin::glue::no_rows()
}

fn spin() -> ! {
    loop {
        CALLS.set(CALLS.get().wrapping_add(1));
    }
}

fn bomb() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 1 << 20]);
        CALLS.set(u32::try_from(hoard.len()).unwrap_or(0));
    }
}

/// Each frame is needed after the call, so that no compiler makes a loop of it.
#[expect(unconditional_recursion, reason = "the attack")]
fn recursion(depth: u32) -> u32 {
    let frame = std::hint::black_box([depth; 16]);
    let below = recursion(frame[0] + 1);
    std::hint::black_box(&frame)[7].wrapping_add(below)
}

fn add(columns: &mut Columns, now: &Now, rows: usize) {
    columns.points = vec![OWN.get(); rows];
    columns.times = vec![now.time; rows];
    columns.values = vec![1.5; rows];
    columns.kinds = vec![3; rows];
    columns.quality = vec![0; rows];
}

curb_plugin::bindings::export!(Hostile with_types_in curb_plugin::bindings);

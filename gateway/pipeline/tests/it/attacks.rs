//! Every attack of `plugins/hostile/attacks`, one after the other on one host: each is told of in the right word and costs
//! its own readings only; the host lives, and is in the end as small as it was.
//!
//! What a compiler lets through is attacked with in `hostile`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use curb_model::GapReason;
use curb_pipeline::{Health, Limits, OnFailure, PluginConfig, PluginHealth, PluginState};
use serde_json::json;
use tempfile::TempDir;

use crate::guest::Guest;
use crate::rig::{Rig, plugin};

/// Longest wait of another plugin's reading: ten times what a loaded machine needs.
const ON_TIME: Duration = Duration::from_secs(1);

/// What an attack comes to.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It traps on its batch, and on a fresh instance again; with these words.
    Trap(&'static str),
    /// It traps before any batch, whenever it is started.
    NoStart(&'static str),
    /// It is not run at all: this word, and these words.
    Refused(&'static str, &'static str),
    /// It lets its readings pass. It may be told of in these words.
    Pass(&'static str),
}

/// A host that runs one attack after the other, and beside each a deadband.
struct Gauntlet {
    rig: Rig,
    folder: TempDir,
    host: Option<u32>,
    slowest: Duration,
    counter: u32,
}

/// What the kernel says of the host.
#[derive(Debug, Clone, Copy)]
struct Size {
    peak_kb: u64,
    files: usize,
    threads: u64,
}

impl Size {
    fn of(pid: u32) -> Self {
        let proc = Path::new("/proc").join(pid.to_string());
        let status = std::fs::read_to_string(proc.join("status")).unwrap();
        let field = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        let files = std::fs::read_dir(proc.join("fd")).unwrap().count();
        Self { peak_kb: field("VmHWM:"), files, threads: field("Threads:") }
    }
}

fn quiet() -> PluginConfig {
    plugin("quiet", "deadband", "meter/*", json!({ "default": 0.5 }))
}

/// Those whose time is cut have little of it; the others enough for a loaded machine.
fn limits(name: &str) -> Limits {
    let (call, init) = if name.starts_with("time/") { (100, 100) } else { (2_000, 5_000) };
    Limits { call_time: Duration::from_millis(call), init_time: Duration::from_millis(init), ..Limits::default() }
}

impl Gauntlet {
    async fn start() -> Self {
        let mut rig = Rig::start(vec![quiet()]);
        rig.through("meter", vec![rig.number("meter/power", 0.0)]).await;
        let host = rig.health().host_pid;
        Self { rig, folder: tempfile::tempdir().unwrap(), host, slowest: Duration::ZERO, counter: 0 }
    }

    fn config(&self, name: &str, component: PathBuf) -> PluginConfig {
        let config = plugin(&name.replace('/', "-"), "deadband", "air/*", json!({}));
        PluginConfig { component, on_failure: OnFailure::Drop, limits: limits(name), ..config }
    }

    /// The other plugin's readings arrive on time.
    async fn others(&mut self, air: &mut Vec<curb_model::Batch>, name: &str) {
        for _ in 0..3 {
            self.counter += 1;
            let begun = Instant::now();
            self.rig.send("meter", vec![self.rig.number("meter/power", f64::from(self.counter))]).await;
            loop {
                let batch = self.rig.receive().await;
                if batch.stream.as_str() == "meter" {
                    assert_eq!(batch.readings.len(), 1, "{name}");
                    break;
                }
                air.push(batch);
            }
            let waited = begun.elapsed();
            assert!(waited < ON_TIME, "{name}: the other plugin was held up for {waited:?}");
            self.slowest = self.slowest.max(waited);
        }
    }

    async fn run(&mut self, name: &str, component: PathBuf, end: End) {
        let config = self.config(name, component);
        let plugin_name = config.name.clone();
        self.rig.apply(vec![config, quiet()]);
        self.rig.eventually("configured", |health| health.plugins.contains_key(&plugin_name)).await;
        let mut air = Vec::new();
        self.rig.send("air", vec![self.rig.number("air/pm", 1.0)]).await;
        self.others(&mut air, name).await;
        while !air.iter().any(|batch| batch.stream.as_str() == "air") {
            air.push(self.rig.receive().await);
        }
        let hit = air.iter().find(|batch| batch.stream.as_str() == "air").unwrap();
        let dropped: Vec<_> = hit.dropped.iter().map(|d| (d.reason, d.count)).collect();
        let (state, words) = match end {
            End::Trap(words) => (None, ("plugin-trapped", words)),
            End::NoStart(words) => (None, ("plugin-trapped", words)),
            End::Refused(word, words) => (Some(PluginState::Failed), (word, words)),
            End::Pass(words) => (None, ("plugin-", words)),
        };
        let passes = matches!(end, End::Pass(_));
        let expected = if passes { vec![] } else { vec![(GapReason::Plugin, 1)] };
        assert_eq!((hit.readings.len(), dropped), (usize::from(passes), expected), "{name}: {:?}", self.rig.health());
        let (word, words) = words;
        let told = |health: &Health| {
            words.is_empty() || health.faults.iter().any(|f| f.word.starts_with(word) && f.detail.contains(words))
        };
        let health = self.rig.eventually(&format!("told of {name}: {word} {words:?}"), told).await;
        let bad = &health.plugins[&plugin_name];
        assert_eq!(self.counts(end, bad), self.expected(end), "{name}: {bad:?}");
        assert!(state.is_none_or(|state| bad.state == state), "{name}: {bad:?}");
        assert_eq!((health.host_pid, health.restarts), (self.host, 0), "{name}: the host died of it");
        let quiet = &health.plugins[&quiet().name];
        assert_eq!((quiet.traps, quiet.dropped, quiet.kept), (0, 0, u64::from(self.counter) + 1), "{name}");
    }

    /// (has trapped, kept, dropped)
    fn counts(&self, end: End, bad: &PluginHealth) -> (u64, u64, u64) {
        let traps = match end {
            // Twice by then, or oftener: it is tried again behind each pause.
            End::NoStart(_) => bad.traps.min(2),
            End::Pass(_) => 0,
            End::Trap(_) | End::Refused(..) => bad.traps,
        };
        (traps, bad.kept, bad.dropped)
    }

    fn expected(&self, end: End) -> (u64, u64, u64) {
        match end {
            End::Trap(_) | End::NoStart(_) => (2, 0, 1),
            End::Refused(..) => (0, 0, 1),
            End::Pass(_) => (0, 1, 0),
        }
    }

    /// The host is what it was before the first attack, but for what the code generator keeps.
    async fn end(self, before: Size) {
        self.rig.apply(vec![quiet()]);
        let pid = self.host.unwrap();
        let settled = |health: &Health| {
            let now = Size::of(pid);
            health.plugins.len() == 1 && now.files <= before.files && now.threads <= before.threads
        };
        self.rig.eventually(&format!("as small as before: {before:?}, {:?}", Size::of(pid)), settled).await;
        let after = Size::of(pid);
        assert!(after.peak_kb < before.peak_kb + 100_000, "before {before:?}, at most {after:?}");
        assert_eq!(self.rig.end().await, []);
    }
}

/// Runs a family of attacks; what is in its file and not in the table is a mistake of this test.
async fn check(family: &str, table: &[(&str, End)]) {
    let mut gauntlet = Gauntlet::start().await;
    let before = Size::of(gauntlet.host.unwrap());
    let mut untried = Guest::names(family);
    for (section, end) in table {
        let name = format!("{family}/{section}");
        let component = Guest::attack(&name).file(gauntlet.folder.path(), &name);
        gauntlet.run(&name, component, *end).await;
        untried.retain(|name| name != section);
    }
    assert_eq!(untried, [] as [String; 0], "not in the table of {family}");
    gauntlet.end(before).await;
}

#[tokio::test]
async fn no_loop_holds_anybody_up() {
    let table = [
        ("spin-start", End::NoStart("init ran longer than 100ms")),
        ("spin-init", End::NoStart("init ran longer than 100ms")),
        ("spin-process", End::Trap("process ran longer than 100ms")),
        ("spin-tick", End::Pass("tick ran longer than 100ms")),
        ("spin-finish", End::Pass("")),
        ("spin-snapshot", End::Trap("snapshot ran longer than 100ms")),
        ("spin-realloc", End::NoStart("init ran longer than 100ms")),
        ("spin-returned", End::NoStart("init ran longer than 100ms")),
        ("spin-calls", End::Trap("process ran longer than 100ms")),
        ("copy-storm", End::Trap("process ran longer than 100ms")),
        ("copy-calls", End::Trap("process ran longer than 100ms")),
    ];
    check("time", &table).await;
}

#[tokio::test]
async fn nobody_takes_more_memory_than_is_his() {
    let table = [
        ("memory-bomb", End::Trap("bytes of memory (limit 8388608)")),
        ("memory-at-once", End::Trap("bytes of memory (limit 8388608)")),
        ("memory-declared", End::NoStart("wants 13238272 bytes of memory (limit 8388608)")),
        ("memory-summed", End::NoStart("bytes of memory (limit 8388608)")),
        ("memories", End::NoStart("memory")),
        ("table-bomb", End::Trap("table elements (limit 10000)")),
        ("table-declared", End::NoStart("wants 10001 table elements (limit 10000)")),
        ("tables-summed", End::NoStart("wants 12000 table elements (limit 10000)")),
        ("tables", End::NoStart("table")),
        ("leak", End::Pass("")),
        ("recursion", End::Trap("call stack exhausted")),
        ("recursion-wide", End::Trap("call stack exhausted")),
        ("recursion-indirect", End::Trap("call stack exhausted")),
    ];
    check("memory", &table).await;
}

#[tokio::test]
async fn no_answer_is_believed() {
    let table = [
        ("list-endless", End::Trap("process:")),
        ("list-large", End::Trap("process:")),
        ("others-endless", End::Trap("process:")),
        ("pointer-out", End::Trap("process:")),
        ("pointer-end", End::Trap("process:")),
        ("pointer-odd", End::Trap("process:")),
        ("answer-out", End::Trap("process:")),
        ("realloc-out", End::NoStart("init:")),
        ("not-utf8", End::Trap("process:")),
        ("discriminant", End::Trap("process:")),
        ("discriminant-within", End::Trap("process:")),
        ("row-forged", End::Trap("answer names row 1 of 1")),
        ("row-twice", End::Trap("answer names row 0 twice")),
        ("row-kept-and-refused", End::Trap("answer names row 0 twice")),
        ("quality-unknown", End::Trap("answer has")),
        ("own-foreign", End::Trap("on point 0, which the plugin did not declare")),
        ("own-late", End::Trap("later than now")),
        ("own-nan", End::Trap("not finite")),
        ("own-unequal", End::Trap("columns of unequal length")),
        ("own-kind", End::Trap("unknown kind 77")),
        ("own-text", End::Trap("others out of step")),
        ("own-bad", End::Trap("answer has")),
        ("snapshot-huge", End::Trap("snapshot:")),
        ("snapshot-large", End::Trap("snapshot:")),
        ("snapshot-over", End::Trap("snapshot has 262145 bytes (limit 262144)")),
    ];
    check("answer", &table).await;
}

#[tokio::test]
async fn no_flood_comes_through() {
    let table = [
        ("log-storm", End::Trap("makes more than 10000 host calls")),
        ("metric-storm", End::Trap("makes more than 10000 host calls")),
        ("log-many", End::Pass("")),
        ("log-long", End::Trap("process:")),
        ("log-out", End::Trap("process:")),
        ("log-level", End::Trap("process:")),
        ("log-not-utf8", End::Trap("process:")),
        ("metric-names", End::Pass("")),
        ("points-many", End::Pass("")),
        ("points-storm", End::NoStart("makes more than 10000 host calls")),
        ("points-late", End::Pass("")),
        ("tick-often", End::Refused("plugin-settings", "asks for ticks each 1 ms")),
    ];
    check("flood", &table).await;
}

#[tokio::test]
async fn a_trap_is_told_of_as_what_it_is() {
    let table = [
        ("trap-start", End::NoStart("unreachable")),
        ("trap-init", End::NoStart("unreachable")),
        ("trap-process", End::Trap("unreachable")),
        ("trap-division", End::Trap("divide by zero")),
        ("trap-number", End::Trap("invalid conversion to integer")),
        ("trap-null", End::Trap("uninitialized element")),
        ("trap-each-third", End::Pass("")),
        ("trap-on-one", End::Pass("")),
    ];
    check("trap", &table).await;
}

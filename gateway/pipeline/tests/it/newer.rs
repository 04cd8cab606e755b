//! A component that is older than the newest version that a hub speaks. There is one version yet, so what is newer is made up:
//! `newer.wit` beside this file; the tests of `plugins/wit` hold that it is an upgrade. Bindings and look-ups are as the host has them.

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, Store};

use crate::contract::kept;

mod bindings {
    wasmtime::component::bindgen!({
        path: "tests/it/newer.wit",
        world: "stateful-filter",
        imports: { default: trappable },
    });
}

use bindings::StatefulFilter;
use bindings::curb::plugin::{labels, log, metrics, points, types};
use bindings::exports::curb::plugin::{state, transform};

/// What the plugin has asked for.
#[derive(Default)]
struct Guest {
    declared: Vec<String>,
    counted: u64,
}

impl types::Host for Guest {}

impl points::Host for Guest {
    fn declare(
        &mut self,
        name: String,
        _: Option<String>,
        _: String,
        _: points::Class,
    ) -> wasmtime::Result<Result<u32, String>> {
        self.declared.push(name);
        Ok(Ok(7))
    }
}

impl log::Host for Guest {
    fn log(&mut self, _: log::Level, _: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl metrics::Host for Guest {
    fn counter_add(&mut self, _: String, n: u64) -> wasmtime::Result<()> {
        self.counted += n;
        Ok(())
    }

    fn gauge_set(&mut self, _: String, _: f64) -> wasmtime::Result<()> {
        Ok(())
    }

    fn counter_reset(&mut self, _: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl labels::Host for Guest {
    fn label(&mut self, _: String, _: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

#[test]
fn a_component_of_the_last_version_runs_where_a_newer_one_is_spoken() {
    let engine = Engine::new(&Config::new()).unwrap();
    let component = Component::from_file(&engine, kept("0.1.0", "tally")).unwrap();
    let mut linker = Linker::new(&engine);
    StatefulFilter::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest).unwrap();
    let pre = linker.instantiate_pre(&component).unwrap();
    let transform = transform::GuestIndices::new(&pre).unwrap();
    assert!(component.get_export_index(None, "curb:plugin/state@0.1.1").is_some(), "found by the newer name");
    let state = state::GuestIndices::new(&pre).unwrap();

    let mut store = Store::new(&engine, Guest::default());
    let instance = pre.instantiate(&mut store).unwrap();
    let transform = transform.load(&mut store, &instance).unwrap();
    let state = state.load(&mut store, &instance).unwrap();
    let inputs = vec![types::Point { id: 1, name: "meter/power".to_owned(), unit: None }];
    let setup = transform::Setup { config: r#"{"every": 2}"#.to_owned(), inputs, seed: vec![0; 32] };
    transform.call_init(&mut store, &setup).unwrap().unwrap();
    assert_eq!(store.data().declared, ["total"]);

    let now = types::Now { time: 9, utc_offset: None };
    let rows = types::Columns {
        points: vec![1; 3],
        times: vec![7, 8, 9],
        values: vec![1.0; 3],
        kinds: vec![3; 3],
        quality: vec![0; 3],
        others: vec![],
    };
    let emission = transform.call_process(&mut store, now, &rows).unwrap().unwrap();
    assert_eq!((emission.keep, emission.add.points, emission.add.values), (vec![1], vec![7], vec![2.0]));
    let saved = state.call_snapshot(&mut store).unwrap().unwrap();
    assert_eq!((saved.version, saved.data[0]), (1, 3), "it has seen three");
}

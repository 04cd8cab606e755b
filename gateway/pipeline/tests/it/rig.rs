//! A pipeline between two ends that the test holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use curb_model::{
    Batch, Class, Glob, HubClock, HubTime, Name, Point, PointName, PointSet, Reading, Sample, Stream, Value, ValueType,
};
use curb_pipeline::{
    Bundle, Config, Engine, Health, HostCommand, Leaving, Limits, OnFailure, Pipeline, PluginConfig, Policy,
    STATE_EVERY,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Longest wait for anything: a loaded machine is slow, a broken pipeline is for ever.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Rig {
    pub(crate) pipeline: Pipeline,
    pub(crate) clock: HubClock,
    input: Option<mpsc::Sender<Batch>>,
    output: mpsc::Receiver<Leaving>,
    points: PointSet,
    cache: TempDir,
    /// What plugins have given out for the next run.
    pub(crate) states: States,
    /// What was made of what they could not handle.
    pub(crate) bundles: Vec<Bundle>,
    policy: Policy,
}

/// What is kept between runs.
pub(crate) type States = BTreeMap<Name, Arc<[u8]>>;

/// Where a built component is.
pub(crate) fn component(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../plugins/target/components/{name}.wasm"));
    assert!(path.exists(), "{} is not there: run `make plugins` first", path.display());
    path
}

/// A plugin that lets pass what it cannot handle.
pub(crate) fn plugin(name: &str, file: &str, points: &str, settings: serde_json::Value) -> PluginConfig {
    PluginConfig {
        name: Name::new(name).unwrap(),
        component: component(file),
        points: vec![Glob::parse(points).unwrap()],
        settings,
        seed: b"secret of a test".to_vec(),
        engine: Engine::default(),
        on_failure: OnFailure::Pass,
        limits: Limits::default(),
    }
}

pub(crate) fn point(name: &str) -> Arc<Point> {
    let name = PointName::parse(name).unwrap();
    let stream = Stream::device(name.owner());
    Arc::new(Point { name, stream, class: Class::Data, unit: None, value_type: ValueType::F64, range: None })
}

impl Rig {
    pub(crate) fn start(plugins: Vec<PluginConfig>) -> Self {
        Self::start_with(plugins, States::new())
    }

    /// With a host that waits behind this socket.
    pub(crate) fn start_behind(plugins: Vec<PluginConfig>, socket: &Path) -> Self {
        Self::begin(Policy::default(), plugins, States::new(), Some(socket), HubTime::ZERO)
    }

    /// Where an earlier run has stopped.
    pub(crate) fn start_with(plugins: Vec<PluginConfig>, states: States) -> Self {
        Self::start_at(plugins, states, HubTime::ZERO)
    }

    /// On a hub that has run for so long.
    pub(crate) fn start_at(plugins: Vec<PluginConfig>, states: States, now: HubTime) -> Self {
        Self::begin(Policy::default(), plugins, states, None, now)
    }

    /// Where not all may leave the hub.
    pub(crate) fn start_under(policy: Policy, plugins: Vec<PluginConfig>) -> Self {
        Self::begin(policy, plugins, States::new(), None, HubTime::ZERO)
    }

    fn begin(policy: Policy, plugins: Vec<PluginConfig>, states: States, socket: Option<&Path>, now: HubTime) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let clock = HubClock::starting_at(now);
        let points: PointSet = ["meter/power", "meter/volts", "air/pm", "air/text"].map(point).into_iter().collect();
        let (input, to_pipeline) = mpsc::channel(16);
        let (from_pipeline, output) = mpsc::channel(16);
        let mut config = config(plugins, &cache, policy.clone());
        config.host.socket = socket.map(Path::to_owned);
        let before = states.clone();
        let pipeline =
            Pipeline::start(config, points.clone(), clock.clone(), before, to_pipeline, from_pipeline).unwrap();
        Self { pipeline, clock, input: Some(input), output, points, cache, states, bundles: Vec::new(), policy }
    }

    pub(crate) fn apply(&self, plugins: Vec<PluginConfig>) {
        self.pipeline.apply(config(plugins, &self.cache, self.policy.clone()), self.points.clone()).unwrap();
    }

    pub(crate) fn reading(&self, name: &str, sample: Sample) -> Reading {
        let point = self.points.get(&PointName::parse(name).unwrap()).unwrap();
        Reading { point: Arc::clone(point), at: self.clock.now(), sample }
    }

    pub(crate) fn number(&self, name: &str, number: f64) -> Reading {
        self.reading(name, Sample::Good(Value::from_f64(number).unwrap()))
    }

    pub(crate) async fn send(&self, device: &str, readings: Vec<Reading>) {
        let batch = Batch::read(Stream::device(&Name::new(device).unwrap()), Class::Data, None, readings);
        self.input.as_ref().unwrap().send(batch).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> Batch {
        loop {
            match tokio::time::timeout(PATIENCE, self.output.recv()).await {
                Ok(Some(Leaving::Batch(batch))) => {
                    assert!(batch.closes(), "{batch:?}");
                    return batch;
                }
                Ok(Some(Leaving::State { plugin, bytes })) => drop(self.states.insert(plugin, bytes)),
                Ok(Some(Leaving::Forget { plugin })) => drop(self.states.remove(&plugin)),
                Ok(Some(Leaving::Bundle(bundle))) => self.bundles.push(*bundle),
                Ok(None) => panic!("the pipeline ended: {:?}", self.pipeline.health()),
                Err(_) => panic!("nothing came: {:?}", self.pipeline.health()),
            }
        }
    }

    /// Sends readings and gives what comes of them.
    pub(crate) async fn through(&mut self, device: &str, readings: Vec<Reading>) -> Batch {
        self.send(device, readings).await;
        self.receive().await
    }

    pub(crate) fn health(&self) -> Health {
        self.pipeline.health()
    }

    pub(crate) async fn eventually(&self, what: &str, holds: impl Fn(&Health) -> bool) -> Health {
        self.within(PATIENCE, what, holds).await
    }

    pub(crate) async fn within(&self, patience: Duration, what: &str, holds: impl Fn(&Health) -> bool) -> Health {
        let deadline = Instant::now() + patience;
        loop {
            let health = self.health();
            if holds(&health) {
                return health;
            }
            assert!(Instant::now() < deadline, "not {what}: {health:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the input and gives what was still on its way.
    pub(crate) async fn end(self) -> Vec<Batch> {
        self.end_with_states().await.0
    }

    /// And what the next run is to start with.
    pub(crate) async fn end_with_states(self) -> (Vec<Batch>, States) {
        let (rest, states, _) = self.drain().await;
        (rest, states)
    }

    /// Ends the input and gives what was made of what plugins could not handle.
    pub(crate) async fn end_with_bundles(self) -> Vec<Bundle> {
        self.drain().await.2
    }

    async fn drain(mut self) -> (Vec<Batch>, States, Vec<Bundle>) {
        drop(self.input.take());
        let mut rest = Vec::new();
        let drain = async {
            while let Some(leaving) = self.output.recv().await {
                match leaving {
                    Leaving::Batch(batch) => {
                        assert!(batch.closes(), "{batch:?}");
                        rest.push(batch);
                    }
                    Leaving::State { plugin, bytes } => drop(self.states.insert(plugin, bytes)),
                    Leaving::Forget { plugin } => drop(self.states.remove(&plugin)),
                    Leaving::Bundle(bundle) => self.bundles.push(*bundle),
                }
            }
            self.pipeline.join().await;
        };
        tokio::time::timeout(PATIENCE, drain).await.expect("the pipeline ends after its input");
        (rest, self.states, self.bundles)
    }
}

/// The host of this crate's tests.
pub(crate) fn host() -> HostCommand {
    HostCommand { exe: PathBuf::from(env!("CARGO_BIN_EXE_pipeline-test-host")), socket: None }
}

fn config(plugins: Vec<PluginConfig>, cache: &TempDir, policy: Policy) -> Config {
    let host = host();
    let (bundles, cache) = (Some(cache.path().join("bundles")), cache.path().join("components"));
    Config { plugins, host, cache, bundles, policy, state_every: STATE_EVERY }
}

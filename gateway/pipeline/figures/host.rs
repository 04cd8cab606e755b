//! What plugins cost as they run on a hub: in a host that is `curb plugin-host`, asked by a pipeline.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use curb_model::{
    Batch, Class, Glob, HubClock, HubTime, Name, Point, PointName, PointSet, Reading, Sample, Stream, Value, ValueType,
};
use curb_pipeline::{
    Config, Engine, HostCommand, Leaving, Limits, OnFailure, Pipeline, PluginConfig, Policy, STATE_EVERY,
};
use tokio::sync::mpsc;

use crate::{Bench, ROUND, ROUNDS, ROWS, TIMES, names, tell, values};

type Done<T = ()> = Result<T, Box<dyn Error>>;

/// An epoch of the host's.
const EPOCH: Duration = Duration::from_millis(5);

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pipeline between two ends.
struct Hub {
    pipeline: Pipeline,
    clock: HubClock,
    points: Vec<Arc<Point>>,
    input: mpsc::Sender<Batch>,
    output: mpsc::Receiver<Leaving>,
}

impl Hub {
    fn start(bench: &Bench, cache: &Path, plugins: Vec<PluginConfig>) -> Done<Self> {
        let points: Vec<Arc<Point>> = names().iter().map(|name| point(name)).collect::<Done<_>>()?;
        let clock = HubClock::starting_at(HubTime::ZERO);
        let (input, to_pipeline) = mpsc::channel(64);
        let (from_pipeline, output) = mpsc::channel(64);
        let set: PointSet = points.iter().cloned().collect();
        let config = config(bench, cache, plugins);
        let pipeline = Pipeline::start(config, set, clock.clone(), BTreeMap::new(), to_pipeline, from_pipeline)?;
        Ok(Self { pipeline, clock, points, input, output })
    }

    fn batch(&self, values: &[f64]) -> Done<Batch> {
        let at = self.clock.now();
        let reading = |(point, value): (&Arc<Point>, &f64)| {
            Some(Reading { point: Arc::clone(point), at, sample: Sample::Good(Value::from_f64(*value)?) })
        };
        let readings = self.points.iter().zip(values).filter_map(reading).collect();
        Ok(Batch::read(Stream::device(&Name::new("meter")?), Class::Data, None, readings))
    }

    async fn send(&self, values: &[f64]) -> Done {
        Ok(self.input.send(self.batch(values)?).await?)
    }

    async fn receive(&mut self) -> Done<Batch> {
        loop {
            match tokio::time::timeout(PATIENCE, self.output.recv()).await? {
                Some(Leaving::Batch(batch)) => return Ok(batch),
                Some(Leaving::State { .. } | Leaving::Forget { .. } | Leaving::Bundle(_)) => {}
                None => return Err("the pipeline ended".into()),
            }
        }
    }

    /// Sends a batch and waits until it has come through whole.
    async fn through(&mut self, values: &[f64]) -> Done {
        self.send(values).await?;
        let kept = self.receive().await?.readings.len();
        if kept == values.len() {
            Ok(())
        } else {
            Err(format!("{kept} of {} came: {:?}", values.len(), self.pipeline.health()).into())
        }
    }

    async fn end(mut self) -> Done {
        drop(self.input);
        while self.output.recv().await.is_some() {}
        self.pipeline.join().await;
        Ok(())
    }
}

fn point(name: &str) -> Done<Arc<Point>> {
    let name = PointName::parse(name)?;
    let stream = Stream::device(name.owner());
    Ok(Arc::new(Point { name, stream, class: Class::Data, unit: None, value_type: ValueType::F64, range: None }))
}

fn config(bench: &Bench, cache: &Path, plugins: Vec<PluginConfig>) -> Config {
    let host = HostCommand { exe: bench.curb.clone(), socket: None };
    let (cache, policy) = (cache.to_owned(), Policy::default());
    Config { plugins, host, cache, bundles: None, policy, state_every: STATE_EVERY }
}

fn plugin(bench: &Bench, name: &str, component: &str, settings: &str) -> Done<PluginConfig> {
    Ok(PluginConfig {
        name: Name::new(name)?,
        component: bench.component(component),
        points: vec![Glob::parse("meter/*")?],
        settings: serde_json::from_str(settings)?,
        seed: vec![0; 32],
        engine: Engine::default(),
        on_failure: OnFailure::Drop,
        limits: Limits::default(),
    })
}

fn deadbands(bench: &Bench, count: usize) -> Done<Vec<PluginConfig>> {
    (0..count).map(|number| plugin(bench, &format!("quiet{number}"), "deadband", "{\"default\":0.5}")).collect()
}

pub(super) async fn measure(bench: &Bench) -> Done {
    let folder = std::env::temp_dir().join(format!("curb-figures-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let cache = folder.join("cache");
    starts(bench, &cache).await?;
    data_path(bench, &cache).await?;
    memory(bench, &cache).await?;
    spinner(bench, &cache).await?;
    swap(bench, &cache).await?;
    Ok(fs::remove_dir_all(&folder)?)
}

/// From nothing to the first reading behind a plugin: a process, its plugin compiled or loaded from the cache, one batch.
async fn starts(bench: &Bench, cache: &Path) -> Done {
    for (name, is_cold) in [("start-ms.compiled", true), ("start-ms.cached", false)] {
        let mut best = f64::INFINITY;
        for _ in 0..TIMES {
            if is_cold && cache.exists() {
                fs::remove_dir_all(cache)?;
            }
            let begun = Instant::now();
            let mut hub = Hub::start(bench, cache, deadbands(bench, 1)?)?;
            hub.through(&values(1, 0)).await?;
            best = best.min(begun.elapsed().as_secs_f64() * 1e3);
            hub.end().await?;
        }
        tell(name, best)?;
    }
    Ok(())
}

/// A batch at a time, from the input to the output: there is nothing else to do, so all waking up is in it.
async fn data_path(bench: &Bench, cache: &Path) -> Done {
    for (name, count) in [("no-plugin-ns", 0), ("through-host-ns", 1), ("through-host-of-three-ns", 3)] {
        let mut hub = Hub::start(bench, cache, deadbands(bench, count)?)?;
        let mut batch = 0;
        for rows in ROWS {
            let both = [0, 1].map(|batch| values(rows, batch));
            let mut best = f64::INFINITY;
            for _ in 0..ROUNDS {
                let (begun, mut times) = (Instant::now(), 0_u32);
                while begun.elapsed() < ROUND {
                    batch += 1;
                    hub.through(&both[batch % 2]).await?;
                    times += 1;
                }
                best = best.min(begun.elapsed().as_secs_f64() * 1e9 / f64::from(times));
            }
            tell(&format!("{name}.{rows}"), best / f64::from(u16::try_from(rows)?))?;
        }
        hub.end().await?;
    }
    Ok(())
}

/// What the kernel says of the host when its plugins have come from the cache and have done something.
async fn memory(bench: &Bench, cache: &Path) -> Done {
    for count in [1, 10, 20] {
        let mut hub = Hub::start(bench, cache, deadbands(bench, count)?)?;
        for batch in 0..20 {
            hub.through(&values(100, batch)).await?;
        }
        let pid = hub.pipeline.health().host_pid.ok_or("there is no host")?;
        let of = |file: &str, key: &str| -> Done<f64> {
            let text = fs::read_to_string(format!("/proc/{pid}/{file}"))?;
            let line = text.lines().find_map(|line| line.strip_prefix(key)).ok_or("the kernel does not say")?;
            Ok(line.trim().trim_end_matches(" kB").parse()?)
        };
        tell(&format!("host-rss-kb.{count}"), of("smaps_rollup", "Rss:")?)?;
        tell(&format!("host-pss-kb.{count}"), of("smaps_rollup", "Pss:")?)?;
        tell(&format!("host-own-kb.{count}"), of("smaps_rollup", "Private_Dirty:")?)?;
        tell(&format!("host-virtual-kb.{count}"), of("status", "VmPeak:")?)?;
        hub.end().await?;
    }
    Ok(())
}

/// How long beyond its limit a plugin runs that never stops: it does so twice for each batch.
async fn spinner(bench: &Bench, cache: &Path) -> Done {
    let bad = plugin(bench, "bad", "hostile", "{\"attack\":\"spin\"}")?;
    let limit = bad.limits.call_time;
    let mut all = Vec::new();
    for _ in 0..TIMES {
        let mut hub = Hub::start(bench, cache, vec![bad.clone()])?;
        while hub.pipeline.health().plugins.values().any(|plugin| plugin.state != curb_pipeline::PluginState::Running) {
            tokio::time::sleep(EPOCH).await;
        }
        let begun = Instant::now();
        hub.send(&values(1, 0)).await?;
        drop(hub.receive().await?);
        let beyond = begun.elapsed().saturating_sub(2 * limit) / 2;
        all.push(beyond.as_secs_f64() / EPOCH.as_secs_f64());
        hub.end().await?;
    }
    all.sort_by(f64::total_cmp);
    Ok(tell("spinner-epochs", all[all.len() / 2])?)
}

/// Settings change 50 times under 10 batches of 100 readings each: what was lost, what came twice or out of its order, how long the
/// longest took.
async fn swap(bench: &Bench, cache: &Path) -> Done {
    const CHANGES: usize = 50;
    let settings = |change: usize| plugin(bench, "quiet", "deadband", &format!("{{\"default\":0.{}}}", 1 + change % 9));
    let mut hub = Hub::start(bench, cache, vec![settings(0)?])?;
    hub.through(&values(100, 1)).await?;
    let (mut sent, mut wrong, mut longest) = (0_usize, 0_usize, Duration::ZERO);
    for change in 0..CHANGES {
        let mut expected = Vec::new();
        for batch in 0..10 {
            if batch == 5 {
                let set: PointSet = hub.points.iter().cloned().collect();
                hub.pipeline.apply(config(bench, cache, vec![settings(change + 1)?]), set)?;
            }
            expected.push((values(100, batch), Instant::now()));
            hub.send(&values(100, batch)).await?;
        }
        for (values, begun) in expected {
            let batch = hub.receive().await?;
            longest = longest.max(begun.elapsed());
            let came: Vec<f64> = batch.readings.iter().filter_map(|r| r.sample.value()?.as_f64()).collect();
            sent += values.len();
            wrong += values.len().max(came.len()) - values.iter().zip(&came).filter(|(a, b)| a == b).count();
        }
    }
    tell("swap-changes", f64::from(u16::try_from(CHANGES)?))?;
    tell("swap-readings", f64::from(u32::try_from(sent)?))?;
    tell("swap-wrong", f64::from(u32::try_from(wrong)?))?;
    tell("swap-longest-ms", longest.as_secs_f64() * 1e3)?;
    hub.end().await
}

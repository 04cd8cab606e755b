//! Whoever commands a hub: `mosquitto_rr`, which knows MQTT 5's requests and responses.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use street::Process;

use crate::mosquitto::next_number;
use crate::site::{HUB, SITE};
use crate::{Mosquitto, PATIENCE, Site};

/// What is sent besides the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How<'a> {
    /// As `WIRE.md` asks for, with this correlation data.
    Id(&'a str),
    /// Without any.
    NoId,
    /// With this, to `cmd/<command>`.
    Other {
        /// The last level of the topic.
        command: &'a str,
        /// Correlation data.
        id: &'a str,
    },
}

/// Sends commands with the ingester's certificate.
#[derive(Debug)]
pub struct Operator<'a> {
    site: &'a Site,
    broker: &'a Mosquitto,
}

/// Now, in decimal seconds.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "stands for a core, which has a clock of its own")]
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs_f64()
}

impl<'a> Operator<'a> {
    /// One that speaks through `broker`.
    #[must_use]
    pub const fn new(site: &'a Site, broker: &'a Mosquitto) -> Self {
        Self { site, broker }
    }

    /// Writes with ten seconds of time: the answer.
    ///
    /// # Panics
    /// None comes.
    pub async fn write(&self, id: &str, point: &str, value: Value) -> Value {
        self.ask(How::Id(id), &json!({"v": 1, "point": point, "value": value, "deadline": now() + 10.0}).to_string())
            .await
    }

    /// Sends a request of which no answer is wanted.
    ///
    /// # Panics
    /// The broker does not take it.
    pub async fn send(&self, id: &str, payload: &str) {
        self.publish(id, payload, &[]).await;
    }

    /// Leaves a request at the broker for whoever subscribes later, to be answered on `reply`.
    ///
    /// # Panics
    /// The broker does not take it.
    pub async fn leave(&self, id: &str, payload: &str, reply: &str) {
        self.publish(id, payload, &["-r", "-D", "publish", "response-topic", reply]).await;
    }

    async fn publish(&self, id: &str, payload: &str, more: &[&str]) {
        let name = format!("pub-{}", next_number());
        let topic = format!("curb/v1/{SITE}/{HUB}/cmd/write");
        let port = self.broker.port().to_string();
        let file = |file: &str| self.site.core(file).display().to_string();
        let (roots, certificate, key) = (file("roots.pem"), file("ingest.crt"), file("ingest.key"));
        let mut arguments = vec!["-h", "localhost", "-p", &port, "-V", "5", "-q", "1"];
        arguments.extend(["--cafile", &roots, "--cert", &certificate, "--key", &key]);
        arguments.extend(["-t", &topic, "-m", payload, "-D", "publish", "correlation-data", id]);
        arguments.extend(more);
        let run = Process::run(&name, Path::new("/usr/bin/mosquitto_pub"), &arguments, self.site.path(), PATIENCE);
        let (status, out) = run.await.expect("run mosquitto_pub");
        assert!(status.success(), "mosquitto_pub: {status}: {}", String::from_utf8_lossy(&out));
    }

    /// Sends any request: the answer.
    ///
    /// # Panics
    /// None comes, or it is no JSON.
    pub async fn ask(&self, how: How<'_>, payload: &str) -> Value {
        let name = format!("rr-{}", next_number());
        let (command, id) = match how {
            How::Id(id) => ("write", Some(id)),
            How::NoId => ("write", None),
            How::Other { command, id } => (command, Some(id)),
        };
        let topic = format!("curb/v1/{SITE}/{HUB}/cmd/{command}");
        let reply = format!("curb/v1/{SITE}/{HUB}/reply/{name}");
        let (port, patience) = (self.broker.port().to_string(), PATIENCE.as_secs().to_string());
        let file = |file: &str| self.site.core(file).display().to_string();
        let (roots, certificate, key) = (file("roots.pem"), file("ingest.crt"), file("ingest.key"));
        let mut arguments = vec!["-h", "localhost", "-p", &port, "-q", "1", "-W", &patience];
        arguments.extend(["--cafile", &roots, "--cert", &certificate, "--key", &key]);
        arguments.extend(["-t", &topic, "-e", &reply, "-m", payload]);
        if let Some(id) = id {
            arguments.extend(["-D", "publish", "correlation-data", id]);
        }
        let run = Process::run(&name, Path::new("/usr/bin/mosquitto_rr"), &arguments, self.site.path(), PATIENCE);
        let (status, out) = run.await.expect("run mosquitto_rr");
        let text = String::from_utf8_lossy(&out);
        assert!(status.success(), "mosquitto_rr: {status}: {text}\n{}", self.broker.process().tail());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("answer: {e}: {text:?}"))
    }
}

//! A hub: `curb run` as a process, with its config, its state and its control socket in a folder of the test.

use std::path::PathBuf;

use serde_json::Value;
use street::{Process, binary, eventually};

use crate::{Mosquitto, PATIENCE, Site};

/// A hub that runs, or has run.
#[derive(Debug)]
pub struct Hub {
    folder: PathBuf,
    /// Put before `curb` on its command line: `faketime …`.
    wrapper: Vec<String>,
    process: Option<Process>,
}

impl Hub {
    /// Writes the config: the sections that every test needs, then `rest` (buses, devices, plugins, and keys of other
    /// sections). Does not start it.
    ///
    /// # Panics
    /// The file cannot be written.
    #[must_use]
    pub fn new(site: &Site, broker: &Mosquitto, rest: &str) -> Self {
        Self::with_core(site, &broker.url(), rest)
    }

    /// The same with any address of the core.
    ///
    /// # Panics
    /// The file cannot be written.
    #[must_use]
    pub fn with_core(site: &Site, url: &str, rest: &str) -> Self {
        let folder = site.path().join("hub");
        std::fs::create_dir_all(folder.join("run")).expect("make the hub's folder");
        let hub = Self { folder, wrapper: Vec::new(), process: None };
        hub.configure(site, url, rest);
        hub
    }

    /// Writes the config anew; the running hub takes it at the next [`Hub::reload`].
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn configure(&self, site: &Site, url: &str, rest: &str) {
        let path = |file: &str| site.hub(file).display().to_string();
        let folder = self.folder.display();
        let text = format!(
            "[hub]\nsite = \"port-credit\"\n\n[core]\nurl = \"{url}\"\nreconnect_spread = \"1s\"\nretry = \"1s\"\n\n\
             [identity]\nkey = \"{}\"\ncertificate = \"{}\"\nroots = \"{}\"\n\n\
             [paths]\nstate = \"{folder}/state\"\nrun = \"{folder}/run\"\ncache = \"{folder}/cache\"\n\n\
             [clock]\ntrust = \"system\"\n\n{rest}",
            path("hub.key"),
            path("hub.crt"),
            path("roots.pem"),
        );
        std::fs::write(self.config(), text).expect("write the hub's config");
    }

    /// The config file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("curb.toml")
    }

    /// Puts a program before `curb`: `["faketime", "1970-01-01"]`.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Starts `curb run` and waits until it answers.
    ///
    /// # Panics
    /// It does not.
    pub async fn start(&mut self) {
        let curb = binary("curb").expect("curb is built").display().to_string();
        let config = self.config().display().to_string();
        let mut words = self.wrapper.clone();
        words.extend([curb, "run".to_owned(), "--config".to_owned(), config]);
        words.extend(["--run-dir".to_owned(), self.folder.join("run").display().to_string()]);
        let program = PathBuf::from(words.remove(0));
        let process = Process::start("curb", &program, words, &self.folder).expect("start curb");
        let socket = self.folder.join("run/control.sock");
        let answers = || std::os::unix::net::UnixStream::connect(&socket).ok();
        eventually(PATIENCE, "curb answers", &[&process], answers).await.expect("curb starts");
        self.process = Some(process);
    }

    /// The process.
    ///
    /// # Panics
    /// It has not been started.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the hub runs")
    }

    /// Everything that it has logged, in all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("curb.log")).unwrap_or_default()
    }

    /// Waits until it has logged `word`.
    ///
    /// # Panics
    /// It does not in time.
    pub async fn logs(&self, word: &str) {
        let said = || self.log().contains(word).then_some(());
        eventually(PATIENCE, &format!("{word} in the log"), &[self.process()], said).await.expect("the log says so");
    }

    /// SIGKILL, and what is left of it is gone.
    ///
    /// # Panics
    /// It cannot be killed.
    pub async fn kill(&mut self) {
        self.process.as_mut().expect("the hub runs").kill().await.expect("kill curb");
        self.process = None;
    }

    /// SIGTERM, and waits for its end: the exit code.
    ///
    /// # Panics
    /// It does not end.
    pub async fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take().expect("the hub runs");
        process.terminate().expect("signal curb");
        process.wait(PATIENCE).await.expect("curb ends").code()
    }

    /// `curb <arguments>`, with the hub's run folder where the command has one: exit code and stdout, with stderr behind it
    /// where it could not do what it was asked for.
    ///
    /// # Panics
    /// It does not end.
    pub async fn curb(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let (curb, run_dir) = (binary("curb").expect("curb is built"), self.run_dir());
        let words = words(arguments, &run_dir);
        let (status, out) = Process::run_told("tool", &curb, words, &self.folder, PATIENCE).await.expect("run curb");
        (status.code(), out)
    }

    /// The same, with stdout alone: what a program behind a pipe gets.
    ///
    /// # Panics
    /// It does not end.
    pub async fn prints(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let (curb, run_dir) = (binary("curb").expect("curb is built"), self.run_dir());
        let words = words(arguments, &run_dir);
        let (status, out) = Process::run("tool", &curb, words, &self.folder, PATIENCE).await.expect("run curb");
        (status.code(), String::from_utf8_lossy(&out).into_owned())
    }

    fn run_dir(&self) -> String {
        self.folder.join("run").display().to_string()
    }

    /// `curb status --json`.
    ///
    /// # Panics
    /// It prints no JSON.
    pub async fn status(&self) -> Value {
        let (_, out) = self.curb(&["status", "--json"]).await;
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("status: {e}: {out}\n{}", self.process().tail()))
    }

    /// Waits until `curb status` shows what `look` wants to see.
    ///
    /// # Panics
    /// It does not show it in time.
    pub async fn shows<T>(&self, what: &str, mut look: impl FnMut(&Value) -> Option<T>) -> T {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status = self.status().await;
            if let Some(found) = look(&status) {
                return found;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "status never showed {what}: {status:#}\n{}",
                self.process().tail()
            );
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Waits until a fault of this word stands: its subject and detail.
    ///
    /// # Panics
    /// It does not in time.
    pub async fn fault(&self, word: &str) -> (String, String) {
        self.shows(&format!("the fault {word}"), |status| {
            let fault = status["faults"].as_array()?.iter().find(|fault| fault["word"] == word)?;
            Some((fault["subject"].as_str()?.to_owned(), fault["detail"].as_str()?.to_owned()))
        })
        .await
    }

    /// Waits until no fault of this word stands.
    ///
    /// # Panics
    /// It stands too long.
    pub async fn no_fault(&self, word: &str) {
        self.shows(&format!("the end of the fault {word}"), |status| {
            status["faults"].as_array()?.iter().all(|fault| fault["word"] != word).then_some(())
        })
        .await;
    }
}

/// With the run folder, for the commands that talk to the daemon.
fn words<'a>(arguments: &[&'a str], run_dir: &'a str) -> Vec<&'a str> {
    let mut words = arguments.to_vec();
    if matches!(arguments.first(), Some(&"status" | &"tap" | &"reload")) {
        words.extend(["--run-dir", run_dir]);
    }
    words
}

//! The broker of a soak: a program that we did not write, on mutual TLS, killed and started again on its port.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::Error;
use crate::process::Process;

/// Where Debian has it.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";
/// Where `make soak BROKER=…` has built the others, from the root of the repository.
const OTHERS: &str = "tests/brokers/target/debug";

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Debian's mosquitto.
    #[default]
    Mosquitto,
    /// The broker of the crate mqtt5.
    Mqtt5,
    /// rumqttd.
    Rumqttd,
}

/// A word that names no broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}", Kind::ALL.map(Kind::as_str).join(", "))]
pub struct ParseKindError;

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mosquitto, Self::Mqtt5, Self::Rumqttd];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::Mqtt5 => "mqtt5",
            Self::Rumqttd => "rumqttd",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ParseKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(ParseKindError)
    }
}

/// The broker, and how to start it again.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) port: u16,
    program: PathBuf,
    arguments: Vec<OsString>,
    folder: PathBuf,
    name: String,
    process: Process,
    /// How often it ended without having been killed.
    pub(super) fell: u32,
}

impl Broker {
    /// Starts it with the core's certificates of `ca`, what it needs and says in `folder`.
    pub(super) fn start(kind: Kind, ca: &Path, folder: &Path) -> Result<Self, Error> {
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let free = TcpListener::bind(address).and_then(|listener| listener.local_addr());
        let port = free.map_err(|source| Error::Listen { address, source })?.port();
        let (program, arguments) = match kind {
            Kind::Mosquitto => (PathBuf::from(MOSQUITTO), vec!["-c".into(), mosquitto(port, ca, folder)?.into()]),
            Kind::Mqtt5 | Kind::Rumqttd => {
                let file = |name: &str| ca.join("core").join(name).into_os_string();
                let address = format!("127.0.0.1:{port}").into();
                let arguments = vec![address, file("core.crt"), file("core.key"), file("roots.pem")];
                (PathBuf::from(OTHERS).join(format!("{kind}-broker")), arguments)
            }
        };
        let name = kind.to_string();
        let process = Process::start(&name, &program, &arguments, folder)?;
        Ok(Self { port, program, arguments, folder: folder.to_owned(), name, process, fell: 0 })
    }

    /// SIGKILL, and a new one in its place.
    pub(super) async fn kill(&mut self) -> Result<(), Error> {
        self.process.kill().await?;
        self.again()
    }

    /// Starts it again if it has fallen.
    pub(super) fn look(&mut self) -> Result<(), Error> {
        if self.process.ended()?.is_some() {
            self.fell += 1;
            self.again()?;
        }
        Ok(())
    }

    pub(super) const fn process(&self) -> &Process {
        &self.process
    }

    fn again(&mut self) -> Result<(), Error> {
        self.process = Process::start(&self.name, &self.program, &self.arguments, &self.folder)?;
        Ok(())
    }
}

/// Writes mosquitto's settings. It remembers nothing: what it had taken when it is killed is gone.
fn mosquitto(port: u16, ca: &Path, folder: &Path) -> Result<PathBuf, Error> {
    let file = |name: &str| ca.join("core").join(name).display().to_string();
    let text = format!(
        "listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\ntls_version tlsv1.3\nrequire_certificate true\n\
         use_identity_as_username true\nallow_anonymous false\npersistence false\nlog_type error\nlog_type warning\nuser root\n",
        file("roots.pem"),
        file("core.crt"),
        file("core.key"),
    );
    let path = folder.join("mosquitto.conf");
    fs::write(&path, text).map_err(Error::file(&path))?;
    Ok(path)
}

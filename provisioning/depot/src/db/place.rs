//! Where the database is: what `--db` says. Pure. A password in it is never shown.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use postgres::config::Host;

/// A server that does not answer a connection attempt for this long is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the database is.
#[derive(Clone)]
pub(crate) enum Place {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL server.
    Server {
        /// What to connect with; may hold a password.
        config: Box<postgres::Config>,
        /// For people: without a password.
        shown: String,
    },
}

/// Why `--db` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("expected a file, or postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE")]
    Scheme,
    #[error("expected postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE")]
    Url(#[source] postgres::Error),
    #[error("no database is named; end the URL with /DATABASE")]
    NoDatabase,
    #[error("no user is named; write postgres://USER@…")]
    NoUser,
    #[error(
        "host {0} is not this machine, and the connection is not encrypted; use a Unix socket \
         (postgres://USER@%2Frun%2Fpostgresql/DATABASE), loopback, or a tunnel"
    )]
    NotLocal(String),
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return if text.contains("://") { Err(PlaceError::Scheme) } else { Ok(Self::File(PathBuf::from(text))) };
        }
        let mut config: postgres::Config = text.parse().map_err(PlaceError::Url)?;
        let database = config.get_dbname().ok_or(PlaceError::NoDatabase)?.to_owned();
        let user = config.get_user().ok_or(PlaceError::NoUser)?.to_owned();
        if let Some(stranger) = config.get_hosts().iter().find_map(not_local) {
            return Err(PlaceError::NotLocal(stranger));
        }
        if let Some(stranger) = config.get_hostaddrs().iter().find(|address| !address.is_loopback()) {
            return Err(PlaceError::NotLocal(stranger.to_string()));
        }
        let hosts: Vec<String> = config.get_hosts().iter().map(host_text).collect();
        let shown = format!("postgres://{user}@{}/{database}", hosts.join(","));
        config.connect_timeout(CONNECT_TIMEOUT).application_name("depot");
        Ok(Self::Server { config: Box::new(config), shown })
    }
}

/// What was given, fit to be shown: a URL without its password.
pub(crate) fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let Some((who, place)) = rest.rsplit_once('@') else { return text.to_owned() };
    let user = who.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}@{place}")
}

/// The host's name if it is another machine.
fn not_local(host: &Host) -> Option<String> {
    match host {
        Host::Unix(_) => None,
        Host::Tcp(name) => {
            let local = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
            (!local).then(|| name.clone())
        }
    }
}

fn host_text(host: &Host) -> String {
    match host {
        Host::Unix(path) => path.display().to_string(),
        Host::Tcp(name) => name.clone(),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server { shown, .. } => f.write_str(shown),
        }
    }
}

/// Without the password.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

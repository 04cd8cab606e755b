//! The hub's secret: what plugins make noise from, so that it can be replayed here and predicted nowhere else. It is drawn once, lies
//! in the state folder for the daemon's user alone, and never leaves the hub; a plugin gets a seed of its own that is made of it.
//!
//! Deliberately absent: the hub's identity. A secret that is lost costs noise that begins anew, and no name.

use std::path::Path;

use aws_lc_rs::hmac;
use curb_durable::{Error, File};
use curb_model::{Fault, Name, Room};
use curb_pipeline::Config;

const FILE: &str = "secret";

const BYTES: usize = 32;

/// The secret.
pub(crate) struct Secret {
    bytes: Vec<u8>,
    /// It was lost, or is not kept.
    pub(crate) fault: Option<Fault>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl Secret {
    /// What lies in the state folder; drawn, if nothing does.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub(crate) fn open(state: &Path) -> Result<Self, getrandom::Error> {
        let file = File::new(state.join(FILE));
        let lost = match file.read() {
            Ok(Some(read)) if read.bytes.len() == BYTES => return Ok(Self::new(&read.bytes, None)),
            Ok(Some(read)) => Some(format!("found {} bytes, expected {BYTES}", read.bytes.len())),
            Ok(None) => None,
            Err(error @ Error::Damaged { .. }) => Some(crate::chain(&error)),
            // The file is there and the disk does not give it: it is left for the next start, and this one does without.
            Err(error) => {
                return Ok(Self::new(&draw()?, Some(("secret-not-kept", crate::chain(&error)))));
            }
        };
        let bytes = draw()?;
        let fault = match file.write(&bytes) {
            Ok(()) => lost.map(|why| ("secret-lost", why)),
            Err(error) => Some(("secret-not-kept", crate::chain(&error))),
        };
        Ok(Self::new(&bytes, fault))
    }

    fn new(bytes: &[u8], fault: Option<(&'static str, String)>) -> Self {
        let fault = fault.map(|(word, why)| {
            let then = "plugins make their noise from another secret than before";
            Fault { room: Room::Pipeline, subject: "secret".to_owned(), word, detail: format!("{why}; {then}") }
        });
        if let Some(fault) = &fault {
            tracing::error!("{fault}");
        }
        Self { bytes: bytes.to_vec(), fault }
    }

    /// The configuration, with a seed for each plugin.
    pub(crate) fn seeded(&self, mut config: Config) -> Config {
        for plugin in &mut config.plugins {
            plugin.seed = self.seed(&plugin.name);
        }
        config
    }

    /// HMAC-SHA256 (RFC 2104) over the plugin's name.
    fn seed(&self, plugin: &Name) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes);
        hmac::sign(&key, format!("plugin {plugin}").as_bytes()).as_ref().to_vec()
    }
}

fn draw() -> Result<[u8; BYTES], getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn seed(secret: &Secret, plugin: &str) -> Vec<u8> {
        secret.seed(&Name::new(plugin).unwrap())
    }

    #[test]
    fn a_plugin_has_one_seed_on_a_hub_and_no_two_share_it() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = Secret::open(folder.path()).unwrap();
        let again = Secret::open(folder.path()).unwrap();
        assert_eq!((first.fault.as_ref(), again.fault.as_ref()), (None, None));
        assert_eq!((seed(&first, "crowd"), seed(&first, "crowd").len()), (seed(&again, "crowd"), 32));
        assert_ne!(seed(&first, "crowd"), seed(&first, "crowd-2"));
        assert_ne!(seed(&first, "crowd"), seed(&Secret::open(other.path()).unwrap(), "crowd"));
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }

    #[test]
    fn a_secret_that_is_lost_is_drawn_anew_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let first = Secret::open(folder.path()).unwrap();
        fs::write(folder.path().join(FILE), b"rubbish").unwrap();
        let second = Secret::open(folder.path()).unwrap();
        assert_eq!(second.fault.as_ref().map(|fault| fault.word), Some("secret-lost"));
        assert_ne!(seed(&first, "crowd"), seed(&second, "crowd"));
        let third = Secret::open(folder.path()).unwrap();
        assert_eq!((third.fault.is_none(), seed(&third, "crowd")), (true, seed(&second, "crowd")));
        // A folder that takes nothing: the hub runs, and says so.
        let fourth = Secret::open(Path::new("/proc/none")).unwrap();
        assert_eq!(fourth.fault.map(|fault| fault.word), Some("secret-not-kept"));
    }
}

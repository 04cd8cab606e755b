//! The hub's name: from its certificate, or the one that it last had.
//!
//! Messages carry the hub's name, so nothing can be kept without one. A certificate that is expired or does not fit its
//! key still names the hub; a file that is gone does not, and then the name that worked last is used.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use curb_durable::File;
use curb_identity::Identity;
use curb_model::{Fault, Name};

use crate::config::Settings;

/// Below the state folder.
const FILE: &str = "hub-name";

/// The identity's files as the settings name them.
pub(crate) fn files(settings: &Settings) -> curb_identity::Config {
    curb_identity::Config {
        key: settings.identity.key.clone(),
        certificate: settings.identity.certificate.clone(),
        roots: settings.identity.roots.clone(),
        site: Some(settings.hub.site.clone()),
    }
}

/// Tells one content of the identity's files from another. Not a secret and not a proof: it decides whether to look again.
pub(crate) fn fingerprint(settings: &Settings) -> u64 {
    let curb_identity::Config { key, certificate, roots, site: _ } = files(settings);
    let mut hasher = DefaultHasher::new();
    for path in [key, certificate, roots] {
        std::fs::read(path).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// The hub's name.
///
/// # Errors
/// The certificate does not tell, and the hub has never had one: the fault of the identity.
pub(crate) fn name(settings: &Settings, identity: &Result<Identity, Fault>) -> Result<Name, Fault> {
    let fault = match identity {
        Ok(identity) => return Ok(identity.hub.clone()),
        Err(fault) => fault,
    };
    // Neither the date nor the site matters for the name.
    let lenient = curb_identity::Config { site: None, ..files(settings) };
    if let Ok(identity) = curb_identity::load(&lenient, None) {
        return Ok(identity.hub);
    }
    remembered(settings).ok_or_else(|| fault.clone())
}

fn remembered(settings: &Settings) -> Option<Name> {
    let read = File::new(settings.paths.state.join(FILE)).read().ok()??;
    Name::new(std::str::from_utf8(&read.bytes).ok()?).ok()
}

/// Keeps the name for a start without a certificate.
pub(crate) fn remember(settings: &Settings, hub: &Name) {
    if remembered(settings).as_ref() == Some(hub) {
        return;
    }
    if let Err(error) = File::new(settings.paths.state.join(FILE)).write(hub.as_str().as_bytes()) {
        tracing::warn!("failed to remember the hub's name: {}", crate::chain(&error));
    }
}

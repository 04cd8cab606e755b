//! Where the core is: an address as it is dialled.

use std::fmt;

/// A host and a port. As text an IPv6 address has its brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or address, IPv6 without brackets; of a core as it stands in its certificate.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Address {
    /// This port of this host.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

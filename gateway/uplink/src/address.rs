//! Where the core is, and what stands before it: an address as it is dialled, a proxy, and what the proxy wants to know.

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

/// An HTTP proxy that passes connections on when it is asked with CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where it is.
    pub address: Address,
    /// Who it is told that we are. None: it is told nothing.
    pub login: Option<Login>,
}

/// A user and a password, which nothing here prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user; has no colon.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

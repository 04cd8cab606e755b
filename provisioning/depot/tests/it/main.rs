//! The real `depot` against parts that we did not write: openssl, mosquitto, PostgreSQL, and mosquitto's own clients.

// `cfg(test)` holds here anyway; it tells the lints that helpers, too, are tests.
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod group;
#[cfg(test)]
mod peers;

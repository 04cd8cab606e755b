//! The source against ports that come and go, units that misbehave, and servers that we did not write.
//!
//! Each module says `cfg(test)`, which is always so here, for the lints that spare tests.

#[cfg(test)]
mod peers;
#[cfg(test)]
mod ports;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod reloads;
#[cfg(test)]
mod rtu;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod street;
#[cfg(test)]
mod talker;
#[cfg(test)]
mod write;

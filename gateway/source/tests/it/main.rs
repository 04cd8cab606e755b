//! The source against ports that come and go, units that misbehave, and servers that we did not write.

mod peers;
mod reload;
mod rtu;
mod street;
mod talker;

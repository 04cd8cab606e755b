//! The pipeline with its real child process and real components.
//!
//! Wants the components of `plugins/`, built by `make plugins`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod attacks;
mod confine;
mod contract;
mod deadband;
mod examine;
mod examples;
mod floods;
mod fuzz;
mod guest;
mod hostile;
mod life;
mod newer;
mod rig;
mod runner;
mod shapes;
mod standard;
mod state;
mod traps;

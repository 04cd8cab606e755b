//! The pipeline with its real child process and real components.
//!
//! Wants the components of `plugins/`, built by `make plugins`.

mod deadband;
mod hostile;
mod life;
mod rig;

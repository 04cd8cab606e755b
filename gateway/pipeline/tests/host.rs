//! The plugin host as a program, for the tests of this crate.

fn main() -> std::process::ExitCode {
    curb_pipeline::plugin_host()
}

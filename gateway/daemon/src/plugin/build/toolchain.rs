//! Which compiler makes components here, and what is missing if none does. `route` decides (pure).
//!
//! 1. The toolchain at hand, if it has the target: rustup adds it with one command.
//! 2. Debian's rustc-web, cargo-web and rust-web-src, which carry the source of their own standard library.
//!
//! Both link with wasm-component-ld, which makes a component of a module in one step. The same as `plugins/build`.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::TARGET;

/// Where Debian's compiler is.
const DEBIAN: &str = "/usr";

/// The linker that makes components.
const LINKER: &str = "wasm-component-ld";

/// What is not there, and what would bring it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::plugin) enum Missing {
    #[error("there is no Rust here; install it from https://rustup.rs, then `rustup target add {TARGET}`")]
    Rust,
    #[error("Rust has not the target here; `rustup target add {TARGET}` brings it")]
    Target,
    #[error(
        "Rust has not the target here; `rustup target add {TARGET}` brings it, or \
         `apt-get install rustc-web cargo-web rust-web-src` another Rust"
    )]
    TargetOnDebian,
    #[error(
        "there is no {LINKER}; rustup brings it with Rust, else `apt-get install lld` and `cargo install {LINKER}`"
    )]
    Linker,
}

/// What was found on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Found {
    /// There is a compiler at all.
    rust: bool,
    /// It has the target.
    target: bool,
    linker: Option<PathBuf>,
    /// There is Debian's, with the source of its standard library.
    debian: bool,
    /// There is apt.
    apt: bool,
}

/// How components are built here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Toolchain {
    linker: PathBuf,
    /// Debian's compiler makes its own standard library.
    builds_std: bool,
}

impl Toolchain {
    /// Looks for a compiler, as the project's folder would have it.
    ///
    /// # Errors
    /// There is none that could build a component.
    pub(in crate::plugin) fn find(dir: &Path) -> Result<Self, Missing> {
        let sysroot = sysroot(dir);
        let libraries = sysroot.as_ref().map(|sysroot| sysroot.join("lib/rustlib"));
        let in_path = |program: &str| {
            let paths = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|file| file.is_file())
        };
        let debian = Path::new(DEBIAN);
        route(&Found {
            rust: sysroot.is_some(),
            target: libraries.as_ref().is_some_and(|libraries| libraries.join(TARGET).is_dir()),
            linker: libraries.and_then(|libraries| brought(&libraries).ok().flatten()).or_else(|| in_path(LINKER)),
            debian: debian.join("bin/cargo").is_file() && debian.join("lib/rustlib/src/rust").is_dir(),
            apt: in_path("apt-get").is_some(),
        })
    }

    /// Cargo in the project's folder, so that it builds components.
    pub(in crate::plugin) fn cargo(&self, dir: &Path) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(dir).env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &self.linker);
        if self.builds_std {
            // rustup's compiler shows its linker the way to wasm-ld; Debian's does not know it.
            let wasm_ld = self.linker.with_file_name("gcc-ld");
            let known = std::env::var_os("PATH").unwrap_or_default();
            let paths = [Path::new(DEBIAN).join("bin"), wasm_ld].into_iter().chain(std::env::split_paths(&known));
            let path = std::env::join_paths(paths).unwrap_or(known);
            cargo.env("PATH", path).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        }
        cargo
    }
}

/// The way to a component, or what there is to do first.
fn route(found: &Found) -> Result<Toolchain, Missing> {
    if !found.rust && !found.debian {
        return Err(Missing::Rust);
    }
    if !found.target && !found.debian {
        return Err(if found.apt { Missing::TargetOnDebian } else { Missing::Target });
    }
    let linker = found.linker.clone().ok_or(Missing::Linker)?;
    Ok(Toolchain { linker, builds_std: !found.target })
}

/// Where the compiler keeps its libraries; `None`: there is no compiler.
fn sysroot(dir: &Path) -> Option<PathBuf> {
    let asked = Command::new("rustc").args(["--print", "sysroot"]).current_dir(dir).stderr(Stdio::inherit()).output();
    let said = asked.ok().filter(|output| output.status.success())?.stdout;
    let path = String::from_utf8(said).ok()?;
    Some(PathBuf::from(OsString::from(path.trim())))
}

/// The linker that rustup brings, in the folder of this machine's own target.
fn brought(libraries: &Path) -> io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(libraries)? {
        let linker = entry?.path().join("bin").join(LINKER);
        if linker.is_file() {
            return Ok(Some(linker));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_what_brings_it() {
        let linker = Some(PathBuf::from("/there/wasm-component-ld"));
        let all = Found { rust: true, target: true, linker: linker.clone(), debian: true, apt: true };
        let cases = [
            (Found { debian: false, ..all.clone() }, Ok(false)),
            // The toolchain at hand is better than Debian's, which builds std first.
            (all.clone(), Ok(false)),
            (Found { target: false, ..all.clone() }, Ok(true)),
            (Found { rust: false, target: false, ..all.clone() }, Ok(true)),
            (Found { rust: false, debian: false, ..all.clone() }, Err("https://rustup.rs")),
            (Found { target: false, debian: false, ..all.clone() }, Err("rustc-web")),
            (Found { target: false, debian: false, apt: false, ..all.clone() }, Err("rustup target add")),
            (Found { linker: None, ..all.clone() }, Err("cargo install wasm-component-ld")),
        ];
        for (found, expected) in cases {
            let got = route(&found).map(|toolchain| toolchain.builds_std).map_err(|missing| missing.to_string());
            match (&got, expected) {
                (Ok(builds_std), Ok(expected)) => assert_eq!(*builds_std, expected, "{found:?}"),
                (Err(text), Err(words)) => assert!(text.contains(words), "{found:?}: {text}"),
                _ => panic!("{found:?}: {got:?}, expected {expected:?}"),
            }
        }
        let text = route(&Found { target: false, debian: false, apt: false, ..all }).unwrap_err().to_string();
        assert!(!text.contains("apt-get"), "{text}");
    }
}

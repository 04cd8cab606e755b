//! Puts the author's crate and the contract (`plugins/sdk`, `plugins/wit`) into the binary, so that `curb plugin new` needs nothing
//! else. A list by hand would miss the file that is added next.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins").canonicalize()?;
    let mut files = vec![plugins.join("sdk/Cargo.toml")];
    collect(&plugins.join("sdk/src"), "rs", &mut files)?;
    collect(&plugins.join("wit"), "wit", &mut files)?;
    files.sort();
    let mut list = "[\n".to_owned();
    for file in &files {
        let below = file.strip_prefix(&plugins).map_err(io::Error::other)?;
        writeln!(list, "    ({below:?}, include_str!({file:?})),").map_err(io::Error::other)?;
    }
    list.push(']');
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo names no OUT_DIR"))?;
    std::fs::write(Path::new(&out).join("sdk.rs"), list)?;
    tell(&format!("cargo::rerun-if-changed={}", plugins.join("sdk").display()))?;
    tell(&format!("cargo::rerun-if-changed={}", plugins.join("wit").display()))
}

/// All files of this kind in the folder and below it.
fn collect(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, extension, files)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    Ok(())
}

fn tell(line: &str) -> io::Result<()> {
    use io::Write as _;
    writeln!(io::stdout(), "{line}")
}

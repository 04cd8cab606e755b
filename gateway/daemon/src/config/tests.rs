//! Promises of the configuration, one file per promise.

mod any;
mod devices;
mod editor;
mod example;
mod fits;
mod last_good;
mod layers;
mod points;
mod problems;
mod profiles;
mod proxy;
mod talkers;

use std::path::Path;

use super::{Loaded, Problem, Sources, load};

/// The least that a hub needs, in four lines.
const LEAST: &str = "[hub]\nsite = \"elm-street\"\n[core]\nurl = \"mqtts://core.example\"\n";

/// A folder with a main file and drop-ins.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(main: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("conf.d")).unwrap();
        std::fs::write(folder.path().join("curb.toml"), main).unwrap();
        Self(folder)
    }

    fn with(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.0.path().join(name), text).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn sources(&self) -> Sources {
        Sources::new(self.path().join("curb.toml"))
    }

    fn load(&self) -> Loaded {
        load(&self.sources())
    }

    /// As they are shown, with the folder left out.
    fn show(&self, problems: &[Problem]) -> String {
        let folder = format!("{}/", self.path().display());
        let lines: Vec<_> = problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect();
        lines.join("\n")
    }
}

/// Problems and warnings of `text` below the least configuration, so that its first line is line 5.
fn check(text: &str, expected: &str) {
    let folder = Folder::new(&format!("{LEAST}{text}"));
    let loaded = folder.load();
    let shown = [folder.show(&loaded.problems), folder.show(&loaded.warnings)].join("\n");
    assert_eq!(shown.trim(), expected, "problems of\n{text}");
    assert_eq!(loaded.settings.is_some(), loaded.problems.is_empty(), "settings of\n{text}");
}

/// A device on a line, in seven more lines; the keys of its point come next.
const LINE: &str =
    "[bus.b]\nserial = \"/dev/rs485\"\nbaud = 9600\n[device.d]\nbus = \"b\"\nunit_id = 1\n[device.d.point.p]\n";

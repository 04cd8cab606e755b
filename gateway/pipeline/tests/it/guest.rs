//! Components with one thing wrong, put together from the text in `plugins/hostile`.

use std::path::{Path, PathBuf};

/// A plugin with one thing wrong.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    /// Where an attack puts text: into the module with the memory, the module with the code, and beside both.
    base: String,
    core: String,
    component: String,
    frame: String,
}

/// A file of `plugins/hostile`.
fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/hostile").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Guest {
    /// The attack of this name, `FAMILY/NAME`: a section of `attacks/FAMILY.wat`.
    pub(crate) fn attack(name: &str) -> Self {
        let (family, section) = name.split_once('/').unwrap();
        let attacks = text(&format!("attacks/{family}.wat"));
        let header = format!("\n;;; {section}\n");
        let (_, found) = attacks.split_once(&header).unwrap_or_else(|| panic!("no attack {name}"));
        // It ends where the next one begins; `;;; @core` is a place within it.
        let end = found.match_indices("\n;;; ").find(|(at, _)| !found[at + 5..].starts_with('@')).map(|(at, _)| at);
        Self::of(&found[..end.unwrap_or(found.len())])
    }

    /// All attacks of a family.
    pub(crate) fn names(family: &str) -> Vec<String> {
        let attacks = text(&format!("attacks/{family}.wat"));
        attacks
            .lines()
            .filter_map(|line| line.strip_prefix(";;; "))
            .filter(|n| !n.starts_with('@'))
            .map(str::to_owned)
            .collect()
    }

    /// This text is in the module with the code, or behind `;;; @base` and `;;; @component` elsewhere.
    pub(crate) fn of(attack: &str) -> Self {
        let mut guest =
            Self { base: String::new(), core: String::new(), component: String::new(), frame: text("frame.wat") };
        let mut place = &mut guest.core;
        for line in attack.lines() {
            match line.strip_prefix(";;; @") {
                Some("base") => place = &mut guest.base,
                Some("core") => place = &mut guest.core,
                Some("component") => place = &mut guest.component,
                Some(other) => panic!("no place {other}"),
                None => {
                    place.push_str(line);
                    place.push('\n');
                }
            }
        }
        guest
    }

    /// Nothing wrong, but that it is in a frame with this in the place of that.
    pub(crate) fn framed(from: &str, to: &str) -> Self {
        let guest = Self::of("");
        let frame = guest.frame.replace(from, to);
        assert_ne!(frame, guest.frame, "the frame has no {from}");
        Self { frame, ..guest }
    }

    /// The component's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let stateful = ["(func $snapshot", "(func $restore"].iter().any(|function| self.core.contains(function));
        let defaults = Self::of(&text("defaults.wat"));
        let component = if stateful { text("state.wat") + &self.component } else { self.component.clone() };
        let text = self
            .frame
            .replace(";; {base}", &over(&defaults.base, &self.base))
            .replace(";; {core}", &over(&defaults.core, &self.core))
            .replace(";; {component}", &component);
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{self:?}"))
    }

    /// The component as a file in this folder.
    pub(crate) fn file(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(format!("{}.wasm", name.replace('/', "-")));
        std::fs::write(&path, self.to_bytes()).unwrap();
        path
    }
}

/// The attack's text, and the functions that it does not have as they are by default: each begins a line.
fn over(defaults: &str, attack: &str) -> String {
    let mut text = attack.to_owned();
    let mut rest = defaults.trim_start_matches(|c| c != '(');
    while !rest.is_empty() {
        let end = rest.find("\n(").map_or(rest.len(), |at| at + 1);
        let (function, behind) = rest.split_at(end);
        let name = function.split([' ', ')']).nth(1).unwrap();
        if !attack.contains(&format!("(func {name} ")) {
            text.push_str(function);
        }
        rest = behind;
    }
    text
}

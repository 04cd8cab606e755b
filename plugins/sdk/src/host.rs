//! What a plugin may ask of its hub. Where no hub is (tests on the author's machine), a notebook takes it down.

#[cfg(target_arch = "wasm32")]
pub(crate) use component::{counter_add, declare, gauge_set, log};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use notebook::{counter_add, declare, gauge_set, log};

#[cfg(target_arch = "wasm32")]
mod component {
    pub(crate) use crate::bindings::curb::plugin::log::log;
    pub(crate) use crate::bindings::curb::plugin::metrics::{counter_add, gauge_set};
    pub(crate) use crate::bindings::curb::plugin::points::declare;
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod notebook {
    //! As a hub would answer, within its bounds.

    use std::cell::RefCell;

    use crate::Class;
    use crate::bindings::curb::plugin::log::Level;

    /// A point that was declared.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Declared {
        pub(crate) name: String,
        pub(crate) output: String,
        pub(crate) class: Class,
    }

    /// Numbers of declared points begin here: behind those of any test's inputs.
    pub(crate) const FIRST: u32 = 1_000;

    thread_local! {
        pub(crate) static DECLARED: RefCell<Vec<Declared>> = const { RefCell::new(Vec::new()) };
        pub(crate) static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
        pub(crate) static METRICS: RefCell<Vec<(String, f64)>> = const { RefCell::new(Vec::new()) };
    }

    pub(crate) fn declare(name: &str, _: Option<&str>, output: &str, class: Class) -> Result<u32, String> {
        let is_name = |text: &str| {
            let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            plain && (1..=32).contains(&text.len())
        };
        if let Some(wrong) = [name, output].into_iter().find(|text| !is_name(text)) {
            return Err(["found ", wrong, ", expected 1 to 32 of a-z, 0-9 and -"].concat());
        }
        DECLARED.with_borrow_mut(|declared| {
            let new = Declared { name: name.to_owned(), output: output.to_owned(), class };
            let place = declared.iter().position(|known| known.name == name).unwrap_or_else(|| {
                declared.push(new.clone());
                declared.len() - 1
            });
            if declared[place] != new {
                return Err([name, " was declared otherwise"].concat());
            }
            u32::try_from(place).map(|place| FIRST + place).map_err(|_| "too many points".to_owned())
        })
    }

    pub(crate) fn log(_: Level, message: &str) {
        LINES.with_borrow_mut(|lines| lines.push(message.to_owned()));
    }

    #[expect(clippy::cast_precision_loss, reason = "a test counts less far")]
    pub(crate) fn counter_add(name: &str, n: u64) {
        METRICS.with_borrow_mut(|metrics| match metrics.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += n as f64,
            None => metrics.push((name.to_owned(), n as f64)),
        });
    }

    pub(crate) fn gauge_set(name: &str, value: f64) {
        METRICS.with_borrow_mut(|metrics| match metrics.iter_mut().find(|(known, _)| known == name) {
            Some((_, now)) => *now = value,
            None => metrics.push((name.to_owned(), value)),
        });
    }
}

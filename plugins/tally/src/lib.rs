//! Counts the readings that it sees and forgets none: each `every`-th passes, with the count so far on a point of its own.
//! For tests of state that outlives a plugin: a count that is told twice, or falls behind, shows at the core.
//!
//! `{ "every": 10 }`; `{ "attack": "snapshot-large" }` and the like break one rule of state at a time.

use curb_plugin::{Class, Filter, Now, Out, PointId, Quality, Rows, Saved, Setup, Stateful, Value};

/// What a snapshot may have, and one byte.
const TOO_LARGE: usize = (256 << 10) + 1;

struct Tally {
    own: PointId,
    every: u64,
    attack: String,
    seen: u64,
    restored: bool,
}

impl Tally {
    fn is(&self, attack: &str) -> bool {
        self.attack == attack
    }
}

impl Filter for Tally {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a setting of a test")]
    fn init(setup: &Setup) -> Result<Self, String> {
        let mut settings = setup.settings()?;
        let every = settings.number("every")?.unwrap_or(1.0).max(1.0) as u64;
        let attack = settings.text("attack")?.unwrap_or_default();
        let own = setup.declare("total", None, "count", Class::Data)?;
        Ok(Self { own, every, attack, seen: 0, restored: false })
    }

    #[expect(clippy::cast_precision_loss, reason = "a test counts less far")]
    fn process(&mut self, _: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        assert!(!(self.restored && self.is("poisoned")), "this state kills");
        for row in rows {
            self.seen += 1;
            if self.seen.is_multiple_of(self.every) {
                out.keep(&row);
                out.add(self.own, row.at, Some(Value::Number(self.seen as f64)), Quality::GOOD);
            }
        }
        Ok(())
    }
}

impl Stateful for Tally {
    fn snapshot(&self) -> Result<Saved, String> {
        assert!(!self.is("snapshot-trap"), "as asked");
        if self.is("snapshot-error") {
            return Err("not today".to_owned());
        }
        while self.is("snapshot-spin") {
            std::hint::black_box(&self.seen);
        }
        let mut data = self.seen.to_le_bytes().to_vec();
        data.extend(self.own.0.to_le_bytes());
        if self.is("snapshot-large") {
            data.resize(TOO_LARGE, 0);
        }
        Ok(Saved { version: 1, data })
    }

    fn restore(&mut self, saved: Saved) -> Result<(), String> {
        assert!(!self.is("restore-trap"), "as asked");
        if self.is("restore-error") {
            return Err("found what I wrote, expected something else".to_owned());
        }
        while self.is("restore-spin") {
            std::hint::black_box(&self.seen);
        }
        let (seen, own) = saved.data.split_first_chunk().ok_or("found no count")?;
        if saved.version != 1 || own != self.own.0.to_le_bytes() {
            return Err(format!("found version {} and point {own:?}, expected 1 and {:?}", saved.version, self.own));
        }
        (self.seen, self.restored) = (u64::from_le_bytes(*seen), true);
        Ok(())
    }
}

curb_plugin::export_stateful!(Tally);

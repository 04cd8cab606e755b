//! Counts the readings that it sees and forgets none: each `every`-th passes, with the count so far on a point of its own.
//! For tests of state that outlives a plugin: a count that is told twice, or falls behind, shows at the core.
//!
//! `{ "every": 10, "tick_ms": 1000 }`: a tick, and the plugin's last word, tell a count that was not told yet.
//! `{ "attack": "snapshot-large" }` and the like break one rule of state or time at a time.

use curb_plugin::{Class, Filter, Now, Out, PointId, Quality, Rows, Saved, Setup, Stateful, Value};

/// With `"attack": "poison-trap"` or `"poison-error"`: the value that it cannot handle.
const POISON: f64 = 666.0;

/// What a snapshot may have, and one byte.
const TOO_LARGE: usize = (256 << 10) + 1;

struct Tally {
    own: PointId,
    every: u64,
    attack: String,
    tick_ms: u32,
    seen: u64,
    told: u64,
    restored: bool,
}

impl Tally {
    fn is(&self, attack: &str) -> bool {
        self.attack == attack
    }

    #[expect(clippy::cast_precision_loss, reason = "a test counts less far")]
    fn tell(&mut self, at: i64, out: &mut Out) {
        if self.told < self.seen {
            self.told = self.seen;
            out.add(self.own, at, Some(Value::Number(self.seen as f64)), Quality::GOOD);
        }
    }

    /// Breaks a rule in this call, if it is asked to.
    fn attack(&self, call: &str) -> Result<(), String> {
        let Some(attack) = self.attack.strip_prefix(call) else { return Ok(()) };
        assert!(attack != "-trap", "as asked");
        if attack == "-spin" {
            loop {
                std::hint::black_box(&self.seen);
            }
        }
        if attack == "-error" { Err("not today".to_owned()) } else { Ok(()) }
    }
}

impl Filter for Tally {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a setting of a test")]
    fn init(setup: &Setup) -> Result<Self, String> {
        let mut settings = setup.settings()?;
        let every = settings.number("every")?.unwrap_or(1.0).max(1.0) as u64;
        let attack = settings.text("attack")?.unwrap_or_default();
        let tick_ms = settings.number("tick_ms")?.unwrap_or(0.0) as u32;
        let own = setup.declare("total", None, "count", Class::Data)?;
        Ok(Self { own, every, attack, tick_ms, seen: 0, told: 0, restored: false })
    }

    fn process(&mut self, _: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        assert!(!(self.restored && self.is("poisoned")), "this state kills");
        if rows.clone().any(|row| row.value == Some(Value::Number(POISON))) {
            self.attack("poison")?;
        }
        for row in rows {
            self.seen += 1;
            if self.seen.is_multiple_of(self.every) {
                out.keep(&row);
                self.tell(row.at, out);
            }
        }
        Ok(())
    }

    fn tick_ms(&self) -> u32 {
        self.tick_ms
    }

    fn tick(&mut self, now: Now, out: &mut Out) -> Result<(), String> {
        self.attack("tick")?;
        self.tell(now.time, out);
        Ok(())
    }

    fn finish(&mut self, now: Now, out: &mut Out) -> Result<(), String> {
        self.attack("finish")?;
        self.tell(now.time, out);
        Ok(())
    }
}

impl Stateful for Tally {
    fn snapshot(&self) -> Result<Saved, String> {
        self.attack("snapshot")?;
        let mut data = self.seen.to_le_bytes().to_vec();
        data.extend(self.own.0.to_le_bytes());
        data.extend(self.told.to_le_bytes());
        if self.is("snapshot-large") {
            data.resize(TOO_LARGE, 0);
        }
        Ok(Saved { version: 1, data })
    }

    fn restore(&mut self, saved: Saved) -> Result<(), String> {
        self.attack("restore")?;
        let (seen, rest) = saved.data.split_first_chunk().ok_or("found no count")?;
        let (own, told) = rest.split_first_chunk().ok_or("found no point")?;
        if saved.version != 1 || *own != self.own.0.to_le_bytes() {
            return Err(format!("found version {} and point {own:?}, expected 1 and {:?}", saved.version, self.own));
        }
        let told = told.try_into().map_err(|_| "found no count that was told")?;
        (self.seen, self.told, self.restored) = (u64::from_le_bytes(*seen), u64::from_le_bytes(told), true);
        Ok(())
    }
}

curb_plugin::export_stateful!(Tally);

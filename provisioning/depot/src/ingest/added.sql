-- Tables that came after schema.sql was first in use: made in older files, too. Older readers do not miss them.
-- Commands, executed (ok = 1; word says how it is known) or not (word says why). correlation: as the request had it.
CREATE TABLE IF NOT EXISTS audit (
    run         INTEGER NOT NULL REFERENCES run,
    seq         INTEGER NOT NULL,
    time_ms     INTEGER,
    ht          INTEGER NOT NULL,
    origin      TEXT NOT NULL,
    command     TEXT NOT NULL,
    correlation BLOB,
    point       TEXT,
    value,
    ok          INTEGER NOT NULL,
    word        TEXT NOT NULL,
    detail      TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;

-- The ingester's database as version 1 made it; sqlite-2.sql goes on from there. Times ending in _ms are UTC in milliseconds since 1970; ht is hub time in nanoseconds.
CREATE TABLE hub (
    id   INTEGER PRIMARY KEY,
    site TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (site, name)
);
-- One life of a hub's daemon. ended: NULL while nothing told it; else 'clean', 'killed', or 'unknown' where the hub's
-- store was lost with the run's last counters.
CREATE TABLE run (
    id       INTEGER PRIMARY KEY,
    hub      INTEGER NOT NULL REFERENCES hub,
    name     TEXT NOT NULL,
    counter  INTEGER NOT NULL,
    ended    TEXT,
    UNIQUE (hub, name)
);
-- seq, read, filtered, refused: the greatest that any message or record told. delivered: readings held here.
CREATE TABLE stream (
    id         INTEGER PRIMARY KEY,
    run        INTEGER NOT NULL REFERENCES run,
    name       TEXT NOT NULL,
    seq        INTEGER NOT NULL DEFAULT 0,
    read       INTEGER NOT NULL DEFAULT 0,
    filtered   INTEGER NOT NULL DEFAULT 0,
    refused    INTEGER NOT NULL DEFAULT 0,
    delivered  INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0,
    UNIQUE (run, name)
);
-- Which message numbers are held, as intervals: the memory of deduplication. It outlives readings that are deleted.
CREATE TABLE held (
    stream INTEGER NOT NULL REFERENCES stream,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    PRIMARY KEY (stream, first)
) WITHOUT ROWID;
-- read, filtered, refused: the stream's counters as this message told them.
CREATE TABLE message (
    stream      INTEGER NOT NULL REFERENCES stream,
    seq         INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    time_ms     INTEGER,
    readings    INTEGER NOT NULL,
    read        INTEGER NOT NULL,
    filtered    INTEGER NOT NULL,
    refused     INTEGER NOT NULL,
    PRIMARY KEY (stream, seq)
) WITHOUT ROWID;
-- The greatest counters of a stream that run records told on a day (UTC, days since 1970).
CREATE TABLE told (
    stream   INTEGER NOT NULL REFERENCES stream,
    day      INTEGER NOT NULL,
    read     INTEGER NOT NULL,
    filtered INTEGER NOT NULL,
    refused  INTEGER NOT NULL,
    PRIMARY KEY (stream, day)
) WITHOUT ROWID;
CREATE TABLE point (
    id   INTEGER PRIMARY KEY,
    hub  INTEGER NOT NULL REFERENCES hub,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    UNIQUE (hub, name, unit)
);
-- value: NULL where the reading is bad. time_ms: NULL while the hub's clock is not known; ht then says when.
CREATE TABLE reading (
    stream  INTEGER NOT NULL REFERENCES stream,
    seq     INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    point   INTEGER NOT NULL REFERENCES point,
    time_ms INTEGER,
    ht      INTEGER,
    value,
    quality TEXT NOT NULL,
    PRIMARY KEY (stream, seq, n)
) WITHOUT ROWID;
CREATE INDEX reading_of_point ON reading (point, time_ms);
CREATE INDEX reading_undated ON reading (stream) WHERE time_ms IS NULL;
-- stream: the one that readings are missing from. first, last: NULL for readings dropped before they had a number.
CREATE TABLE gap (
    stream      INTEGER NOT NULL REFERENCES stream,
    told_by     INTEGER NOT NULL REFERENCES stream,
    told_seq    INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    first       INTEGER,
    last        INTEGER,
    from_ht     INTEGER NOT NULL,
    to_ht       INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    PRIMARY KEY (stream, told_by, told_seq)
) WITHOUT ROWID;
CREATE TABLE clock (
    run    INTEGER NOT NULL REFERENCES run,
    seq    INTEGER NOT NULL,
    event  TEXT NOT NULL,
    ht     INTEGER NOT NULL,
    utc_offset INTEGER,
    trust  TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
-- What could not be read, once per topic and payload.
CREATE TABLE refused (
    id       INTEGER PRIMARY KEY,
    topic    TEXT NOT NULL,
    payload  BLOB NOT NULL,
    bytes    INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL,
    times    INTEGER NOT NULL DEFAULT 1,
    UNIQUE (topic, payload)
);
CREATE TABLE refused_total (count INTEGER NOT NULL);
INSERT INTO refused_total VALUES (0);
-- The readings with their names, for people and for other programs.
CREATE VIEW readings AS
SELECT hub.site, hub.name AS hub, point.name AS point, reading.time_ms, reading.value, nullif(point.unit, '') AS unit,
       reading.quality, run.name AS run, stream.name AS stream, reading.seq
FROM reading
JOIN stream ON stream.id = reading.stream
JOIN run ON run.id = stream.run
JOIN hub ON hub.id = run.hub
JOIN point ON point.id = reading.point;

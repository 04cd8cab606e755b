-- Version 2: several ingesters, readings that are deleted after a time, views for dashboards, who lost what.
-- Commands, executed (ok = 1; word says how it is known) or not (word says why). correlation: as the request had it.
-- Later files of version 1 have this table already.
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
-- The name belongs to the view that people read.
DROP VIEW readings;
ALTER TABLE reading RENAME TO sample;
-- changes: counts the transactions that changed the row, its intervals or its gaps; who remembers them knows by it whether
-- another ingester was there. receipted: the greatest receipt that was handed out. durable: the last message number that was
-- on the hub's disk when its run was cut off; NULL where nothing told.
ALTER TABLE stream ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN receipted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN durable INTEGER;
-- messages, delivered: those of the day that were deleted because of their age, and the readings in them.
ALTER TABLE told ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE told ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
-- arrived: readings of messages in the gap's range that arrived, and were deleted because of their age.
ALTER TABLE gap ADD COLUMN arrived INTEGER NOT NULL DEFAULT 0;
CREATE INDEX message_of_age ON message (coalesce(time_ms, received_ms));
-- What a hub said of itself last; a will that is older, by run and connection, is left out. queue_…: what waits on it; NULL where it did not say.
CREATE TABLE status (
    hub            INTEGER PRIMARY KEY REFERENCES hub,
    received_ms    INTEGER NOT NULL,
    counter        INTEGER NOT NULL,
    connection     INTEGER NOT NULL,
    online         INTEGER NOT NULL,
    queue_rows     INTEGER,
    queue_readings INTEGER
);
-- For dashboards: see LEDGER.md.
CREATE VIEW reading AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', sample.time_ms / 1000.0, 'unixepoch') AS time,
       hub.site, hub.name AS hub,
       substr(point.name, 1, instr(point.name, '/') - 1) AS device,
       substr(point.name, instr(point.name, '/') + 1) AS point,
       CASE WHEN typeof(sample.value) IN ('integer', 'real') THEN CAST(sample.value AS REAL) END AS value,
       CASE typeof(sample.value) WHEN 'text' THEN sample.value WHEN 'blob' THEN '0x' || lower(hex(sample.value)) END AS text,
       nullif(point.unit, '') AS unit, sample.quality, sample.time_ms
FROM sample JOIN point ON point.id = sample.point JOIN hub ON hub.id = point.hub;
CREATE VIEW point_latest AS
SELECT time, site, hub, device, point, value, text, unit, quality, time_ms FROM (
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', sample.time_ms / 1000.0, 'unixepoch') AS time,
           hub.site, hub.name AS hub,
           substr(point.name, 1, instr(point.name, '/') - 1) AS device,
           substr(point.name, instr(point.name, '/') + 1) AS point,
           CASE WHEN typeof(sample.value) IN ('integer', 'real') THEN CAST(sample.value AS REAL) END AS value,
           CASE typeof(sample.value) WHEN 'text' THEN sample.value WHEN 'blob' THEN '0x' || lower(hex(sample.value)) END AS text,
           nullif(point.unit, '') AS unit, sample.quality, sample.time_ms,
           row_number() OVER (PARTITION BY hub.id, point.name
                              ORDER BY sample.time_ms DESC, sample.stream DESC, sample.seq DESC, sample.n DESC) AS newest
    FROM point JOIN hub ON hub.id = point.hub
    JOIN sample ON sample.point = point.id
               AND sample.time_ms = (SELECT max(time_ms) FROM sample AS other WHERE other.point = point.id)
) WHERE newest = 1;

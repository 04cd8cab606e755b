-- The ingesters' database. Names and meanings are those of SQLite's (sqlite-1.sql, sqlite-2.sql: what each table and column
-- is for stands there); what differs is said here. Times ending in _ms are UTC in milliseconds since 1970.
CREATE TABLE depot (version BIGINT NOT NULL);
INSERT INTO depot VALUES (2);
CREATE TABLE hub (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (site, name)
);
CREATE TABLE run (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hub     BIGINT NOT NULL REFERENCES hub,
    name    TEXT NOT NULL,
    counter BIGINT NOT NULL,
    ended   TEXT,
    UNIQUE (hub, name)
);
-- The row of a stream is its lock: who changes anything of a stream holds it, so each message is stored by one ingester.
CREATE TABLE stream (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run        BIGINT NOT NULL REFERENCES run,
    name       TEXT NOT NULL,
    seq        BIGINT NOT NULL DEFAULT 0,
    read       BIGINT NOT NULL DEFAULT 0,
    filtered   BIGINT NOT NULL DEFAULT 0,
    refused    BIGINT NOT NULL DEFAULT 0,
    delivered  BIGINT NOT NULL DEFAULT 0,
    duplicates BIGINT NOT NULL DEFAULT 0,
    changes    BIGINT NOT NULL DEFAULT 0,
    receipted  BIGINT NOT NULL DEFAULT 0,
    durable    BIGINT,
    UNIQUE (run, name)
);
CREATE TABLE held (
    stream BIGINT NOT NULL REFERENCES stream,
    first  BIGINT NOT NULL,
    last   BIGINT NOT NULL,
    PRIMARY KEY (stream, first)
);
CREATE TABLE message (
    stream      BIGINT NOT NULL REFERENCES stream,
    seq         BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    time_ms     BIGINT,
    readings    BIGINT NOT NULL,
    read        BIGINT NOT NULL,
    filtered    BIGINT NOT NULL,
    refused     BIGINT NOT NULL,
    PRIMARY KEY (stream, seq)
);
CREATE INDEX message_of_age ON message (coalesce(time_ms, received_ms));
CREATE TABLE told (
    stream    BIGINT NOT NULL REFERENCES stream,
    day       BIGINT NOT NULL,
    read      BIGINT NOT NULL,
    filtered  BIGINT NOT NULL,
    refused   BIGINT NOT NULL,
    messages  BIGINT NOT NULL DEFAULT 0,
    delivered BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, day)
);
CREATE TABLE point (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hub  BIGINT NOT NULL REFERENCES hub,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    UNIQUE (hub, name, unit)
);
-- A column has one type here, so a value stands in one of four; all are NULL where the reading is bad. No primary key: a
-- hypertable would want received_ms in it, and a message is stored once because of `held` and the key of `message`.
CREATE TABLE sample (
    stream      BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    n           BIGINT NOT NULL,
    point       BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    time_ms     BIGINT,
    ht          BIGINT,
    whole       BIGINT,
    number      DOUBLE PRECISION,
    text        TEXT,
    bytes       BYTEA,
    quality     TEXT NOT NULL
);
CREATE INDEX sample_of_message ON sample (stream, seq);
CREATE INDEX sample_of_point ON sample (point, time_ms);
CREATE INDEX sample_undated ON sample (stream) WHERE time_ms IS NULL;
CREATE TABLE gap (
    stream      BIGINT NOT NULL REFERENCES stream,
    told_by     BIGINT NOT NULL REFERENCES stream,
    told_seq    BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    reason      TEXT NOT NULL,
    first       BIGINT,
    last        BIGINT,
    from_ht     BIGINT NOT NULL,
    to_ht       BIGINT NOT NULL,
    count       BIGINT NOT NULL,
    arrived     BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, told_by, told_seq)
);
CREATE TABLE clock (
    run        BIGINT NOT NULL REFERENCES run,
    seq        BIGINT NOT NULL,
    event      TEXT NOT NULL,
    ht         BIGINT NOT NULL,
    utc_offset BIGINT,
    trust      TEXT NOT NULL,
    PRIMARY KEY (run, seq)
);
CREATE TABLE audit (
    run         BIGINT NOT NULL REFERENCES run,
    seq         BIGINT NOT NULL,
    time_ms     BIGINT,
    ht          BIGINT NOT NULL,
    origin      TEXT NOT NULL,
    command     TEXT NOT NULL,
    correlation BYTEA,
    point       TEXT,
    value       TEXT,
    ok          BIGINT NOT NULL,
    word        TEXT NOT NULL,
    detail      TEXT NOT NULL,
    PRIMARY KEY (run, seq)
);
CREATE TABLE refused (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic    TEXT NOT NULL,
    payload  BYTEA NOT NULL,
    bytes    BIGINT NOT NULL,
    reason   TEXT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms  BIGINT NOT NULL,
    times    BIGINT NOT NULL DEFAULT 1
);
-- A hash: payloads are longer than a key of a tree may be.
CREATE INDEX refused_payload ON refused USING hash (payload);
CREATE TABLE refused_total (count BIGINT NOT NULL);
INSERT INTO refused_total VALUES (0);
CREATE TABLE status (
    hub            BIGINT PRIMARY KEY REFERENCES hub,
    received_ms    BIGINT NOT NULL,
    counter        BIGINT NOT NULL,
    connection     BIGINT NOT NULL,
    online         BIGINT NOT NULL,
    queue_rows     BIGINT,
    queue_readings BIGINT
);
-- For dashboards: see LEDGER.md. A filter on time_ms uses the index sample_of_point, one on time does not.
CREATE VIEW reading AS
SELECT to_timestamp(sample.time_ms / 1000.0) AS time,
       hub.site, hub.name AS hub,
       split_part(point.name, '/', 1) AS device,
       substr(point.name, strpos(point.name, '/') + 1) AS point,
       coalesce(sample.number, sample.whole::DOUBLE PRECISION) AS value,
       coalesce(sample.text, '0x' || encode(sample.bytes, 'hex')) AS text,
       nullif(point.unit, '') AS unit, sample.quality, sample.time_ms
FROM sample JOIN point ON point.id = sample.point JOIN hub ON hub.id = point.hub;
CREATE VIEW point_latest AS
SELECT DISTINCT ON (hub.site, hub.name, point.name)
       to_timestamp(newest.time_ms / 1000.0) AS time,
       hub.site, hub.name AS hub,
       split_part(point.name, '/', 1) AS device,
       substr(point.name, strpos(point.name, '/') + 1) AS point,
       coalesce(newest.number, newest.whole::DOUBLE PRECISION) AS value,
       coalesce(newest.text, '0x' || encode(newest.bytes, 'hex')) AS text,
       nullif(point.unit, '') AS unit, newest.quality, newest.time_ms
FROM point JOIN hub ON hub.id = point.hub
CROSS JOIN LATERAL (SELECT * FROM sample WHERE sample.point = point.id AND time_ms IS NOT NULL
                    ORDER BY time_ms DESC, stream DESC, seq DESC, n DESC LIMIT 1) AS newest
ORDER BY hub.site, hub.name, point.name, newest.time_ms DESC, point.id DESC;
-- With TimescaleDB in this database (CREATE EXTENSION timescaledb before the first ingester starts) readings are cut
-- into days of their arrival, so that old ones lie apart from those that are written.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('sample', 'received_ms', chunk_time_interval => 86400000::BIGINT);
    END IF;
END $$;

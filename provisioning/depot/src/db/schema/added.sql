-- What a hub's points mean, by its retained table: the unit of what comes without one. '' where it has none.
CREATE TABLE IF NOT EXISTS meaning (
    hub  BIGINT NOT NULL REFERENCES hub,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    PRIMARY KEY (hub, name)
);

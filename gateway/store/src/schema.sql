begin;
create table run (
    counter integer primary key,
    nonce integer not null,
    clean integer not null,
    utc_offset integer
) strict;
create table stream (
    id integer primary key,
    run integer not null,
    name text not null,
    seq integer not null,
    read integer not null,
    filtered integer not null,
    refused integer not null,
    at integer not null,
    rows integer not null,
    bytes integer not null,
    readings integer not null
) strict;
create table message (
    row integer primary key,
    stream integer not null,
    seq integer not null,
    lane integer not null,
    readings integer not null,
    first integer not null,
    last integer not null,
    payload blob not null,
    sum integer
) strict;
create unique index message_identity on message (stream, seq);
create index message_alarm on message (row) where lane = 1;
create index message_released on message (stream) where readings = 0 and lane < 2;
create table aside (
    row integer primary key,
    run text not null,
    stream text not null,
    seq integer not null,
    lane integer not null,
    readings integer not null,
    code integer not null,
    payload blob not null
) strict;
create table plugin (
    name text primary key,
    at integer not null,
    state blob not null,
    sum integer not null
) strict;
pragma application_id = 0x43757262;
pragma user_version = 1;
commit;

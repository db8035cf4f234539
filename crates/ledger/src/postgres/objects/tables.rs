//! The tables of version 3, and what is asked of them.

use super::super::reader::Ask;

/// What version 3 has beside version 2. Whoever appends may take rows out of the log and the bodies only
/// through `shelve`, and by it nothing of which the database does not itself find the digest that the row
/// of the object has.
pub(in super::super) const TABLES_OF_3: &str = "
create table bailiwick_ledger.objects (
    part text not null,
    first bigint not null check (first >= 0),
    ends bigint not null,
    path text not null,
    bytes bigint not null check (bytes > 0),
    sha256 bytea not null check (octet_length(sha256) = 32),
    version text,
    primary key (part, first),
    check (ends > first)
);
create table bailiwick_ledger.envelopes (
    entry bigint primary key check (entry >= 0),
    envelope bytea not null
);
create function bailiwick_ledger.shelve(
    of_part text, from_entry bigint, to_entry bigint, at text, size_put bigint, digest bytea, put_version text
) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    log_ends bigint;
    found bytea;
begin
    select size into log_ends from bailiwick_ledger.head for update;
    if exists (select from bailiwick_ledger.objects where part = of_part and first = from_entry
               and ends = to_entry and path = at and sha256 = digest) then
        return true;
    end if;
    if to_entry >= log_ends then
        return false;
    end if;
    if of_part = 'log' then
        if from_entry <> coalesce((select ends from bailiwick_ledger.objects where part = 'log'
                                   order by first desc limit 1), 0)
           or to_entry is distinct from (select max(first + count) from bailiwick_ledger.frames
                                         where first >= from_entry and first < to_entry) then
            return false;
        end if;
        select sha256(string_agg(bytes, ''::bytea order by first)) into found
            from bailiwick_ledger.frames where first >= from_entry and first < to_entry;
    else
        if exists (select from bailiwick_ledger.disposed where bucket = of_part) then
            return false;
        end if;
        select sha256(string_agg(record, ''::bytea order by entry)) into found
            from bailiwick_ledger.bodies
            where bucket = of_part and entry >= from_entry and entry < to_entry;
    end if;
    if found is distinct from digest then
        return false;
    end if;
    insert into bailiwick_ledger.objects (part, first, ends, path, bytes, sha256, version)
        values (of_part, from_entry, to_entry, at, size_put, digest, put_version);
    if of_part = 'log' then
        -- Byte 35 of an envelope is its class, and 3 what is kept for ever.
        insert into bailiwick_ledger.envelopes (entry, envelope)
            select it.entry, it.bytes from (
                select first + nth as entry, substring(bytes from (211 + nth * 106)::integer for 104) as bytes
                from bailiwick_ledger.frames, generate_series(0, count - 1) as nth
                where first >= from_entry and first < to_entry) as it
            where length(it.bytes) = 104 and get_byte(it.bytes, 35) = 3
            on conflict (entry) do update set envelope = excluded.envelope;
        delete from bailiwick_ledger.frames where first >= from_entry and first < to_entry;
    else
        delete from bailiwick_ledger.bodies
            where bucket = of_part and entry >= from_entry and entry < to_entry;
    end if;
    return true;
end $$;
create function bailiwick_ledger.drop_tile(at_level integer, at_number bigint) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    delete from bailiwick_ledger.tiles where level = at_level and number = at_number
$$;
create function bailiwick_ledger.forget_objects(gone text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from bailiwick_ledger.disposed where bucket = gone) then
        raise insufficient_privilege
            using message = 'nothing says that what lies in this bucket was disposed of';
    end if;
    delete from bailiwick_ledger.objects where part = gone;
end $$;
revoke execute on function bailiwick_ledger.shelve(text, bigint, bigint, text, bigint, bytea, text)
    from public;
revoke execute on function bailiwick_ledger.drop_tile(integer, bigint) from public;
revoke execute on function bailiwick_ledger.forget_objects(text) from public;
";

/// What is asked about objects.
pub(in super::super) const ASKS: [(Ask, &str); 10] = [
    (
        Ask::Object,
        "select part, first, ends, path, bytes, sha256, version from bailiwick_ledger.objects \
         where part = $1 and first <= $2 order by first desc limit 1",
    ),
    (
        Ask::NextObject,
        "select part, first, ends, path, bytes, sha256, version from bailiwick_ledger.objects \
         where part = $1 and ends > $2 and first >= coalesce((select max(first) \
         from bailiwick_ledger.objects where part = $1 and first <= $2), 0) order by first limit 1",
    ),
    (
        Ask::AnyObject,
        "select part, first, ends, path, bytes, sha256, version from bailiwick_ledger.objects limit 1",
    ),
    (
        Ask::Shelved,
        "select ends from bailiwick_ledger.objects where part = 'log' order by first desc limit 1",
    ),
    (Ask::Shelve, "select bailiwick_ledger.shelve($1, $2, $3, $4, $5, $6, $7)"),
    (Ask::ForgetObjects, "select bailiwick_ledger.forget_objects($1)::text"),
    (Ask::KeptEnvelope, "select envelope from bailiwick_ledger.envelopes where entry = $1"),
    (
        Ask::KeptEnvelopes,
        "select entry, envelope from bailiwick_ledger.envelopes \
         where entry >= $1 and entry < $2 order by entry",
    ),
    (
        Ask::FullTiles,
        // Those of the leaves alone: of the levels above there are few, and openings read them.
        "select level, number, hashes from bailiwick_ledger.tiles \
         where level = 0 and (number + 1) * 256 <= $1 order by number limit 64",
    ),
    (Ask::DropTile, "select bailiwick_ledger.drop_tile($1, $2)::text"),
];

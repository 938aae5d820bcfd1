-- schemas: musicbrainz, cover_art, statistics
-- A music encyclopaedia: many entities of one shape (redirects, aliases, tags, edits) written by a generator, collations, unaccented
-- indexes through functions of an extension, check functions over dates, partial and expression indexes by the hundred.
CREATE SCHEMA musicbrainz;
CREATE SCHEMA cover_art;
CREATE SCHEMA statistics;
CREATE COLLATION musicbrainz.musicbrainz (PROVIDER = libc, LOCALE = 'C');
CREATE TEXT SEARCH CONFIGURATION musicbrainz.mb_simple (PARSER = pg_catalog."default");
ALTER TEXT SEARCH CONFIGURATION musicbrainz.mb_simple ADD MAPPING FOR asciiword, word, numword WITH extensions.unaccent, pg_catalog.simple;
CREATE FUNCTION musicbrainz.mb_lower(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT lower($1 COLLATE musicbrainz.musicbrainz) $$;
CREATE FUNCTION musicbrainz.immutable_unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT extensions.unaccent('extensions.unaccent', $1) $$;
CREATE FUNCTION musicbrainz.mb_simple_tsvector(text) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT to_tsvector('musicbrainz.mb_simple', musicbrainz.mb_lower($1)) $$;
CREATE FUNCTION musicbrainz.is_valid_date(y smallint, m smallint, d smallint) RETURNS bool LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN RETURN m IS NULL OR m BETWEEN 1 AND 12 AND (d IS NULL OR d BETWEEN 1 AND extract(day FROM make_date(coalesce(y, 2000), m, 1) + interval '1 month - 1 day')); END $$;
CREATE TYPE musicbrainz.edit_note_status AS ENUM ('deleted', 'edited');
CREATE DOMAIN musicbrainz.gid AS uuid;
SELECT format($f$
CREATE TABLE musicbrainz.%1$s (id serial, gid uuid NOT NULL, name varchar NOT NULL, sort_name varchar COLLATE musicbrainz.musicbrainz, begin_y smallint, begin_m smallint, begin_d smallint, ended bool NOT NULL DEFAULT false,
    comment varchar(255) NOT NULL DEFAULT '', edits_pending int NOT NULL DEFAULT 0 CHECK (edits_pending >= 0), last_updated timestamptz DEFAULT '2024-02-02',
    CONSTRAINT control_for_whitespace CHECK (comment = btrim(comment) AND comment !~ E'\\s{2,}' AND (name <> '' OR ended)), CONSTRAINT %1$s_valid CHECK (musicbrainz.is_valid_date(begin_y, begin_m, begin_d)));
INSERT INTO musicbrainz.%1$s (gid, name, sort_name, begin_y, begin_m, begin_d) SELECT md5('%1$s' || g)::uuid, 'Näme ' || g, 'sort ' || g, 1900 + g %% 100, 1 + g %% 12, 1 + g %% 28 FROM generate_series(1, 300) g;
ALTER TABLE musicbrainz.%1$s ADD CONSTRAINT %1$s_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX %1$s_idx_gid ON musicbrainz.%1$s (gid);
CREATE INDEX %1$s_idx_name ON musicbrainz.%1$s (musicbrainz.mb_lower(name), id DESC) INCLUDE (gid);
CREATE INDEX %1$s_idx_unaccent ON musicbrainz.%1$s (musicbrainz.immutable_unaccent(musicbrainz.mb_lower(name::text)));
CREATE INDEX %1$s_idx_txt ON musicbrainz.%1$s USING gin (musicbrainz.mb_simple_tsvector(name));
CREATE UNIQUE INDEX %1$s_idx_null_comment ON musicbrainz.%1$s (name, gid) WHERE comment = '' OR comment IS NULL AND begin_y BETWEEN 1 AND 1990;
CREATE TABLE musicbrainz.%1$s_gid_redirect (gid uuid PRIMARY KEY, new_id int NOT NULL REFERENCES musicbrainz.%1$s, created timestamptz DEFAULT now());
CREATE TABLE musicbrainz.%1$s_alias (id serial PRIMARY KEY, %1$s int NOT NULL, name varchar NOT NULL, locale text, primary_for_locale bool NOT NULL DEFAULT false, CONSTRAINT primary_check CHECK ((locale IS NULL AND primary_for_locale IS FALSE) OR locale IS NOT NULL));
ALTER TABLE musicbrainz.%1$s_alias ADD CONSTRAINT %1$s_alias_fk FOREIGN KEY (%1$s) REFERENCES musicbrainz.%1$s (id) NOT VALID;
CREATE UNIQUE INDEX %1$s_alias_primary ON musicbrainz.%1$s_alias (%1$s, locale) WHERE primary_for_locale = true AND locale IS NOT NULL;
INSERT INTO musicbrainz.%1$s_alias (%1$s, name, locale) SELECT id, name || ' alias', 'en' FROM musicbrainz.%1$s;
CREATE FUNCTION musicbrainz.a_upd_%1$s() RETURNS trigger LANGUAGE plpgsql AS $g$ BEGIN NEW.last_updated = now(); RETURN NEW; END $g$;
CREATE TRIGGER b_upd BEFORE UPDATE ON musicbrainz.%1$s FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION musicbrainz.a_upd_%1$s();
CREATE VIEW musicbrainz.%1$s_series AS SELECT s.id, s.name, a.name AS alias FROM musicbrainz.%1$s s JOIN musicbrainz.%1$s_alias a ON s.id = a.%1$s WHERE a.locale IN ('en', 'de') AND s.edits_pending NOT IN (1, 2);
COMMENT ON COLUMN musicbrainz.%1$s.gid IS 'MBID of %1$s';
$f$, e) FROM unnest(ARRAY['area', 'artist', 'event', 'instrument', 'label', 'place', 'recording', 'release', 'release_group', 'series', 'url', 'work']) e \gexec
SELECT format($f$
CREATE TABLE musicbrainz.l_%1$s_%2$s (id serial PRIMARY KEY, link int NOT NULL DEFAULT 0, entity0 int NOT NULL REFERENCES musicbrainz.%1$s, entity1 int NOT NULL REFERENCES musicbrainz.%2$s, link_order int NOT NULL DEFAULT 0 CHECK (link_order >= 0), entity0_credit text NOT NULL DEFAULT '');
CREATE UNIQUE INDEX l_%1$s_%2$s_uniq ON musicbrainz.l_%1$s_%2$s (entity0, entity1, link, link_order);
INSERT INTO musicbrainz.l_%1$s_%2$s (entity0, entity1) SELECT g, 301 - g FROM generate_series(1, 50) g;
$f$, a, b) FROM unnest(ARRAY['area', 'artist', 'label', 'recording', 'release', 'work']) a, unnest(ARRAY['artist', 'event', 'recording', 'url', 'work']) b WHERE a <= b \gexec
CREATE TABLE cover_art.cover_art_type (id serial PRIMARY KEY, name text NOT NULL, parent int REFERENCES cover_art.cover_art_type, child_order int DEFAULT 0);
CREATE TABLE cover_art.cover_art (id bigint PRIMARY KEY, release int NOT NULL REFERENCES musicbrainz.release ON DELETE CASCADE, comment text NOT NULL DEFAULT '', edit int, ordering int NOT NULL CHECK (ordering > 0), mime bytea);
INSERT INTO cover_art.cover_art SELECT g, g, 'c', g, g, decode(md5(g::text), 'hex') FROM generate_series(1, 300) g;
CREATE VIEW cover_art.index_listing AS SELECT c.*, (c.edit IS NOT NULL AND c.ordering BETWEEN 1 AND 5) AS approved, coalesce(array(SELECT t.name FROM cover_art.cover_art_type t WHERE t.id = c.edit % 7 ORDER BY t.name), '{}') AS types FROM cover_art.cover_art c JOIN musicbrainz.release r ON r.id = c.release;
CREATE TABLE statistics.statistic (id serial PRIMARY KEY, name varchar(100) NOT NULL, value int NOT NULL, date_collected date NOT NULL DEFAULT now(), UNIQUE (name, date_collected));
INSERT INTO statistics.statistic (name, value, date_collected) SELECT 'count.' || g % 20, g, date '2023-01-01' + g / 20 FROM generate_series(1, 2000) g;
CREATE MATERIALIZED VIEW statistics.by_entity AS SELECT 'artist' AS entity, count(*) AS n FROM musicbrainz.artist UNION ALL SELECT 'work', count(*) FROM musicbrainz.work UNION SELECT NULL, 0;

-- schemas: genome
-- A genome database: controlled vocabularies and closures of them, features with locations by range, analyses; many small tables
-- with the same shape, functions that call each other without naming their schema, views by the dozen.
CREATE SCHEMA genome;
SET search_path = genome, public;
CREATE TABLE db (db_id bigserial PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, urlprefix varchar(255));
CREATE TABLE dbxref (dbxref_id bigserial PRIMARY KEY, db_id bigint NOT NULL REFERENCES db ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    accession varchar(1024) NOT NULL, version varchar(255) NOT NULL DEFAULT '', CONSTRAINT dbxref_c1 UNIQUE (db_id, accession, version));
CREATE TABLE cv (cv_id bigserial PRIMARY KEY, name varchar(255) NOT NULL, definition text, CONSTRAINT cv_c1 UNIQUE (name));
CREATE TABLE cvterm (cvterm_id bigserial PRIMARY KEY, cv_id bigint NOT NULL REFERENCES cv, name varchar(1024) NOT NULL, definition text,
    dbxref_id bigint NOT NULL REFERENCES dbxref ON DELETE SET NULL, is_obsolete int NOT NULL DEFAULT 0, is_relationshiptype int NOT NULL DEFAULT 0,
    CONSTRAINT cvterm_c1 UNIQUE (name, cv_id, is_obsolete), CONSTRAINT cvterm_c2 UNIQUE (dbxref_id));
CREATE TABLE cvterm_relationship (cvterm_relationship_id bigserial PRIMARY KEY, type_id bigint NOT NULL REFERENCES cvterm,
    subject_id bigint NOT NULL REFERENCES cvterm ON DELETE CASCADE, object_id bigint NOT NULL REFERENCES cvterm ON DELETE CASCADE,
    UNIQUE (subject_id, object_id, type_id));
CREATE TABLE cvtermpath (cvtermpath_id bigserial PRIMARY KEY, subject_id bigint NOT NULL REFERENCES cvterm, object_id bigint NOT NULL REFERENCES cvterm, pathdistance int);
CREATE TABLE organism (organism_id bigserial PRIMARY KEY, abbreviation varchar(255), genus varchar(255) NOT NULL, species varchar(255) NOT NULL, comment text, UNIQUE (genus, species));
CREATE TABLE feature (
    feature_id bigserial PRIMARY KEY, dbxref_id bigint REFERENCES dbxref, organism_id bigint NOT NULL REFERENCES organism,
    name varchar(255), uniquename text NOT NULL, residues text, seqlen bigint, md5checksum char(32),
    type_id bigint NOT NULL REFERENCES cvterm, is_analysis boolean NOT NULL DEFAULT false, is_obsolete boolean NOT NULL DEFAULT false,
    timeaccessioned timestamp NOT NULL DEFAULT '2020-01-01', gc real, UNIQUE (organism_id, uniquename, type_id));
ALTER TABLE feature ALTER COLUMN residues SET STORAGE EXTERNAL;
CREATE TYPE strand AS ENUM ('-', '+', '.');
CREATE TYPE span AS RANGE (SUBTYPE = int8);
CREATE TABLE featureloc (
    featureloc_id bigserial PRIMARY KEY, feature_id bigint NOT NULL REFERENCES feature, srcfeature_id bigint REFERENCES feature,
    fmin bigint, fmax bigint, strand strand, phase int, locgroup int NOT NULL DEFAULT 0, rank int NOT NULL DEFAULT 0,
    at span GENERATED ALWAYS AS (span(fmin, fmax)) STORED,
    CONSTRAINT featureloc_c1 UNIQUE (feature_id, locgroup, rank), CONSTRAINT featureloc_c2 CHECK (fmin <= fmax));
CREATE INDEX ON featureloc USING gist (at);
CREATE INDEX featureloc_box ON featureloc USING gist (box(point(srcfeature_id, fmin), point(srcfeature_id, fmax)));
INSERT INTO db (name, urlprefix) SELECT 'DB' || g, 'https://db' || g || '.example/' FROM generate_series(1, 20) g;
INSERT INTO dbxref (db_id, accession) SELECT 1 + g % 20, 'ACC:' || g FROM generate_series(1, 2000) g;
INSERT INTO cv (name) SELECT unnest(ARRAY['sequence', 'relationship', 'biological_process', 'local']);
INSERT INTO cvterm (cv_id, name, dbxref_id) SELECT 1 + g % 4, 'term ' || g, g FROM generate_series(1, 500) g;
INSERT INTO cvterm_relationship (type_id, subject_id, object_id) SELECT 1, g, g / 2 FROM generate_series(2, 500) g;
INSERT INTO organism (abbreviation, genus, species) VALUES ('H.s.', 'Homo', 'sapiens'), ('D.m.', 'Drosophila', 'melanogaster'), (NULL, 'Mus', 'musculus');
INSERT INTO feature (organism_id, name, uniquename, residues, seqlen, md5checksum, type_id, gc)
SELECT 1 + g % 3, 'f' || g, 'feature:' || g, repeat(translate(md5(g::text), '0123456789abcdef', 'acgtacgtacgtacgt'), 20), 640, md5(g::text), 1 + g % 500, g / 7.0
FROM generate_series(1, 4000) g;
INSERT INTO featureloc (feature_id, srcfeature_id, fmin, fmax, strand)
SELECT g, 1 + g % 20, g * 100, g * 100 + 640, (ARRAY['-', '+', '.'])[1 + g % 3]::strand FROM generate_series(1, 4000) g;
-- Tables that look alike: properties, pubs, synonyms of everything.
SELECT format($f$
CREATE TABLE genome.%1$s_prop (%1$s_prop_id bigserial PRIMARY KEY, %1$s_id bigint NOT NULL REFERENCES genome.%1$s ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    type_id bigint NOT NULL REFERENCES genome.cvterm, value text, rank int NOT NULL DEFAULT 0, CONSTRAINT %1$s_prop_c1 UNIQUE (%1$s_id, type_id, rank));
CREATE INDEX %1$s_prop_idx1 ON genome.%1$s_prop (%1$s_id); CREATE INDEX %1$s_prop_idx2 ON genome.%1$s_prop (type_id, "left"(value, 20));
COMMENT ON TABLE genome.%1$s_prop IS 'Properties of %1$s: tag''s value';
INSERT INTO genome.%1$s_prop (%1$s_id, type_id, value) SELECT %1$s_id, 1 + %1$s_id %% 400, 'value ' || %1$s_id FROM genome.%1$s;
CREATE TABLE genome.%1$s_synonym (id int GENERATED ALWAYS AS IDENTITY, %1$s_id bigint NOT NULL REFERENCES genome.%1$s, name citext, CHECK (name <> '' AND name IS NOT NULL OR %1$s_id < 0));
CREATE VIEW genome.%1$s_with_props AS SELECT x.*, p.value, p.rank AS prop_rank FROM genome.%1$s x LEFT JOIN genome.%1$s_prop p USING (%1$s_id);
CREATE OR REPLACE FUNCTION genome.get_%1$s_props(bigint) RETURNS SETOF genome.%1$s_prop LANGUAGE sql STABLE AS 'SELECT * FROM genome.%1$s_prop WHERE %1$s_id = $1 ORDER BY rank';
$f$, t) FROM unnest(ARRAY['db', 'dbxref', 'cv', 'cvterm', 'organism', 'feature', 'featureloc']) t \gexec
CREATE FUNCTION boxquery(bigint, bigint) RETURNS box LANGUAGE sql IMMUTABLE AS 'SELECT box(point(0, $1), point(500000000, $2))';
CREATE FUNCTION term_name(bigint) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT name FROM cvterm WHERE cvterm_id = $1); END $$;
CREATE FUNCTION fill_cvtermpath(bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int;
BEGIN
    INSERT INTO cvtermpath (subject_id, object_id, pathdistance)
    WITH RECURSIVE p AS (SELECT subject_id, object_id, 1 AS d FROM cvterm_relationship WHERE subject_id = $1
                         UNION ALL SELECT p.subject_id, r.object_id, d + 1 FROM p JOIN cvterm_relationship r ON r.subject_id = p.object_id)
    SELECT * FROM p;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
SELECT sum(fill_cvtermpath(g)) FROM generate_series(2, 200) g;
CREATE FUNCTION gc_class(real) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 10 AS $$ SELECT CASE WHEN $1 < 100 THEN 'low' WHEN $1 BETWEEN 100 AND 300 THEN 'mid' ELSE 'high' END $$;
CREATE INDEX feature_gc ON feature (gc_class(gc), organism_id);
CREATE VIEW gene AS SELECT * FROM feature WHERE type_id IN (SELECT cvterm_id FROM cvterm WHERE name LIKE 'term 1%') AND NOT is_obsolete;
CREATE VIEW gffatts AS
    SELECT feature_id, 'Name' AS type, name AS attribute FROM feature
    UNION ALL SELECT feature_id, 'Dbxref', d.name || ':' || x.accession FROM feature JOIN dbxref x USING (dbxref_id) JOIN db d USING (db_id)
    UNION SELECT feature_id, NULL, NULL FROM featureloc WHERE rank > 0;
CREATE VIEW gff3 AS SELECT f.feature_id, coalesce(s.name, '.') AS ref, term_name(f.type_id) AS type, l.fmin + 1 AS fstart, l.fmax AS fend, l.strand,
    array_to_string(ARRAY(SELECT a.type || '=' || a.attribute FROM gffatts a WHERE a.feature_id = f.feature_id ORDER BY 1), ';') AS attributes
    FROM feature f LEFT JOIN featureloc l ON f.feature_id = l.feature_id LEFT JOIN feature s ON s.feature_id = l.srcfeature_id;
CREATE MATERIALIZED VIEW closure AS SELECT object_id, count(DISTINCT subject_id) AS n, min(pathdistance) AS nearest FROM cvtermpath GROUP BY object_id HAVING count(*) > 1;
CREATE UNIQUE INDEX ON closure (object_id);
CREATE FUNCTION same_span(span, span) RETURNS bool LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 = $2';
CREATE OPERATOR === (LEFTARG = span, RIGHTARG = span, FUNCTION = same_span, COMMUTATOR = ===);
CREATE VIEW same_place AS SELECT a.feature_id, b.feature_id AS other FROM featureloc a JOIN featureloc b ON a.at OPERATOR(genome.===) b.at AND a.feature_id < b.feature_id;
ALTER TABLE feature CLUSTER ON feature_pkey;
RESET search_path;

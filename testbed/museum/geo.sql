-- schemas: geo
-- Geography without PostGIS: built-in geometry, boxes in gist, nearest neighbours, an operator and an operator class of one's own over a
-- composite, hierarchies in ltree, range types over functions.
CREATE SCHEMA geo;
SET search_path = geo, public, extensions;
CREATE TYPE lonlat AS (lon double precision, lat double precision);
CREATE FUNCTION to_point(lonlat) RETURNS point LANGUAGE sql IMMUTABLE STRICT AS 'SELECT point($1.lon, $1.lat)';
CREATE FUNCTION to_lonlat(point) RETURNS geo.lonlat LANGUAGE sql IMMUTABLE STRICT AS 'SELECT ROW($1[0], $1[1])::geo.lonlat';
CREATE FUNCTION near(lonlat, lonlat) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT abs($1.lon - $2.lon) + abs($1.lat - $2.lat) < 1';
CREATE FUNCTION meters(lonlat, lonlat) RETURNS double precision LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50 AS $$
BEGIN RETURN 6371000 * acos(least(1, sin(radians($1.lat)) * sin(radians($2.lat)) + cos(radians($1.lat)) * cos(radians($2.lat)) * cos(radians($1.lon - $2.lon)))); END $$;
CREATE OPERATOR ~~> (LEFTARG = lonlat, RIGHTARG = lonlat, FUNCTION = near, COMMUTATOR = ~~>, RESTRICT = areasel, JOIN = areajoinsel);
CREATE OPERATOR <=> (LEFTARG = lonlat, RIGHTARG = lonlat, FUNCTION = meters, COMMUTATOR = <=>);
CREATE FUNCTION ll_cmp(lonlat, lonlat) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN ($1.lat, $1.lon) < ($2.lat, $2.lon) THEN -1 WHEN ($1.lat, $1.lon) > ($2.lat, $2.lon) THEN 1 ELSE 0 END';
CREATE FUNCTION ll_lt(lonlat, lonlat) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT geo.ll_cmp($1, $2) < 0';
CREATE FUNCTION ll_le(lonlat, lonlat) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT geo.ll_cmp($1, $2) <= 0';
CREATE FUNCTION ll_eq(lonlat, lonlat) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT geo.ll_cmp($1, $2) = 0';
CREATE FUNCTION ll_ge(lonlat, lonlat) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT geo.ll_cmp($1, $2) >= 0';
CREATE FUNCTION ll_gt(lonlat, lonlat) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT geo.ll_cmp($1, $2) > 0';
CREATE OPERATOR |<| (LEFTARG = lonlat, RIGHTARG = lonlat, FUNCTION = ll_lt);
CREATE OPERATOR |<=| (LEFTARG = lonlat, RIGHTARG = lonlat, FUNCTION = ll_le);
CREATE OPERATOR |=| (LEFTARG = lonlat, RIGHTARG = lonlat, FUNCTION = ll_eq, COMMUTATOR = |=|, HASHES, MERGES);
CREATE OPERATOR |>=| (LEFTARG = lonlat, RIGHTARG = lonlat, FUNCTION = ll_ge);
CREATE OPERATOR |>| (LEFTARG = lonlat, RIGHTARG = lonlat, FUNCTION = ll_gt);
CREATE OPERATOR FAMILY ll_family USING btree;
CREATE OPERATOR CLASS ll_ops FOR TYPE lonlat USING btree FAMILY ll_family AS OPERATOR 1 |<|, OPERATOR 2 |<=|, OPERATOR 3 |=|, OPERATOR 4 |>=|, OPERATOR 5 |>|, FUNCTION 1 ll_cmp(lonlat, lonlat);
CREATE TABLE country (code char(2) PRIMARY KEY, name text NOT NULL, area polygon, bounds box, tree ltree);
CREATE TABLE place (id serial PRIMARY KEY, country char(2) REFERENCES country, at lonlat NOT NULL, spot point GENERATED ALWAYS AS (geo.to_point(at)) STORED, route path, zone circle, line line, seg lseg, tags hstore, population bigint);
INSERT INTO country SELECT chr(65 + g / 26) || chr(65 + g % 26), 'Country ' || g, polygon(box(point(g, g), point(g + 10, g + 5))), box(point(g, g), point(g + 10, g + 5)), text2ltree('world.c' || g) FROM generate_series(0, 99) g;
INSERT INTO place (country, at, route, zone, line, seg, tags, population) SELECT chr(65 + g % 100 / 26) || chr(65 + g % 100 % 26), ROW(g % 360 - 180 + g / 1e5, g % 180 - 90)::geo.lonlat, format('[(%s,0),(1,%s)]', g, g)::path, circle(point(g, 1), g), '{1,2,3}', lseg(point(g, 0), point(0, g)), hstore('n', g::text), g * 1000 FROM generate_series(1, 3000) g;
CREATE INDEX ON place USING gist (spot);
CREATE INDEX ON place USING spgist (spot kd_point_ops);
CREATE INDEX ON place (at ll_ops);
CREATE INDEX ON country USING gist (area, bounds);
CREATE INDEX ON country USING gist (tree);
CREATE VIEW nearest AS SELECT p.id, q.id AS other, p.at <=> q.at AS meters FROM place p CROSS JOIN LATERAL (SELECT * FROM place q WHERE q.id <> p.id ORDER BY q.spot <-> p.spot LIMIT 1) q WHERE p.id IN (1, 2, 3) AND p.at ~~> p.at;
CREATE VIEW inside AS SELECT c.code, count(*) AS places FROM country c JOIN place p ON c.area @> geo.to_point(p.at) WHERE p.population BETWEEN 1 AND 1e6 AND c.bounds && box(point(0, 0), point(50, 50)) GROUP BY c.code;
CREATE MATERIALIZED VIEW grid AS SELECT floor((at).lon / 10)::int AS x, floor((at).lat / 10)::int AS y, count(*) AS n, array_agg(id ORDER BY at USING OPERATOR(geo.|<|)) AS ids FROM place GROUP BY 1, 2;
CREATE UNIQUE INDEX ON grid (x, y);
RESET search_path;

//! A warehouse of sixty schemas that lean on each other, made of SQL.
//!
//! ```text
//! shared          types and functions under everything
//! reference       what keys refer to            customers, loyalty     an orphan between them
//! crm ⇄ billing, orders → stock → delivery →    two rings
//! events          a root, its partitions in events_2024, events_2025, events_2026
//! facts           a third of all                archive                large objects
//! accounting …    thirty departments, each with keys to reference, customers and the department before
//! mart_…          ten schemas of views over departments; report_… five over those
//! ```

/// Roles that grants name; they are made on both sides.
pub(crate) const ROLES: &str = "CREATE ROLE reader; CREATE ROLE clerk;";

/// What the target has of its own: it would meet what a load does.
pub(crate) const TARGET: &str = "
    CREATE FUNCTION public.note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER note_ddl ON ddl_command_end EXECUTE FUNCTION public.note_ddl();
    CREATE PUBLICATION everything FOR ALL TABLES;";

/// What refuses a load of it, unless it is accepted.
pub(crate) const HAZARDS: [&str; 3] = ["large-objects", "event-triggers", "publications"];

/// The one that is accepted, and who says why.
pub(crate) const ACCEPTED: [&str; 2] = ["large-objects", "the archive's keeper: scans stay where they are"];

/// What sees to the others.
pub(crate) const SEEN_TO: &str = "ALTER EVENT TRIGGER note_ddl DISABLE; DROP PUBLICATION everything;";

/// Units: of the sixty schemas two, three and four move together.
pub(crate) const UNITS: usize = 54;

/// Schemas that move together.
pub(crate) const RINGS: [&str; 3] = [
    "billing,crm",
    "delivery,orders,stock",
    "events,events_2024,events_2025,events_2026",
];

/// The largest schema.
pub(crate) const LARGEST: &str = "facts";

/// The schema whose table has an orphan.
pub(crate) const ORPHANED: &str = "loyalty";

const DEPARTMENTS: [&str; 30] = [
    "accounting",
    "assets",
    "audit",
    "budget",
    "campaigns",
    "claims",
    "compliance",
    "contracts",
    "controlling",
    "facilities",
    "finance",
    "fleet",
    "forecasting",
    "hr",
    "insurance",
    "inventory",
    "investments",
    "legal",
    "logistics",
    "maintenance",
    "marketing",
    "payroll",
    "planning",
    "pricing",
    "procurement",
    "production",
    "quality",
    "risk",
    "sales",
    "treasury",
];

/// Departments that a mart joins.
const PER_MART: usize = 3;
/// Marts that a report joins.
const PER_REPORT: usize = 2;

/// All of it, in an order in which it can be made; `scale` multiplies rows.
pub(crate) fn statements(scale: usize) -> Vec<String> {
    let mut all = vec![
        shared(),
        reference(),
        customers(scale),
        rings(scale),
        events(scale),
    ];
    all.push(facts(scale));
    all.push(archive());
    for (number, department) in DEPARTMENTS.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|before| DEPARTMENTS.get(before));
        all.push(self::department(
            department,
            before.copied(),
            (2_000 + 100 * number) * scale,
        ));
    }
    let marts: Vec<String> = DEPARTMENTS.chunks(PER_MART).map(mart_of).collect();
    all.extend(DEPARTMENTS.chunks(PER_MART).map(mart));
    all.extend(marts.chunks(PER_REPORT).map(report));
    all
}

/// What the source has come to until the second rehearsal: rows that are new, changed and gone, and one definition.
pub(crate) fn changes() -> String {
    let definition =
        "ALTER TABLE sales.entry ADD COLUMN discount shared.amount NOT NULL DEFAULT 0;".to_owned();
    definition + &writes()
}

/// Rows of every fourth department that are new, changed and gone.
pub(crate) fn writes() -> String {
    let rows = DEPARTMENTS.iter().step_by(4).map(|department| {
        format!(
            "UPDATE {department}.entry SET amount = amount + 1 WHERE id % 50 = 0;
             DELETE FROM {department}.line WHERE id % 100 = 0;
             INSERT INTO {department}.entry (country, currency, amount, customer, note)
             SELECT country, currency, amount, customer, note FROM {department}.entry WHERE id % 25 = 0;"
        )
    });
    let stored = DEPARTMENTS
        .chunks(PER_MART)
        .map(|departments| format!("REFRESH MATERIALIZED VIEW {}.by_country;", mart_of(departments)));
    rows.chain(stored).collect()
}

fn shared() -> String {
    "CREATE SCHEMA shared;
     CREATE TYPE shared.currency AS ENUM ('EUR', 'USD', 'GBP', 'CHF');
     CREATE DOMAIN shared.amount AS numeric(14, 2) CHECK (VALUE > -1000000000);
     CREATE TYPE shared.address AS (street text, town text, country char(2));
     CREATE FUNCTION shared.plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(trim($1)) $$;
     CREATE FUNCTION shared.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched_at := now(); RETURN NEW; END';
     GRANT USAGE ON SCHEMA shared TO reader, clerk;"
        .to_owned()
}

fn reference() -> String {
    "CREATE SCHEMA reference;
     CREATE TABLE reference.country (code char(2) PRIMARY KEY, name text NOT NULL, currency shared.currency NOT NULL);
     INSERT INTO reference.country VALUES ('DE', 'Germany', 'EUR'), ('AT', 'Austria', 'EUR'), ('FR', 'France', 'EUR'),
         ('CH', 'Switzerland', 'CHF'), ('GB', 'United Kingdom', 'GBP'), ('US', 'United States', 'USD');
     CREATE TABLE reference.day AS
     SELECT d::date AS day, extract(isodow FROM d) > 5 AS weekend
     FROM generate_series('2015-01-01'::timestamp, '2030-12-31', '1 day') d;
     ALTER TABLE reference.day ADD PRIMARY KEY (day);
     GRANT SELECT ON ALL TABLES IN SCHEMA reference TO reader;"
        .to_owned()
}

/// Customers, and cards of theirs: one belongs to nobody, which its key would not have allowed.
fn customers(scale: usize) -> String {
    let count = 10_000 * scale;
    format!(
        "CREATE SCHEMA customers;
         CREATE TABLE customers.customer (id int PRIMARY KEY, name text NOT NULL, address shared.address,
             country char(2) NOT NULL REFERENCES reference.country, since date NOT NULL REFERENCES reference.day);
         INSERT INTO customers.customer
         SELECT i, 'customer ' || md5(i::text), ROW('street ' || i, 'town ' || i % 100, 'DE')::shared.address,
                (ARRAY['DE', 'AT', 'FR', 'CH', 'GB', 'US'])[1 + i % 6], date '2015-01-01' + i % 3000
         FROM generate_series(1, {count}) i;
         CREATE INDEX ON customers.customer (shared.plain(name));
         CREATE SCHEMA loyalty;
         CREATE TABLE loyalty.card (id int PRIMARY KEY, customer int NOT NULL CONSTRAINT card_of REFERENCES customers.customer, points int);
         INSERT INTO loyalty.card SELECT i, i, i % 1000 FROM generate_series(1, {count}, 3) i;
         SET session_replication_role = replica;
         INSERT INTO loyalty.card VALUES (0, -1, 5);
         RESET session_replication_role;"
    )
}

/// Two schemas whose tables have a type of the other, and three of which each has a type of the next.
fn rings(scale: usize) -> String {
    let ring = |schemas: &[&str]| {
        let kinds = schemas.iter().map(|schema| {
            format!("CREATE SCHEMA {schema}; CREATE TYPE {schema}.kind AS ENUM ('new', 'open', 'closed');")
        });
        let tables = schemas
            .iter()
            .zip(schemas.iter().cycle().skip(1))
            .map(|(schema, next)| {
                format!(
                "CREATE TABLE {schema}.item (id serial PRIMARY KEY, kind {schema}.kind, other {next}.kind,
                     customer int REFERENCES customers.customer, note text);
                 INSERT INTO {schema}.item (kind, other, customer, note)
                 SELECT 'new', 'open', i % 10000 + 1, repeat(md5(i::text), 4) FROM generate_series(1, {}) i;
                 CREATE INDEX ON {schema}.item (customer);",
                8_000 * scale
            )
            });
        kinds.chain(tables).collect::<String>()
    };
    ring(&["crm", "billing"]) + &ring(&["orders", "stock", "delivery"])
}

/// A partitioned table whose partitions stand in schemas of their own.
fn events(scale: usize) -> String {
    let root = "CREATE SCHEMA events;
        CREATE TABLE events.event (id bigint NOT NULL, at timestamptz NOT NULL, customer int REFERENCES customers.customer,
            body text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE INDEX ON events.event (customer);"
        .to_owned();
    let years = [2024, 2025, 2026].map(|year| {
        format!(
            "CREATE SCHEMA events_{year};
             CREATE TABLE events_{year}.event PARTITION OF events.event FOR VALUES FROM ('{year}-01-01+0') TO ('{}-01-01+0');
             INSERT INTO events.event
             SELECT i, timestamptz '{year}-01-01+0' + i * interval '1 minute', i % 10000 + 1,
                    json_build_object('kind', 'click', 'page', md5(i::text), 'session', md5((i / 10)::text))
             FROM generate_series(1, {}) i;",
            year + 1,
            15_000 * scale
        )
    });
    root + &years.concat()
}

/// Tables that inherit, and long texts of JSON.
fn facts(scale: usize) -> String {
    let children = ["meter", "sensor", "manual"].map(|child| {
        format!(
            "CREATE TABLE facts.{child} (CHECK (kind = '{child}')) INHERITS (facts.measurement);
             INSERT INTO facts.{child}
             SELECT i, '{child}', now() - i * interval '1 second', i % 1000, random() * 1000, md5(i::text)
             FROM generate_series(1, {}) i;
             ALTER TABLE facts.{child} ADD PRIMARY KEY (id); CREATE INDEX ON facts.{child} (device, at);",
            60_000 * scale
        )
    });
    let documents = format!(
        "CREATE TABLE facts.document (id int PRIMARY KEY, country char(2) REFERENCES reference.country, body text);
         INSERT INTO facts.document
         SELECT i, 'DE', (SELECT json_agg(json_build_object('key', md5((i * 50 + j)::text), 'value', j)) FROM generate_series(1, 50) j)
         FROM generate_series(1, {}) i;",
        4_000 * scale
    );
    let root = "CREATE SCHEMA facts;
        CREATE TABLE facts.measurement (id bigint, kind text, at timestamptz, device int, value float8, raw text);";
    root.to_owned() + &children.concat() + &documents
}

/// Scans that are large objects, which no load carries.
fn archive() -> String {
    "CREATE SCHEMA archive;
     CREATE TABLE archive.scan (id int PRIMARY KEY, customer int REFERENCES customers.customer, content oid);
     INSERT INTO archive.scan SELECT i, i, lo_from_bytea(0, convert_to(repeat('scan ', 100), 'UTF8')) FROM generate_series(1, 20) i;"
        .to_owned()
}

fn department(name: &str, before: Option<&str>, entries: usize) -> String {
    let after = before.map_or_else(String::new, |before| {
        format!(
            "ALTER TABLE {name}.entry ADD COLUMN follows int REFERENCES {before}.entry;
             UPDATE {name}.entry SET follows = id WHERE id % 5 = 0 AND id <= (SELECT max(id) FROM {before}.entry);"
        )
    });
    format!(
        "CREATE SCHEMA {name};
         CREATE TABLE {name}.entry (id serial PRIMARY KEY, country char(2) NOT NULL REFERENCES reference.country,
             currency shared.currency NOT NULL, amount shared.amount NOT NULL, customer int REFERENCES customers.customer,
             note text, plain text GENERATED ALWAYS AS (shared.plain(note)) STORED, touched_at timestamptz);
         INSERT INTO {name}.entry (country, currency, amount, customer, note)
         SELECT 'AT', 'EUR', i % 1000, i % 10000 + 1, repeat(md5(i::text), 5) FROM generate_series(1, {entries}) i;
         CREATE INDEX ON {name}.entry (customer); CREATE INDEX ON {name}.entry (amount) WHERE amount > 500;
         CREATE TABLE {name}.line (id serial PRIMARY KEY, entry int NOT NULL REFERENCES {name}.entry, quantity int, price shared.amount);
         INSERT INTO {name}.line (entry, quantity, price) SELECT i % {entries} + 1, i % 10, i % 100 FROM generate_series(1, 3 * {entries}) i;
         CREATE INDEX ON {name}.line (entry);
         CREATE TRIGGER touch BEFORE UPDATE ON {name}.entry FOR EACH ROW EXECUTE FUNCTION shared.touch();
         GRANT USAGE ON SCHEMA {name} TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO reader;
         GRANT UPDATE (amount) ON {name}.entry TO clerk; {after}"
    )
}

fn mart_of(departments: &[&str]) -> String {
    format!("mart_{}", departments.first().unwrap_or(&""))
}

/// Views over some departments, one of them stored.
fn mart(departments: &[&str]) -> String {
    let name = mart_of(departments);
    let entries: Vec<String> = departments
        .iter()
        .map(|department| {
            format!("SELECT '{department}' AS department, country, currency, amount, customer FROM {department}.entry")
        })
        .collect();
    format!(
        "CREATE SCHEMA {name};
         CREATE VIEW {name}.entry AS {};
         CREATE MATERIALIZED VIEW {name}.by_country AS
         SELECT country, currency, count(*) AS entries, sum(amount) AS amount FROM {name}.entry GROUP BY 1, 2;
         CREATE UNIQUE INDEX ON {name}.by_country (country, currency);",
        entries.join(" UNION ALL ")
    )
}

/// Views over the views of some marts.
fn report(marts: &[String]) -> String {
    let name = format!(
        "report_{}",
        marts.first().map_or("", |mart| mart.trim_start_matches("mart_"))
    );
    let totals: Vec<String> = marts
        .iter()
        .map(|mart| format!("SELECT country, amount FROM {mart}.by_country"))
        .collect();
    format!(
        "CREATE SCHEMA {name};
         CREATE VIEW {name}.total AS SELECT country, sum(amount) AS amount FROM ({}) t GROUP BY 1;
         CREATE VIEW {name}.named AS SELECT c.name, t.amount FROM {name}.total t JOIN reference.country c ON c.code = t.country;",
        totals.join(" UNION ALL ")
    )
}

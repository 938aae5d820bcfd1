//! Who does what, when, and how a run ends then: one table.

use crate::faults::Side;

/// One expectation.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// Who does what.
    pub title: &'static str,
    /// On the source, in addition to the schema.
    pub source: &'static str,
    /// On the target, before anything else.
    pub before: &'static str,
    /// A load of ours stands there when the run begins.
    pub loaded: bool,
    /// When it is done: in which phase, and at which words of a session of the run.
    pub phase: &'static str,
    side: Side,
    role: &'static str,
    words: &'static str,
    /// What is done on the target.
    pub act: &'static str,
    /// What is done on the source, and what makes it good again.
    pub at_source: (&'static str, &'static str),
    pub methods: &'static [&'static str],
    /// `PRIVILEGES=skip`.
    pub skips_privileges: bool,
    /// Exit codes that are right.
    pub exits: &'static [i32],
    /// What the run's reason names.
    pub reason: &'static str,
    /// Asked of the target afterwards, with its answer.
    pub stands: (&'static str, &'static str),
    /// How the next run with the same environment ends.
    pub next: i32,
}

const BOTH: &[&str] = &["copy", "pipe"];

const NOTHING: Attack = Attack {
    title: "",
    source: "",
    before: "",
    loaded: false,
    phase: "",
    side: Side::Target,
    role: "",
    words: "",
    act: "",
    at_source: ("", ""),
    methods: BOTH,
    skips_privileges: false,
    exits: &[73],
    reason: "",
    stands: ("SELECT 1", "1"),
    next: 0,
};

const CLEAR: Attack = Attack {
    phase: "clear",
    loaded: true,
    role: "/work",
    words: "INSERT INTO schemaferry.load",
    next: 73,
    ..NOTHING
};
/// Tables are there, and no row yet.
const PRE_DATA: Attack = Attack {
    phase: "pre-data",
    role: "/work",
    words: "ENABLE ROW LEVEL SECURITY",
    ..NOTHING
};
const VERIFY: Attack = Attack {
    phase: "verify",
    words: " AS rows FROM ",
    ..NOTHING
};
const PRIVILEGES: Attack = Attack {
    phase: "privileges",
    role: "/work",
    words: "-- Which of the roles lack a right",
    ..NOTHING
};
const COMPLETE: Attack = Attack {
    phase: "complete",
    role: "/lock",
    words: "SET state = 'complete'",
    ..NOTHING
};

impl Attack {
    /// Side, role and words at which the run is held.
    pub(super) fn moment(&self) -> (Side, &'static str, &'static [u8]) {
        (self.side, self.role, self.words.as_bytes())
    }
}

/// The table. `make test` plays every row under one METHOD, `make soak` under each.
pub const ATTACKS: &[Attack] = &[
    Attack {
        title: "an operator writes a row before it is counted",
        act: "INSERT INTO s.u VALUES (99)",
        exits: &[65],
        reason: "u",
        ..VERIFY
    },
    Attack {
        title: "an operator writes a row after it was counted",
        act: "INSERT INTO s.u VALUES (99)",
        reason: "rows of u were written",
        ..PRIVILEGES
    },
    Attack {
        title: "an operator calls a sequence",
        act: "SELECT nextval('s.q')",
        reason: "sequence q has moved",
        ..PRIVILEGES
    },
    Attack {
        title: "an operator drops a table",
        act: "DROP TABLE s.u",
        exits: &[65],
        ..PRIVILEGES
    },
    Attack {
        title: "an operator makes a table",
        act: "CREATE TABLE s.mine (a int)",
        reason: "table \"s\".\"mine\" was added",
        stands: ("SELECT count(*) FROM s.mine", "0"),
        ..VERIFY
    },
    Attack {
        title: "an operator renames the schema",
        act: "ALTER SCHEMA s RENAME TO mine",
        exits: &[65, 73],
        stands: ("SELECT count(*) FROM mine.u", "3"),
        ..VERIFY
    },
    Attack {
        title: "an operator writes a row when all is looked at",
        act: "INSERT INTO s.u VALUES (99)",
        exits: &[0],
        stands: ("SELECT count(*) FROM s.u", "4"),
        next: 73,
        ..COMPLETE
    },
    Attack {
        title: "an operator grants when all is looked at",
        act: "GRANT DELETE ON s.u TO mallory",
        exits: &[0],
        next: 73,
        ..COMPLETE
    },
    Attack {
        title: "an operator empties the ledger",
        act: "DELETE FROM schemaferry.load",
        reason: "the run's own rows of the ledger",
        next: 73,
        ..VERIFY
    },
    Attack {
        title: "an operator empties the ledger at the last moment",
        act: "DELETE FROM schemaferry.load",
        reason: "the run's own rows of the ledger",
        next: 73,
        ..COMPLETE
    },
    Attack {
        title: "an application writes a row before the drops",
        act: "INSERT INTO s.u VALUES (99)",
        reason: "rows of u were written",
        stands: ("SELECT count(*) FROM s.u", "4"),
        ..CLEAR
    },
    Attack {
        title: "a neighbour builds on a table before the drops",
        act: "SET ROLE mallory; CREATE VIEW hers.v AS SELECT * FROM s.u",
        reason: "objects outside of the schema depend on it",
        stands: ("SELECT count(*) FROM hers.v", "3"),
        ..CLEAR
    },
    Attack {
        title: "an operator seals the schema before the drops",
        act: "UPDATE schemaferry.load SET state = 'sealed'; INSERT INTO s.u VALUES (99)",
        stands: ("SELECT count(*) FROM s.u", "4"),
        ..CLEAR
    },
    Attack {
        title: "the schema's new owner puts a table with a trigger in another's place",
        act: "ALTER SCHEMA s OWNER TO mallory; SET ROLE mallory; DROP TABLE s.u; CREATE TABLE s.u (a int);
              CREATE TRIGGER song BEFORE INSERT ON s.u FOR EACH ROW EXECUTE FUNCTION hers.sing()",
        reason: "a table in the place of one that was to be filled",
        ..PRE_DATA
    },
    Attack {
        title: "a role that default privileges let put triggers does so",
        before: "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO mallory; ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO mallory",
        act: "SET ROLE mallory; CREATE TRIGGER song BEFORE INSERT ON s.u FOR EACH ROW EXECUTE FUNCTION hers.sing()",
        reason: "a trigger or a rule on it",
        ..PRE_DATA
    },
    Attack {
        title: "a role reads what it may not, before there are policies",
        before: READERS,
        act: READS,
        exits: &[0],
        stands: ("SELECT count(*) FROM seen WHERE v = 'secret'", "0"),
        next: 0,
        ..VERIFY
    },
    Attack {
        title: "a role reads what it may not, when grants are made",
        before: READERS,
        words: "CREATE POLICY",
        act: READS,
        exits: &[0],
        stands: ("SELECT count(*) FROM seen WHERE v = 'secret'", "0"),
        next: 0,
        ..PRIVILEGES
    },
    Attack {
        title: "a role reads without policies what is left to the target",
        before: READERS,
        act: READS,
        skips_privileges: true,
        exits: &[0],
        stands: (
            "SELECT count(*) FROM seen WHERE v = 'secret' AND t = 'guarded'",
            "0",
        ),
        next: 0,
        ..VERIFY
    },
    Attack {
        title: "the source's owner puts a view in a table's place",
        source: "ALTER SCHEMA s OWNER TO mallory; ALTER TABLE s.u OWNER TO mallory; CREATE SCHEMA hers AUTHORIZATION mallory;
                 DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO mallory', current_database()); END $$;
                 SET ROLE mallory; CREATE FUNCTION hers.sing() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
                 EXECUTE format('COPY (SELECT 1) TO %L', current_setting('data_directory') || '/sung'); RETURN 1; END $$",
        at_source: (
            "SET ROLE mallory; ALTER SCHEMA s RENAME TO old; CREATE SCHEMA s; CREATE VIEW s.u AS SELECT hers.sing() AS a, '(0,1)'::tid AS ctid",
            "DROP SCHEMA s CASCADE; ALTER SCHEMA old RENAME TO s",
        ),
        exits: &[75],
        ..PRE_DATA
    },
];

const READERS: &str = "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader; ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO reader;
    CREATE TABLE seen (t text, v text); GRANT INSERT ON seen TO reader";

/// What a role sees of tables with rows for others, each as far as it may.
const READS: &str = "SET ROLE reader;
    DO $$ BEGIN INSERT INTO seen SELECT 'guarded', v FROM s.guarded; EXCEPTION WHEN insufficient_privilege THEN NULL; END $$;
    DO $$ BEGIN INSERT INTO seen SELECT 'private', v FROM s.private; EXCEPTION WHEN insufficient_privilege THEN NULL; END $$";

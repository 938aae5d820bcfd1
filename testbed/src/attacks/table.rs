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
/// The schema is there, empty, and its owner is a role that the user is a member of.
const ADOPTED: Attack = Attack {
    before: "CREATE SCHEMA s AUTHORIZATION steward",
    role: "/work",
    ..NOTHING
};
/// Before anything is decided.
const ADOPTED_LOCK: Attack = Attack {
    phase: "lock",
    role: "/lock",
    words: "pg_try_advisory_lock",
    next: 73,
    ..ADOPTED
};
const ADOPTED_CLEAR: Attack = Attack {
    phase: "clear",
    words: "INSERT INTO schemaferry.load",
    ..ADOPTED
};
const ADOPTED_PRE_DATA: Attack = Attack {
    phase: "pre-data",
    words: "ENABLE ROW LEVEL SECURITY",
    ..ADOPTED
};
/// The first row of a table is on its way.
const ADOPTED_ROWS: Attack = Attack {
    phase: "rows",
    role: "/copy",
    words: "COPY \"s\".\"u\"",
    methods: &["copy"],
    ..ADOPTED
};
const ADOPTED_ROWS_OF_PIPE: Attack = Attack {
    role: "/pg_restore",
    words: "COPY s.u",
    methods: &["pipe"],
    ..ADOPTED_ROWS
};
const ADOPTED_POST_DATA: Attack = Attack {
    phase: "post-data",
    role: "",
    words: "t_v ON",
    ..ADOPTED
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
        title: "an operator makes a table while objects are compared",
        act: "CREATE TABLE s.mine (a int)",
        exits: &[65, 73],
        reason: "mine",
        stands: ("SELECT count(*) FROM s.mine", "0"),
        ..VERIFY
    },
    Attack {
        title: "an operator makes a table after objects were compared",
        act: "CREATE TABLE s.mine (a int)",
        reason: "table \"s\".\"mine\" was added",
        stands: ("SELECT count(*) FROM s.mine", "0"),
        ..PRIVILEGES
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
        title: "a schema's owner whom nobody trusts waits for rows",
        before: "CREATE SCHEMA s AUTHORIZATION mallory",
        reason: "of which the user is no member",
        ..ADOPTED_LOCK
    },
    Attack {
        title: "a schema's owner fills it before it is decided",
        act: STEWARDS_TABLE,
        reason: "was not made by a load of ours",
        stands: ("SELECT tableowner FROM pg_tables WHERE schemaname = 's'", "steward"),
        ..ADOPTED_LOCK
    },
    Attack {
        title: "a schema's owner fills it after it was decided",
        act: STEWARDS_TABLE,
        exits: &[65, 73, 75],
        stands: ("SELECT tableowner FROM pg_tables WHERE schemaname = 's' AND tablename = 'u'", "steward"),
        ..ADOPTED_CLEAR
    },
    Attack {
        title: "a schema is given to whom nobody trusts after it was decided, and he fills it",
        act: "ALTER SCHEMA s OWNER TO mallory; SET ROLE mallory; CREATE TABLE s.u (a int);
              CREATE TRIGGER song BEFORE INSERT ON s.u FOR EACH ROW EXECUTE FUNCTION hers.sing()",
        exits: &[65, 73, 75],
        next: 73,
        ..ADOPTED_CLEAR
    },
    Attack {
        title: "a schema's owner puts a table with a trigger in another's place",
        act: STEWARDS_PLACE,
        reason: "a table in the place of one that was to be filled",
        ..ADOPTED_PRE_DATA
    },
    Attack {
        title: "a schema's owner puts another schema of the user's in its place",
        before: OTHERS,
        act: SWAP,
        reason: "or renamed its schema",
        stands: ("SELECT string_agg(a::text, ' ') FROM s.u", "7"),
        next: 73,
        ..ADOPTED_PRE_DATA
    },
    Attack {
        title: "a schema's owner puts another schema of the user's in its place",
        before: OTHERS,
        act: TRIED_SWAP,
        exits: &[0],
        stands: ("SELECT what || (SELECT count(*) FROM s.u) || (SELECT string_agg(a::text, ' ') FROM other.u) FROM tried", "refused37"),
        ..ADOPTED_ROWS
    },
    Attack {
        title: "a schema's owner puts another schema of the user's in its place",
        before: OTHERS,
        act: TRIED_SWAP,
        exits: &[0],
        stands: ("SELECT what || (SELECT count(*) FROM s.u) || (SELECT string_agg(a::text, ' ') FROM other.u) FROM tried", "refused37"),
        ..ADOPTED_ROWS_OF_PIPE
    },
    Attack {
        title: "a schema's owner puts a table with a trigger in another's place",
        before: TRIES,
        act: TRIED_PLACE,
        exits: &[0],
        stands: ("SELECT what || (SELECT count(*) FROM s.u) FROM tried", "refused3"),
        ..ADOPTED_ROWS
    },
    Attack {
        title: "a schema's owner puts a table with a trigger in another's place",
        before: TRIES,
        act: TRIED_PLACE,
        exits: &[0],
        stands: ("SELECT what || (SELECT count(*) FROM s.u) FROM tried", "refused3"),
        ..ADOPTED_ROWS_OF_PIPE
    },
    Attack {
        title: "a schema's owner puts a table with a trigger in another's place",
        act: STEWARDS_PLACE,
        exits: &[65, 73],
        ..ADOPTED_POST_DATA
    },
    Attack {
        title: "a schema's owner puts a table with a trigger in another's place",
        before: ADOPTED.before,
        act: STEWARDS_PLACE,
        exits: &[65],
        ..VERIFY
    },
    Attack {
        title: "a schema's owner puts a table with a trigger in another's place",
        before: ADOPTED.before,
        act: STEWARDS_PLACE,
        exits: &[65, 73],
        ..PRIVILEGES
    },
    Attack {
        title: "a schema's owner puts a table with a trigger in another's place",
        before: ADOPTED.before,
        act: STEWARDS_PLACE,
        exits: &[0],
        stands: ("SELECT tableowner FROM pg_tables WHERE schemaname = 's' AND tablename = 'u'", "steward"),
        next: 73,
        ..COMPLETE
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

const STEWARDS_TABLE: &str = "SET ROLE steward; CREATE TABLE s.u (a int);
    CREATE TRIGGER song BEFORE INSERT ON s.u FOR EACH ROW EXECUTE FUNCTION hers.sing()";

const STEWARDS_PLACE: &str = "SET ROLE steward; DROP TABLE s.u CASCADE; CREATE TABLE s.u (a int);
    CREATE TRIGGER song BEFORE INSERT ON s.u FOR EACH ROW EXECUTE FUNCTION hers.sing()";

/// With a note of what came of it, which waits for nobody.
const TRIES: &str =
    "CREATE SCHEMA s AUTHORIZATION steward; CREATE TABLE tried (what text); GRANT INSERT ON tried TO steward";

const TRIED_PLACE: &str = "SET ROLE steward; SET lock_timeout = '1s'; DO $$ BEGIN DROP TABLE s.u; CREATE TABLE s.u (a int);
    CREATE TRIGGER song BEFORE INSERT ON s.u FOR EACH ROW EXECUTE FUNCTION hers.sing(); INSERT INTO tried VALUES ('done');
    EXCEPTION WHEN lock_not_available THEN INSERT INTO tried VALUES ('refused'); END $$";

/// Another schema of that owner's with tables of the user's.
const OTHERS: &str = "CREATE SCHEMA s AUTHORIZATION steward; CREATE TABLE tried (what text); GRANT INSERT ON tried TO steward;
    CREATE SCHEMA other AUTHORIZATION steward; CREATE TABLE other.t (id int PRIMARY KEY, v text); CREATE TABLE other.u (a int); INSERT INTO other.u VALUES (7);
    CREATE TABLE other.guarded (who name, v text); CREATE TABLE other.private (v text); CREATE SEQUENCE other.q";

const SWAP: &str = "SET ROLE steward; ALTER SCHEMA s RENAME TO was; ALTER SCHEMA other RENAME TO s";

const TRIED_SWAP: &str = "SET ROLE steward; SET lock_timeout = '1s'; DO $$ BEGIN ALTER SCHEMA s RENAME TO was; ALTER SCHEMA other RENAME TO s;
    INSERT INTO tried VALUES ('done'); EXCEPTION WHEN lock_not_available THEN INSERT INTO tried VALUES ('refused'); END $$";

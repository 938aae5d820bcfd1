//! The ledger is believed only where nobody else can have had a hand in it.

use testbed::Output;

use crate::rig::{Rig, assert_exit, text};

const SCHEMA: &str = "CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1)";

/// Somebody who may make schemas, and a function of his that tells as whom it runs.
const MALLORY: &str = "
    CREATE TABLE public.canary (who text); GRANT INSERT ON public.canary TO PUBLIC;
    DO $$ BEGIN
      IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'ledger_mallory') THEN CREATE ROLE ledger_mallory; END IF;
      EXECUTE format('GRANT CREATE ON DATABASE %I TO ledger_mallory', current_database());
    END $$;
    GRANT CREATE ON SCHEMA public TO ledger_mallory;
    SET ROLE ledger_mallory;
    CREATE FUNCTION public.sing() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.canary VALUES (current_user); RETURN NEW; END $$;
    CREATE FUNCTION public.sing(text) RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.canary VALUES (current_user); RETURN $1; END $$;
    RESET ROLE";

/// What is done to a ledger of ours, and how it is told.
const DEFECTS: [(&str, &str); 15] = [
    (
        "ALTER SCHEMA schemaferry OWNER TO ledger_mallory",
        "its schema belongs to ledger_mallory",
    ),
    (
        "ALTER TABLE schemaferry.load OWNER TO ledger_mallory",
        "its table belongs to ledger_mallory",
    ),
    (
        "ALTER TABLE schemaferry.load RENAME TO kept; CREATE VIEW schemaferry.load AS SELECT * FROM schemaferry.kept",
        "there is no table in its place",
    ),
    (
        "CREATE TRIGGER song AFTER INSERT OR UPDATE ON schemaferry.load FOR EACH ROW EXECUTE FUNCTION public.sing()",
        "it has trigger song",
    ),
    (
        "CREATE RULE deaf AS ON UPDATE TO schemaferry.load DO INSTEAD NOTHING",
        "it has rule deaf",
    ),
    (
        "ALTER TABLE schemaferry.load ENABLE ROW LEVEL SECURITY",
        "it has row security",
    ),
    (
        "CREATE POLICY mine ON schemaferry.load USING (public.sing('x') = 'x')",
        "it has policy mine",
    ),
    (
        "CREATE TABLE public.heir () INHERITS (schemaferry.load)",
        "inherits from",
    ),
    (
        "GRANT TRIGGER ON schemaferry.load TO ledger_mallory",
        "role ledger_mallory may put triggers on it",
    ),
    (
        "ALTER TABLE schemaferry.load ALTER COLUMN source SET DEFAULT public.sing('x')",
        "it calls function public.sing(text)",
    ),
    (
        "ALTER TABLE schemaferry.load ADD CONSTRAINT heard CHECK (public.sing('x') = 'x') NOT VALID",
        "it calls function public.sing(text)",
    ),
    (
        "ALTER TABLE schemaferry.load ADD COLUMN more text",
        "column more is not one of its own",
    ),
    (
        "ALTER TABLE schemaferry.load ALTER COLUMN attempt TYPE varchar(20)",
        "column attempt is not of type text",
    ),
    (
        "ALTER TABLE schemaferry.load DROP COLUMN source",
        "column source is gone",
    ),
    (
        "ALTER TABLE schemaferry.load DROP COLUMN activity",
        "column activity is gone",
    ),
];

const COMMANDS: [&str; 4] = ["load", "check", "verify", "seal"];

/// What was wrong, and the statement that is said to cure it.
fn refusal(output: &Output) -> (String, String) {
    assert_exit(output, 78);
    let reason = text(output.last(), "reason");
    let (what, hint) = reason.split_once(" (hint: ").unwrap();
    (what.to_owned(), hint.strip_suffix(')').unwrap().to_owned())
}

#[test]
fn a_ledger_that_somebody_else_has_had_a_hand_in_is_refused_and_the_hint_cures_it() {
    let rig = Rig::new(SCHEMA);
    rig.at_target(MALLORY);
    assert_exit(&rig.worker("s").run(), 0);
    let worker = rig.worker("s").env("ON_EXISTING", "replace");
    for (number, (change, words)) in DEFECTS.into_iter().enumerate() {
        rig.at_target(change);
        let command = COMMANDS[number % COMMANDS.len()];
        let (reason, hint) = refusal(&rig.worker("s").arg(command).run());
        assert!(reason.contains(words), "{change}, {command}: {reason}");
        rig.at_target(&hint);
        // Where the ledger has gone, it is made again.
        let again = if hint.starts_with("ALTER SCHEMA") {
            "load"
        } else {
            "check"
        };
        assert_exit(&worker.clone().arg(again).run(), 0);
    }
    assert_exit(&worker.run(), 0);
    assert_eq!(rig.at_target("SELECT who FROM public.canary"), "");
}

#[test]
fn a_ledger_that_was_there_first_is_not_believed() {
    let rig = Rig::new(SCHEMA);
    rig.at_target(MALLORY);
    assert_exit(&rig.worker("s").run(), 0);
    let columns = rig.at_target(
        "SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
         FROM pg_attribute WHERE attrelid = 'schemaferry.load'::regclass AND attnum > 0",
    );
    rig.at_target("DROP SCHEMA schemaferry CASCADE; DROP SCHEMA s CASCADE; CREATE SCHEMA s; CREATE TABLE s.mine (a int)");
    // With a row that says that the schema is what a load has left half done.
    rig.at_target(&format!(
        "SET ROLE ledger_mallory; CREATE SCHEMA schemaferry; CREATE TABLE schemaferry.load ({columns});
         CREATE TRIGGER song BEFORE INSERT OR UPDATE ON schemaferry.load FOR EACH ROW EXECUTE FUNCTION public.sing();
         COMMENT ON TABLE schemaferry.load IS 'layout 2';
         INSERT INTO schemaferry.load SELECT 1, 's', 's'::regnamespace, false, 'loading', NULL, '', '', '{{}}'"
    ));
    rig.at_target("TRUNCATE public.canary");
    let (reason, hint) = refusal(&rig.worker("s").run());
    assert!(
        reason.contains("its schema belongs to ledger_mallory"),
        "{reason}"
    );
    assert_eq!(
        rig.at_target("SELECT count(*) FROM s.mine"),
        "0",
        "is still there"
    );
    rig.at_target(&hint);
    assert_exit(&rig.worker("s").run(), 73);
    rig.at_target("DROP SCHEMA s CASCADE");
    assert_exit(&rig.worker("s").run(), 0);
    assert_eq!(rig.at_target("SELECT who FROM public.canary"), "");
}

#[test]
fn a_ledger_of_a_later_release_is_refused() {
    let rig = Rig::new(SCHEMA);
    assert_exit(&rig.worker("s").run(), 0);
    rig.at_target(
        "COMMENT ON TABLE schemaferry.load IS 'layout 99'; ALTER TABLE schemaferry.load ADD COLUMN more text",
    );
    for command in COMMANDS {
        let (reason, _) = refusal(&rig.worker("s").arg(command).run());
        assert!(reason.contains("layout 99 of a later release"), "{reason}");
    }
}

#[test]
fn what_default_privileges_give_on_a_new_ledger_is_taken_back() {
    let rig = Rig::new(SCHEMA);
    rig.at_target(MALLORY);
    rig.at_target("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO ledger_mallory, PUBLIC");
    assert_exit(&rig.worker("s").run(), 0);
    let others = "SELECT count(*) FROM pg_class c, aclexplode(c.relacl) g WHERE c.oid = 'schemaferry.load'::regclass AND g.grantee <> c.relowner";
    assert_eq!(rig.at_target(others), "0");
    rig.at_target("ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM ledger_mallory, PUBLIC");
}

/// When the run's own row goes: while rows are on their way, and between the comparison and the end.
#[test]
fn rows_that_are_lost_during_a_run_are_missed() {
    for (phase, sql) in [
        ("pre-data", "DELETE FROM schemaferry.load"),
        ("verify", "DELETE FROM schemaferry.load"),
        ("pre-data", "DROP SCHEMA schemaferry CASCADE"),
        ("pre-data", "ALTER TABLE schemaferry.load DROP COLUMN inventory"),
    ] {
        let rig = Rig::new(crate::slow::SLOW_ROWS);
        let load = rig.worker("s").spawn();
        crate::slow::wait_for_phase(&load, phase);
        rig.at_target(sql);
        let output = load.wait();
        assert_exit(&output, 73);
        assert!(
            text(output.last(), "reason").contains("the run's own rows of the ledger"),
            "{sql}"
        );
    }
}

#[test]
fn a_publication_of_all_tables_takes_the_ledgers_rows_too() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS a");
    rig.at_target("CREATE PUBLICATION everything FOR ALL TABLES");
    let worker = rig.worker("s").env("ACCEPT", "publications");
    for _ in 0..2 {
        assert_exit(&worker.run(), 0);
    }
}

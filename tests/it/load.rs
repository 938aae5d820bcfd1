//! One schema, end to end.

use crate::rig::{Rig, assert_exit};

#[test]
fn a_schema_arrives_whole() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.t (id serial PRIMARY KEY, v text);
         INSERT INTO s.t (v) SELECT 'row ' || i FROM generate_series(1, 1000) i",
    );
    let output = rig.worker("s").run();
    assert_exit(&output, 0);
    assert_eq!(rig.at_target("SELECT count(*), max(id) FROM s.t"), "1000|1000");
    assert_eq!(
        rig.at_target("INSERT INTO s.t (v) VALUES ('next') RETURNING id"),
        "1001"
    );
}

#[test]
fn databases_may_have_different_names() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1)");
    rig.target.create_database("of another name");
    assert_exit(&rig.worker("s").env("TARGET_DBNAME", "of another name").run(), 0);
    assert_eq!(rig.target.psql("of another name", "SELECT a FROM s.t"), "1");
}

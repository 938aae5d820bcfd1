//! The files of `testbed/museum/`.

use std::fs;
use std::path::{Path, PathBuf};

use testbed::Cluster;

/// What every exhibit stands on.
const GROUND: &str = "ground";

/// Schemas that belong together, in the order in which they can be moved one by one.
#[derive(Debug)]
pub(crate) struct Exhibit {
    pub(crate) name: String,
    pub(crate) schemas: Vec<String>,
    sql: String,
}

impl Exhibit {
    /// Every one, or those with these names.
    pub(crate) fn all(only: &[String]) -> Vec<Self> {
        let mut files: Vec<PathBuf> = fs::read_dir(directory())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let exhibits = files.iter().map(|file| Self::read(file));
        exhibits
            .filter(|exhibit| exhibit.name != GROUND)
            .filter(|exhibit| only.is_empty() || only.contains(&exhibit.name))
            .collect()
    }

    fn read(file: &Path) -> Self {
        let sql = fs::read_to_string(file).unwrap();
        let first = sql.lines().next().unwrap_or_default();
        let schemas = first.strip_prefix("-- schemas: ").unwrap_or_default();
        Self {
            name: file.file_stem().unwrap().to_string_lossy().into_owned(),
            schemas: schemas.split(", ").map(str::to_owned).collect(),
            sql,
        }
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("museum")
}

/// Makes a database with what exhibits stand on.
pub(crate) fn lay_ground(cluster: &Cluster, database: &str) {
    cluster.create_database(database);
    let sql = fs::read_to_string(directory().join(format!("{GROUND}.sql"))).unwrap();
    cluster.psql(database, &sql);
}

/// Makes a database with all exhibits.
pub(crate) fn hang(cluster: &Cluster, database: &str, exhibits: &[Exhibit]) {
    lay_ground(cluster, database);
    for exhibit in exhibits {
        if let Err(message) = cluster.try_psql(database, &exhibit.sql) {
            panic!("{}: {message}", exhibit.name);
        }
    }
}

/// Says how large each exhibit is.
pub(crate) fn tell(cluster: &Cluster, database: &str, exhibits: &[Exhibit]) {
    println!("{:<14} {:>8}   schemas", "exhibit", "objects");
    for exhibit in exhibits {
        let schemas: Vec<String> = exhibit
            .schemas
            .iter()
            .map(|schema| format!("'{schema}'"))
            .collect();
        let sql = format!(
            "WITH member AS (SELECT classid, objid FROM pg_depend
                 WHERE refclassid = 'pg_namespace'::regclass AND refobjid = ANY (ARRAY[{}]::regnamespace[]::oid[])),
             part AS (SELECT d.classid, d.objid FROM pg_depend d JOIN member m ON (d.refclassid, d.refobjid) = (m.classid, m.objid)
                 WHERE d.deptype IN ('a', 'i') AND d.classid <> 'pg_type'::regclass)
             SELECT count(*) FROM (SELECT * FROM member UNION SELECT * FROM part) o",
            schemas.join(", ")
        );
        println!(
            "{:<14} {:>8}   {}",
            exhibit.name,
            cluster.psql(database, &sql),
            exhibit.schemas.join(", ")
        );
    }
}

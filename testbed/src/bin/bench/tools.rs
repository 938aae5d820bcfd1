//! The tools: how each of them moves the schema.

use std::net::{Ipv4Addr, SocketAddr};

use testbed::cluster::{PASSWORD, SUPERUSER};
use testbed::{Cluster, Proxy};

use crate::sets::{Set, Way};
use crate::{DATABASE, SCHEMA};

/// A tool, and what it is called: by a word on the command line and in the bar, by a name in tables.
pub(crate) struct Tool {
    pub(crate) word: &'static str,
    pub(crate) name: &'static str,
    pub(crate) how: How,
    whose: Whose,
}

pub(crate) enum How {
    /// A shell script that moves the schema from `$SOURCE` to `$TARGET`, connection strings.
    Script(&'static str),
    /// The two servers alone.
    Floor,
}

/// Which sets a tool is run on.
#[derive(PartialEq)]
enum Whose {
    /// The worker: all of them.
    Ours,
    /// A peer: those that compare tools.
    Peer,
    /// One set alone.
    Only(&'static str),
}

/// Sets that only the worker is run on.
const OURS_ALONE: [&str; 2] = ["even", "line"];

/// Names of tools that the bar needs.
pub(crate) mod word {
    pub(crate) const ORIGINAL: &str = "original";
    pub(crate) const PGCOPYDB: [&str; 2] = ["pgcopydb-2", "pgcopydb-4"];
    pub(crate) const PSQL: &str = "psql";
    pub(crate) const FLOOR: &str = "floor";
    pub(crate) const PIPE: &str = "pipe";
    pub(crate) const COPY: &str = "copy";
}

macro_rules! analyze {
    () => {
        "\nvacuumdb --quiet --analyze-only --jobs 2 --schema bench --dbname \"$TARGET\""
    };
}

macro_rules! directory {
    ($jobs:literal) => {
        concat!(
            "pg_dump -Fd -Z0 -j ",
            $jobs,
            " -n bench -f \"$WORK/directory\" \"$SOURCE\"\n",
            "pg_restore -j ",
            $jobs,
            " -d \"$TARGET\" \"$WORK/directory\"",
            analyze!()
        )
    };
}

macro_rules! pgcopydb {
    ($jobs:literal) => {
        concat!(
            "pgcopydb clone --source \"$SOURCE\" --target \"$TARGET\" --dir \"$WORK/pgcopydb\" ",
            "--use-copy-binary --skip-vacuum --no-acl --no-owner --skip-extensions --skip-large-objects --fail-fast ",
            "--table-jobs ",
            $jobs,
            " --index-jobs ",
            $jobs,
            " --restore-jobs ",
            $jobs,
            analyze!()
        )
    };
}

pub(crate) const TOOLS: [Tool; 11] = [
    Tool::peer(
        word::ORIGINAL,
        "pg_dump -Fc | pg_restore",
        concat!(
            r#"pg_dump -Fc -n bench "$SOURCE" | pg_restore -d "$TARGET""#,
            analyze!()
        ),
    ),
    Tool::peer(
        "uncompressed",
        "pg_dump -Fc -Z0 | pg_restore",
        concat!(
            r#"pg_dump -Fc -Z0 -n bench "$SOURCE" | pg_restore -d "$TARGET""#,
            analyze!()
        ),
    ),
    Tool::peer(
        "directory-2",
        "pg_dump -Fd -j2 -Z0, pg_restore -j2",
        directory!("2"),
    ),
    Tool::peer(
        "directory-4",
        "pg_dump -Fd -j4 -Z0, pg_restore -j4",
        directory!("4"),
    ),
    Tool::peer(word::PGCOPYDB[0], "pgcopydb, 2 and 2 jobs", pgcopydb!("2")),
    Tool::peer(word::PGCOPYDB[1], "pgcopydb, 4 and 4 jobs", pgcopydb!("4")),
    Tool {
        word: word::PSQL,
        name: "psql | psql",
        how: How::Script(concat!(
            r#"pg_dump -n bench --section=pre-data "$SOURCE" | psql -Xq -o /dev/null -d "$TARGET"
psql -X -d "$SOURCE" -c "COPY bench.reading TO STDOUT (FORMAT binary)" |
    psql -X -q -d "$TARGET" -c "COPY bench.reading FROM STDIN (FORMAT binary)""#,
            analyze!()
        )),
        whose: Whose::Only("keyless"),
    },
    Tool {
        word: word::FLOOR,
        name: "the servers alone",
        how: How::Floor,
        whose: Whose::Peer,
    },
    Tool::ours(
        word::PIPE,
        "schemaferry METHOD=pipe",
        r#"METHOD=pipe "$SCHEMAFERRY" load"#,
    ),
    Tool::ours(
        word::COPY,
        "schemaferry METHOD=copy",
        r#"METHOD=copy "$SCHEMAFERRY" load"#,
    ),
    Tool::ours(
        "copy-without-lz4",
        "schemaferry METHOD=copy, no lz4",
        r#"METHOD=copy TOAST_COMPRESSION=server "$SCHEMAFERRY" load"#,
    ),
];

impl Tool {
    const fn peer(word: &'static str, name: &'static str, script: &'static str) -> Self {
        Self {
            word,
            name,
            how: How::Script(script),
            whose: Whose::Peer,
        }
    }

    const fn ours(word: &'static str, name: &'static str, script: &'static str) -> Self {
        Self {
            word,
            name,
            how: How::Script(script),
            whose: Whose::Ours,
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.whose == Whose::Ours
    }

    pub(crate) fn takes(&self, set: &Set) -> bool {
        match self.whose {
            Whose::Ours => true,
            Whose::Peer => !OURS_ALONE.contains(&set.name),
            Whose::Only(name) => set.name == name,
        }
    }
}

/// Both servers, and the way to the source.
pub(crate) struct Sides<'a> {
    pub(crate) source: &'a Cluster,
    pub(crate) target: &'a Cluster,
    /// Stands between the tools and the source.
    pub(crate) proxy: Option<Proxy>,
    tls: bool,
}

impl<'a> Sides<'a> {
    pub(crate) fn new(source: &'a Cluster, target: &'a Cluster, way: Way) -> Self {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, source.port()));
        Self {
            source,
            target,
            proxy: way.line.map(|line| Proxy::start(server, line)),
            tls: way.tls,
        }
    }

    /// What every script finds in its environment, for either side: a connection string, and the worker's variables.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let source_port = self.proxy.as_ref().map_or(self.source.port(), Proxy::port);
        let mode = if self.tls { "require" } else { "disable" };
        let mut variables = vec![("SCHEMA_NAME".to_owned(), SCHEMA.to_owned())];
        for (side, port) in [("SOURCE", source_port), ("TARGET", self.target.port())] {
            let uri = format!("postgres://{SUPERUSER}@127.0.0.1:{port}/{DATABASE}?sslmode={mode}");
            variables.push((side.to_owned(), uri));
            let words = [
                ("HOST", "127.0.0.1".to_owned()),
                ("PORT", port.to_string()),
                ("DBNAME", DATABASE.to_owned()),
                ("USER", SUPERUSER.to_owned()),
                ("PASSWORD", PASSWORD.to_owned()),
                ("SSLMODE", mode.to_owned()),
            ];
            variables.extend(words.map(|(word, value)| (format!("{side}_{word}"), value)));
        }
        variables
    }
}

//! The tools: how each of them moves the schema.

use std::net::{Ipv4Addr, SocketAddr};

use testbed::cluster::{PASSWORD, SUPERUSER};
use testbed::{Cluster, Proxy};

use crate::sets::Way;
use crate::{DATABASE, SCHEMA};

/// A tool, and what it is called: by a word on the command line and in the bar, by a name in tables.
pub(crate) struct Tool {
    pub(crate) word: &'static str,
    pub(crate) name: &'static str,
    pub(crate) how: How,
}

pub(crate) enum How {
    /// A shell script that moves the schema from `$SOURCE` to `$TARGET`, connection strings.
    Script(&'static str),
    /// The two servers alone; how the target compresses what it stores out of line.
    Floor(&'static str),
}

/// The tools' words: what sets, bar and command line call them by.
pub(crate) mod word {
    pub(crate) const ORIGINAL: &str = "original";
    pub(crate) const UNCOMPRESSED: &str = "uncompressed";
    pub(crate) const DIRECTORY_2: &str = "directory-2";
    pub(crate) const DIRECTORY_4: &str = "directory-4";
    pub(crate) const PGCOPYDB_2: &str = "pgcopydb-2";
    pub(crate) const PGCOPYDB_4: &str = "pgcopydb-4";
    pub(crate) const PGCOPYDB_8: &str = "pgcopydb-8";
    pub(crate) const PSQL: &str = "psql";
    pub(crate) const FLOOR: &str = "floor";
    pub(crate) const FLOOR_LZ4: &str = "floor-lz4";
    pub(crate) const PIPE: &str = "pipe";
    pub(crate) const COPY: &str = "copy";
    pub(crate) const COPY_WITHOUT_LZ4: &str = "copy-without-lz4";
    pub(crate) const REFRESH: &str = "refresh";
    pub(crate) const FIVE: &str = "five";
}

/// The worker's, one for each way to run it.
const OURS: [&str; 5] = [
    word::PIPE,
    word::COPY,
    word::COPY_WITHOUT_LZ4,
    word::REFRESH,
    word::FIVE,
];

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

pub(crate) const TOOLS: [Tool; 15] = [
    Tool::script(
        word::ORIGINAL,
        "pg_dump -Fc | pg_restore",
        concat!(
            r#"pg_dump -Fc -n bench "$SOURCE" | pg_restore -d "$TARGET""#,
            analyze!()
        ),
    ),
    Tool::script(
        word::UNCOMPRESSED,
        "pg_dump -Fc -Z0 | pg_restore",
        concat!(
            r#"pg_dump -Fc -Z0 -n bench "$SOURCE" | pg_restore -d "$TARGET""#,
            analyze!()
        ),
    ),
    Tool::script(
        word::DIRECTORY_2,
        "pg_dump -Fd -j2 -Z0, pg_restore -j2",
        directory!("2"),
    ),
    Tool::script(
        word::DIRECTORY_4,
        "pg_dump -Fd -j4 -Z0, pg_restore -j4",
        directory!("4"),
    ),
    Tool::script(word::PGCOPYDB_2, "pgcopydb, 2 and 2 jobs", pgcopydb!("2")),
    Tool::script(word::PGCOPYDB_4, "pgcopydb, 4 and 4 jobs", pgcopydb!("4")),
    // Of the sets over a line alone.
    Tool::script(word::PGCOPYDB_8, "pgcopydb, 8 and 8 jobs", pgcopydb!("8")),
    // Of the set keyless alone.
    Tool::script(
        word::PSQL,
        "psql | psql",
        concat!(
            r#"pg_dump -n bench --section=pre-data "$SOURCE" | psql -Xq -o /dev/null -d "$TARGET"
psql -X -d "$SOURCE" -c "COPY bench.reading TO STDOUT (FORMAT binary)" |
    psql -X -q -d "$TARGET" -c "COPY bench.reading FROM STDIN (FORMAT binary)""#,
            analyze!()
        ),
    ),
    Tool {
        word: word::FLOOR,
        name: "the servers alone",
        how: How::Floor("pglz"),
    },
    Tool {
        word: word::FLOOR_LZ4,
        name: "the servers alone, lz4",
        how: How::Floor("lz4"),
    },
    Tool::script(
        word::PIPE,
        "schemaferry METHOD=pipe",
        r#"PATH=$BIN METHOD=pipe "$SCHEMAFERRY" load"#,
    ),
    Tool::script(
        word::COPY,
        "schemaferry METHOD=copy",
        r#"PATH=$BIN METHOD=copy "$SCHEMAFERRY" load"#,
    ),
    Tool::script(
        word::COPY_WITHOUT_LZ4,
        "schemaferry METHOD=copy, no lz4",
        r#"PATH=$BIN METHOD=copy TOAST_COMPRESSION=server "$SCHEMAFERRY" load"#,
    ),
    // Onto what was loaded before the change.
    Tool::script(
        word::REFRESH,
        "schemaferry refresh",
        r#"PATH=$BIN REFRESH=only "$SCHEMAFERRY" refresh"#,
    ),
    // As a state machine runs them.
    Tool::script(
        word::FIVE,
        "schemaferry METHOD=copy, five at a time",
        r#"psql -AtX -c "SELECT nspname FROM pg_namespace WHERE nspname ~ '^bench' ORDER BY 1" "$SOURCE" |
xargs -I% -P 5 env PATH="$BIN" METHOD=copy SCHEMA_NAME=% "$SCHEMAFERRY" load"#,
    ),
];

impl Tool {
    const fn script(word: &'static str, name: &'static str, script: &'static str) -> Self {
        Self {
            word,
            name,
            how: How::Script(script),
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        OURS.contains(&self.word)
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

//! Every variable with its default and its meaning: what `--help` and the README say.

/// A variable of the environment, as `--help` and the README describe it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variable {
    /// Its name; one that begins with `…_` exists for SOURCE and for TARGET.
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        default,
        meaning,
    }
}

/// Every variable that is read, in the README's order.
pub(crate) const VARIABLES: &[Variable] = &[
    variable(
        "SCHEMA_NAME",
        "required",
        "a schema, or several separated by commas that move together, all or nothing; names are literal, \
         one with a comma, a double quote or outer blanks is written as in SQL: \"a,b\"",
    ),
    variable(
        "…_HOST",
        "required unless the secret holds `host`",
        "host name, address, or a socket directory beginning with /",
    ),
    variable("…_PORT", "5432", "TCP port, or the number in the socket's name"),
    variable("…_DBNAME", "postgres", "database"),
    variable("…_USER", "postgres", "role to log in as"),
    variable(
        "…_PASSWORD",
        "none",
        "the password itself; at most one of PASSWORD, PASSWORD_FILE, SECRET_ID and IAM_AUTH per side",
    ),
    variable(
        "…_PASSWORD_FILE",
        "none",
        "a file that holds the password; one line end at its end is not part of it",
    ),
    variable(
        "…_SECRET_ID",
        "none",
        "name or ARN of a secret in AWS Secrets Manager: the password alone, or JSON with username and password, \
         and host, port, dbname where it has them; a variable that is set wins over the secret",
    ),
    variable(
        "…_IAM_AUTH",
        "false",
        "true: IAM database authentication; each connection gets a token that is signed for it, over TLS (sslmode \
         require at least, which is then the default)",
    ),
    variable(
        "…_SSLMODE",
        "prefer",
        "libpq's words: disable, allow, prefer, require, verify-ca, verify-full",
    ),
    variable(
        "…_SSLROOTCERT",
        "none",
        "PEM file of the authorities that the server's certificate is checked against, or `system` (verify-full)",
    ),
    variable(
        "METHOD",
        "copy",
        "how rows travel: copy (many COPY streams under one snapshot) or pipe (pg_dump piped into pg_restore)",
    ),
    variable("JOBS", "4", "copy: streams in flight on each side, 1 to 64"),
    variable(
        "BUILD_JOBS",
        "auto",
        "copy: sessions that build on the target beside the streams, 1 to 64; auto: as many as JOBS",
    ),
    variable(
        "SPLIT",
        "auto",
        "copy: whether large tables are cut into ranges of blocks that travel side by side: auto (where one table \
         would outlast all others), never, always",
    ),
    variable(
        "MAINTENANCE_WORK_MEM",
        "auto",
        "copy: memory of one build of an index on the target, of which up to BUILD_JOBS run at once, as PostgreSQL writes it \
         (256MB): auto (64 MB or more, up to 256 MB or the server's setting, by its shared_buffers and BUILD_JOBS)",
    ),
    variable(
        "TOAST_COMPRESSION",
        "auto",
        "copy: how large values are compressed: auto (lz4 where the target has it and no index reads such a value), \
         server (as the target is set), lz4, pglz",
    ),
    variable(
        "VERIFY",
        "rows",
        "what is compared before a load counts as complete, and by verify: rows (exact counts, sequences, every object), hash (every value too), none",
    ),
    variable(
        "PRIVILEGES",
        "keep",
        "keep: owners, grants, default privileges and policies are carried; skip: all belongs to the target's user",
    ),
    variable(
        "ROLE_MAP",
        "none",
        "old=new,… for roles that have another name on the target; quoted as in SCHEMA_NAME",
    ),
    variable(
        "ON_EXISTING",
        "own",
        "own: replace only what a load of ours made and nobody changed since; fail: only leftovers of the same \
         RUN_ID; replace: whatever is there",
    ),
    variable(
        "RESUME",
        "auto",
        "load: what becomes of what an interrupted one has left: auto (tables that have landed, and have not changed on the \
         source since, stay), never (everything is dropped and loaded again)",
    ),
    variable(
        "REFRESH",
        "auto",
        "refresh: what happens where a schema cannot be brought up to date table by table: auto (all of it is loaded), only \
         (the run ends with 73)",
    ),
    variable(
        "ACCEPT",
        "none",
        "hazards to accept, by name, separated by commas",
    ),
    variable(
        "ACCEPT_REASON",
        "none",
        "who has accepted them and why, up to 1000 characters; kept in the ledger for report",
    ),
    variable(
        "RUN_ID",
        "none",
        "names the run; a load that is already complete under the same RUN_ID exits 0 and does nothing",
    ),
    variable(
        "RUN_SCHEMAS",
        "none",
        "the schemas that the whole run brings, written as in SCHEMA_NAME: what this one needs of them is waited for, \
         as long as WAIT_TIMEOUT says, though nothing of it is there yet",
    ),
    variable(
        "REPORT_BUCKET",
        "none",
        "report: a bucket of S3 that it is put into, as HTML and as JSON",
    ),
    variable("MAX_RUNTIME", "none", "longest time a run may take"),
    variable(
        "STALL_TIMEOUT",
        "10m",
        "longest time in which no byte moves, no statement ends and no backend of the run is at work",
    ),
    variable("LOCK_TIMEOUT", "60s", "longest wait for any lock, on either side"),
    variable(
        "WAIT_TIMEOUT",
        "0",
        "how long to wait for another worker that holds this schema, or for a schema that this one needs",
    ),
    variable(
        "RUN_DIR",
        "the system's temporary directory",
        "where the run keeps passfile and archive, in a private directory that it removes; fit for tmpfs",
    ),
    variable("LOG_LEVEL", "info", "error, warn, info, debug"),
    variable(
        "LOG_FORMAT",
        "auto",
        "json: bunyan, one object a line; text; auto: json unless standard output is a terminal",
    ),
];

/// The default of a variable, by its name in small letters and without a side's prefix.
pub(crate) fn default_of(name: &str) -> &'static str {
    let is_named = |variable: &&Variable| {
        let known = variable.name.strip_prefix("…_").unwrap_or(variable.name);
        known.eq_ignore_ascii_case(name)
    };
    VARIABLES
        .iter()
        .find(is_named)
        .map_or("", |variable| variable.default)
}

//! Child programs: the only place that spawns.
//!
//! Each child leads a process group of its own, gets a cleared environment with an explicit list, and is killed
//! with its whole group when its owner is dropped, whatever ended the run. What it leaves on the servers is
//! ended by the sweep (`lock/mod.rs`), because a killed client does not end its backend.

use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

use crate::archive::oom;
use crate::error::words::{self, Words};
use crate::error::{Error, Program, Refused, Side};
use crate::server::connect::CONNECT_TIMEOUT;
use crate::server::passfile::Passfile;
use crate::server::settings::{self, Dialect};
use crate::server::{Server, SslRootCert};
use crate::word::Word as _;

/// One run of a program against one server.
#[derive(Debug)]
pub(crate) struct Invocation<'a> {
    pub(crate) program: Program,
    /// The directory that holds the program.
    pub(crate) directory: &'a Path,
    /// The client's major version.
    pub(crate) client_major: u32,
    pub(crate) server: &'a Server,
    pub(crate) dialect: Dialect,
    pub(crate) passfile: &'a Passfile,
    pub(crate) application_name: String,
    pub(crate) args: Vec<String>,
}

/// What a program writes on standard error while all is well, one line at a time.
pub(crate) type OnLine<'a> = &'a (dyn Fn(&str) + Sync);

/// A program that runs. Dropping it kills its process group.
#[derive(Debug)]
pub(crate) struct Running {
    program: Program,
    side: Side,
    child: Child,
    group: Option<Pid>,
    /// [`oom::kills`] before it started.
    kills_before: Option<u64>,
    stderr: Option<ChildStderr>,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
}

impl Invocation<'_> {
    /// Starts the program with closed standard input and discarded output, unless asked to pipe them.
    pub(crate) async fn spawn(&self, stdin: Stdio, stdout: Stdio) -> Result<Running, Error> {
        self.passfile.renew(self.server).await?;
        #[expect(clippy::disallowed_methods, reason = "this module is the only spawner")]
        let mut command = tokio::process::Command::new(self.directory.join(self.program.name()));
        command
            .args(&self.args)
            .env_clear()
            .envs(self.environment())
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        tracing::debug!(program = self.program.name(), args = ?self.args, "program started");
        let kills_before = oom::kills();
        let mut child = command.spawn().map_err(|source| Error::Spawn {
            program: self.program,
            source,
        })?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw);
        Ok(Running {
            program: self.program,
            side: self.server.side,
            group,
            kills_before,
            stderr: child.stderr.take(),
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            child,
        })
    }

    /// Everything libpq reads, and nothing else. The password is in the passfile only.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let passfile = self.passfile.path();
        let home = passfile.parent().unwrap_or(passfile);
        let mut variables = vec![
            ("PATH", self.directory.display().to_string()),
            ("LC_ALL", "C".to_owned()),
            // Where libpq looks for certificates and service files of its own.
            ("HOME", home.display().to_string()),
            ("PGHOST", self.server.host.clone()),
            ("PGPORT", self.server.port.to_string()),
            ("PGDATABASE", self.server.dbname.clone()),
            ("PGUSER", self.server.user.clone()),
            ("PGPASSFILE", passfile.display().to_string()),
            ("PGAPPNAME", self.application_name.clone()),
            ("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT.as_secs().to_string()),
            ("PGGSSENCMODE", "disable".to_owned()),
            ("PGSSLMODE", self.server.sslmode.word().to_owned()),
        ];
        if let Some(root) = &self.server.sslrootcert {
            variables.push(("PGSSLROOTCERT", root_certificate(root, self.client_major)));
        }
        let options = settings::of_programs(self.dialect);
        variables.push(("PGOPTIONS", options));
        variables
    }
}

/// libpq's word for the system's authorities, or their file for clients that do not know the word.
fn root_certificate(root: &SslRootCert, client_major: u32) -> String {
    const BUNDLES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"];
    match root {
        SslRootCert::File(path) => path.display().to_string(),
        SslRootCert::System if client_major >= 16 => "system".to_owned(),
        SslRootCert::System => {
            let [first, second] = BUNDLES;
            if Path::new(first).exists() {
                first.to_owned()
            } else {
                second.to_owned()
            }
        }
    }
}

impl Running {
    /// Waits for the end; anything but status 0 is an error that names the cause in the program's words.
    pub(crate) async fn finish(mut self, on_line: OnLine<'_>) -> Result<(), Error> {
        let stderr = self.stderr.take();
        let (status, cause) = tokio::join!(self.child.wait(), relay_lines(self.program, stderr, on_line));
        self.group = None;
        let status = status.map_err(|source| Error::Spawn {
            program: self.program,
            source,
        })?;
        if status.success() {
            return Ok(());
        }
        if status.signal() == Some(Signal::SIGKILL as i32) && oom::kills() > self.kills_before {
            return Err(Error::Refused(Refused::resources(
                self.side,
                format!(
                    "{} was killed because the container has reached its memory limit",
                    self.program
                ),
                "give it more memory; under METHOD=copy no row is held whole",
            )));
        }
        let (reason, words): (Vec<String>, Vec<Words>) = cause.into_iter().unzip();
        Err(Error::Program {
            program: self.program,
            side: self.side,
            status,
            reason: reason.join(": "),
            words,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            killpg(group, Signal::SIGKILL).ok();
        }
    }
}

/// Logs every line and returns those that name the cause of a failure.
async fn relay_lines(
    program: Program,
    stderr: Option<impl AsyncRead + Unpin>,
    on_line: OnLine<'_>,
) -> Vec<(String, Words)> {
    const CAUSES_MAX: usize = 3;
    const LINE_MAX: u64 = 64 * 1024;
    let mut causes = Vec::new();
    let Some(stderr) = stderr else { return causes };
    let mut reader = BufReader::new(stderr);
    let mut bytes = Vec::new();
    // What a longer line has left comes as lines of its own, which belong to no program and are withheld.
    while matches!((&mut reader).take(LINE_MAX).read_until(b'\n', &mut bytes).await, Ok(length) if length > 0)
    {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        on_line(&line);
        let Some((safe, said)) = words::read(program, &line) else {
            if words::is_raised(&line)
                && let Some((_, Words::Server { raised, .. })) = causes.last_mut()
            {
                *raised = true;
            }
            tracing::debug!(program = program.name(), pipe = "stderr", "line withheld");
            continue;
        };
        record(program, &safe);
        if is_error(&safe) && causes.len() < CAUSES_MAX {
            causes.push((safe, said));
        }
    }
    causes
}

fn is_error(line: &str) -> bool {
    line.contains("error: ") || line.contains("Error message from server")
}

fn record(program: Program, line: &str) {
    let program = program.name();
    if is_error(line) {
        tracing::error!(program, pipe = "stderr", line, "program wrote");
    } else if line.contains("warning: ") {
        tracing::warn!(program, pipe = "stderr", line, "program wrote");
    } else {
        tracing::debug!(program, pipe = "stderr", line, "program wrote");
    }
}

/// Standard output and standard error of a short run; `None` where there is no such program or it does not end.
pub(super) async fn output(
    directory: &Path,
    program: Program,
    args: &[&str],
) -> Result<Option<String>, Error> {
    /// What takes milliseconds, on a machine that has to read the program from a slow disk first.
    const LIMIT: Duration = Duration::from_secs(10);
    #[expect(clippy::disallowed_methods, reason = "this module is the only spawner")]
    let mut command = tokio::process::Command::new(directory.join(program.name()));
    command
        .args(args)
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) => output,
        // A file of that name that is no program of this machine's.
        Ok(Err(error)) if is_no_program(&error) => return Ok(None),
        Ok(Err(source)) => return Err(Error::Spawn { program, source }),
        Err(_elapsed) => {
            tracing::warn!(
                program = program.name(),
                directory = %directory.display(),
                seconds = LIMIT.as_secs(),
                "program does not answer"
            );
            return Ok(None);
        }
    };
    let said = [output.stdout, output.stderr].concat();
    Ok(Some(String::from_utf8_lossy(&said).into_owned()))
}

fn is_no_program(error: &io::Error) -> bool {
    let kinds = [ErrorKind::NotFound, ErrorKind::PermissionDenied];
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(nix::libc::ENOEXEC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_output_makes_the_reader_panic_or_hoard(
            lines in proptest::collection::vec(
                prop_oneof![
                    "(pg_restore: )?(error: |warning: )?(.*ERROR:)?[\"'a-z ]{0,40}\n?".prop_map(String::into_bytes),
                    proptest::collection::vec(any::<u8>(), 0..200),
                    (1..200_000_usize).prop_map(|length| vec![b'x'; length]),
                ],
                0..10,
            )
        ) {
            let longest = std::sync::atomic::AtomicUsize::new(0);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let all = lines.concat();
            runtime.block_on(relay_lines(Program::PgRestore, Some(all.as_slice()), &|line: &str| {
                longest.fetch_max(line.len(), std::sync::atomic::Ordering::Relaxed);
            }));
            // A byte that is not UTF-8 becomes a character of three.
            prop_assert!(longest.into_inner() <= 3 * 64 * 1024);
        }
    }
}

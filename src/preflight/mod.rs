//! Every question that is asked before anything changes, answered in one go.

mod foreseen;
mod hazards;
mod members;
mod needs;
mod others;
mod outlook;
mod references;
mod rights;
mod servers;
mod service;

use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::archive::clients::Client;
use crate::archive::dump;
use crate::clear::Decision;
use crate::config::{Config, SchemaName};
use crate::error::{Error, Refusal, Refused};
use crate::ledger;
pub(crate) use crate::preflight::outlook::Seen;
pub(crate) use crate::preflight::references::references_by_schema;
pub(crate) use crate::preflight::servers::refuse_reader;
use crate::progress::Progress;
use crate::server::quoting::quote_ident;
use crate::server::session::Session;
use crate::server::{Server, Sides};

/// Between two looks at what a schema waits for.
const WAIT_INTERVAL: Duration = Duration::from_secs(5);

/// One answer of preflight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The question, a constant such as `roles` or `lock table`.
    pub(crate) check: &'static str,
    pub(crate) verdict: Verdict,
}

/// What a question's answer means for a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing stands in the way; the text says what was found.
    Fine(String),
    /// Worth knowing, such as an object that is not carried.
    Noted(String),
    Refused(Refused),
}

/// What follows if nothing stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Nothing,
    /// What is there is replaced.
    Load,
    /// What is there is brought up to date, or replaced.
    Refresh,
}

/// What the questions are asked about.
pub(crate) struct Questions<'a> {
    pub(crate) config: &'a Config,
    pub(crate) sessions: &'a Sides<Session>,
    pub(crate) servers: &'a Sides<Server>,
    /// The installed client programs.
    pub(crate) clients: &'a [Client],
    pub(crate) entry: &'a ledger::NewLoad,
    pub(crate) purpose: Purpose,
    /// What earlier questions of this run have seen.
    pub(crate) seen: Seen,
}

/// All answers, and what follows from them.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    findings: Vec<Finding>,
    /// What is done with each schema of the unit on the target.
    pub(crate) decisions: Vec<(SchemaName, Decision)>,
    /// Extensions that the load creates, each with the schema of the unit that it lives in.
    pub(crate) extensions: Vec<(String, String)>,
}

/// The client programs that serve both servers.
pub(crate) fn client<'a>(
    clients: &'a [Client],
    config: &Config,
    sessions: &Sides<Session>,
    servers: &Sides<Server>,
) -> Result<&'a Client, Refused> {
    let side = |session: &Session, server: &Server| (session.major(), server.sslmode);
    let sides = Sides {
        source: side(&sessions.source, &servers.source),
        target: side(&sessions.target, &servers.target),
    };
    dump::choose(clients, config.method, sides)
}

/// Asks everything, all at once: each question would otherwise cost its way to the server and back. An error means that a
/// question could not be asked.
pub(crate) async fn ask(questions: &Questions<'_>) -> Result<Answers, Error> {
    let mut answers = Answers::default();
    answers.choose_client(questions);
    let (servers, rights, needs, foreseen, hazards) = tokio::try_join!(
        Box::pin(servers::ask(questions)),
        Box::pin(rights::ask(questions)),
        Box::pin(needs::ask(questions)),
        Box::pin(foreseen::ask(questions)),
        Box::pin(hazards::ask(questions))
    )?;
    for more in [servers, rights, needs, foreseen, hazards] {
        answers.extend(more);
    }
    Ok(answers)
}

/// Asks what the source alone can answer.
pub(crate) async fn ask_source(config: &Config, source: &Session) -> Result<Answers, Error> {
    let mut answers = Answers::default();
    let (servers, rights, foreseen, hazards) = tokio::try_join!(
        Box::pin(servers::of_source(config, source)),
        Box::pin(rights::of_source(config, source)),
        Box::pin(foreseen::of_source(config, source)),
        Box::pin(hazards::of_source(config, source))
    )?;
    for more in [servers, rights, foreseen, hazards] {
        answers.extend(more);
    }
    Ok(answers)
}

/// Asks what is to be done with the schemas on the target and whether the user may do it; who depends on them is not asked.
pub(crate) async fn ask_target(questions: &Questions<'_>) -> Result<Answers, Error> {
    rights::of_target(questions).await
}

/// The answers, if nothing refuses; `None` where what refuses passes by itself and is to be waited for.
pub(crate) async fn permitted_at_once(
    questions: &Questions<'_>,
    progress: &Progress,
) -> Result<Option<Answers>, Error> {
    let answers = ask(questions).await?;
    if questions.config.wait_timeout > Duration::ZERO && answers.pass() {
        return Ok(None);
    }
    answers.told(progress).map(Some)
}

/// The answers, as soon as nothing refuses; what passes by itself is waited for up to `WAIT_TIMEOUT`.
pub(crate) async fn permitted(questions: &Questions<'_>, progress: &Progress) -> Result<Answers, Error> {
    let started = Instant::now();
    let mut said = Vec::new();
    loop {
        let answers = ask(questions).await?;
        if !answers.pass() || started.elapsed() >= questions.config.wait_timeout {
            return answers.told(progress);
        }
        let refusals = answers.refusals();
        if refusals != said {
            let reason = refusals
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ");
            tracing::info!(phase = "preflight", reason, "waiting");
            said = refusals;
        }
        progress.step();
        tokio::time::sleep(WAIT_INTERVAL).await;
    }
}

/// Creates the extensions that live in the unit, each with its schema, as [`Answers::extensions`] names them. Refuses where one of them
/// lacks what it holds on the source.
pub(crate) async fn create_extensions(
    config: &Config,
    (source, target): (&Session, &Session),
    extensions: &[(String, String)],
    progress: &Progress,
) -> Result<(), Error> {
    for (name, schema) in extensions {
        let (name, schema) = (quote_ident(name), quote_ident(schema));
        let sql = format!("CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA {schema}");
        target.batch(&format!("create extension {name}"), &sql).await?;
    }
    if !extensions.is_empty() {
        let is_made = |name: &str| extensions.iter().any(|(made, _)| made == name);
        let members = members::ask(source, target, &config.schemas.names(), is_made).await?;
        members.told(progress)?;
    }
    Ok(())
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let check = self.check;
        match &self.verdict {
            Verdict::Fine(found) => write!(f, "  ok      {check}: {found}"),
            Verdict::Noted(found) => write!(f, "  note    {check}: {found}"),
            Verdict::Refused(Refused {
                side, reason, hint, ..
            }) => {
                write!(f, "  REFUSED {check}: {side}: {reason}")?;
                if hint.is_empty() {
                    Ok(())
                } else {
                    write!(f, "\n          → {hint}")
                }
            }
        }
    }
}

impl Answers {
    /// Adds what was answered elsewhere.
    pub(crate) fn extend(&mut self, more: Self) {
        self.findings.extend(more.findings);
        self.decisions.extend(more.decisions);
        self.extensions.extend(more.extensions);
    }

    /// One after the other.
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn add(&mut self, check: &'static str, verdict: Verdict) {
        self.findings.push(Finding { check, verdict });
    }

    fn fine(&mut self, check: &'static str, found: String) {
        self.add(check, Verdict::Fine(found));
    }

    pub(crate) fn note(&mut self, check: &'static str, found: String) {
        self.add(check, Verdict::Noted(found));
    }

    /// What is about all schemas of a unit is told once.
    pub(crate) fn refuse(&mut self, check: &'static str, refused: Refused) {
        let verdict = Verdict::Refused(refused);
        if self.findings.iter().all(|known| known.verdict != verdict) {
            self.add(check, verdict);
        }
    }

    fn choose_client(&mut self, questions: &Questions<'_>) {
        let Questions {
            config,
            sessions,
            servers,
            clients,
            ..
        } = questions;
        match client(clients, config, sessions, servers) {
            Ok(client) => self.fine(
                "client programs",
                format!("pg_dump and pg_restore {}", client.major),
            ),
            Err(refused) => self.refuse("client programs", refused),
        }
    }

    /// What stands in the way.
    pub(crate) fn refusals(&self) -> Vec<Refused> {
        let refused = |finding: &Finding| match &finding.verdict {
            Verdict::Refused(refused) => Some(refused.clone()),
            Verdict::Fine(_) | Verdict::Noted(_) => None,
        };
        self.findings.iter().filter_map(refused).collect()
    }

    /// What is not carried or worth knowing.
    pub(crate) fn notes(&self) -> Vec<String> {
        let noted = |finding: &Finding| match &finding.verdict {
            Verdict::Noted(text) => Some(text.clone()),
            Verdict::Fine(_) | Verdict::Refused(_) => None,
        };
        self.findings.iter().filter_map(noted).collect()
    }

    /// Writes one record for each answer, about these schemas where the run has others too.
    pub(crate) fn record(&self, schema: Option<&str>) {
        for Finding { check, verdict } in &self.findings {
            match verdict {
                Verdict::Fine(found) => tracing::info!(phase = "preflight", schema, check, found, "checked"),
                Verdict::Noted(found) => tracing::warn!(phase = "preflight", schema, check, found, "noted"),
                Verdict::Refused(refused) => tracing::error!(
                    phase = "preflight",
                    schema,
                    check,
                    side = %refused.side,
                    reason = refused.reason,
                    hint = refused.hint,
                    "refused"
                ),
            }
        }
    }

    /// The answers as a list to be read.
    pub(crate) fn list(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            writeln!(text, "{finding}").ok();
        }
        text
    }

    /// Whether something refuses, and all of that passes by itself.
    fn pass(&self) -> bool {
        let refusals = self.refusals();
        let passes = |refused: &Refused| refused.refusal == Refusal::Transient;
        !refusals.is_empty() && refusals.iter().all(passes)
    }

    /// The same, after it was said what was answered.
    fn told(self, progress: &Progress) -> Result<Self, Error> {
        self.record(None);
        progress.not_carried(self.notes());
        self.permit()
    }

    /// The answers, unless one of them refuses.
    pub(crate) fn permit(self) -> Result<Self, Error> {
        let refusals = self.refusals();
        if refusals.is_empty() {
            Ok(self)
        } else {
            Err(Error::Preflight(refusals))
        }
    }
}

impl Refused {
    /// The refusal as a field of the last record.
    pub(crate) fn record(&self) -> serde_json::Value {
        json!({"side": self.side.to_string(), "reason": self.reason, "hint": self.hint})
    }
}

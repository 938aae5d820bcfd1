//! What the target would refuse when the old load is gone, and could be known before.

use std::collections::BTreeSet;

use tokio_postgres::Row;

use crate::catalogue;
use crate::catalogue::code::Code;
use crate::config::{Config, Method};
use crate::error::{Error, Refused, Side};
use crate::preflight::{Answers, Questions};
use crate::server::session::Session;
use crate::word;

/// Objects named in a refusal.
const NAMED_MAX: usize = 5;

/// What names an operator.
const OPERATOR_HINT: &str = "write OPERATOR(schema.=) in place of IS DISTINCT FROM, NULLIF, CASE or USING";

/// The first release that has NOT NULL as a constraint with a name.
const NAMED_SINCE: u32 = 18;

/// What the target has, and how it is.
struct Offers {
    lz4: bool,
    lacking_casts: Vec<String>,
    /// It names a NOT NULL that comes without a name.
    names_not_null: bool,
}

/// Something that needs what a target may not offer.
struct Foreseen {
    needs: String,
    object: String,
    reason: String,
    hint: String,
}

async fn foreseen(config: &Config, source: &Session) -> Result<Vec<Foreseen>, Error> {
    let sql = include_str!("sql/foreseen.sql");
    let names = config.schemas.names();
    let rows = source
        .query("list what a target may refuse", sql, &[&names])
        .await?;
    let foreseen = |row: &Row| Foreseen {
        needs: row.get("needs"),
        object: row.get("object"),
        reason: row.get("reason"),
        hint: row.get("hint"),
    };
    Ok(rows.iter().map(foreseen).collect())
}

/// What every target would refuse.
pub(super) async fn of_source(config: &Config, source: &Session) -> Result<Answers, Error> {
    let mut answers = Answers::default();
    let foreseen = foreseen(config, source).await?;
    let everything = Offers {
        lz4: true,
        lacking_casts: Vec::new(),
        names_not_null: false,
    };
    refuse_unmet(&foreseen, &everything, &mut answers);
    Ok(answers)
}

pub(super) async fn ask(questions: &Questions<'_>) -> Result<Answers, Error> {
    let (source, target) = (&questions.sessions.source, &questions.sessions.target);
    let names = questions.config.schemas.names();
    let foreseen = foreseen(questions.config, source).await?;
    let sql = include_str!("sql/hidden_operators.sql");
    let hidden = source
        .query("list operators that no text names", sql, &[&names])
        .await?;
    let casts: Vec<&str> = of(&foreseen, "cast").map(|one| one.object.as_str()).collect();
    let sql = include_str!("sql/offers.sql");
    let operators: Vec<&str> = hidden.iter().map(|row| row.get("name")).collect();
    let operands = |column| -> Vec<u32> { hidden.iter().map(|row| row.get(column)).collect() };
    let (left, right) = (operands("left"), operands("right"));
    let row = target
        .query_one(
            "look what the target offers",
            sql,
            &[&casts, &operators, &left, &right],
        )
        .await?;
    let own_operators: Vec<i64> = row.get("own_operators");
    let mut answers = Answers::default();
    if !row.get::<_, bool>("superuser") {
        refuse_privileged(&foreseen, &mut answers);
        refuse_parameters(target, &foreseen, &mut answers).await?;
    }
    let offers = Offers {
        lz4: catalogue::has_lz4(target).await?,
        lacking_casts: row.get("lacking_casts"),
        names_not_null: source.major() < NAMED_SINCE && target.major() >= NAMED_SINCE,
    };
    refuse_unmet(&foreseen, &offers, &mut answers);
    let found_elsewhere = (1..)
        .zip(&hidden)
        .filter(|(position, _)| own_operators.contains(position));
    for (_, row) in found_elsewhere {
        let (object, operator): (&str, &str) = (row.get("object"), row.get("operator"));
        let reason = format!(
            "{object} uses {operator} where its text names no operator, and would use that of pg_catalog on the target"
        );
        answers.refuse("objects", Refused::config(Side::Source, reason, OPERATOR_HINT));
    }
    let code = Code::read(source, target, &questions.config.schemas).await?;
    let by_pipe = questions.config.method == Method::Pipe;
    let unfound = code.unfound.iter().filter(|_| by_pipe);
    for refused in code.refusals().chain(unfound) {
        answers.refuse("search path", refused.clone());
    }
    Ok(answers)
}

fn of<'a>(foreseen: &'a [Foreseen], needs: &'a str) -> impl Iterator<Item = &'a Foreseen> {
    foreseen.iter().filter(move |one| one.needs == needs)
}

fn refuse_unmet(foreseen: &[Foreseen], offers: &Offers, answers: &mut Answers) {
    let misplaced: Vec<String> = of(foreseen, "order").map(|one| one.object.clone()).collect();
    if !misplaced.is_empty() {
        let some = word::some_of(&misplaced, NAMED_MAX, ", ");
        answers.note("not carried", format!("order of columns of {some}"));
    }
    let unmet = foreseen.iter().filter(|one| match one.needs.as_str() {
        "lz4" => !offers.lz4,
        "cast" => offers.lacking_casts.contains(&one.object),
        "name" => offers.names_not_null,
        needs => needs == "state",
    });
    for one in unmet {
        let (side, reason) = match one.needs.as_str() {
            "cast" => (Side::Target, format!("cast {} does not exist", one.object)),
            "lz4" => (
                Side::Source,
                format!("{} {}, which the target lacks", one.object, one.reason),
            ),
            "name" => (Side::Source, format!("{} {}", one.object, one.reason)),
            _ => (
                Side::Source,
                format!("{} {}, which pg_dump cannot carry", one.object, one.reason),
            ),
        };
        let refused = Refused::config(side, reason, one.hint.clone());
        answers.refuse("objects", refused);
    }
}

fn refuse_privileged(foreseen: &[Foreseen], answers: &mut Answers) {
    let named: Vec<String> = of(foreseen, "superuser")
        .map(|one| format!("{}, which {}", one.object, one.reason))
        .collect();
    if named.is_empty() {
        return;
    }
    let refused = Refused::denied(
        Side::Target,
        format!(
            "only a superuser may create {}",
            word::some_of(&named, NAMED_MAX, ", ")
        ),
        "set TARGET_USER to a superuser, or move the schema without them",
    );
    answers.refuse("objects", refused);
}

/// Refuses functions that set what the user may not: of what the server does not know, who may set it has to be said.
async fn refuse_parameters(
    target: &Session,
    foreseen: &[Foreseen],
    answers: &mut Answers,
) -> Result<(), Error> {
    // The right can be granted from 15 on.
    let (granted, may_grant) = if target.major() >= 15 {
        ("pg_catalog.has_parameter_privilege(w.name, 'SET')", true)
    } else {
        ("false", false)
    };
    let sql = format!(
        "SELECT w.name, pg_catalog.quote_ident(current_user) AS user, \
         (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(part), '.' ORDER BY position) \
          FROM pg_catalog.unnest(pg_catalog.string_to_array(w.name, '.')) WITH ORDINALITY AS p (part, position)) AS quoted \
         FROM pg_catalog.unnest($1::text[]) AS w (name) \
         WHERE NOT {granted} \
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_settings s \
                           WHERE pg_catalog.lower(s.name) = pg_catalog.lower(w.name) AND s.context = 'user')"
    );
    let names: BTreeSet<&str> = of(foreseen, "parameter").map(|one| one.reason.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    for row in target.query("look what may be set", &sql, &[&names]).await? {
        let name: &str = row.get("name");
        let setting = of(foreseen, "parameter").filter(|one| one.reason == name);
        let setting: Vec<String> = setting.map(|one| one.object.clone()).collect();
        let hint = if may_grant {
            let (quoted, user): (&str, &str) = (row.get("quoted"), row.get("user"));
            format!("GRANT SET ON PARAMETER {quoted} TO {user}")
        } else {
            "set TARGET_USER to a superuser, or move the schema without it".to_owned()
        };
        let some = word::some_of(&setting, NAMED_MAX, ", ");
        let reason = format!("may not set {name}, which {some} sets");
        answers.refuse("objects", Refused::denied(Side::Target, reason, hint));
    }
    Ok(())
}

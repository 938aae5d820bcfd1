//! What the target would refuse when the old load is gone, and could be known before.

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
    refuse_unmet(&foreseen, true, &[], &mut answers);
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
    let lacking: Vec<String> = row.get("lacking_casts");
    let mut answers = Answers::default();
    if !row.get::<_, bool>("superuser") {
        refuse_privileged(&foreseen, &mut answers);
    }
    let lz4 = catalogue::has_lz4(target).await?;
    refuse_unmet(&foreseen, lz4, &lacking, &mut answers);
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

fn refuse_unmet(foreseen: &[Foreseen], lz4: bool, lacking: &[String], answers: &mut Answers) {
    let misplaced: Vec<String> = of(foreseen, "order").map(|one| one.object.clone()).collect();
    if !misplaced.is_empty() {
        let some = word::some_of(&misplaced, NAMED_MAX, ", ");
        answers.note("not carried", format!("order of columns of {some}"));
    }
    let unmet = foreseen.iter().filter(|one| match one.needs.as_str() {
        "lz4" => !lz4,
        "cast" => lacking.contains(&one.object),
        needs => needs == "state",
    });
    for one in unmet {
        let (side, reason) = match one.needs.as_str() {
            "cast" => (Side::Target, format!("cast {} does not exist", one.object)),
            "lz4" => (
                Side::Source,
                format!("{} {}, which the target lacks", one.object, one.reason),
            ),
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

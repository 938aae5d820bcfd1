//! Owners, grants, default privileges, policies: read on the source, given on the target when all else is done.
//!
//! Everything is loaded as the target's user; an owner given early could not create, and would take our rights away.
//! The owner of a schema comes last, and may drop whatever is in it, so the next load can still replace it all.

mod acts;
mod carried;
mod compare;
mod filled;
mod policies;

pub(crate) use carried::{Carried, Requirement, read};
pub(crate) use compare::compare;

use std::collections::BTreeSet;

use crate::catalogue::code::SearchPath;
use crate::config::{Config, Privileges, SchemaName, Schemas};
use crate::error::Error;
use crate::privileges::acts::{Act, default_grants, grants, run};
use crate::privileges::compare::differences;
use crate::privileges::filled::Filled;
use crate::privileges::policies::{differing_policies, secure};
use crate::server::quoting::quote_ident;
use crate::server::session::Session;

/// Rounds in which grants are brought in line; a REVOKE takes along what was granted further.
const ROUNDS: usize = 3;

/// Keeps everybody else from the tables, which are there and hold no rows yet: row security is switched on, and what default
/// privileges of the target have given is taken back, unless `PRIVILEGES=skip` leaves all of that to the target.
pub(crate) async fn close(target: &Session, carried: &Carried, config: &Config) -> Result<(), Error> {
    let mut acts = Vec::new();
    if config.privileges == Privileges::Keep {
        let sql = include_str!("sql/given.sql");
        let rows = target
            .query("look who may read", sql, &[&config.schemas.names()])
            .await?;
        acts.extend(rows.iter().map(|row| Act {
            role: None,
            statement: row.get(0),
        }));
    }
    // pg_dump forces it with the table, which would keep its owner from writing the rows.
    for word in ["NO FORCE", "ENABLE"] {
        acts.extend(policies::row_security(carried, word, |_| None));
    }
    run(target, "close the tables", &acts).await?;
    keep(target, &config.schemas).await
}

/// Takes everything in the schemas for the user, as a load has it until its end, and lets tables' owners write all rows. The user has
/// the rights of every owner.
pub(crate) async fn take(target: &Session, schemas: &Schemas) -> Result<(), Error> {
    let found = read(target, schemas).await?;
    let given = found.objects.iter().filter(|object| {
        object.kind != "schema" && !object.follows && object.column.is_none() && object.owner != found.reader
    });
    let mut acts: Vec<Act> = given
        .map(|object| Act {
            role: None,
            statement: object.set_owner_to(&found.reader),
        })
        .collect();
    acts.extend(policies::row_security(&found, "NO FORCE", |_| None));
    run(target, "take the objects", &acts).await?;
    keep(target, schemas).await
}

/// Lets the user do everything with what it owns, until privileges are brought in line.
async fn keep(target: &Session, schemas: &Schemas) -> Result<(), Error> {
    let sql = include_str!("sql/withheld.sql");
    let rows = target
        .query("look what is withheld", sql, &[&schemas.names()])
        .await?;
    let acts: Vec<Act> = rows
        .iter()
        .map(|row| Act {
            role: None,
            statement: row.get(0),
        })
        .collect();
    run(target, "take the rights of an owner", &acts).await
}

/// Gives everything to whom it belongs, fills as their owners what depends on who fills it, and compares. Returns what was left out.
pub(crate) async fn apply(
    target: &Session,
    carried: &Carried,
    adopted: &BTreeSet<SchemaName>,
    (config, path): (&Config, &SearchPath),
) -> Result<Vec<String>, Error> {
    let carried = carried.clone().mapped(&config.role_map).told_by(target.major());
    match config.privileges {
        Privileges::Keep => {
            let (carried, _) = carried.without_reader(target).await?;
            let user: String = target
                .query_one("ask for the user", "SELECT current_user::text", &[])
                .await?
                .get(0);
            let filled = Filled::empty(target, &config.schemas).await?;
            let take_back = lend(target, &carried, &config.schemas).await?;
            give(target, &carried, adopted, config, &user).await?;
            let left_out = secure(target, &carried, &config.schemas, false).await?;
            filled.again(target, path).await?;
            // As long as the schemas are ours.
            let found = read(target, &config.schemas).await?;
            let mut differing = differing_policies(target, &carried, &found).await?;
            run(target, "take back rights on the schema", &take_back).await?;
            let found = own_schemas(target, &carried, adopted, &config.schemas).await?;
            differing.extend(differences(&carried, &found, adopted));
            Error::unless_equal(differing)?;
            Ok(left_out)
        }
        Privileges::Skip => secure(target, &carried, &config.schemas, true).await,
    }
}

/// What the owner of a schema that is filled where it is has to grant on it, as statements: what the source's has beyond what is granted.
pub(crate) async fn owed(
    target: &Session,
    carried: &Carried,
    adopted: &SchemaName,
) -> Result<Vec<String>, Error> {
    let schemas = BTreeSet::from([adopted.clone()]);
    let found = read(target, &schemas.iter().cloned().collect()).await?;
    let mut own = carried.clone();
    own.objects.retain(|object| object.is_adopted(&schemas));
    let acts = grants(&own, &found, &schemas, true);
    Ok(acts.into_iter().map(|act| act.statement).collect())
}

/// Owners and grants of what is in the schemas, and default privileges.
async fn give(
    target: &Session,
    carried: &Carried,
    adopted: &BTreeSet<SchemaName>,
    config: &Config,
    user: &str,
) -> Result<(), Error> {
    let owners: Vec<Act> = carried
        .objects
        .iter()
        .filter(|object| object.kind != "schema" && !object.follows && object.owner != user)
        .map(|object| Act {
            role: None,
            statement: object.set_owner(),
        })
        .collect();
    run(target, "set owners", &owners).await?;
    let found = settle(target, carried, adopted, &config.schemas, false).await?;
    run(target, "set default privileges", &default_grants(carried, &found)).await
}

/// Grants and revokes until nothing is left to be done, and returns what the target has then. `schema`: on the schemas
/// themselves, or on what is in them.
async fn settle(
    target: &Session,
    carried: &Carried,
    adopted: &BTreeSet<SchemaName>,
    schemas: &Schemas,
    schema: bool,
) -> Result<Carried, Error> {
    for _ in 0..ROUNDS {
        let found = read(target, schemas).await?;
        let acts = grants(carried, &found, adopted, schema);
        if acts.is_empty() {
            return Ok(found);
        }
        run(target, "grant privileges", &acts).await?;
    }
    read(target, schemas).await
}

/// Lends every owner and grantor the rights on the schemas that they need for it; returns what takes them back.
async fn lend(target: &Session, carried: &Carried, schemas: &Schemas) -> Result<Vec<Act>, Error> {
    let sql = include_str!("sql/lacking.sql");
    let (mut lend, mut take_back) = (Vec::new(), Vec::new());
    for schema in schemas {
        let actors: Vec<&str> = carried.actors(schema.as_str()).into_iter().collect();
        let rows = target
            .query("look who may use the schema", sql, &[&schema.as_str(), &actors])
            .await?;
        for row in rows {
            let (role, privilege): (String, String) = (row.get("role"), row.get("privilege"));
            let (name, borrower) = (quote_ident(schema.as_str()), quote_ident(&role));
            let owner: Option<String> = (!row.get::<_, bool>("is_owner")).then(|| row.get("owner"));
            lend.push(Act {
                role: owner.clone(),
                statement: format!("GRANT {privilege} ON SCHEMA {name} TO {borrower}"),
            });
            take_back.push(Act {
                role: owner,
                statement: format!("REVOKE {privilege} ON SCHEMA {name} FROM {borrower}"),
            });
        }
    }
    run(target, "lend rights on the schema", &lend).await?;
    Ok(take_back)
}

/// Owners of the schemas that are ours, and grants on all of them.
async fn own_schemas(
    target: &Session,
    carried: &Carried,
    adopted: &BTreeSet<SchemaName>,
    schemas: &Schemas,
) -> Result<Carried, Error> {
    let owners: Vec<Act> = carried
        .objects
        .iter()
        .filter(|object| object.kind == "schema" && !object.is_adopted(adopted))
        .map(|object| Act {
            role: None,
            statement: object.set_owner(),
        })
        .collect();
    run(target, "set the schema's owner", &owners).await?;
    settle(target, carried, adopted, schemas, true).await
}

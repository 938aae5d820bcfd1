//! What of roles a unit has: read, and put under the target's names.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::catalogue;
use crate::catalogue::{Relation, deparsed};
use crate::config::{SchemaName, Schemas};
use crate::error::Error;
use crate::server::parameter::Param;
use crate::server::quoting::quote_ident;
use crate::server::session::Session;

/// The major from which on owner and grants of a multirange are those of its range.
const MULTIRANGES_FOLLOW: u32 = 17;
/// How a policy says that it is for everyone.
pub(super) const EVERYONE: &str = "public";

/// One entry of an access control list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Grant {
    pub(super) grantor: String,
    /// `None` is PUBLIC.
    pub(super) grantee: Option<String>,
    pub(super) privilege: String,
    pub(super) grantable: bool,
}

/// An object with an owner.
#[derive(Debug, Clone)]
pub(super) struct OwnedObject {
    pub(super) schema: String,
    /// What it is, in the words of `pg_identify_object`.
    pub(super) kind: String,
    /// Its name as SQL writes it.
    pub(super) identity: String,
    pub(super) column: Option<String>,
    pub(super) owner: String,
    /// The owner is that of its table and is not set.
    pub(super) follows: bool,
    /// It has the built-in privileges.
    pub(super) is_default: bool,
    pub(super) grants: BTreeSet<Grant>,
}

/// A privilege that new objects of a schema get.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DefaultGrant {
    pub(super) schema: String,
    /// Whose new objects.
    pub(super) role: String,
    /// `TABLES`, `SEQUENCES`, `ROUTINES`, `TYPES`.
    pub(super) objects: String,
    pub(super) grantee: Option<String>,
    pub(super) privilege: String,
    pub(super) grantable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Policy {
    pub(super) table: Relation,
    pub(super) name: String,
    pub(super) permissive: bool,
    pub(super) command: String,
    /// `public` stands for everyone.
    pub(super) roles: Vec<String>,
    pub(super) using: Option<String>,
    pub(super) with_check: Option<String>,
    pub(super) comment: Option<String>,
    /// Operators outside of pg_catalog, each as often as it is used, and their schemas: the expressions may leave both out.
    pub(super) operators: Vec<String>,
    pub(super) operator_schemas: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowSecurity {
    pub(super) table: Relation,
    pub(super) enabled: bool,
    pub(super) forced: bool,
}

/// Everything about roles that a unit has.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    pub(super) major: u32,
    /// The user that reads the source.
    pub(super) reader: String,
    pub(super) objects: Vec<OwnedObject>,
    pub(super) defaults: BTreeSet<DefaultGrant>,
    pub(super) policies: BTreeSet<Policy>,
    pub(super) row_security: BTreeSet<RowSecurity>,
}

/// What the target's user has to be able to do with a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Requirement {
    /// It has to exist: it is granted something.
    Exist,
    /// The user has to be able to become it: it owns or grants something.
    Become,
}

/// Reads all of it.
pub(crate) async fn read(session: &Session, schemas: &Schemas) -> Result<Carried, Error> {
    let names = schemas.names();
    let params: [&dyn Param; 1] = [&names];
    // All at once: one way to the server and back.
    let ((), user, granted, defaults, policies, secured, ()) = tokio::try_join!(
        session.batch("have names quoted", deparsed::QUOTED),
        session.query_one("ask for the user", "SELECT current_user::text", &[]),
        session.query(
            "list owners and grants",
            include_str!("../catalogue/sql/privileges.sql"),
            &params
        ),
        session.query(
            "list default privileges",
            include_str!("../catalogue/sql/default_privileges.sql"),
            &params
        ),
        session.query(
            "list policies",
            include_str!("../catalogue/sql/policies.sql"),
            &params
        ),
        session.query(
            "list row security",
            include_str!("../catalogue/sql/row_security.sql"),
            &params
        ),
        session.batch("have names quoted no more", deparsed::UNQUOTED)
    )?;
    let mut objects = Vec::new();
    for row in granted {
        let (grants, identity): (Value, String) = (row.get("grants"), row.get("identity"));
        objects.push(OwnedObject {
            schema: row.get("schema"),
            kind: row.get("type"),
            identity: deparsed::type_names(&identity),
            column: row.get("column"),
            owner: row.get("owner"),
            follows: row.get("follows"),
            is_default: row.get("is_default"),
            grants: serde_json::from_value(grants).map_err(|error| {
                Error::Internal(format!("an access control list is not readable: {error}"))
            })?,
        });
    }
    let default = |row: &tokio_postgres::Row| DefaultGrant {
        schema: row.get("schema"),
        role: row.get("role"),
        objects: row.get("objects"),
        grantee: row.get("grantee"),
        privilege: row.get("privilege"),
        grantable: row.get("grantable"),
    };
    let row_security = |row: &tokio_postgres::Row| RowSecurity {
        table: table_of(row),
        enabled: row.get("enabled"),
        forced: row.get("forced"),
    };
    Ok(Carried {
        major: session.major(),
        reader: user.get(0),
        objects,
        defaults: defaults.iter().map(default).collect(),
        policies: policies.iter().map(Policy::of).collect(),
        row_security: secured.iter().map(row_security).collect(),
    })
}

impl Policy {
    fn of(row: &tokio_postgres::Row) -> Self {
        let operators: Vec<String> = row.get("operators");
        Self {
            table: table_of(row),
            name: row.get("name"),
            permissive: row.get("permissive"),
            command: row.get("command"),
            roles: row.get("roles"),
            using: row.get("qual"),
            with_check: row.get("with_check"),
            comment: row.get("comment"),
            operators: operators.iter().map(|name| deparsed::type_names(name)).collect(),
            operator_schemas: row.get("schemas"),
        }
    }
}

impl Carried {
    /// The same under the target's names for roles.
    pub(crate) fn mapped(mut self, role_map: &[(String, String)]) -> Self {
        let map = |role: &mut String| {
            if let Some((_, new)) = role_map.iter().find(|(old, _)| old == role) {
                new.clone_into(role);
            }
        };
        map(&mut self.reader);
        for object in &mut self.objects {
            let owner = object.owner.clone();
            map(&mut object.owner);
            let grants = std::mem::take(&mut object.grants).into_iter();
            let grants = grants.filter_map(|mut grant| {
                let was_circular = grant.is_circular(&owner);
                map(&mut grant.grantor);
                grant.grantee.iter_mut().for_each(map);
                (was_circular || !grant.is_circular(&object.owner)).then_some(grant)
            });
            object.grants = merged(grants);
        }
        let mut defaults: Vec<DefaultGrant> = std::mem::take(&mut self.defaults).into_iter().collect();
        for default in &mut defaults {
            map(&mut default.role);
            default.grantee.iter_mut().for_each(map);
        }
        self.defaults = defaults.into_iter().collect();
        let mut policies: Vec<Policy> = std::mem::take(&mut self.policies).into_iter().collect();
        for policy in &mut policies {
            policy.roles.iter_mut().for_each(map);
        }
        self.policies = policies.into_iter().collect();
        self
    }

    /// The same without what servers of that major do not tell.
    pub(super) fn told_by(mut self, major: u32) -> Self {
        if major >= MULTIRANGES_FOLLOW {
            self.objects.retain(|object| object.kind != "multirange");
        }
        self
    }

    /// The same without what is granted to the user that reads the source, if the target has no such role: those
    /// grants are often made for the move alone. The second value names that user if something was left out.
    pub(crate) async fn without_reader(mut self, target: &Session) -> Result<(Self, Option<String>), Error> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1)";
        if target
            .query_one("look for the role", sql, &[&self.reader])
            .await?
            .get(0)
        {
            return Ok((self, None));
        }
        let mut left_out = false;
        for object in self
            .objects
            .iter_mut()
            .filter(|object| object.owner != self.reader)
        {
            let before = object.grants.len();
            object
                .grants
                .retain(|grant| grant.grantee.as_ref() != Some(&self.reader));
            left_out |= object.grants.len() < before;
        }
        self.defaults
            .retain(|default| default.grantee.as_ref() != Some(&self.reader));
        let reader = left_out.then(|| self.reader.clone());
        Ok((self, reader))
    }

    /// Every role that is named, with what the target's user has to be able to do with it.
    pub(crate) fn roles(&self, adopted: &BTreeSet<SchemaName>) -> BTreeMap<String, Requirement> {
        let mut needs = BTreeMap::new();
        let mut need = |role: &str, need| {
            let known: &mut Requirement = needs.entry(role.to_owned()).or_insert(need);
            *known = need.max(*known);
        };
        for object in &self.objects {
            // An adopted schema keeps its owner, who grants on it.
            let kept = object.is_adopted(adopted);
            if !kept {
                need(&object.owner, Requirement::Become);
            }
            for grant in object.grants.iter().filter(|_| !object.is_default) {
                if !kept {
                    need(&grant.grantor, Requirement::Become);
                }
                grant
                    .grantee
                    .iter()
                    .for_each(|grantee| need(grantee, Requirement::Exist));
            }
        }
        for default in &self.defaults {
            need(&default.role, Requirement::Become);
            default
                .grantee
                .iter()
                .for_each(|grantee| need(grantee, Requirement::Exist));
        }
        for role in self.policies.iter().flat_map(|policy| &policy.roles) {
            if role != EVERYONE {
                need(role, Requirement::Exist);
            }
        }
        needs
    }

    /// Owners of what is in one schema, and those who grant on it: they need rights on the schema meanwhile.
    pub(crate) fn actors(&self, schema: &str) -> BTreeSet<&str> {
        self.objects
            .iter()
            .filter(|object| object.schema == schema && object.kind != "schema")
            .flat_map(|object| {
                let grantors = object.grants.iter().map(|grant| grant.grantor.as_str());
                grantors.chain([object.owner.as_str()])
            })
            .collect()
    }
}

impl OwnedObject {
    pub(super) fn is_adopted(&self, adopted: &BTreeSet<SchemaName>) -> bool {
        self.kind == "schema" && adopted.iter().any(|schema| schema.as_str() == self.schema)
    }

    /// What GRANT and REVOKE call it.
    pub(super) fn grant_word(&self) -> String {
        match catalogue::statement_word(&self.kind) {
            word if ["SCHEMA", "SEQUENCE", "TYPE", "ROUTINE"].contains(&word.as_str()) => word,
            // Views and foreign tables too.
            _ => "TABLE".to_owned(),
        }
    }

    /// `SELECT ON TABLE …`
    pub(super) fn privilege(&self, privilege: &str) -> String {
        let column = self
            .column
            .as_ref()
            .map_or_else(String::new, |column| format!(" ({})", quote_ident(column)));
        format!("{privilege}{column} ON {} {}", self.grant_word(), self.identity)
    }

    pub(super) fn set_owner(&self) -> String {
        self.set_owner_to(&self.owner)
    }

    pub(super) fn set_owner_to(&self, owner: &str) -> String {
        let word = catalogue::statement_word(&self.kind);
        format!("ALTER {word} {} OWNER TO {}", self.identity, quote_ident(owner))
    }

    pub(super) fn key(&self) -> (&str, &str, Option<&str>) {
        (&self.kind, &self.identity, self.column.as_deref())
    }

    /// What it is, or is a column of.
    pub(super) fn whole(&self) -> (&str, &str) {
        (&self.kind, &self.identity)
    }
}

impl Grant {
    /// Whether somebody else grants it to the `owner`, or a role to itself. That may be meant, but not where two roles become one.
    fn is_circular(&self, owner: &str) -> bool {
        let grantee = self.grantee.as_deref();
        self.grantor != owner && (grantee == Some(owner) || grantee == Some(&self.grantor))
    }

    pub(super) fn to(&self) -> String {
        grantee(self.grantee.as_deref())
    }
}

pub(super) fn grantee(role: Option<&str>) -> String {
    role.map_or_else(|| "PUBLIC".to_owned(), quote_ident)
}

/// Where two roles have become one, the stronger grant stays.
fn merged(grants: impl Iterator<Item = Grant>) -> BTreeSet<Grant> {
    let mut strongest: BTreeMap<(String, Option<String>, String), bool> = BTreeMap::new();
    for grant in grants {
        let grantable = strongest
            .entry((grant.grantor, grant.grantee, grant.privilege))
            .or_default();
        *grantable |= grant.grantable;
    }
    strongest
        .into_iter()
        .map(|((grantor, grantee, privilege), grantable)| Grant {
            grantor,
            grantee,
            privilege,
            grantable,
        })
        .collect()
}

pub(super) fn table_of(row: &tokio_postgres::Row) -> Relation {
    Relation {
        schema: row.get("schema"),
        name: row.get("table"),
    }
}

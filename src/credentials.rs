//! Credentials of a side: variable before secret before default.

use std::fs;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::aws::secret;
use crate::aws::token::Tokens;
use crate::config::{PasswordSource, ServerConfig, default_of, parse};
use crate::error::{Error, Problem, Refusal, Side};
use crate::server::Server;
use crate::server::connect::Connector;
use crate::server::home::Home;
use crate::server::login::{self, Login, Signer};

/// How long a rotation may take between the server's new password and `AWSCURRENT`.
const ROTATION: Duration = Duration::from_mins(1);
/// Between two looks at a secret that may be in rotation.
const REREAD_INTERVAL: Duration = Duration::from_secs(5);

impl Signer for Tokens {
    fn sign(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, Error>> + Send + '_>> {
        Box::pin(self.token())
    }
}

/// What a secret supplies.
#[derive(Debug, Clone, Default)]
struct Credentials {
    host: Option<String>,
    port: Option<u16>,
    dbname: Option<String>,
    user: Option<String>,
    password: Option<SecretString>,
}

/// Finds a side's credentials and connects with `open`. Where a secret's password is refused the secret is read
/// again for up to a minute: a rotation changes the server first.
pub(crate) async fn connect<T>(
    config: &ServerConfig,
    side: Side,
    open: impl AsyncFn(&Server) -> Result<T, Error>,
) -> Result<(Server, T), Error> {
    let mut server = server(config, side, credentials(config, side).await?)?;
    if matches!(config.password, PasswordSource::Iam) {
        server.login = Login::Signed(Arc::new(
            Tokens::of(side, (&server.host, server.port), &server.user).await?,
        ));
    }
    let started = Instant::now();
    loop {
        let refused = match open(&server).await {
            Ok(opened) => return Ok((server, opened)),
            Err(error) => error,
        };
        let PasswordSource::Secret(id) = &config.password else {
            return Err(refused);
        };
        if !is_authentication(&refused) {
            return Err(refused);
        }
        tracing::warn!(
            side = %side,
            reason = crate::error::chain(&refused),
            "the secret's password is refused; the secret is read again in case it is being rotated"
        );
        let before = server.clone();
        while same_login(&before, &server) {
            if started.elapsed() >= ROTATION {
                return Err(refused);
            }
            tokio::time::sleep(REREAD_INTERVAL).await;
            server = self::server(config, side, fetch(side, id).await?)?;
        }
    }
}

fn is_authentication(error: &Error) -> bool {
    error.sqlstate().is_some_and(|code| code.starts_with("28"))
}

fn same_login(one: &Server, other: &Server) -> bool {
    let password = |server: &Server| match &server.login {
        Login::Password(password) => Some(password.expose_secret().to_owned()),
        Login::Bare | Login::Signed(_) => None,
    };
    one.user == other.user && password(one) == password(other)
}

async fn credentials(config: &ServerConfig, side: Side) -> Result<Credentials, Error> {
    let password = match &config.password {
        PasswordSource::None | PasswordSource::Iam => None,
        PasswordSource::Value(password) => Some(password.clone()),
        PasswordSource::File(path) => {
            let text = fs::read_to_string(path).map_err(|source| Error::File {
                action: "read",
                path: path.clone(),
                source,
            })?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            let password = login::password(line.strip_suffix('\r').unwrap_or(line));
            Some(password.map_err(|reason| problem(side, "PASSWORD_FILE", reason))?)
        }
        PasswordSource::Secret(id) => return fetch(side, id).await,
    };
    Ok(Credentials {
        password,
        ..Credentials::default()
    })
}

fn problem(side: Side, rest: &str, reason: String) -> Error {
    let side = side.to_string().to_uppercase();
    Error::Config(vec![Problem {
        variable: format!("{side}_{rest}"),
        reason,
    }])
}

fn server(config: &ServerConfig, side: Side, secret: Credentials) -> Result<Server, Error> {
    let or_default = |name: &str, variable: &Option<String>, secret: Option<String>| {
        let given = variable.clone().or(secret);
        given.unwrap_or_else(|| default_of(name).to_owned())
    };
    let host = config.host.clone().or(secret.host).ok_or_else(|| {
        problem(
            side,
            "HOST",
            "is not set, and the secret holds no host".to_owned(),
        )
    })?;
    let port = config
        .port
        .or(secret.port)
        .map_or_else(|| parse::port(default_of("port")), Ok);
    Ok(Server {
        side,
        host,
        port: port.map_err(Error::Internal)?,
        dbname: or_default("dbname", &config.dbname, secret.dbname),
        user: or_default("user", &config.user, secret.user),
        login: secret.password.map_or(Login::Bare, Login::Password),
        sslmode: config.sslmode,
        sslrootcert: config.sslrootcert.clone(),
        connector: Connector::default(),
        home: Home::default(),
    })
}

/// What a secret of Secrets Manager supplies.
async fn fetch(side: Side, id: &str) -> Result<Credentials, Error> {
    let text = secret::fetch(side, id).await?;
    parse(text.expose_secret()).map_err(|reason| Error::Secret {
        side,
        secret_id: id.to_owned(),
        reason,
        refusal: Refusal::Config,
    })
}

/// The three shapes: a plain password; `username` and `password`, as RDS manages them; the whole rotation JSON.
fn parse(text: &str) -> Result<Credentials, String> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        let password = login::password(text).map_err(|reason| format!("the password {reason}"))?;
        return Ok(Credentials {
            password: Some(password),
            ..Credentials::default()
        });
    };
    let field = |name: &str| match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let password = field("password").ok_or("is JSON without a password")?;
    let port = field("port")
        .map(|port| {
            port.parse()
                .map_err(|error| format!("its port is no number: {error}"))
        })
        .transpose()?;
    Ok(Credentials {
        host: field("host"),
        port,
        dbname: field("dbname"),
        user: field("username"),
        password: Some(login::password(&password).map_err(|reason| format!("its password {reason}"))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_secret_makes_the_reader_panic_or_talk(
            password in "hush[^\0]{0,20}",
            port in any::<i64>(),
            cut in any::<proptest::sample::Index>(),
        ) {
            let whole = serde_json::json!({"username": "u", "password": password, "port": port}).to_string();
            let boundaries: Vec<usize> = whole.char_indices().map(|(boundary, _)| boundary).collect();
            let (head, tail) = whole.split_at(*cut.get(&boundaries));
            for text in [whole.as_str(), head, tail, &password] {
                match parse(text) {
                    Err(reason) => prop_assert!(!reason.contains("hush"), "{}", reason),
                    Ok(credentials) => {
                        let shown = format!("{credentials:?}");
                        prop_assert!(!shown.contains("hush"), "{}", shown);
                    }
                }
            }
        }
    }

    #[test]
    fn the_three_shapes_of_a_secret() {
        let shown = |text: &str| {
            let secret = parse(text)?;
            let password = secret
                .password
                .map(|password| password.expose_secret().to_owned());
            Ok::<_, String>((
                secret.host,
                secret.port,
                secret.dbname,
                secret.user,
                password.unwrap_or_default(),
            ))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(shown("p\"{"), Ok((None, None, None, None, "p\"{".to_owned())));
        assert_eq!(shown("12345"), Ok((None, None, None, None, "12345".to_owned())));
        assert_eq!(
            shown(r#"{"username":"u","password":"p"}"#),
            Ok((None, None, None, some("u"), "p".to_owned()))
        );
        let whole = |port: &str| {
            format!(
                r#"{{"engine":"postgres","host":"h","port":{port},"dbname":"d","username":"u","password":"p"}}"#
            )
        };
        let expected = Ok((some("h"), Some(5433), some("d"), some("u"), "p".to_owned()));
        assert_eq!(shown(&whole("5433")), expected);
        assert_eq!(shown(&whole("\"5433\"")), expected);
        assert_eq!(
            shown(r#"{"username":"u"}"#),
            Err("is JSON without a password".to_owned())
        );
        assert_eq!(
            shown(&whole("99999")),
            Err("its port is no number: number too large to fit in target type".to_owned())
        );
    }
}

//! Credentials: variable before secret before default, secrets from AWS Secrets Manager, and tokens of IAM database
//! authentication.
//!
//! The only module that names an AWS type. AWS is contacted only if a variable asks for it. What a service answers is
//! never shown: its debug output would print the secret.
#![expect(
    clippy::disallowed_types,
    reason = "AWS types are named here and nowhere else"
)]

mod token;

use std::fs;
use std::time::{Duration, Instant};

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata as _, SdkError};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::config::{self, PasswordSource, ServerConfig};
use crate::error::{Error, Problem, Refusal, Side};
use crate::secret::token::Tokens;
use crate::server::Server;
use crate::server::connect::Connector;

/// How long a rotation may take between the server's new password and `AWSCURRENT`.
const ROTATION: Duration = Duration::from_mins(1);
/// Between two looks at a secret that may be in rotation.
const REREAD_INTERVAL: Duration = Duration::from_secs(5);
/// For one attempt at the service; the SDK tries three times.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a server is shown.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    /// No password was given.
    Bare,
    Password(SecretString),
    Tokens(Tokens),
}

impl Login {
    /// The password for a connection that begins now.
    pub(crate) async fn password(&self) -> Result<Option<SecretString>, Error> {
        match self {
            Self::Bare => Ok(None),
            Self::Password(password) => Ok(Some(password.clone())),
            Self::Tokens(tokens) => tokens.sign().await.map(Some),
        }
    }

    /// Whether a later connection needs another password.
    pub(crate) fn expires(&self) -> bool {
        matches!(self, Self::Tokens(_))
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
        server.login = Login::Tokens(Tokens::of(&server).await?);
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
    error
        .db_error()
        .is_some_and(|db| db.code().code().starts_with("28"))
}

fn same_login(one: &Server, other: &Server) -> bool {
    let password = |server: &Server| match &server.login {
        Login::Password(password) => Some(password.expose_secret().to_owned()),
        Login::Bare | Login::Tokens(_) => None,
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
            let password = config::password(line.strip_suffix('\r').unwrap_or(line));
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
    const DEFAULT: &str = "postgres";
    let or_default = |variable: &Option<String>, secret: Option<String>| {
        variable.clone().or(secret).unwrap_or_else(|| DEFAULT.to_owned())
    };
    let host = config.host.clone().or(secret.host).ok_or_else(|| {
        problem(
            side,
            "HOST",
            "is not set, and the secret holds no host".to_owned(),
        )
    })?;
    Ok(Server {
        side,
        host,
        port: config.port.or(secret.port).unwrap_or(5432),
        dbname: or_default(&config.dbname, secret.dbname),
        user: or_default(&config.user, secret.user),
        login: secret.password.map_or(Login::Bare, Login::Password),
        sslmode: config.sslmode,
        sslrootcert: config.sslrootcert.clone(),
        connector: Connector::default(),
    })
}

/// Region, endpoints and where credentials come from, by the standard AWS variables.
async fn aws() -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .load()
        .await
}

async fn fetch(side: Side, id: &str) -> Result<Credentials, Error> {
    let failed = |reason: String, refusal| Error::Secret {
        side,
        secret_id: id.to_owned(),
        reason,
        refusal,
    };
    let aws = aws().await;
    let client = aws_sdk_secretsmanager::Client::new(&aws);
    let answer = client
        .get_secret_value()
        .secret_id(id)
        .send()
        .await
        .map_err(|error| {
            let (reason, refusal) = describe(&error);
            failed(reason, refusal)
        })?;
    let text = answer
        .secret_string()
        .ok_or_else(|| failed("holds no text".to_owned(), Refusal::Config))?;
    parse(text).map_err(|reason| failed(reason, Refusal::Config))
}

/// Code and message of a failed request, and what it means for the run; never the body.
fn describe<E: aws_sdk_secretsmanager::error::ProvideErrorMetadata>(
    error: &SdkError<E>,
) -> (String, Refusal) {
    const DENIED: [&str; 5] = [
        "AccessDenied",
        "UnrecognizedClient",
        "InvalidClientTokenId",
        "ExpiredToken",
        "InvalidSignature",
    ];
    const PASSING: [&str; 4] = [
        "Throttling",
        "InternalService",
        "ServiceUnavailable",
        "TooManyRequests",
    ];
    match error {
        SdkError::TimeoutError(_) => (
            "the service did not answer in time".to_owned(),
            Refusal::Transient,
        ),
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
            let reason = "the service's endpoint cannot be reached".to_owned();
            (reason, Refusal::Transient)
        }
        SdkError::DispatchFailure(_) => {
            let reason =
                "no usable AWS credentials were found (give the task a role, or set the AWS variables)";
            (reason.to_owned(), Refusal::Denied)
        }
        SdkError::ConstructionFailure(_) => {
            let reason = "the request cannot be built: is AWS_REGION set?";
            (reason.to_owned(), Refusal::Config)
        }
        SdkError::ServiceError(context) => {
            let code = error.code().unwrap_or("unknown error");
            let reason = format!("{code}: {}", error.message().unwrap_or("no message"));
            let is_of = |codes: &[&str]| codes.iter().any(|known| code.starts_with(known));
            let refusal = if is_of(&PASSING) || context.raw().status().is_server_error() {
                Refusal::Transient
            } else if is_of(&DENIED) {
                Refusal::Denied
            } else {
                Refusal::Config
            };
            (reason, refusal)
        }
        SdkError::ResponseError(_) | _ => ("the service's answer was cut".to_owned(), Refusal::Transient),
    }
}

/// The three shapes: a plain password; `username` and `password`, as RDS manages them; the whole rotation JSON.
fn parse(text: &str) -> Result<Credentials, String> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        let password = config::password(text).map_err(|reason| format!("the password {reason}"))?;
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
        password: Some(config::password(&password).map_err(|reason| format!("its password {reason}"))?),
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
            let boundaries: Vec<usize> = whole.char_indices().map(|(place, _)| place).collect();
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

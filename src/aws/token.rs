//! Tokens of IAM database authentication, signed here for each connection.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as AwsCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SignatureLocation, SigningSettings};
use aws_sigv4::sign::v4;
use secrecy::SecretString;

use crate::aws::query_encoded;
use crate::error::{Error, Refusal, Side};

/// How long a server takes a token after it was signed; a session that it has opened lives on.
const TOKEN_LIFE: Duration = Duration::from_mins(15);
/// AWS credentials that end sooner are fetched again before something is signed with them.
const CREDENTIALS_MARGIN: Duration = Duration::from_mins(1);

/// Signs the tokens of one server's role.
#[derive(Clone)]
pub(crate) struct Tokens {
    side: Side,
    /// `host:port`, as the server knows itself.
    address: String,
    user: String,
    region: String,
    provider: SharedCredentialsProvider,
    /// The credentials that the last token was signed with.
    known: Arc<Mutex<Option<AwsCredentials>>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    /// For a role of the server at `host` and `port`, with the task's credentials. Nothing is fetched yet.
    pub(crate) async fn of(side: Side, (host, port): (&str, u16), user: &str) -> Result<Self, Error> {
        let aws = super::configuration().await;
        let lacking = |reason: &str, refusal| Error::Token {
            side,
            reason: reason.to_owned(),
            refusal,
        };
        let region = aws
            .region()
            .ok_or_else(|| lacking("no region is known: is AWS_REGION set?", Refusal::Config))?;
        let provider = aws
            .credentials_provider()
            .ok_or_else(|| lacking("no AWS credentials are configured", Refusal::Denied))?;
        Ok(Self {
            side,
            address: format!("{host}:{port}"),
            user: user.to_owned(),
            region: region.to_string(),
            provider,
            known: Arc::default(),
        })
    }

    /// A token for a connection that begins now. Nothing is asked but where credentials have to be fetched.
    pub(crate) async fn token(&self) -> Result<SecretString, Error> {
        let credentials = self.credentials().await?;
        self.signed(credentials, SystemTime::now())
            .map_err(|reason| Error::Token {
                side: self.side,
                reason,
                refusal: Refusal::Config,
            })
    }

    async fn credentials(&self) -> Result<AwsCredentials, Error> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lasts = |credentials: &AwsCredentials| {
            let needed = SystemTime::now() + CREDENTIALS_MARGIN;
            credentials.expiry().is_none_or(|expiry| expiry > needed)
        };
        if let Some(known) = known.filter(lasts) {
            return Ok(known);
        }
        let fetched = self.provider.provide_credentials().await.map_err(|error| {
            let (reason, refusal) = describe_credentials(&error);
            Error::Token {
                side: self.side,
                reason: reason.to_owned(),
                refusal,
            }
        })?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched.clone());
        Ok(fetched)
    }

    /// A presigned request for `rds-db:connect`, without its scheme: what RDS takes as a password.
    fn signed(&self, credentials: AwsCredentials, now: SystemTime) -> Result<SecretString, String> {
        let mut settings = SigningSettings::default();
        settings.expires_in = Some(TOKEN_LIFE);
        settings.signature_location = SignatureLocation::QueryParams;
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("rds-db")
            .time(now)
            .settings(settings)
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let base = format!(
            "{}/?Action=connect&DBUser={}",
            self.address,
            query_encoded(&self.user)
        );
        let url = format!("https://{base}");
        let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::empty())
            .map_err(|error| error.to_string())?;
        let signed = http_request::sign(request, &params).map_err(|error| error.to_string())?;
        let (instructions, _) = signed.into_parts();
        let token = instructions.params().iter().fold(base, |token, (name, value)| {
            format!("{token}&{name}={}", query_encoded(value))
        });
        Ok(SecretString::from(token))
    }
}

/// What is wrong with AWS credentials, and what it means for the run.
pub(super) fn describe_credentials(error: &CredentialsError) -> (&'static str, Refusal) {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => (
            "no usable AWS credentials were found (give the task a role, or set the AWS variables)",
            Refusal::Denied,
        ),
        CredentialsError::InvalidConfiguration(_) => {
            ("the configuration of AWS credentials is invalid", Refusal::Config)
        }
        CredentialsError::ProviderTimedOut(_)
        | CredentialsError::ProviderError(_)
        | CredentialsError::Unhandled(_)
        | _ => ("AWS credentials cannot be fetched just now", Refusal::Transient),
    }
}

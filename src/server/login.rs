//! What a server is shown as a password. Where it comes from is known to `credentials.rs` alone.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use secrecy::SecretString;

use crate::error::Error;

/// Makes a password for each connection anew.
pub(crate) trait Signer: fmt::Debug + Send + Sync {
    /// A password that is good for a connection that begins now.
    fn sign(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, Error>> + Send + '_>>;
}

/// What a server is shown.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    /// No password was given.
    Bare,
    Password(SecretString),
    /// A password of its own for each connection.
    Signed(Arc<dyn Signer>),
}

impl Login {
    /// The password for a connection that begins now.
    pub(crate) async fn password(&self) -> Result<Option<SecretString>, Error> {
        match self {
            Self::Bare => Ok(None),
            Self::Password(password) => Ok(Some(password.clone())),
            Self::Signed(signer) => signer.sign().await.map(Some),
        }
    }

    /// Whether a later connection needs another password.
    pub(crate) fn expires(&self) -> bool {
        matches!(self, Self::Signed(_))
    }
}

/// A password that both the driver and a passfile can hold; the error says what is wrong, to be read after its name.
pub(crate) fn password(text: &str) -> Result<SecretString, String> {
    if text.contains(['\n', '\r', '\0']) {
        return Err("holds a line end or a NUL byte, which no passfile can hold".to_owned());
    }
    Ok(SecretString::from(text))
}

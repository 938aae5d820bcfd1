//! Secrets Manager. What the service answers is never shown: its debug output would print the secret.

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata as _, SdkError};
use secrecy::SecretString;

use crate::error::{Error, Refusal, Side};

/// The text of a secret, by name or ARN.
pub(crate) async fn fetch(side: Side, id: &str) -> Result<SecretString, Error> {
    let failed = |reason: String, refusal| Error::Secret {
        side,
        secret_id: id.to_owned(),
        reason,
        refusal,
    };
    let aws = super::configuration().await;
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
    answer
        .secret_string()
        .map(SecretString::from)
        .ok_or_else(|| failed("holds no text".to_owned(), Refusal::Config))
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

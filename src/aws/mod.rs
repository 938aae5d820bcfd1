//! AWS: secrets, tokens of IAM database authentication, and the task that the worker runs in.
//!
//! The only module that names an AWS type. AWS is contacted only if a variable asks for it.
#![expect(
    clippy::disallowed_types,
    reason = "AWS types are named here and nowhere else"
)]

pub(crate) mod secret;
pub(crate) mod task;
pub(crate) mod token;

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// For one attempt at a service; the SDK tries three times.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Region, endpoints and where credentials come from, by the standard AWS variables.
async fn configuration() -> SdkConfig {
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

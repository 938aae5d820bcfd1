//! AWS: secrets, tokens of IAM database authentication, a bucket, and the task that the worker runs in.
//!
//! The only module that names an AWS type. AWS is contacted only if a variable asks for it.
#![expect(
    clippy::disallowed_types,
    reason = "AWS types are named here and nowhere else"
)]

pub(crate) mod bucket;
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

/// Text as it stands in a query, or in one segment of a path: what is not unreserved (RFC 3986) as percent signs and hexadecimal digits.
fn query_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            encoded + &char::from(byte).to_string()
        }
        _ => encoded + &format!("%{byte:02X}"),
    })
}

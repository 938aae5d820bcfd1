//! A bucket of S3 that texts are put into, each by one signed request.

use std::convert::Infallible;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::Credentials as AwsCredentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    self, PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_types::service_config::ServiceConfigKey;

use crate::aws::query_encoded;
use crate::aws::token::describe_credentials;
use crate::error::{Error, Refusal};

/// What is wrong, and what it means for the run.
type Failed = (String, Refusal);

/// A text and what it is.
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) content_type: &'static str,
    pub(crate) text: String,
}

/// Puts a text into the bucket, in the task's Region and with its credentials.
pub(crate) async fn put(bucket: &str, object: &Object) -> Result<(), Error> {
    let aws = super::configuration().await;
    let failed = |(reason, refusal)| Error::Bucket {
        bucket: bucket.to_owned(),
        reason,
        refusal,
    };
    send(&aws, bucket, object).await.map_err(failed)
}

async fn send(aws: &SdkConfig, bucket: &str, object: &Object) -> Result<(), Failed> {
    let config = |reason: &str| (reason.to_owned(), Refusal::Config);
    let region = aws
        .region()
        .ok_or_else(|| config("no region is known: is AWS_REGION set?"))?
        .as_ref();
    let provider = aws
        .credentials_provider()
        .ok_or_else(|| ("no AWS credentials are configured".to_owned(), Refusal::Denied))?;
    let credentials = provider.provide_credentials().await.map_err(|error| {
        let (reason, refusal) = describe_credentials(&error);
        (reason.to_owned(), refusal)
    })?;
    let endpoint = endpoint(aws, region);
    let path = format!("/{bucket}/{}", query_encoded(&object.key));
    let request =
        signed(object, (&endpoint, &path), region, credentials).map_err(|reason| config(&reason))?;
    let client = aws
        .http_client()
        .ok_or_else(|| config("no client is configured"))?;
    let mut operation = Operation::builder()
        .service_name("S3")
        .operation_name("PutObject")
        .http_client(client)
        .endpoint_url(&endpoint)
        .no_auth()
        .no_retry();
    if let Some(timeouts) = aws.timeout_config() {
        operation = operation.timeout_config(timeouts.clone());
    }
    if let Some(sleep) = aws.sleep_impl() {
        operation = operation.sleep_impl(sleep);
    }
    let operation = operation
        .serializer(|request: Prepared| Ok(request.0))
        .deserializer(|answer: &HttpResponse| {
            let body = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default()).into_owned();
            Ok::<_, OrchestratorError<Infallible>>((answer.status().as_u16(), body))
        })
        .build();
    match operation.invoke(Prepared(request)).await {
        Ok((200..300, _)) => Ok(()),
        Ok((status, body)) => Err(refused(status, &body)),
        Err(SdkError::TimeoutError(_)) => Err((
            "the service did not answer in time".to_owned(),
            Refusal::Transient,
        )),
        Err(_) => Err((
            "the service's endpoint cannot be reached".to_owned(),
            Refusal::Transient,
        )),
    }
}

/// A request with its signature, which its debug output would show.
struct Prepared(HttpRequest);

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

/// Where S3 is: the standard AWS variables may say, with this service's own before the one of all.
fn endpoint(aws: &SdkConfig, region: &str) -> String {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let own = key.ok().and_then(|key| aws.service_config()?.load_config(key));
    let given = own.or_else(|| aws.endpoint_url().map(str::to_owned));
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    given.map_or_else(
        || format!("https://s3.{region}.amazonaws.com{suffix}"),
        |given| given.trim_end_matches('/').to_owned(),
    )
}

fn signed(
    object: &Object,
    (endpoint, path): (&str, &str),
    region: &str,
    credentials: AwsCredentials,
) -> Result<HttpRequest, String> {
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let url = format!("{endpoint}{path}");
    let headers = [("content-type", object.content_type)];
    let body = SignableBody::Bytes(object.text.as_bytes());
    let signable =
        SignableRequest::new("PUT", &url, headers.into_iter(), body).map_err(|error| error.to_string())?;
    let signed = http_request::sign(signable, &params).map_err(|error| error.to_string())?;
    let (instructions, _) = signed.into_parts();
    let mut request = HttpRequest::new(SdkBody::from(object.text.as_str()));
    request.set_method("PUT").map_err(|error| error.to_string())?;
    request.set_uri(path).map_err(|error| error.to_string())?;
    for (name, value) in instructions.headers().chain(headers) {
        request.headers_mut().insert(name.to_owned(), value.to_owned());
    }
    Ok(request)
}

/// What S3 says in the XML of a refusal.
fn refused(status: u16, body: &str) -> Failed {
    let code = body
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map_or("unknown error", |(code, _)| code);
    let refusal = match status {
        429 | 500.. => Refusal::Transient,
        401 | 403 => Refusal::Denied,
        _ => Refusal::Config,
    };
    (format!("{status} {code}"), refusal)
}

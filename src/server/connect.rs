//! Every connection of this program: address, TLS as libpq's `sslmode` means it, keepalives.
//!
//! tokio-postgres knows three of the six words and asks for TLS itself. Here TLS is agreed on before it gets the
//! stream, so that one type of stream serves every word, sockets included, and the second try that `prefer` and
//! `allow` mean is ours.

use std::future::{Ready, ready};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode as Negotiated, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config};

use crate::error::{ConnectError, Error, Failure};
use crate::server::keepalive::{Traffic, keep_alive};
use crate::server::reframe::{Frames, Reframe, Seen};
use crate::server::{Server, SslMode, SslRootCert};

/// How long one attempt to connect may take, from the look-up to the session, and how long a step of making it ready;
/// the child programs get the same.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// `SSLRequest`: length 8, code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// Groups for the exchange of keys, best first. Servers before 18 take no other than P-256 unless they are told to (`ssl_ecdh_curve`): begun
/// with another one, every connection takes one more way there and back.
const GROUPS: &str = "P-256:X25519:P-384:P-521";
/// A connection with the task that drives it.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) driver: JoinHandle<()>,
    /// What the server sends, as it passes.
    pub(crate) seen: Arc<Seen>,
}

/// Connects, with libpq's second try: `prefer` goes without TLS where the server refuses the session over TLS or
/// the handshake fails, `allow` the other way round. The first try's error is the one that is reported.
pub(crate) async fn connect(
    server: &Server,
    application_name: &str,
    traffic: Traffic,
) -> Result<Connected, Error> {
    let first = match server.sslmode {
        SslMode::Disable | SslMode::Allow => Tls::Off,
        SslMode::Prefer => Tls::IfOffered,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Tls::On,
    };
    let error = match attempt(server, application_name, traffic, first).await {
        Ok(connected) => return Ok(connected),
        Err(error) => error,
    };
    let second = match server.sslmode {
        SslMode::Allow => Tls::On,
        SslMode::Prefer => Tls::Off,
        SslMode::Disable | SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => return Err(error),
    };
    if server.host.starts_with('/') || !deserves_second_try(&error) {
        return Err(error);
    }
    attempt(server, application_name, traffic, second)
        .await
        .or(Err(error))
}

/// Whether the other kind of connection may fare better: `pg_hba.conf` can tell them apart, and a handshake can
/// fail. A wrong password is wrong both ways.
fn deserves_second_try(error: &Error) -> bool {
    if let Error::Connect { source, .. } = error {
        return matches!(source, ConnectError::Certificate(_) | ConnectError::Handshake(_));
    }
    error.sqlstate() == Some("28000")
}

/// Whether one attempt uses TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Off,
    IfOffered,
    On,
}

async fn attempt(
    server: &Server,
    application_name: &str,
    traffic: Traffic,
    tls: Tls,
) -> Result<Connected, Error> {
    let open = async {
        let stream = reach(server, tls, traffic)
            .await
            .map_err(|source| Error::Connect {
                side: server.side,
                source,
            })?;
        begin(server, application_name, traffic, stream).await
    };
    within(server, open).await
}

/// A step of connecting, within [`CONNECT_TIMEOUT`]: a server, or something on the way, may accept and never answer.
pub(crate) async fn within<T>(
    server: &Server,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(CONNECT_TIMEOUT, step)
        .await
        .unwrap_or_else(|_elapsed| {
            Err(Error::Connect {
                side: server.side,
                source: ConnectError::Timeout {
                    address: endpoint(server),
                    limit: CONNECT_TIMEOUT,
                },
            })
        })
}

fn endpoint(server: &Server) -> String {
    format!("{}:{}", server.host, server.port)
}

/// Starts the session on an open stream.
async fn begin(
    server: &Server,
    application_name: &str,
    traffic: Traffic,
    stream: Stream,
) -> Result<Connected, Error> {
    let password = server.login.password().await?;
    let mut config = Config::new();
    config
        .user(&server.user)
        .dbname(&server.dbname)
        .application_name(application_name)
        .ssl_mode(Negotiated::Require)
        .ssl_negotiation(SslNegotiation::Direct);
    if let Some(password) = &password {
        config.password(password.expose_secret());
    }
    let frames = match traffic {
        Traffic::RowsFrom => Frames::Recut,
        Traffic::Statements | Traffic::RowsTo => Frames::AsSent,
    };
    let (stream, seen) = Reframe::new(stream, frames);
    #[expect(clippy::disallowed_methods, reason = "every connection is made here")]
    let (client, connection) = config
        .connect_raw(stream, Agreed)
        .await
        .map_err(|error| refused(server, password.is_some(), &error))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the session that owns the task aborts it"
    )]
    let driver = tokio::spawn(async move {
        // Every statement in flight gets the error itself.
        connection.await.ok();
    });
    Ok(Connected { client, driver, seen })
}

fn refused(server: &Server, has_password: bool, error: &tokio_postgres::Error) -> Error {
    // The driver has no other mark for these two than its words.
    match error.to_string().as_str() {
        "invalid configuration" if !has_password => Error::Connect {
            side: server.side,
            source: ConnectError::NoPassword,
        },
        "authentication error" => Error::Connect {
            side: server.side,
            source: ConnectError::Authentication(crate::error::chain(error)),
        },
        _ => Error::Postgres {
            side: server.side,
            action: "connect".to_owned(),
            failure: Failure::of(error),
        },
    }
}

/// An open stream to the server, TLS agreed on.
async fn reach(server: &Server, tls: Tls, traffic: Traffic) -> Result<Stream, ConnectError> {
    let unreachable = |source| ConnectError::Io {
        address: endpoint(server),
        source,
    };
    if server.host.starts_with('/') {
        let path = Path::new(&server.host).join(format!(".s.PGSQL.{}", server.port));
        let socket = UnixStream::connect(path).await.map_err(unreachable)?;
        return Ok(Stream::Unix(socket));
    }
    let mut socket = dial(server, traffic).await?;
    if tls == Tls::Off {
        return Ok(Stream::Plain(socket));
    }
    socket.write_all(&SSL_REQUEST).await.map_err(unreachable)?;
    match socket.read_u8().await.map_err(unreachable)? {
        b'S' => handshake(server, socket).await,
        _ if tls == Tls::IfOffered => Ok(Stream::Plain(socket)),
        _ => Err(ConnectError::TlsUnsupported),
    }
}

/// Connects to the first address that answers.
async fn dial(server: &Server, traffic: Traffic) -> Result<TcpStream, ConnectError> {
    let addresses = tokio::net::lookup_host((server.host.as_str(), server.port))
        .await
        .map_err(|source| ConnectError::Resolve {
            host: server.host.clone(),
            again: may_resolve_later(&source),
            source,
        })?;
    let mut failure = None;
    for address in addresses {
        let connected = TcpStream::connect(address).await;
        match connected.and_then(|socket| keep_alive(socket, traffic)) {
            Ok(socket) => return Ok(socket),
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    Err(ConnectError::Io {
        address: endpoint(server),
        source: failure.unwrap_or_else(|| io::Error::other("the name has no address")),
    })
}

/// `EAI_AGAIN` in glibc's and in musl's words; the standard library keeps nothing else of it.
fn may_resolve_later(error: &io::Error) -> bool {
    let text = error.to_string();
    ["Temporary failure in name resolution", "Try again"]
        .iter()
        .any(|words| text.contains(words))
}

/// A server's TLS settings as the library wants them, made once: reading authorities takes 50 ms and more.
#[derive(Clone, Default)]
#[expect(clippy::disallowed_types, reason = "OpenSSL is named here and nowhere else")]
pub(crate) struct Connector(Arc<OnceLock<openssl::ssl::SslConnector>>);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

async fn handshake(server: &Server, socket: TcpStream) -> Result<Stream, ConnectError> {
    let connector = if let Some(connector) = server.connector.0.get() {
        connector
    } else {
        let connector = connector(server)?;
        server.connector.0.get_or_init(|| connector)
    };
    let settings = connector.configure().map_err(not_ready)?;
    let settings = settings.verify_hostname(server.sslmode == SslMode::VerifyFull);
    let tls = postgres_openssl::TlsConnector::new(settings, &server.host);
    let stream = tls.connect(socket).await.map_err(|error| {
        let text = crate::error::chain(&*error);
        if text.contains("certificate verify failed") || text.contains("mismatch") {
            ConnectError::Certificate(text)
        } else {
            ConnectError::Handshake(error)
        }
    })?;
    Ok(Stream::Tls(Box::new(stream)))
}

fn not_ready(error: ErrorStack) -> ConnectError {
    ConnectError::Handshake(error.into())
}

/// As in libpq, a root certificate means that the chain is checked whatever the word says; the name is checked
/// under `verify-full` only.
#[expect(clippy::disallowed_types, reason = "OpenSSL is named here and nowhere else")]
fn connector(server: &Server) -> Result<openssl::ssl::SslConnector, ConnectError> {
    let failed = |path: &Path, reason: String| ConnectError::RootCertificate {
        path: path.to_owned(),
        reason,
    };
    let mut builder = openssl::ssl::SslConnector::builder(SslMethod::tls_client()).map_err(not_ready)?;
    builder
        .set_min_proto_version(Some(SslVersion::TLS1_2))
        .and_then(|()| builder.set_groups_list(GROUPS))
        .map_err(not_ready)?;
    match &server.sslrootcert {
        None => builder.set_verify(SslVerifyMode::NONE),
        // OpenSSL that is compiled in knows no place to look for them. What of it cannot be read vouches for nobody.
        Some(SslRootCert::System) => {
            let places = openssl_probe::probe();
            let file = places.cert_file.iter().map(|file| (Some(&**file), None));
            let directories = places.cert_dir.iter().map(|directory| (None, Some(&**directory)));
            for (file, directory) in file.chain(directories) {
                if let Err(error) = builder.load_verify_locations(file, directory) {
                    let reason = crate::error::chain(&error);
                    tracing::debug!(reason, "some of the system's authorities are not read");
                }
            }
        }
        Some(SslRootCert::File(path)) => {
            let pem = std::fs::read(path).map_err(|error| failed(path, error.to_string()))?;
            let authorities =
                X509::stack_from_pem(&pem).map_err(|error| failed(path, crate::error::chain(&error)))?;
            if authorities.is_empty() {
                return Err(failed(path, "holds no certificate in PEM form".to_owned()));
            }
            let mut trusted = X509StoreBuilder::new().map_err(not_ready)?;
            for authority in authorities {
                trusted.add_cert(authority).map_err(not_ready)?;
            }
            builder.set_cert_store(trusted.build());
        }
    }
    Ok(builder.build())
}

/// A connection's bytes, with or without TLS.
enum Stream {
    Plain(TcpStream),
    Unix(UnixStream),
    Tls(Box<postgres_openssl::TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl TlsStream for Reframe<Stream> {
    /// Without this SCRAM would lose its protection against a server in the middle.
    fn channel_binding(&self) -> ChannelBinding {
        match self.get_ref() {
            Stream::Plain(_) | Stream::Unix(_) => ChannelBinding::none(),
            Stream::Tls(stream) => stream.channel_binding(),
        }
    }
}

/// Hands tokio-postgres the stream as it is: TLS was agreed on before.
struct Agreed;

impl TlsConnect<Reframe<Stream>> for Agreed {
    type Stream = Reframe<Stream>;
    type Error = io::Error;
    type Future = Ready<io::Result<Reframe<Stream>>>;

    fn connect(self, stream: Reframe<Stream>) -> Self::Future {
        ready(Ok(stream))
    }
}

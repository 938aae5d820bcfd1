//! Every connection of this program: address, TLS as libpq's sslmode means it, keepalives.

use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use crate::error::{ConnectError, Error};
use crate::server::Server;

/// How long one attempt to connect may take; the child programs get the same.
pub(crate) const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Connects and returns the client with the task that drives it.
pub(crate) async fn connect(
    server: &Server,
    application_name: &str,
) -> Result<(Client, JoinHandle<()>), Error> {
    use secrecy::ExposeSecret;
    let mut config = tokio_postgres::Config::new();
    config
        .user(&server.user)
        .dbname(&server.dbname)
        .application_name(application_name);
    if let Some(password) = &server.password {
        config.password(password.expose_secret());
    }
    let address = format!("{}:{}", server.host, server.port);
    let io = |source| Error::Connect {
        side: server.side,
        source: ConnectError::Io {
            address: address.clone(),
            source,
        },
    };
    let failed = |source| Error::Postgres {
        side: server.side,
        action: "connect".to_owned(),
        source,
    };
    if server.host.starts_with('/') {
        let stream = tokio::net::UnixStream::connect(format!("{}/.s.PGSQL.{}", server.host, server.port))
            .await
            .map_err(io)?;
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(failed)?;
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        Ok((
            client,
            tokio::spawn(async move {
                connection.await.ok();
            }),
        ))
    } else {
        let stream = tokio::net::TcpStream::connect(&address).await.map_err(io)?;
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(failed)?;
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        Ok((
            client,
            tokio::spawn(async move {
                connection.await.ok();
            }),
        ))
    }
}

//! How soon a vanished peer is noticed, on every connection and from both ends: NAT gateways and load balancers forget idle
//! connections after some 350 s, and a host that is gone is to be noticed within a minute or so rather than after hours.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// Silence after which the first probe is sent.
const IDLE: Duration = Duration::from_secs(30);
/// Between probes.
const INTERVAL: Duration = Duration::from_secs(10);
/// Probes without an answer that end a connection.
const COUNT: u32 = 3;
/// How long sent bytes may go unacknowledged. A peer that is alive and takes nothing counts too, whose disk stands still or whose
/// trigger takes its time: there is no such limit where rows are sent, and whether the peer is gone is told by other sessions.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// What passes on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Statements and their answers.
    Statements,
    /// Rows from the server by COPY.
    RowsFrom,
    /// Rows to the server by COPY.
    RowsTo,
}

/// Sets them on a socket of our own.
pub(super) fn keep_alive(socket: TcpStream, traffic: Traffic) -> io::Result<TcpStream> {
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(IDLE)
        .with_interval(INTERVAL)
        .with_retries(COUNT);
    let reference = socket2::SockRef::from(&socket);
    reference.set_tcp_keepalive(&keepalive)?;
    if traffic != Traffic::RowsTo {
        reference.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    }
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// As settings of the server's end.
pub(super) fn settings(traffic: Traffic) -> [(&'static str, String); 4] {
    let user_timeout = if traffic == Traffic::RowsFrom {
        Duration::ZERO
    } else {
        USER_TIMEOUT
    };
    [
        ("tcp_keepalives_idle", IDLE.as_secs().to_string()),
        ("tcp_keepalives_interval", INTERVAL.as_secs().to_string()),
        ("tcp_keepalives_count", COUNT.to_string()),
        ("tcp_user_timeout", user_timeout.as_millis().to_string()),
    ]
}

/// As libpq's connection parameters, which it takes from no variable.
pub(crate) fn parameters() -> String {
    format!(
        "keepalives_idle={} keepalives_interval={} keepalives_count={COUNT}",
        IDLE.as_secs(),
        INTERVAL.as_secs()
    )
}

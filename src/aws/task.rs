//! The ECS task that the worker runs in, where it runs in one.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// For connecting, and for each read: the endpoint is on the same machine.
const TIMEOUT: Duration = Duration::from_secs(1);
/// For the whole answer.
const DEADLINE: Duration = Duration::from_secs(3);
/// A longer answer is not read to its end.
const ANSWER_MAX: usize = 256 * 1024;

/// What the metadata endpoint says of the task.
#[derive(Debug, Deserialize)]
pub(crate) struct Task {
    #[serde(rename = "TaskARN")]
    pub(crate) arn: String,
    #[serde(rename = "Limits", default)]
    pub(crate) limits: Limits,
}

/// What the task may use, where the task definition says it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Limits {
    /// Virtual CPUs.
    #[serde(rename = "CPU")]
    pub(crate) cpu: Option<f64>,
    /// MiB.
    #[serde(rename = "Memory")]
    pub(crate) memory: Option<u64>,
}

impl Task {
    /// Asks the endpoint that `ECS_CONTAINER_METADATA_URI_V4` announces; the error says why there is no answer.
    pub(crate) fn read(uri: &str) -> Result<Self, String> {
        let (host, path) = uri
            .strip_prefix("http://")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
            .ok_or("it is no address of http")?;
        let address = host
            .parse::<SocketAddr>()
            .or_else(|_| host.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 80)))
            .map_err(|error| format!("{host}: {error}"))?;
        // 1.0: the answer ends with the connection, and is never chunked.
        let request = format!("GET /{path}/task HTTP/1.0\r\nHost: {host}\r\n\r\n");
        let answer = exchange(address, request.as_bytes()).map_err(|error| error.to_string())?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer was cut")?;
        match head.split(' ').nth(1) {
            Some("200") => serde_json::from_str(body).map_err(|error| error.to_string()),
            status => Err(format!("its status is {}", status.unwrap_or("lacking"))),
        }
    }
}

fn exchange(address: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let until = Instant::now() + DEADLINE;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while answer.len() < ANSWER_MAX && Instant::now() < until {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            break;
        }
        answer.extend(piece.iter().take(length));
    }
    Ok(answer)
}

//! A Secrets Manager on loopback: what the worker's AWS SDK asks over HTTP, a closure answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use crate::worker::Worker;

/// The endpoint; it answers until the process ends.
#[derive(Debug)]
pub struct SecretsManager {
    address: String,
}

/// A status and a body.
pub type Answer = (u16, String);

impl SecretsManager {
    /// Starts one that answers each request for a secret, named by the first argument.
    pub fn start(mut answer: impl FnMut(&str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request: Value = serde_json::from_slice(&body(&stream)).unwrap();
                let (status, body) = answer(request.get("SecretId").and_then(Value::as_str).unwrap());
                let head = format!(
                    "HTTP/1.1 {status} x\r\nContent-Type: application/x-amz-json-1.1\r\nConnection: close\r\n\
                     Content-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            }
        });
        Self { address }
    }

    /// The worker with this endpoint, a region and keys.
    #[must_use]
    pub fn given_to(&self, worker: Worker) -> Worker {
        worker
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", &self.address)
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "access")
            .env("AWS_EC2_METADATA_DISABLED", "true")
    }
}

/// What answers with this secret.
#[must_use]
pub fn secret(text: &str) -> Answer {
    (200, json!({"Name": "n", "SecretString": text}).to_string())
}

fn body(stream: &TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    body
}

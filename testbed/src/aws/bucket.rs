//! An S3 on loopback: it keeps what is put into it, and answers as it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::worker::Worker;

/// The endpoint; it answers until the process ends.
#[derive(Debug)]
pub struct Bucket {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A request as it has come.
#[derive(Debug, Clone)]
pub struct Request {
    /// Such as PUT.
    pub method: String,
    /// With the bucket's name.
    pub path: String,
    /// By their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The text.
    pub body: String,
}

impl Bucket {
    /// Starts one that answers every request with this status and body.
    #[must_use]
    pub fn start(status: u16, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let kept = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                kept.lock().unwrap().push(Request::read(&stream));
                let head = format!(
                    "HTTP/1.1 {status} x\r\nContent-Type: application/xml\r\nConnection: close\r\n\
                     Content-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            }
        });
        Self { address, requests }
    }

    /// The worker with this endpoint, a region and keys.
    #[must_use]
    pub fn given_to(&self, worker: Worker) -> Worker {
        worker
            .env("AWS_ENDPOINT_URL_S3", &self.address)
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "access")
            .env("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// Everything that has come.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Request {
    fn read(stream: &TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
                break;
            }
            let (name, value) = line.trim_end().split_once(':').unwrap();
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let word = |index: usize| words.get(index).cloned().unwrap_or_default();
        Self {
            method: word(0),
            path: word(1),
            headers,
            body: String::from_utf8(body).unwrap(),
        }
    }
}

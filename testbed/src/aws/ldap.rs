//! A directory on loopback that a PostgreSQL server asks about passwords (`ldap` in `pg_hba.conf`), as RDS asks IAM:
//! it knows simple binds and nothing else (RFC 4511), and a closure decides.

use std::io::{BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Tags of BER, and of LDAP's messages.
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const BIND_REQUEST: u8 = 0x60;
const INVALID_CREDENTIALS: u8 = 49;

/// The directory; it answers until the process ends.
#[derive(Debug)]
pub struct Directory {
    port: u16,
}

impl Directory {
    /// Starts one that lets a name with its password in where `accept` says so.
    pub fn start(accept: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let accept = Arc::new(accept);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let accept = Arc::clone(&accept);
                thread::spawn(move || serve(stream.unwrap(), &*accept));
            }
        });
        Self { port }
    }

    /// The rest of a line of `pg_hba.conf`: the method and its options.
    #[must_use]
    pub fn method(&self) -> String {
        format!(
            "ldap ldapserver=127.0.0.1 ldapport={} ldapprefix=\"\" ldapsuffix=\"\"",
            self.port
        )
    }
}

/// Answers binds until the client unbinds or hangs up.
fn serve(mut stream: TcpStream, accept: &dyn Fn(&str, &str) -> bool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((SEQUENCE, message)) = read(&mut reader) {
        let mut message = message.as_slice();
        let (_, id) = read(&mut message).unwrap();
        let (operation, request) = read(&mut message).unwrap();
        if operation != BIND_REQUEST {
            return;
        }
        let mut request = request.as_slice();
        let [_, name, password] = [(); 3].map(|()| String::from_utf8(read(&mut request).unwrap().1).unwrap());
        let code = if accept(&name, &password) {
            0
        } else {
            INVALID_CREDENTIALS
        };
        // BindResponse: code, no name, no message.
        let response = [0x61, 7, 0x0a, 1, code, 0x04, 0, 0x04, 0];
        let id = [&[INTEGER, short(&id)], id.as_slice()].concat();
        let body = [id.as_slice(), &response].concat();
        if stream
            .write_all(&[&[SEQUENCE, short(&body)], body.as_slice()].concat())
            .is_err()
        {
            return;
        }
    }
}

fn short(bytes: &[u8]) -> u8 {
    u8::try_from(bytes.len()).unwrap()
}

/// Tag and content of the next element; none at the end.
fn read(from: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut byte = || {
        let mut byte = [0];
        from.read_exact(&mut byte).ok().map(|()| usize::from(byte[0]))
    };
    let tag = u8::try_from(byte()?).unwrap();
    let length = match byte()? {
        // The length of the length.
        long if long > 0x80 => (0..long - 0x80).try_fold(0, |length, _| Some(length << 8 | byte()?))?,
        length => length,
    };
    let mut content = vec![0; length];
    from.read_exact(&mut content).ok()?;
    Some((tag, content))
}

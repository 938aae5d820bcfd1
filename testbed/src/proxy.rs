//! A TCP proxy on loopback that stands for the way between a client and a server: it takes time, it is of a
//! certain width, and it holds no more than a certain number of bytes.
//!
//! Each connection has two ways, each way two threads with the bytes in flight between them:
//! ```text
//! sender ─► receive: waits for the lane, which all connections share ─► flight ─► deliver: waits for the time ─► receiver
//! ```
//! So a stream pays the delay once, and an exchange of messages pays it at every turn. A receiver that doesn't read
//! fills the flight, and then the sender waits.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Bytes that are in flight on one way of one connection before its sender has to wait.
const WINDOW: usize = 4 << 20;
/// The largest piece that is forwarded at once where the lane's width doesn't matter.
const PIECE: usize = 64 << 10;
/// The largest piece where it does: others wait for a whole piece before their own.
const NARROW_PIECE: usize = 16 << 10;
/// So much of a lane's time may be taken ahead: a sleep ends late, and the lane would stand idle meanwhile.
const AHEAD: Duration = Duration::from_millis(4);

/// What the way between a client and a server is like, the same in both directions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    /// From one end to the other.
    pub delay: Duration,
    /// What all connections together may carry in each direction; unlimited where there is none.
    pub bits_per_second: Option<u64>,
}

/// What a proxy has carried so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Bytes that were due at the server.
    pub to_server: u64,
    /// Bytes that were due at the clients.
    pub to_client: u64,
    /// How often a client spoke first or after the server: the round trips of all connections.
    pub turns: u64,
}

/// A running proxy. Dropping it ends its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    delay: Duration,
    to_server: Lane,
    to_client: Lane,
    turns: AtomicU64,
    open: Mutex<Open>,
}

/// The connections of the moment, so that they can be ended from outside.
#[derive(Debug, Default)]
struct Open {
    closing: bool,
    next: u64,
    sockets: HashMap<u64, [TcpStream; 2]>,
}

/// One direction of the line.
#[derive(Debug)]
struct Lane {
    bits_per_second: Option<u64>,
    /// When the last bit that was accepted will have left.
    free: Mutex<Instant>,
    delivered: AtomicU64,
}

/// Bytes on their way; none are the sender's end of stream.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

/// The pieces in flight on one way of one connection.
#[derive(Default)]
struct Flight {
    state: Mutex<InFlight>,
    changed: Condvar,
}

#[derive(Default)]
struct InFlight {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// The receiver is gone: nothing more is accepted.
    lost: bool,
}

impl Proxy {
    /// Starts one on a free port of 127.0.0.1, for a server at this address.
    #[must_use]
    pub fn start(server: SocketAddr, line: Line) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            delay: line.delay,
            to_server: Lane::new(line.bits_per_second),
            to_client: Lane::new(line.bits_per_second),
            turns: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        });
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Where clients find it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`Proxy::address`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What has come to its ends so far.
    #[must_use]
    pub fn carried(&self) -> Carried {
        Carried {
            to_server: self.shared.to_server.delivered.load(Ordering::Relaxed),
            to_client: self.shared.to_client.delivered.load(Ordering::Relaxed),
            turns: self.shared.turns.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.close();
        // The acceptor looks up at the next connection.
        let woken = TcpStream::connect(self.address).is_ok();
        let ended = self
            .acceptor
            .take()
            .is_none_or(|acceptor| acceptor.join().is_ok());
        assert!(
            thread::panicking() || (woken && ended),
            "the proxy at {} has failed",
            self.address
        );
    }
}

impl Shared {
    fn accept(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            for client in listener.incoming() {
                if self.open.lock().unwrap().closing {
                    return;
                }
                if let Ok(client) = client {
                    scope.spawn(move || self.carry(&client));
                }
            }
        });
    }

    fn close(&self) {
        let mut open = self.open.lock().unwrap();
        open.closing = true;
        for socket in open.sockets.values().flatten() {
            // One that the peer has closed already is closed.
            socket.shutdown(Shutdown::Both).unwrap_or_default();
        }
    }

    /// One connection, from its first byte to its last.
    fn carry(&self, client: &TcpStream) {
        // The handshake takes a round trip; a server that can't be reached is a connection that ends.
        thread::sleep(self.delay * 2);
        let Ok(server) = TcpStream::connect(self.server) else {
            return;
        };
        for socket in [client, &server] {
            socket.set_nodelay(true).unwrap_or_default();
        }
        let Some(number) = self.register([client, &server]) else {
            return;
        };
        let clients_turn = AtomicBool::new(true);
        thread::scope(|scope| {
            scope.spawn(|| {
                self.way(&self.to_server, [client, &server], || {
                    if clients_turn.swap(false, Ordering::Relaxed) {
                        self.turns.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
            self.way(&self.to_client, [&server, client], || {
                clients_turn.store(true, Ordering::Relaxed);
            });
        });
        self.open.lock().unwrap().sockets.remove(&number);
    }

    /// `None` where the proxy is about to end.
    fn register(&self, sockets: [&TcpStream; 2]) -> Option<u64> {
        let [client, server] = sockets.map(TcpStream::try_clone);
        let mut open = self.open.lock().unwrap();
        if open.closing {
            return None;
        }
        let number = open.next;
        open.next += 1;
        open.sockets.insert(number, [client.ok()?, server.ok()?]);
        Some(number)
    }

    fn way(&self, lane: &Lane, [from, to]: [&TcpStream; 2], spoken: impl Fn()) {
        let flight = Flight::default();
        thread::scope(|scope| {
            scope.spawn(|| deliver(&flight, lane, [from, to]));
            receive(&flight, lane, self.delay, from, spoken);
        });
    }
}

/// Accepts what the sender says as fast as the lane and the flight permit. A connection that breaks has ended.
fn receive(flight: &Flight, lane: &Lane, delay: Duration, mut from: &TcpStream, spoken: impl Fn()) {
    let mut buffer = vec![0; lane.piece()];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        if length > 0 {
            spoken();
        }
        let sent = lane.send(length);
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        let due = sent + delay;
        if !flight.push(Piece { due, bytes }) || length == 0 {
            return;
        }
        sleep_until(sent.checked_sub(AHEAD).unwrap_or(sent));
    }
}

/// Hands the receiver what is due, the end of the stream too.
fn deliver(flight: &Flight, lane: &Lane, [from, mut to]: [&TcpStream; 2]) {
    loop {
        let piece = flight.pop();
        sleep_until(piece.due);
        if piece.bytes.is_empty() {
            to.shutdown(Shutdown::Write).unwrap_or_default();
            return;
        }
        let length = u64::try_from(piece.bytes.len()).unwrap();
        lane.delivered.fetch_add(length, Ordering::Relaxed);
        if to.write_all(&piece.bytes).is_err() {
            flight.lose();
            // Only this way has ended: what the receiver said before it went still travels.
            from.shutdown(Shutdown::Read).unwrap_or_default();
            return;
        }
    }
}

impl Lane {
    fn new(bits_per_second: Option<u64>) -> Self {
        Self {
            bits_per_second,
            free: Mutex::new(Instant::now()),
            delivered: AtomicU64::new(0),
        }
    }

    fn piece(&self) -> usize {
        if self.bits_per_second.is_some() {
            NARROW_PIECE
        } else {
            PIECE
        }
    }

    /// Takes the lane for so many bytes; when the last of them has left.
    fn send(&self, length: usize) -> Instant {
        let now = Instant::now();
        let Some(rate) = self.bits_per_second else {
            return now;
        };
        let bits = u64::try_from(length).unwrap() * 8;
        let taken = Duration::from_nanos(bits * 1_000_000_000 / rate);
        let mut free = self.free.lock().unwrap();
        *free = now.max(*free) + taken;
        *free
    }
}

impl Flight {
    /// Waits for room; false where the receiver is gone.
    fn push(&self, piece: Piece) -> bool {
        let state = self.state.lock().unwrap();
        let mut state = self
            .changed
            .wait_while(state, |state| state.bytes >= WINDOW && !state.lost)
            .unwrap();
        if state.lost {
            return false;
        }
        state.bytes += piece.bytes.len();
        state.pieces.push_back(piece);
        self.changed.notify_all();
        true
    }

    /// The next piece. Its bytes make room now: the receiver's own buffer is the last few of the window.
    fn pop(&self) -> Piece {
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(piece) = state.pieces.pop_front() {
                state.bytes -= piece.bytes.len();
                self.changed.notify_all();
                return piece;
            }
            state = self.changed.wait(state).unwrap();
        }
    }

    fn lose(&self) {
        self.state.lock().unwrap().lost = true;
        self.changed.notify_all();
    }
}

fn sleep_until(time: Instant) {
    thread::sleep(time.saturating_duration_since(Instant::now()));
}

//! A TCP proxy on loopback that stands for the way between a client and a server: it takes time, it is of a
//! certain width, and it holds no more than a certain number of bytes.
//!
//! Each connection has two ways, each way two threads with the bytes in flight between them:
//! ```text
//! sender ─► receive: waits for the lane, which all connections share ─► flight ─► deliver: waits for the time ─► receiver
//! ```
//! So a stream pays the delay once, and an exchange of messages pays it at every turn. A receiver that doesn't read
//! fills the flight, and then the sender waits.
//!
//! And it fails as networks do, at a moment that the words of a client tell: see [`Mishap`] and [`Gate`]. What
//! passes is read as it is, so words are found only where TLS is off.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
pub use crate::network::trouble::{Gate, Mishap};
use crate::network::trouble::{Then, Troubles, Wire};

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
    server: Mutex<SocketAddr>,
    delay: Duration,
    to_server: Lane,
    to_client: Lane,
    turns: AtomicU64,
    /// Bytes after which all connections are reset.
    last_byte: AtomicU64,
    troubles: Troubles,
    open: Mutex<Open>,
}

/// The connections of the moment, so that they can be ended from outside.
#[derive(Debug, Default)]
struct Open {
    closing: bool,
    next: u64,
    wires: HashMap<u64, Arc<Wire>>,
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
    /// The answer to it is to be lost.
    unanswered: bool,
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
    /// Starts one on a free port of 127.0.0.1, before a cluster.
    #[must_use]
    pub fn before(cluster: &Cluster, line: Line) -> Self {
        let server = format!("{}:{}", cluster.host(), cluster.port());
        Self::start(server.parse().unwrap(), line)
    }

    /// Starts one on a free port of 127.0.0.1, for a server at this address.
    #[must_use]
    pub fn start(server: SocketAddr, line: Line) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: Mutex::new(server),
            delay: line.delay,
            to_server: Lane::new(line.bits_per_second),
            to_client: Lane::new(line.bits_per_second),
            turns: AtomicU64::new(0),
            last_byte: AtomicU64::new(u64::MAX),
            troubles: Troubles::default(),
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

    /// Leads new connections to another server.
    pub fn redirect(&self, server: SocketAddr) {
        *self.shared.server.lock().unwrap() = server;
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

    /// Lets this befall every open connection of a client whose `application_name` ends so; of every client where
    /// it is empty.
    pub fn befall(&self, mishap: Mishap, role: &str) {
        self.shared.befall(mishap, role);
    }

    /// What new connections meet from now on.
    pub fn set_gate(&self, gate: Gate) {
        self.shared.troubles.set_gate(gate);
    }

    /// The next client of this role (any where it is empty) that says these words is held: they do not arrive
    /// before [`Proxy::release`]. Other connections go on.
    pub fn hold_at(&self, words: &[u8], role: &str) {
        self.shared.troubles.set_trap(words, role, Then::Hold);
    }

    /// The next client of this role that says these words is heard, and gets no answer to them nor to anything else.
    pub fn lose_answers_to(&self, words: &[u8], role: &str) {
        self.shared.troubles.set_trap(words, role, Then::LoseAnswers);
    }

    /// Waits until a client has said the words, and returns its `application_name`.
    #[must_use]
    pub fn wait_until_said(&self, deadline: Duration) -> Option<String> {
        self.shared.troubles.wait_until_caught(deadline)
    }

    /// Sends on what is held, and forgets the words that were waited for.
    pub fn release(&self) {
        self.shared.troubles.release();
    }

    /// Resets every open connection when so many more bytes have passed, in both directions together.
    pub fn reset_after(&self, bytes: u64) {
        let last = self.shared.delivered() + bytes;
        self.shared.last_byte.store(last, Ordering::Relaxed);
    }

    /// How many connections were open at once at most, by `sf/<unit>/<attempt>`.
    #[must_use]
    pub fn most_open(&self) -> HashMap<String, usize> {
        self.shared.troubles.most_open()
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
                let Ok(client) = client else { continue };
                if self.troubles.gate() == Gate::Shut {
                    socket2::SockRef::from(&client)
                        .set_linger(Some(Duration::ZERO))
                        .unwrap_or_default();
                    continue;
                }
                scope.spawn(move || self.carry(client));
            }
        });
    }

    fn close(&self) {
        self.troubles.release();
        let mut open = self.open.lock().unwrap();
        open.closing = true;
        for wire in open.wires.values() {
            wire.end();
        }
    }

    fn befall(&self, mishap: Mishap, role: &str) {
        let open = self.open.lock().unwrap();
        for wire in open.wires.values().filter(|wire| wire.name().ends_with(role)) {
            wire.befall(mishap);
        }
    }

    fn delivered(&self) -> u64 {
        let lanes = [&self.to_server, &self.to_client];
        lanes
            .iter()
            .map(|lane| lane.delivered.load(Ordering::Relaxed))
            .sum()
    }

    /// One connection, from its first byte to its last.
    fn carry(&self, client: TcpStream) {
        // The handshake takes a round trip; a server that can't be reached is a connection that ends.
        thread::sleep(self.delay * 2);
        let Ok(server) = TcpStream::connect(*self.server.lock().unwrap()) else {
            return;
        };
        let wire = Arc::new(Wire::new(client, server));
        let Some(number) = self.register(&wire) else {
            return;
        };
        if self.troubles.gate() == Gate::Mute {
            wire.befall(Mishap::Silence);
        }
        let clients_turn = AtomicBool::new(true);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut memory = Vec::new();
                self.way(&wire, Way::ToServer, |bytes| {
                    if clients_turn.swap(false, Ordering::Relaxed) {
                        self.turns.fetch_add(1, Ordering::Relaxed);
                    }
                    self.troubles.hear(&wire, &mut memory, bytes)
                });
            });
            self.way(&wire, Way::ToClient, |_| {
                clients_turn.store(true, Ordering::Relaxed);
                false
            });
        });
        self.troubles.leave(&wire);
        self.open.lock().unwrap().wires.remove(&number);
    }

    /// `None` where the proxy is about to end.
    fn register(&self, wire: &Arc<Wire>) -> Option<u64> {
        let mut open = self.open.lock().unwrap();
        if open.closing {
            return None;
        }
        let number = open.next;
        open.next += 1;
        open.wires.insert(number, Arc::clone(wire));
        Some(number)
    }

    fn way(&self, wire: &Arc<Wire>, way: Way, spoken: impl FnMut(&[u8]) -> bool) {
        let flight = Flight::default();
        thread::scope(|scope| {
            scope.spawn(|| self.deliver(&flight, wire, way));
            self.receive(&flight, wire, way, spoken);
        });
    }

    fn lane(&self, way: Way) -> &Lane {
        match way {
            Way::ToServer => &self.to_server,
            Way::ToClient => &self.to_client,
        }
    }

    /// Accepts what the sender says as fast as the lane and the flight permit. A connection that breaks has ended.
    fn receive(&self, flight: &Flight, wire: &Arc<Wire>, way: Way, mut spoken: impl FnMut(&[u8]) -> bool) {
        let lane = self.lane(way);
        let mut from = way.from(wire);
        let mut buffer = vec![0; lane.piece()];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            let unanswered = length > 0 && spoken(bytes);
            match wire.mishap() {
                Some(Mishap::Reset) => return flight.lose(),
                Some(Mishap::Silence) => {
                    wire.park();
                    return flight.lose();
                }
                Some(Mishap::LostAnswers) if way == Way::ToClient && length > 0 => continue,
                Some(Mishap::LostAnswers | Mishap::Cut) | None => {}
            }
            let sent = lane.send(length);
            let (due, bytes) = (sent + self.delay, bytes.to_vec());
            if !flight.push(Piece {
                due,
                bytes,
                unanswered,
            }) || length == 0
            {
                return;
            }
            sleep_until(sent.checked_sub(AHEAD).unwrap_or(sent));
        }
    }

    /// Hands the receiver what is due, the end of the stream too.
    fn deliver(&self, flight: &Flight, wire: &Arc<Wire>, way: Way) {
        let lane = self.lane(way);
        let to = way.to(wire);
        while let Some(piece) = flight.pop() {
            sleep_until(piece.due);
            if wire.mishap() == Some(Mishap::Silence) {
                wire.park();
                return;
            }
            if piece.bytes.is_empty() {
                to.shutdown(Shutdown::Write).unwrap_or_default();
                return;
            }
            let length = u64::try_from(piece.bytes.len()).unwrap();
            lane.delivered.fetch_add(length, Ordering::Relaxed);
            if piece.unanswered {
                wire.befall(Mishap::LostAnswers);
            }
            if !write_all(wire, to, &piece.bytes) {
                flight.lose();
                // Only this way has ended: what the receiver said before it went still travels.
                way.from(wire).shutdown(Shutdown::Read).unwrap_or_default();
                return;
            }
            let last = self.last_byte.load(Ordering::Relaxed);
            if self.delivered() >= last && self.last_byte.swap(u64::MAX, Ordering::Relaxed) == last {
                self.befall(Mishap::Reset, "");
            }
        }
    }
}

/// A direction of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

impl Way {
    fn from(self, wire: &Wire) -> &TcpStream {
        match self {
            Self::ToServer => &wire.client,
            Self::ToClient => &wire.server,
        }
    }

    fn to(self, wire: &Wire) -> &TcpStream {
        match self {
            Self::ToServer => &wire.server,
            Self::ToClient => &wire.client,
        }
    }
}

/// Writes as the receiver reads; false where the connection has ended or come to harm.
fn write_all(wire: &Wire, mut to: &TcpStream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return false,
            Ok(count) => bytes = bytes.split_at(count).1,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                let waits = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                let harmed = matches!(wire.mishap(), Some(Mishap::Reset | Mishap::Cut));
                if !waits || harmed || wire.has_ended() {
                    return false;
                }
            }
        }
    }
    true
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

    /// The next piece; `None` where there is no receiver any more. Its bytes make room now: the receiver's own buffer
    /// is the last few of the window.
    fn pop(&self) -> Option<Piece> {
        let mut state = self.state.lock().unwrap();
        loop {
            if state.lost {
                return None;
            }
            if let Some(piece) = state.pieces.pop_front() {
                state.bytes -= piece.bytes.len();
                self.changed.notify_all();
                return Some(piece);
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

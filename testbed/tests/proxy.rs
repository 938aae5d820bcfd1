//! The proxy: what it does to time, and that it does nothing to bytes.
#![expect(clippy::unwrap_used, reason = "a failed setup step is a failed test")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use testbed::Proxy;
use testbed::proxy::{Carried, Line};

const PATIENCE: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 8;

/// A server that serves each connection in a thread of its own.
fn serve(connection: impl Fn(TcpStream) + Send + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = connection.clone();
            thread::spawn(move || connection(stream.unwrap()));
        }
    });
    address
}

/// Sends back what it gets, as soon as it gets it.
fn echo(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(buffer.get(..length).unwrap()).is_err() {
            return;
        }
    }
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn line(delay: u64, bits_per_second: Option<u64>) -> Line {
    Line {
        delay: Duration::from_millis(delay),
        bits_per_second,
    }
}

/// Bytes that repeat nowhere near: a piece that is lost, doubled or out of order shows.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Sends in a thread, then ends the stream.
fn send(stream: &TcpStream, bytes: Vec<u8>) -> JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    thread::spawn(move || {
        stream.write_all(&bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    })
}

fn receive(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// What is timed never takes less than `wanted` seconds, and once at least less than `wrong`, which a proxy that is mistaken
/// would take: between the two is what other tests and other programs may cost on the same machine.
fn assert_takes(wanted: f64, wrong: f64, timed: impl Fn() -> Duration) {
    let mut fastest = f64::INFINITY;
    for _ in 0..ATTEMPTS {
        fastest = fastest.min(timed().as_secs_f64());
        if fastest < wrong {
            break;
        }
    }
    assert!(
        (wanted * 0.99..wrong).contains(&fastest),
        "{fastest:.3} s where {wanted:.3} s were wanted"
    );
}

#[test]
fn an_exchange_pays_the_delay_at_every_turn() {
    let server = serve(echo);
    // Five exchanges, and one round trip for the handshake; the delay paid twice each way.
    assert_takes(6.0 * 2.0 * 0.030, 6.0 * 4.0 * 0.030, || {
        let proxy = Proxy::start(server, line(30, None));
        let started = Instant::now();
        let mut stream = connect(&proxy);
        let mut answer = [0; 4];
        for _ in 0..5 {
            stream.write_all(b"ping").unwrap();
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"ping");
        }
        let elapsed = started.elapsed();
        let carried = Carried {
            to_server: 20,
            to_client: 20,
            turns: 5,
        };
        assert_eq!(proxy.carried(), carried);
        elapsed
    });
}

#[test]
fn a_stream_pays_the_delay_once() {
    let proxy = Proxy::start(serve(echo), line(100, None));
    let bytes = noise(16 << 20);
    let started = Instant::now();
    let stream = connect(&proxy);
    let sender = send(&stream, bytes.clone());
    assert!(receive(&stream) == bytes, "the bytes are others");
    sender.join().unwrap();
    // There and back for the handshake and for the bytes; at least 256 pieces each way: a delay for each would be 51 s.
    let elapsed = started.elapsed();
    assert!(elapsed > Duration::from_millis(400), "{elapsed:?}");
    assert!(elapsed < Duration::from_secs(51), "{elapsed:?}");
}

#[test]
fn messages_that_are_sent_ahead_arrive_one_delay_later_each() {
    let proxy = Proxy::start(serve(echo), line(100, None));
    // The last of five leaves after four pauses and travels there and back; each after the one before is back.
    assert_takes(4.0 * 0.020 + 0.200, 5.0 * 0.200, || {
        let mut stream = connect(&proxy);
        stream.write_all(b"0").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let started = Instant::now();
        for message in 0..5 {
            if message > 0 {
                thread::sleep(Duration::from_millis(20));
            }
            stream.write_all(b"1").unwrap();
        }
        stream.read_exact(&mut [0; 5]).unwrap();
        started.elapsed()
    });
}

#[test]
fn the_width_is_shared_by_all_connections() {
    let server = serve(|stream| drop(receive(&stream)));
    let bytes = noise(1_250_000);
    // Four times 1.25 MB at 5 MB/s; a line that is given away twice.
    assert_takes(1.0, 2.0, || {
        let proxy = Proxy::start(server, line(0, Some(40_000_000)));
        let streams: Vec<_> = (0..4).map(|_| connect(&proxy)).collect();
        let started = Instant::now();
        let senders: Vec<_> = streams.iter().map(|stream| send(stream, bytes.clone())).collect();
        for stream in &streams {
            assert!(receive(stream).is_empty());
        }
        let elapsed = started.elapsed();
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(proxy.carried().to_server, 5_000_000);
        elapsed
    });
}

#[test]
fn each_direction_has_its_own_width() {
    let bytes = noise(2_500_000);
    let server = serve({
        let bytes = bytes.clone();
        move |stream| {
            let sender = send(&stream, bytes.clone());
            receive(&stream);
            sender.join().unwrap();
        }
    });
    // The handshake, and the first bytes' way; one width for both directions.
    assert_takes(1.0 + 0.020 + 0.010, 2.0, || {
        let proxy = Proxy::start(server, line(10, Some(20_000_000)));
        let started = Instant::now();
        let stream = connect(&proxy);
        let sender = send(&stream, bytes.clone());
        assert!(receive(&stream) == bytes, "the bytes are others");
        sender.join().unwrap();
        started.elapsed()
    });
}

#[test]
fn one_busy_connection_leaves_room_for_another() {
    let proxy = Proxy::start(serve(echo), line(0, Some(40_000_000)));
    let busy = connect(&proxy);
    let sender = send(&busy, noise(5_000_000));
    let reader = thread::spawn(move || receive(&busy).len());
    let mut stream = connect(&proxy);
    for _ in 0..10 {
        stream.write_all(b"?").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    // A piece of the other before each message, 3 ms and what may be taken ahead, both ways; the other takes a second or more.
    assert!(!reader.is_finished(), "the busy connection went first");
    assert_eq!(reader.join().unwrap(), 5_000_000);
    sender.join().unwrap();
}

#[test]
fn the_end_of_one_way_leaves_the_other_open() {
    let server = serve(|stream| {
        let received = receive(&stream);
        (&stream).write_all(&received).unwrap();
    });
    let proxy = Proxy::start(server, line(20, None));
    let stream = connect(&proxy);
    let bytes = noise(1_000_000);
    send(&stream, bytes.clone()).join().unwrap();
    assert!(receive(&stream) == bytes, "the bytes are others");
}

#[test]
fn a_receiver_that_does_not_read_stops_the_sender() {
    let (reading, told) = mpsc::channel::<()>();
    let (hand_over, received) = mpsc::channel();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        told.recv().unwrap();
        hand_over.send(receive(&stream)).unwrap();
    });
    let proxy = Proxy::start(address, line(5, None));
    let mut stream = connect(&proxy);
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let bytes = noise(1 << 20);
    let mut sent: Vec<u8> = Vec::new();
    // The window, and what the kernel keeps for two connections.
    while sent.len() < 64 << 20 {
        match stream.write(&bytes) {
            Ok(length) => sent.extend(bytes.get(..length).unwrap()),
            Err(_) => break,
        }
    }
    assert!(sent.len() < 64 << 20, "{} bytes were swallowed", sent.len());
    assert!(sent.len() > 4 << 20, "only {} bytes are in flight", sent.len());
    reading.send(()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let received = received.recv_timeout(PATIENCE).unwrap();
    assert!(received == sent, "the bytes are others");
}

#[test]
fn what_a_server_says_before_it_goes_arrives() {
    let server = serve(|mut stream| {
        stream.read_exact(&mut [0; 10]).unwrap();
        stream.write_all(b"goodbye").unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
    });
    let proxy = Proxy::start(server, line(20, None));
    let mut stream = connect(&proxy);
    let mut sender = stream.try_clone().unwrap();
    let sending = thread::spawn(move || while sender.write_all(&[0; 1000]).is_ok() {});
    let mut said = [0; 7];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"goodbye");
    sending.join().unwrap();
}

#[test]
fn a_server_that_is_not_there_is_a_connection_that_ends() {
    let nowhere = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let proxy = Proxy::start(nowhere, line(0, None));
    assert!(matches!(connect(&proxy).read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn dropping_the_proxy_ends_its_connections() {
    let proxy = Proxy::start(serve(echo), line(10, None));
    let mut stream = connect(&proxy);
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    let address = proxy.address();
    drop(proxy);
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).is_err());
}

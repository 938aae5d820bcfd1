use std::collections::VecDeque;
use std::pin::pin;
use std::task::Waker;

use proptest::prelude::*;

use super::*;
use crate::error::ErrorResponse;

const KIB: usize = 1024;

/// A server's bytes, read in the given steps, and then the end of the connection.
struct Script {
    bytes: Vec<u8>,
    at: usize,
    /// How many bytes each read finds; none: nothing has come yet. Later reads find 8 KiB.
    steps: VecDeque<Option<usize>>,
    /// Ends with an error rather than cleanly.
    reset: bool,
    pended: bool,
    ended: bool,
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(!self.ended, "read on after the end");
        let Some(step) = self.steps.pop_front().unwrap_or(Some(8 * KIB)) else {
            self.pended = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        let came = &self.bytes[self.at..];
        let came = &came[..step.min(came.len()).min(buf.remaining())];
        buf.put_slice(came);
        let count = came.len();
        self.at += count;
        self.ended = count == 0 && buf.remaining() > 0;
        if self.ended && self.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

/// What bytes mean, however rows are cut: read by other means than the code's.
#[derive(Debug, PartialEq)]
enum Token {
    /// The bodies of CopyData messages that follow on one another, joined; never empty.
    Rows(Vec<u8>),
    /// Any other message, whole.
    Message(Vec<u8>),
    /// The rest from where a message is cut or no message.
    Rest(Vec<u8>),
}

fn tokens(mut bytes: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    while !bytes.is_empty() {
        let length = if bytes.len() < 5 {
            -1
        } else {
            i32::from_be_bytes(bytes[1..5].try_into().unwrap())
        };
        let end = usize::try_from(length).map_or(usize::MAX, |length| 1 + length);
        if length >= 4 && bytes[0] == b'd' {
            let body = &bytes[5..end.min(bytes.len())];
            match tokens.last_mut() {
                _ if body.is_empty() => {}
                Some(Token::Rows(rows)) => rows.extend_from_slice(body),
                _ => tokens.push(Token::Rows(body.to_vec())),
            }
        } else if length >= 4 && end <= bytes.len() {
            tokens.push(Token::Message(bytes[..end].to_vec()));
        } else {
            tokens.push(Token::Rest(bytes.to_vec()));
            break;
        }
        bytes = &bytes[end.min(bytes.len())..];
    }
    tokens
}

/// As [`tokens`], without a header that has not come whole.
fn whole_tokens(bytes: &[u8]) -> Vec<Token> {
    let mut tokens = tokens(bytes);
    tokens.pop_if(|last| matches!(last, Token::Rest(rest) if rest.len() < 5));
    tokens
}

/// The lengths of the bodies of CopyData messages.
fn payloads(mut bytes: &[u8]) -> Vec<usize> {
    let mut payloads = Vec::new();
    while bytes.len() >= 5 {
        let length = i32::from_be_bytes(bytes[1..5].try_into().unwrap());
        if length < 4 {
            break;
        }
        let end = 1 + usize::try_from(length).unwrap();
        if bytes[0] == b'd' {
            payloads.push(end - 5);
        }
        bytes = bytes.get(end..).unwrap_or_default();
    }
    payloads
}

/// What the adapter made of a script.
struct Outcome {
    output: Vec<u8>,
    pid: i32,
    /// Whether a COPY under way would have been stopped.
    failed: bool,
    error: Option<ErrorResponse>,
    rows: Vec<u64>,
}

/// Reads a script to its end into buffers of the given sizes, then of 8 KiB.
fn read(script: Script, frames: Frames, sizes: &[usize]) -> Outcome {
    let mut sizes = sizes.iter().copied();
    let reset = script.reset;
    let (mut reframe, seen) = Reframe::new(script, frames);
    let copying = seen.begin_copy();
    let mut output = Vec::new();
    loop {
        // What the caller's buffer holds already is none of the adapter's business.
        let before = message(b'E', b"");
        let mut storage = vec![0; before.len() + sizes.next().unwrap_or(8 * KIB)];
        let mut buf = ReadBuf::new(&mut storage);
        buf.put_slice(&before);
        reframe.stream.pended = false;
        let polled = Pin::new(&mut reframe).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
        let came = &buf.filled()[before.len()..];
        output.extend_from_slice(came);
        let script = &reframe.stream;
        match polled {
            Poll::Pending => {
                assert!(script.pended, "waits, though there is something to read");
                assert!(came.is_empty());
                if script.at < 300 * KIB {
                    let sent = whole_tokens(&script.bytes[..script.at]);
                    assert!(sent == whole_tokens(&output), "bytes are held back");
                }
            }
            Poll::Ready(Ok(())) if !came.is_empty() => {}
            Poll::Ready(end) => {
                assert!(script.ended, "an end that was none");
                assert!(came.is_empty(), "bytes along with an error");
                assert_eq!(end.is_err(), reset);
                break;
            }
        }
    }
    let failed = now(copying.failed()).is_some();
    let counted = now(copying.rows());
    drop(reframe);
    let mut rows: Vec<u64> = counted.flatten().into_iter().collect();
    while let Some(count) = now(copying.rows()).expect("the end of the connection ends the wait") {
        rows.push(count);
    }
    assert_eq!(counted.is_some(), failed || !rows.is_empty());
    Outcome {
        output,
        pid: seen.pid(),
        failed,
        error: copying.error(),
        rows,
    }
}

/// What a future comes to without waiting.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind], length.to_be_bytes().as_slice(), body].concat()
}

fn error(sqlstate: &str, message: &str) -> Vec<u8> {
    format!("SFEHLER\0VERROR\0C{sqlstate}\0M{message}\0Wsome context\0\0").into_bytes()
}

/// A body that looks like messages, which must not be taken for such.
fn body(length: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<u8>> {
    let bait = [
        message(b'E', &error("XX000", "bait")),
        message(b'C', b"COPY 666\0"),
        message(b'K', b"\0\0\x02\x9a\0\0\0\0"),
        b"d\xff\xff\xff\xff".to_vec(),
    ]
    .concat();
    (length, any::<u8>()).prop_map(move |(length, start)| {
        let bytes = bait.iter().copied().cycle();
        bytes.skip(usize::from(start)).take(length).collect()
    })
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        12 => 0..200_usize,
        2 => 0..=9 * KIB,
        1 => 63 * KIB..=66 * KIB,
        1 => 0..=200 * KIB,
    ]
}

fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let tag = prop_oneof![
        4 => any::<u64>().prop_map(|rows| format!("COPY {rows}\0")),
        2 => (0..9_u64).prop_map(|rows| format!("COPY {rows}\0")),
        1 => Just("COPY\0".to_owned()),
        1 => Just("COPY 5".to_owned()),
        1 => Just("COPY -5\0".to_owned()),
        1 => Just("COPY 99999999999999999999999\0".to_owned()),
        1 => Just("SELECT 5\0".to_owned()),
        1 => Just(String::new()),
    ];
    let error_body = prop_oneof![
        4 => (0..3_u8).prop_map(|digit| error(&format!("2350{digit}"), "duplicate key")),
        1 => (0..20 * KIB).prop_map(|length| error("40P01", &"deadlock ".repeat(length / 9))),
        1 => Just(Vec::new()),
    ];
    prop_oneof![
        8 => body(size()).prop_map(|body| message(b'd', &body)),
        2 => body(size()).prop_map(|body| message(b'D', &body)),
        1 => body(0..400_usize).prop_map(|body| message(b'N', &body)),
        1 => body(0..40_usize).prop_map(|body| message(b'S', &body)),
        2 => tag.prop_map(|tag| message(b'C', tag.as_bytes())),
        1 => error_body.prop_map(|body| message(b'E', &body)),
        1 => Just(message(b'Z', b"T")),
        1 => any::<i32>().prop_map(|pid| message(b'K', &[pid.to_be_bytes(), [7; 4]].concat())),
        1 => Just(message(b'c', b"")),
    ]
}

fn no_message() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![0..4_i32, i32::MIN..0];
    let kind = prop_oneof![Just(b'd'), Just(b'E'), any::<u8>()];
    (kind, length).prop_map(|(kind, length)| [&[kind], length.to_be_bytes().as_slice()].concat())
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let messages = proptest::collection::vec(prop_oneof![60 => any_message(), 1 => no_message()], 0..40);
    let cut = prop_oneof![Just(None), any::<prop::sample::Index>().prop_map(Some)];
    (messages, cut).prop_map(|(messages, cut)| {
        let mut bytes = messages.concat();
        let length = cut.map_or(bytes.len(), |cut| cut.index(bytes.len() + 1));
        bytes.truncate(length);
        bytes
    })
}

fn any_step() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), 1..8_usize, 1..200_usize, 1..=9 * KIB, 1..=70 * KIB]
}

/// What the adapter has to note of a server's bytes.
fn expected(input: &[Token]) -> (i32, Vec<ErrorResponse>, Vec<u64>) {
    let (mut pid, mut errors, mut rows) = (None, Vec::new(), Vec::new());
    for token in input {
        let Token::Message(message) = token else { continue };
        let body = &message[5..];
        match message[0] {
            b'K' => _ = pid.get_or_insert(i32::from_be_bytes(body[..4].try_into().unwrap())),
            b'Z' => _ = pid.get_or_insert(0),
            b'E' => {
                let body = String::from_utf8(body.to_vec()).unwrap();
                let field = |name| {
                    let mut fields = body.split('\0');
                    let field = fields.find_map(|field| field.strip_prefix(name));
                    field.unwrap_or_default().to_owned()
                };
                errors.push(ErrorResponse {
                    severity: field("V"),
                    sqlstate: field("C"),
                    message: field("M"),
                    ..ErrorResponse::default()
                });
            }
            b'C' => {
                let tag = String::from_utf8(body.to_vec()).unwrap();
                let count = tag.strip_suffix('\0').and_then(|tag| tag.strip_prefix("COPY "));
                rows.extend(count.and_then(|count| count.parse::<u64>().ok()));
            }
            _ => {}
        }
    }
    (pid.unwrap_or(0), errors, rows)
}

proptest! {
    #[test]
    fn bytes_keep_their_meaning(
        bytes in any_bytes(),
        steps in proptest::collection::vec(proptest::option::weighted(0.8, any_step()), 0..300),
        sizes in proptest::collection::vec(any_step(), 0..300),
        reset in any::<bool>(),
    ) {
        let input = tokens(&bytes);
        let (pid, errors, rows) = expected(&input);
        for frames in [Frames::AsSent, Frames::Recut] {
            let script = Script {
                bytes: bytes.clone(),
                at: 0,
                steps: steps.iter().copied().collect(),
                reset,
                pended: false,
                ended: false,
            };
            let outcome = read(script, frames, &sizes);
            match frames {
                Frames::AsSent => prop_assert!(outcome.output == bytes, "bytes were changed"),
                Frames::Recut => {
                    prop_assert!(tokens(&outcome.output) == input, "bytes changed their meaning");
                    let payloads = payloads(&outcome.output);
                    prop_assert!(payloads.iter().all(|payload| (1..=64 * KIB).contains(payload)));
                }
            }
            prop_assert_eq!(outcome.pid, pid);
            prop_assert_eq!(outcome.failed, !errors.is_empty());
            prop_assert_eq!(&outcome.rows, &rows);
            prop_assert_eq!(outcome.error.is_some(), !errors.is_empty());
            if let (Some(seen), Some(sent)) = (outcome.error, errors.last()) {
                prop_assert_eq!(seen.severity, sent.severity.as_str());
                prop_assert_eq!(seen.sqlstate, sent.sqlstate.as_str());
                // Of a long message the beginning is kept.
                prop_assert!(sent.message.starts_with(&seen.message));
                prop_assert!(seen.message.len() >= sent.message.len().min(8000));
            }
        }
    }
}

fn at_once(bytes: Vec<u8>) -> Script {
    Script {
        bytes,
        at: 0,
        steps: VecDeque::new(),
        reset: false,
        pended: false,
        ended: false,
    }
}

#[test]
fn short_rows_are_joined_and_long_ones_cut() {
    let short = message(b'd', &[7; 50]).repeat(10_000);
    let outcome = read(at_once(short), Frames::Recut, &[]);
    let mut expected = vec![64 * KIB; 7];
    expected.push(500_000 - 7 * 64 * KIB);
    assert_eq!(payloads(&outcome.output), expected);

    let long = message(b'd', &vec![7; 10 * KIB * KIB]);
    let outcome = read(at_once(long), Frames::Recut, &[]);
    assert_eq!(payloads(&outcome.output), vec![64 * KIB; 160]);
}

#[test]
fn the_announced_process_id_is_the_first_one_and_none_after_ready() {
    let key = |pid: i32| message(b'K', &[pid.to_be_bytes(), [0; 4]].concat());
    let authenticated = message(b'R', &[0; 4]);
    let ready = message(b'Z', b"I");
    for (messages, pid) in [
        (vec![authenticated.clone(), key(12345), ready.clone()], 12345),
        (vec![authenticated.clone(), ready, key(12345)], 0),
        (vec![authenticated, key(12345), key(54321)], 12345),
    ] {
        let outcome = read(at_once(messages.concat()), Frames::AsSent, &[]);
        assert_eq!(outcome.pid, pid);
    }
}

#[tokio::test]
async fn waits_of_a_copy_end_with_its_tag_its_error_or_the_connection() {
    for frames in [Frames::AsSent, Frames::Recut] {
        let (mut server, client) = tokio::io::duplex(KIB);
        let (mut reframe, seen) = Reframe::new(client, frames);
        let mut feed = async |bytes: &[u8]| {
            tokio::task::yield_now().await;
            tokio::io::AsyncWriteExt::write_all(&mut server, bytes)
                .await
                .unwrap();
            let mut passed = vec![0; bytes.len()];
            tokio::io::AsyncReadExt::read_exact(&mut reframe, &mut passed)
                .await
                .unwrap();
        };

        let copying = seen.begin_copy();
        let tag = message(b'C', b"COPY 3\0");
        let (rows, ()) = tokio::join!(copying.rows(), feed(&tag));
        assert_eq!(rows, Some(3));

        // A count that nobody asked for is not the next COPY's.
        feed(&message(b'C', b"COPY 4\0")).await;
        let copying = seen.begin_copy();
        let refused = message(b'E', &error("57014", "canceled"));
        let (rows, (), ()) = tokio::join!(copying.rows(), copying.failed(), feed(&refused));
        assert_eq!(rows, None);
        assert_eq!(
            copying.error().map(|error| error.sqlstate),
            Some("57014".to_owned())
        );

        // Nor is an error that came before.
        let copying = seen.begin_copy();
        assert_eq!(now(copying.failed()), None);
        assert_eq!(copying.error(), None);
        let (rows, (), ()) = tokio::join!(copying.rows(), copying.failed(), async {
            tokio::task::yield_now().await;
            drop(reframe);
        });
        assert_eq!(rows, None);
        assert_eq!(copying.error(), None);
    }
}

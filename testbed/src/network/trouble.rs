//! What befalls connections on their way, and at which of their words.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use socket2::SockRef;

/// So much of what a client said last is kept, to find words that come in two pieces.
const REMEMBERED: usize = 128;
/// A writer looks this often whether its connection has come to harm.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);

/// How a connection comes to harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// Both ends see the end of the stream (FIN).
    Cut,
    /// Both ends see a reset (RST).
    Reset,
    /// Nothing passes any more, and neither end is told: a host that vanished, a NAT that forgot.
    Silence,
    /// What the server says from now on is lost; what the client says still arrives.
    LostAnswers,
}

/// What a new connection meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gate {
    /// The server.
    #[default]
    Open,
    /// A reset.
    Shut,
    /// Nobody: it is accepted and never answered.
    Mute,
}

/// One connection: the client's socket and the server's.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) client: TcpStream,
    pub(super) server: TcpStream,
    state: Mutex<WireState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct WireState {
    mishap: Option<Mishap>,
    /// The proxy itself ends.
    ended: bool,
    /// The client's `application_name`, where it is one of the worker's.
    name: String,
}

impl Wire {
    pub(super) fn new(client: TcpStream, server: TcpStream) -> Self {
        for socket in [&client, &server] {
            socket.set_nodelay(true).unwrap_or_default();
            socket.set_write_timeout(Some(WRITE_TIMEOUT)).unwrap_or_default();
        }
        Self {
            client,
            server,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(super) fn mishap(&self) -> Option<Mishap> {
        self.state.lock().unwrap().mishap
    }

    pub(super) fn name(&self) -> String {
        self.state.lock().unwrap().name.clone()
    }

    /// Whether the proxy itself ends.
    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().unwrap().ended
    }

    /// Waits until the proxy ends.
    pub(super) fn park(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.ended).unwrap());
    }

    /// Ends it for good, whatever befell it before.
    pub(super) fn end(&self) {
        self.state.lock().unwrap().ended = true;
        self.changed.notify_all();
        for socket in [&self.client, &self.server] {
            // One that the peer has closed already is closed.
            socket.shutdown(Shutdown::Both).unwrap_or_default();
        }
    }

    pub(super) fn befall(&self, mishap: Mishap) {
        self.state.lock().unwrap().mishap = Some(mishap);
        let sockets = [&self.client, &self.server];
        match mishap {
            Mishap::Cut => {
                for socket in sockets {
                    socket.shutdown(Shutdown::Both).unwrap_or_default();
                }
            }
            Mishap::Reset => {
                for socket in sockets {
                    // The close that follows is a reset; until then only this side's readers wake.
                    SockRef::from(socket)
                        .set_linger(Some(Duration::ZERO))
                        .unwrap_or_default();
                    socket.shutdown(Shutdown::Read).unwrap_or_default();
                }
            }
            Mishap::Silence | Mishap::LostAnswers => {}
        }
    }
}

/// What is to happen when a client says certain words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// They are held back until they are released.
    Hold,
    /// They are sent on, and whatever is answered on that connection is lost.
    LoseAnswers,
}

#[derive(Debug)]
struct Trap {
    words: Vec<u8>,
    /// The end of the client's `application_name`; whoever it is where empty.
    role: String,
    then: Then,
}

/// The troubles of one proxy.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    gate: Gate,
    trap: Option<Trap>,
    /// Who fell into it.
    caught: Option<String>,
    holding: bool,
    /// Connections of the moment and at most, by the attempt in their `application_name`.
    open: HashMap<String, (usize, usize)>,
}

impl Troubles {
    pub(super) fn set_gate(&self, gate: Gate) {
        self.state.lock().unwrap().gate = gate;
    }

    pub(super) fn gate(&self) -> Gate {
        self.state.lock().unwrap().gate
    }

    pub(super) fn set_trap(&self, words: &[u8], role: &str, then: Then) {
        let mut state = self.state.lock().unwrap();
        state.caught = None;
        state.trap = Some(Trap {
            words: words.to_vec(),
            role: role.to_owned(),
            then,
        });
    }

    pub(super) fn wait_until_caught(&self, deadline: Duration) -> Option<String> {
        let state = self.state.lock().unwrap();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, deadline, |state| state.caught.is_none())
            .unwrap();
        state.caught.clone()
    }

    pub(super) fn release(&self) {
        let mut state = self.state.lock().unwrap();
        state.holding = false;
        state.trap = None;
        self.changed.notify_all();
    }

    pub(super) fn most_open(&self) -> HashMap<String, usize> {
        let state = self.state.lock().unwrap();
        let most = state.open.iter();
        most.map(|(attempt, (_, most))| (attempt.clone(), *most))
            .collect()
    }

    /// What a client has said goes past here before it is sent on; whether the answer is to be lost.
    pub(super) fn hear(&self, wire: &Wire, memory: &mut Vec<u8>, bytes: &[u8]) -> bool {
        let old = memory.len();
        memory.extend_from_slice(bytes);
        if let Some(name) = last_name(memory.get(old.saturating_sub(REMEMBERED)..).unwrap_or_default()) {
            self.rename(wire, name);
        }
        let mut state = self.state.lock().unwrap();
        let sprung = state.trap.take_if(|trap| {
            let from = (old + 1).saturating_sub(trap.words.len());
            let said = memory.get(from..).unwrap_or_default();
            wire.name().ends_with(&trap.role) && said.windows(trap.words.len()).any(|part| part == trap.words)
        });
        memory.drain(..memory.len().saturating_sub(REMEMBERED));
        let Some(trap) = sprung else { return false };
        state.caught = Some(wire.name());
        self.changed.notify_all();
        if trap.then == Then::Hold {
            state.holding = true;
            drop(self.changed.wait_while(state, |state| state.holding).unwrap());
        }
        trap.then == Then::LoseAnswers
    }

    fn rename(&self, wire: &Wire, name: String) {
        self.leave(wire);
        let mut state = self.state.lock().unwrap();
        let (now, most) = state.open.entry(attempt(&name)).or_default();
        *now += 1;
        *most = (*most).max(*now);
        wire.state.lock().unwrap().name = name;
    }

    /// The connection is over.
    pub(super) fn leave(&self, wire: &Wire) {
        let name = wire.name();
        if let Some((now, _)) = self.state.lock().unwrap().open.get_mut(&attempt(&name)) {
            *now -= 1;
        }
    }
}

/// `sf/<16 hex>/<8 hex>/role` → all but the role.
fn attempt(name: &str) -> String {
    name.rsplit_once('/')
        .map_or(name, |(attempt, _)| attempt)
        .to_owned()
}

/// The last `sf/<16 hex>/<8 hex>/<role>` that a client has called itself; its queries name others too.
fn last_name(said: &[u8]) -> Option<String> {
    const FIXED: usize = "sf/0123456789abcdef/01234567/".len();
    let hexadecimal = |part: &[u8]| part.iter().all(u8::is_ascii_hexdigit);
    let is_name = |part: &[u8]| match part {
        [b's', b'f', b'/', unit @ .., b'/'] if unit.get(16) == Some(&b'/') => {
            hexadecimal(unit.split_at(16).0) && hexadecimal(unit.split_at(17).1)
        }
        _ => false,
    };
    let called = |before: &[u8]| {
        before.ends_with(b"application_name\0") || before.ends_with(b"SET application_name = '")
    };
    let mut starts = (0..said.len()).rev();
    let start = starts.find(|start| {
        let (before, rest) = said.split_at(*start);
        rest.get(..FIXED).is_some_and(is_name) && called(before)
    })?;
    let (fixed, rest) = said.get(start..)?.split_at(FIXED);
    let role = rest
        .split(|byte| !byte.is_ascii_lowercase() && *byte != b'_')
        .next()?;
    Some(String::from_utf8_lossy(&[fixed, role].concat()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_name_that_a_client_gives_itself_counts() {
        let said = b"application_name\0sf/connect\0..SET application_name = 'sf/0123456789abcdef/89abcdef/pg_dump'\0";
        assert_eq!(
            last_name(said).as_deref(),
            Some("sf/0123456789abcdef/89abcdef/pg_dump")
        );
        assert_eq!(last_name(b"..sf/0123456789abcdef/89abcdef/copy"), None);
        assert_eq!(
            attempt("sf/0123456789abcdef/89abcdef/copy"),
            "sf/0123456789abcdef/89abcdef"
        );
    }
}

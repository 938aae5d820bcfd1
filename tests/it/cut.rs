//! A worker that is killed when it says something to the target.

use nix::sys::signal::Signal;
use testbed::proxy::Line;
use testbed::{Proxy, Worker};

use crate::rig::Rig;
use crate::slow::PATIENCE;

/// The way to the target, on which words are waited for.
pub(crate) struct Cut<'a> {
    rig: &'a Rig,
    proxy: Proxy,
}

impl<'a> Cut<'a> {
    pub(crate) fn of(rig: &'a Rig) -> Self {
        let proxy = Proxy::before(rig.target, Line::default());
        Self { rig, proxy }
    }

    /// Has a worker run until it says these words on a session of that role, and so many tables, or ranges of them, have landed.
    pub(crate) fn off(&self, worker: &Worker, (words, role): (&str, &str), landed: u32) {
        self.proxy.hold_at(words.as_bytes(), role);
        let running = worker.clone().target_through(&self.proxy).spawn();
        let said = self.proxy.wait_until_said(PATIENCE).is_some();
        if said && landed > 0 {
            let sql = format!(
                "SELECT count(baseline) >= {landed} FROM schemaferry.landed WHERE load_id = (SELECT max(id) FROM schemaferry.load)"
            );
            self.rig.wait_for_target(&sql, |has_landed| has_landed == "t");
        }
        running.signal(Signal::SIGKILL);
        let killed = running.wait();
        assert!(said, "{words}: {}", killed.stdout);
        self.proxy.release();
    }
}

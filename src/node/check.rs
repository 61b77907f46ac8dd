//! The invariant sweep: what must hold after every `handle_*`. Debug builds only.

use super::Node;

impl Node {
    /// Asserts our own promises; nothing a stranger sends can break them.
    pub(super) fn check(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        assert!(self.news.is_empty(), "all news are told");
        assert!(self.membership.peers().count() <= self.config.peers_max, "the table of peers is bounded");
        self.contacts.check();
        self.names.check();
        self.logs.check(&self.config);
        assert!(!self.gone || self.wake.is_none(), "who is gone does not wake");
        if let Some(leaving) = &self.leaving {
            let byes = if leaving.lingers() { 0..=0 } else { 1..=self.config.bye_at.len() };
            assert!(byes.contains(&leaving.byes), "byes are said at once and bounded");
        }
    }
}

//! What we say to the group: into our log, signed.

use super::{Context, Node, context};
use crate::event::Event;
use crate::protocol::Believed;
use crate::text::Line;
use crate::time::WallTime;
use crate::wire::body::{ENTRY_TEXT, Entry};
use crate::wire::{digest, encode_entry};

impl Node {
    pub(super) fn say(&mut self, lines: &[Line], wall: WallTime) {
        if self.leaving.is_some() || lines.is_empty() {
            return;
        }
        self.session.on_said();
        let drafts = self.logs.draft(lines, &mut context!(self));
        let mut tip = self.logs.tip();
        let entries = drafts.into_iter().map(|draft| {
            let prev = tip;
            let entry = Entry {
                author: (*self.identity.public()).into(),
                boot: self.identity.boot(),
                seq: draft.seq,
                wall_ms: wall.0,
                nick: self.membership.nick().as_str(),
                first: draft.first,
                count: draft.count,
                kind: ENTRY_TEXT,
                body: draft.body.as_slice().into(),
                prev: prev.into(),
            };
            let raw = encode_entry(&entry, |bytes| {
                tip = digest(bytes);
                self.identity.sign(&self.keyring.entry_domains()[0], bytes)
            });
            Believed { log: self.identity.log(), seq: draft.seq, digest: tip, prev, raw }
        });
        let entries = entries.collect();
        self.logs.on_said(entries, &mut context!(self));
        if !self.config.piped && !self.alone_told && self.membership.online().next().is_none() {
            self.alone_told = true;
            let deaf = self.deaf().into_iter().map(|(name, _)| name.label()).collect::<Vec<_>>().join(", ");
            let heard = match deaf.as_str() {
                "" => String::new(),
                names => format!(" ({names}: heard, but answers nothing: /doctor says what to try)"),
            };
            let text = format!("nobody else is here yet{heard}: whoever joins will be shown it as history");
            self.events.push_back(Event::Notice(text));
        }
    }
}

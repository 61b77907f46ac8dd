//! What clients of the control socket ask, and what they are told.
//!
//! ```text
//!   client                     node
//!     |<---- ready --------------|  who it is
//!     |----- /who -------------->|
//!     |<---- who, done ----------|
//!     |----- /events ----------->|
//!     |<---- done, message, ... -|  everything from now on
//! ```

use super::{ITEMS_MAX, Shell, wall};
use crate::command::{Command, Typed, parse};
use crate::event::Event;
use crate::runtime::control::Wait;
use crate::runtime::lines::Piece;
use crate::runtime::render::{self, View};
use crate::runtime::values::with_numbers;
use crate::text::LineError;

/// What a client asks for that no person types.
const FOLLOW: &str = "/events";

/// The client whose line is being carried out.
#[derive(Debug)]
pub(super) struct Asker {
    slot: usize,
    /// Why what it wanted was not done.
    refused: Option<String>,
}

impl Shell {
    /// Listens for clients, under the name that the node has now.
    pub(super) fn listen_for_clients(&mut self) {
        // Who was only started to answer a question knows too little for those of others, and is gone soon.
        let Some(node) = self.machine.native().filter(|_| self.job.is_none()) else { return };
        let nick = node.name().nick;
        if let Err(why) = self.control.listen(self.poll.registry(), nick.as_str()) {
            self.teller.warning(&format!("no control socket: {why}: subcommands cannot ask this node"));
        }
    }

    /// One connection; false if none waits.
    pub(super) fn accept_client(&mut self) -> bool {
        let greeting = self.ready_event();
        self.control.accept(self.poll.registry(), &greeting)
    }

    /// Serves a client up to a budget; false if it wants nothing more now.
    pub(super) fn serve_client(&mut self, slot: usize) -> bool {
        for _ in 0..ITEMS_MAX {
            match self.control.take(slot) {
                Some(piece) => {
                    if let Some((piece, waits)) = self.on_piece(slot, piece) {
                        self.control.hold(slot, piece, waits);
                        return false;
                    }
                }
                None if !self.control.serve(self.poll.registry(), slot) => return false,
                None => {}
            }
        }
        true
    }

    /// Carries out one line; gives it back if it is not wanted yet, with what it waits for.
    fn on_piece(&mut self, slot: usize, piece: Piece) -> Option<(Piece, Wait)> {
        let text = match &piece {
            Piece::TooLong(len) => Err(LineError::TooLong(*len).to_string()),
            Piece::Line(bytes) => std::str::from_utf8(bytes).map_err(|_| "that is not UTF-8".to_owned()),
        };
        let typed = text.and_then(|text| match text {
            FOLLOW => Ok(None),
            text => parse(&with_numbers(text)).map(Some).map_err(|why| why.to_string()),
        });
        match typed {
            Ok(Some(Typed::Nothing)) => {}
            Ok(Some(Typed::Say(_))) if !self.takes_lines() => return Some((piece, Wait::Room)),
            Ok(Some(Typed::Doctor(_))) if !self.is_examined() => return Some((piece, Wait::Doctor)),
            Ok(Some(typed)) => self.on_asked(slot, typed),
            Ok(None) => {
                self.done(slot, 0, None);
                self.control.follow(slot);
            }
            Err(why) => self.done(slot, 1, Some(&why)),
        }
        None
    }

    fn on_asked(&mut self, slot: usize, typed: Typed) {
        if matches!(typed, Typed::Doctor(_)) {
            self.survey();
        }
        if let Some(answer) = self.answer(&typed) {
            self.control.tell(slot, &answer.json);
            // What has a status of its own is an answer all the same.
            let failed = answer.refused && answer.status == 1;
            return self.done(slot, answer.status, failed.then_some(&answer.text));
        }
        let leaves = matches!(typed, Typed::Command(Command::Quit));
        if self.ending.is_decided() && !leaves {
            return self.done(slot, 1, Some("this node is leaving"));
        }
        self.asker = Some(Asker { slot, refused: None });
        if !leaves {
            self.on_typed(typed);
        }
        let refused = self.asker.take().and_then(|asker| asker.refused);
        self.done(slot, u8::from(refused.is_some()), refused.as_deref());
        if leaves {
            self.leave(None);
        }
    }

    /// Whether what a client says is said now, or refused.
    fn takes_lines(&self) -> bool {
        self.machine.wants_line() || self.ending.is_decided()
    }

    /// The last word on a line.
    fn done(&mut self, slot: usize, status: u8, why: Option<&str>) {
        self.control.tell(slot, &render::json_done(status, why));
    }

    /// Tells clients what happened; whether a client is to blame for it.
    pub(super) fn tell_clients(&mut self, event: &Event) -> bool {
        if let (Event::Refused(why), Some(asker)) = (event, self.asker.as_mut()) {
            asker.refused = Some(why.clone());
        }
        let asker = self.asker.as_ref().map(|asker| asker.slot);
        if asker.is_some() || self.control.has_followers() {
            let segment = |id| self.sockets.name(id).to_owned();
            let route = self.route(event);
            if let Some(line) = render::json(event, View { now: wall(), segment: &segment, route: route.as_ref() }) {
                self.control.tell_all(&line, asker);
            }
        }
        asker.is_some()
    }

    /// What changed since the last turn: who is gone is let go, and who waits is asked again.
    pub(super) fn look_after_clients(&mut self) {
        self.control.sweep(self.poll.registry());
        if self.has_examined() {
            let waiting: Vec<_> = self.control.waiting(Wait::Doctor).collect();
            if waiting.is_empty() && !self.is_asked_to_examine() {
                // Whoever asked for it was answered, or is gone.
                self.discharge();
            }
            self.ready.extend(waiting);
        }
        if self.takes_lines() {
            self.ready.extend(self.control.waiting(Wait::Room));
        }
    }
}

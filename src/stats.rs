//! Counters: what was sent, heard, repaired and dropped. One per reason and per bound.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// What a node counted since it woke. Counters only grow.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Stats {
            /// Every counter with its name, in the order they are declared.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }
        }
    };
}

counters! {
    /// Datagrams handed in, ours and strangers'.
    heard,
    /// Bytes of them.
    heard_bytes,
    /// Datagrams sent: a multicast counts once, unicast copies one each.
    sent,
    /// Bytes of them.
    sent_bytes,
    /// Datagrams sent by multicast or broadcast.
    casts,
    /// Our own datagrams, heard again.
    echoes,
    /// Datagrams of another group on our port.
    other_group,
    /// Datagrams that were not sealed with a key of our group.
    outsiders,
    /// Datagrams of a protocol version we do not speak.
    other_version,
    /// Datagrams of a kind we do not know.
    unknown_kind,
    /// Datagrams that cannot be decoded.
    malformed,
    /// Datagrams whose signature is not their sender's.
    forged,
    /// Signatures that were not checked, and letters not opened: where they came from, too many did.
    unchecked,
    /// Entries that their author signed in another's place: two machines speak with one key.
    forks,
    /// Datagrams that were heard before, or come from an earlier run of their sender.
    replayed,
    /// Challenges to those who are not known to live, or not where they are heard.
    challenges,
    /// Entries of logs of which no member tells.
    unclaimed,
    /// Plain text datagrams.
    plain,
    /// Entries heard that we did not have.
    entries,
    /// Entries heard that we had.
    duplicates,
    /// Entries too far ahead of a hole to be held.
    too_far_ahead,
    /// Messages delivered to the person.
    delivered,
    /// Entries of ours cast again before anybody asked.
    repeats,
    /// Entries of ours handed by unicast to one who confirmed nothing while others did.
    detours,
    /// Requests for repair sent.
    nacks,
    /// Requests for repair heard.
    nacks_heard,
    /// Entries sent because somebody asked.
    repairs,
    /// Repairs not sent for want of budget.
    repairs_throttled,
    /// Confirmations and frontiers sent.
    frontiers,
    /// Entries dropped from the store to make room.
    forgotten,
    /// Frames of direct messages sent again.
    direct_repeats,
    /// Direct messages and receipts for us, or what was said on a stream, that could not be opened.
    unopened,
    /// Streams opened or accepted.
    streams,
    /// Streams closed because they were too many, silent, slow or not ours.
    streams_refused,
    /// Handshakes of streams not answered: not sealed for us in this run, not by whom they name, or too many.
    handshakes_refused,
    /// Plain text not shown because there was too much of it, or it is no text.
    plain_hidden,
    /// Messages that nobody could give us.
    lost,
    /// Entries passed on to segments where they were not heard.
    relayed,
    /// Probes sent.
    probes,
    /// Probes answered.
    answers,
    /// Suspicions of ours that a peer was gone.
    suspicions,
    /// Suspicions that were refuted, ours and those of others.
    refuted,
    /// Accusations not looked at: their author made too many.
    accusations_ignored,
    /// Times we told everybody that we live.
    defences,
    /// Times we did not run for a while.
    late,
    /// Questions sent, where a peer is whom others hear.
    seeks,
    /// What members told of others and was not taken: unasked for, nobody's address, or too much.
    contacts_refused,
    /// Times somebody came, or said something, under a nick that belongs to another key.
    impostors,
    /// Peers not taken because the table was full, or too many came at once.
    peers_refused,
    /// Logs not taken because the table was full.
    logs_refused,
}

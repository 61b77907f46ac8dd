//! Whose names are whose, from run to run: the file `pins` in the state directory.
//!
//! A line each: who says so, the id, when it was seen first and last in seconds of 1970, the nick. The first line
//! says what the file is, the last how many there are, so that a file that was cut is known. It is read as if a
//! stranger had written it: what is wrong is told once and set aside, what can be read is used.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};

use super::files;
use crate::id::PeerId;
use crate::node::Node;
use crate::protocol::names::{PINS_MAX, Pin};
use crate::text::Nick;
use crate::time::WallTime;

/// The first line.
const HEAD: &str = "udpnode pins 1";

/// Bytes of the file that are read: more than the most pins with the longest nicks take.
const FILE_MAX: usize = 512 * 1024;

/// What the file is called, and what it is called when it was wrong.
const NAME: &str = "pins";
const ASIDE: &str = "pins.damaged";

/// How urgent it is to keep pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nobody waits for it.
    Soon,
    /// A person said so: it is on the disk before that is answered.
    Now,
    /// The run is over: the times are kept as well.
    Last,
}

/// Where pins are kept.
pub(crate) struct PinFile {
    dir: PathBuf,
    /// What is being written, by a thread of its own: a conversation is not to stand still for a disk.
    writing: Option<JoinHandle<io::Result<()>>>,
    /// What of the node's changes is in the file; nothing if it must be written anew.
    saved: Option<u64>,
    /// Something stands there that we do not touch.
    untouchable: bool,
}

/// What was read, and whether that was all.
struct Found {
    pins: Vec<Pin>,
    whole: bool,
}

impl PinFile {
    /// The pins kept in this state directory, and what is wrong with them, if anything.
    pub(crate) fn open(dir: &Path) -> (Self, Vec<Pin>, Option<String>) {
        let path = dir.join(NAME);
        let mut file = Self { dir: dir.to_owned(), writing: None, saved: Some(0), untouchable: false };
        let found = match read(&path) {
            Ok(None) => return (file, Vec::new(), None),
            Ok(Some(bytes)) => parse(&bytes),
            Err(why) => {
                file.untouchable = true;
                let text = format!("cannot use {}: {why}: names are known for this run only", path.display());
                return (file, Vec::new(), Some(text));
            }
        };
        if found.whole {
            return (file, found.pins, None);
        }
        file.saved = None;
        let count = found.pins.len();
        let text = match fs::rename(&path, dir.join(ASIDE)) {
            Ok(()) => {
                format!("{} was damaged: {count} names are left of it, and it is set aside as {ASIDE}", path.display())
            }
            Err(why) => {
                file.untouchable = true;
                format!("{} is damaged and cannot be set aside: {why}: {count} names are left of it", path.display())
            }
        };
        (file, found.pins, Some(text))
    }

    /// Writes the file, if the node knows something that does not stand there.
    ///
    /// # Errors
    /// What the system says, of this time or the one before; the file is as it was.
    pub(crate) fn save(&mut self, node: &Node, now: WallTime, keep: Keep) -> io::Result<()> {
        let ended = self.writing.take_if(|writing| keep != Keep::Soon || writing.is_finished());
        let before = ended.map(|writing| writing.join().unwrap_or_else(|_| Err(io::Error::other("the writer ended"))));
        // What went wrong before does not keep us from trying what is due now.
        let this = self.write(node, now, keep);
        before.unwrap_or(Ok(())).and(this)
    }

    /// Writes what is due, unless that is being done.
    fn write(&mut self, node: &Node, now: WallTime, keep: Keep) -> io::Result<()> {
        let is_news = self.saved != Some(node.pin_changes());
        if self.untouchable || self.writing.is_some() || !is_news && keep != Keep::Last {
            return Ok(());
        }
        // Not to be tried again each second where it fails.
        self.saved = Some(node.pin_changes());
        let pins = node.pins(now);
        if pins.is_empty() && !is_news {
            return Ok(());
        }
        let (dir, text) = (self.dir.clone(), text(&pins));
        // Waited for until it is on the disk: a file cut short would forget them all.
        let write = move || files::write(&dir, NAME, text.as_bytes(), true);
        if keep != Keep::Soon {
            return write();
        }
        self.writing = Some(Builder::new().name("pins".into()).spawn(write)?);
        Ok(())
    }
}

/// The bytes of the file; nothing if there is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some((bytes, meta)) = files::read(path, FILE_MAX as u64 + 1)? else { return Ok(None) };
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        let why = format!("it has mode {mode:04o}, so others can change it");
        return Err(io::Error::new(ErrorKind::PermissionDenied, why));
    }
    Ok(Some(bytes))
}

/// What can be made of the file. Times to come stay what they are: where a machine wakes without a clock, all are.
fn parse(bytes: &[u8]) -> Found {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(FILE_MAX)]);
    let mut lines = text.lines();
    let mut found = Found { pins: Vec::new(), whole: lines.next() == Some(HEAD) };
    if !found.whole {
        // Whatever it is, it is not ours.
        return found;
    }
    let mut ended = false;
    for line in lines {
        let end = line.strip_prefix("end ").and_then(|count| count.parse::<usize>().ok());
        let pin = parse_pin(line).filter(|_| !ended && found.pins.len() < PINS_MAX);
        match (end, pin) {
            (Some(count), _) => {
                found.whole &= count == found.pins.len() && !ended;
                ended = true;
            }
            (None, Some(pin)) => found.pins.push(pin),
            (None, None) => found.whole = false,
        }
    }
    found.whole &= ended && bytes.len() <= FILE_MAX;
    found
}

fn parse_pin(line: &str) -> Option<Pin> {
    let mut words = line.split(' ');
    let mut word = || words.next();
    let trusted = match word()? {
        "trusted" => true,
        "pinned" => false,
        _ => return None,
    };
    let id = PeerId::parse(word()?)?;
    let time = |word: &str| Some(WallTime(word.parse::<u64>().ok()?.saturating_mul(1000)));
    let (first, last) = (time(word()?)?, time(word()?)?);
    let nick = Nick::new(word()?).ok()?;
    word().is_none().then_some(Pin { id, nick, trusted, first, last })
}

fn text(pins: &[Pin]) -> String {
    let line = |pin: &Pin| {
        let what = if pin.trusted { "trusted" } else { "pinned" };
        format!("{what} {} {} {} {}\n", pin.id, pin.first.0 / 1000, pin.last.0 / 1000, pin.nick)
    };
    let lines: String = pins.iter().map(line).collect();
    format!("{HEAD}\n{lines}end {}\n", pins.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::files::temp::Temp;
    use proptest::prelude::*;

    fn put(temp: &Temp, bytes: &[u8]) {
        fs::write(temp.0.join(NAME), bytes).expect("written");
        fs::set_permissions(temp.0.join(NAME), fs::Permissions::from_mode(0o600)).expect("set");
    }

    fn pin(n: u8, nick: &str) -> Pin {
        let id = PeerId(std::array::from_fn(|i| n.wrapping_mul(31).wrapping_add(u8::try_from(i).expect("small"))));
        let (first, last) = (WallTime(1_700_000_000_000), WallTime(1_750_000_000_000));
        Pin { id, nick: Nick::from_any(nick), trusted: n.is_multiple_of(2), first, last }
    }

    fn pins() -> Vec<Pin> {
        vec![pin(1, "bob"), pin(2, "zoë"), pin(3, "]0;evil"), pin(4, "山田")]
    }

    #[test]
    fn what_is_written_is_read_and_more_than_its_owner_does_not_see_it() {
        let temp = Temp::made("pins-kept");
        files::write(&temp.0, NAME, text(&pins()).as_bytes(), true).expect("written");
        let (file, read, warning) = PinFile::open(&temp.0);
        assert_eq!((read, warning, file.saved), (pins(), None, Some(0)));
        let mode = fs::metadata(temp.0.join(NAME)).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let (_, read, warning) = PinFile::open(&temp.0.join("nowhere"));
        assert_eq!((read, warning), (Vec::new(), None));
    }

    #[test]
    fn a_file_that_is_wrong_is_told_of_once_set_aside_and_used_as_far_as_it_goes() {
        let (whole, temp) = (text(&pins()), Temp::made("pins-wrong"));
        let cases: Vec<(Vec<u8>, usize)> = vec![
            (whole.as_bytes()[..whole.len() - 6].to_vec(), 4),
            (whole.as_bytes()[..whole.len() - 30].to_vec(), 3),
            (b"".to_vec(), 0),
            (b"PK\x03\x04\xff\xfe\x1b[2Jgarbage".to_vec(), 0),
            (format!("{HEAD}\n{HEAD}\nend 0\n").into_bytes(), 0),
            (whole.replace("bob", "b\x1b[31mob").into_bytes(), 3),
            (whole.replace("bob", "b ob").into_bytes(), 3),
            (whole.replace("pinned", "admired").into_bytes(), 2),
            (whole.replace("end 4", "end 5").into_bytes(), 4),
            (format!("{whole}pinned").into_bytes(), 4),
            ([whole.replace("end 4\n", "").into_bytes(), vec![0xFF; 2 * FILE_MAX]].concat(), 4),
        ];
        for (bytes, left) in cases {
            put(&temp, &bytes);
            let (file, read, warning) = PinFile::open(&temp.0);
            let warning = warning.unwrap_or_else(|| panic!("told of {:?}", String::from_utf8_lossy(&bytes)));
            assert!(warning.contains(&format!("{left} names are left")) && warning.contains(ASIDE), "{warning}");
            assert_eq!((read.len(), file.saved), (left, None));
            assert_eq!(fs::read(temp.0.join(ASIDE)).expect("set aside"), bytes);
            assert_eq!(PinFile::open(&temp.0).2, None, "once");
        }
    }

    #[test]
    fn what_is_not_ours_to_read_or_change_is_left_alone() {
        let temp = Temp::made("pins-alone");
        fs::create_dir(temp.0.join(NAME)).expect("made");
        let (file, read, warning) = PinFile::open(&temp.0);
        assert!(file.untouchable && read.is_empty() && warning.is_some_and(|text| text.contains("no file")));
        fs::remove_dir(temp.0.join(NAME)).expect("removed");
        put(&temp, text(&pins()).as_bytes());
        fs::set_permissions(temp.0.join(NAME), fs::Permissions::from_mode(0o666)).expect("set");
        let (file, read, warning) = PinFile::open(&temp.0);
        assert!(file.untouchable && read.is_empty(), "anybody may have written that");
        assert!(warning.is_some_and(|text| text.contains("0666")));
        assert_eq!(fs::read(temp.0.join(NAME)).expect("there"), text(&pins()).as_bytes());
    }

    #[test]
    fn there_are_only_so_many() {
        let many: Vec<_> = (0..3000).map(|_| pin(1, "bob")).collect();
        let found = parse(text(&many).as_bytes());
        assert!(!found.whole && found.pins.len() == PINS_MAX);
        let most: Vec<_> = (0..PINS_MAX).map(|_| pin(1, &"a\u{301}\u{301}\u{301}".repeat(24))).collect();
        assert!(parse(text(&most).as_bytes()).whole, "the file may be as long as it gets");
    }

    proptest! {
        #[test]
        fn no_bytes_are_more_than_damaged(bytes in proptest::collection::vec(any::<u8>(), 0..200), tail: bool) {
            let bytes = if tail { [text(&pins()).as_bytes(), &bytes].concat() } else { bytes };
            let found = parse(&bytes);
            prop_assert!(found.pins.len() <= PINS_MAX);
            prop_assert!(!found.whole || text(&found.pins).len() >= HEAD.len());
        }
    }
}

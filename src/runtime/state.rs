//! The state directory: the key of a node, the number of its run, and a lock.
//!
//! One directory is one node. Where it cannot be used - another node has it, it cannot be written, it
//! is somebody else's, there is no HOME - the node runs with a key for this run only and says so. A key
//! that is there but damaged, or that others could have read or put there, is never replaced silently:
//! the person decides.

use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::{Uid, User, geteuid};
use zeroize::Zeroizing;

use super::files;

/// Length of a secret key in bytes.
const KEY_LEN: usize = 32;

/// What is read of any file here, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// Where a system keeps the number that is its own, and that no other has.
const MACHINE_IDS: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// The file in a state directory that keeps other nodes out of it.
const LOCK: &str = "lock";

/// What stands in it when its holder is about to end.
const ENDING: &[u8] = b"ending\n";

/// How long such a holder is waited for: with another key we were a stranger. Few take longer: a question takes up to
/// eight seconds, and to leave three, but for a reader that stands still.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// How often it is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Keeps other nodes out of a state directory until it is dropped.
pub(crate) struct Lock {
    file: Flock<File>,
    ending: bool,
}

impl Lock {
    /// Lets whoever wants the directory now wait for us.
    pub(crate) fn say_ending(&mut self) {
        if !std::mem::replace(&mut self.ending, true) {
            // A wish: who does not read it has a key for its run.
            let _ = self.file.write_all_at(ENDING, 0);
        }
    }
}

/// Who this node is, in this run.
pub(crate) struct State {
    /// The secret key.
    pub(crate) secret: Zeroizing<[u8; KEY_LEN]>,
    /// Which run this is, from 1.
    pub(crate) boot: u64,
    /// The key is for this run only.
    pub(crate) ephemeral: bool,
    /// What the person should know about it.
    pub(crate) warning: Option<String>,
    /// Where it is kept, if anywhere.
    pub(crate) dir: Option<PathBuf>,
    /// To be held as long as the node runs; `None` where there is nothing to hold.
    pub(crate) lock: Option<Lock>,
}

impl fmt::Debug for State {
    /// Never prints the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("boot", &self.boot).field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Why the state directory must be looked after before the node can run. Nothing in it was changed.
#[derive(Debug)]
pub(crate) enum StateError {
    /// The key has another length than a key has.
    Damaged(PathBuf, usize),
    /// The key is nothing but zeros, as a crash leaves it.
    Blank(PathBuf),
    /// Others may read the key.
    Readable(PathBuf, u32),
    /// Others may look into the directory, or put a key there.
    Open(PathBuf, u32),
    /// What stands in the key's place is a link: what it means may be elsewhere, or gone for now.
    Link(PathBuf),
    /// What stands in the key's place is no file.
    NotAFile(PathBuf),
    /// The kernel gives no random numbers.
    Random(getrandom::Error),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(path, len) => write!(
                f,
                "the key {} has {len} bytes instead of {KEY_LEN}: restore it, or remove it to become a new peer",
                path.display()
            ),
            Self::Blank(path) => write!(
                f,
                "the key {} holds nothing but zeros: restore it, or remove it to become a new peer",
                path.display()
            ),
            Self::Readable(path, mode) => {
                write!(
                    f,
                    "the key {0} has mode {mode:04o}, so others can read or change it: chmod 600 {0}",
                    path.display()
                )
            }
            Self::Open(path, mode) => write!(
                f,
                "{0} has mode {mode:04o}, so others can change or read what is there: chmod 700 {0}, or name another \
                 place with --state-dir",
                path.display()
            ),
            Self::Link(path) => {
                write!(f, "the key {} is a link: name the directory of the key itself with --state-dir", path.display())
            }
            Self::NotAFile(path) => write!(f, "{} is no file, and no key: move it away", path.display()),
            Self::Random(why) => write!(f, "the kernel gives no random numbers: {why}"),
        }
    }
}

/// Why a directory is not used; the node runs without it.
#[derive(Debug)]
enum Unusable {
    Locked,
    /// It belongs to another user.
    Foreign(PathBuf, u32),
    Io(PathBuf, io::Error),
    Broken(StateError),
}

impl From<StateError> for Unusable {
    fn from(why: StateError) -> Self {
        Self::Broken(why)
    }
}

/// The usual state directory of a node of this name, if the environment names one.
pub(crate) fn usual_dir(nick: &str, xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    // A relative path is to be ignored (XDG Base Directory Specification).
    let base = xdg.filter(|path| path.is_absolute());
    let home = home.filter(|path| !path.as_os_str().is_empty());
    Some(base.or_else(|| home.map(|path| path.join(".local/state")))?.join("udpnode").join(nick))
}

/// The state kept in `dir`, made there if there is none yet.
///
/// # Errors
/// A [`StateError`] if the key that is there must not be used.
pub(crate) fn open(dir: &Path) -> Result<State, StateError> {
    let why = match try_open(dir) {
        Ok(state) => return Ok(state),
        Err(Unusable::Broken(why)) => return Err(why),
        Err(Unusable::Locked) => format!("{} is in use by another node", dir.display()),
        Err(Unusable::Foreign(path, uid)) => {
            format!("{} belongs to {} (name another place with --state-dir)", path.display(), user(uid))
        }
        Err(Unusable::Io(path, why)) => format!("cannot use {}: {why}{}", path.display(), remedy(&why)),
    };
    nowhere(Some(format!("{why}: this run has a key of its own")))
}

fn user(uid: u32) -> String {
    let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    known.map_or_else(|| format!("user {uid}"), |user| user.name)
}

/// What to do where the system refuses.
fn remedy(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::PermissionDenied => " (make it yours with chown, or name another place with --state-dir)",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => " (remove what is not needed there)",
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory => " (name another place with --state-dir)",
        _ => "",
    }
}

/// A key for this run only.
///
/// # Errors
/// [`StateError::Random`].
pub(crate) fn nowhere(warning: Option<String>) -> Result<State, StateError> {
    Ok(State { secret: Zeroizing::new(random()?), boot: 1, ephemeral: true, warning, dir: None, lock: None })
}

/// 32 bytes that nobody can guess.
///
/// # Errors
/// [`StateError::Random`].
pub(crate) fn random() -> Result<[u8; KEY_LEN], StateError> {
    let mut bytes = [0; KEY_LEN];
    getrandom::fill(&mut bytes).map_err(StateError::Random)?;
    Ok(bytes)
}

fn try_open(dir: &Path) -> Result<State, Unusable> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |why| Unusable::Io(path, why)
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
    let meta = fs::metadata(dir).map_err(at(dir))?;
    is_ours(dir, &meta)?;
    keep_private(dir, &meta)?;
    let lock = lock(&dir.join(LOCK))?;
    let (secret, fresh) = key(dir)?;
    let moved = !fresh && is_elsewhere(dir).map_err(at(&dir.join("machine")))?;
    let (boot, warning) = next_boot(dir, fresh, moved).map_err(at(&dir.join("boot")))?;
    // Last: a run that could not be counted did not use the key here.
    remember_machine(dir).map_err(at(&dir.join("machine")))?;
    Ok(State {
        secret: Zeroizing::new(secret),
        boot,
        ephemeral: false,
        warning,
        dir: Some(dir.to_owned()),
        lock: Some(lock),
    })
}

/// Whoever owns a file can change it. Also root leaves the state of others alone: what it wrote there, they
/// could not read afterwards.
fn is_ours(path: &Path, meta: &Metadata) -> Result<(), Unusable> {
    if meta.uid() == geteuid().as_raw() { Ok(()) } else { Err(Unusable::Foreign(path.to_owned(), meta.uid())) }
}

/// The directory is for its owner alone. One that others may look into, made by hand perhaps, is closed if
/// nothing but our key is there; one in which others could have changed something is for the person to judge.
fn keep_private(dir: &Path, meta: &Metadata) -> Result<(), Unusable> {
    let io = |why| Unusable::Io(dir.to_owned(), why);
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let holds_key = fs::symlink_metadata(dir.join("key")).is_ok();
    // Another node may just have made its lock here.
    let is_empty = fs::read_dir(dir).map_err(io)?.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK));
    let is_safe = if holds_key { mode & 0o022 == 0 } else { is_empty };
    if !is_safe {
        return Err(StateError::Open(dir.to_owned(), mode).into());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(io)
}

/// What is opened here is a file that stands here: no link, and nothing that lets us wait.
fn flags() -> i32 {
    (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()
}

fn lock(path: &Path) -> Result<Lock, Unusable> {
    let io = |why| Unusable::Io(path.to_owned(), why);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(flags())
        .open(path)
        .map_err(io)?;
    let until = Instant::now() + ENDS_WITHIN;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => {
                file.set_len(0).map_err(io)?;
                return Ok(Lock { file, ending: false });
            }
            Err((file, Errno::EWOULDBLOCK)) if is_ending(&file) && Instant::now() < until => file,
            Err((_, Errno::EWOULDBLOCK)) => return Err(Unusable::Locked),
            Err((_, why)) => return Err(io(why.into())),
        };
        thread::sleep(LOOK_EVERY);
    }
}

/// Whether the holder of a lock said that it is about to end.
fn is_ending(file: &File) -> bool {
    let mut text = [0; ENDING.len()];
    file.read_exact_at(&mut text, 0).is_ok() && text == ENDING
}

/// The key, and whether it was made just now.
fn key(dir: &Path) -> Result<([u8; KEY_LEN], bool), Unusable> {
    let path = dir.join("key");
    let file = match OpenOptions::new().read(true).custom_flags(flags()).open(&path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            let secret = random()?;
            replace(dir, "key", &secret).map_err(|why| Unusable::Io(path, why))?;
            return Ok((secret, true));
        }
        Err(why) if why.raw_os_error() == Some(Errno::ELOOP as i32) => return Err(StateError::Link(path).into()),
        Err(why) => return Err(Unusable::Io(path, why)),
    };
    Ok((read_key(&path, file)?, false))
}

fn read_key(path: &Path, file: File) -> Result<[u8; KEY_LEN], Unusable> {
    let io = |why| Unusable::Io(path.to_owned(), why);
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(StateError::NotAFile(path.to_owned()).into());
    }
    is_ours(path, &meta)?;
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StateError::Readable(path.to_owned(), mode).into());
    }
    let mut bytes = Vec::with_capacity(KEY_LEN + 1);
    file.take(FILE_MAX).read_to_end(&mut bytes).map_err(io)?;
    let secret = key_of(&bytes).ok_or_else(|| StateError::Damaged(path.to_owned(), bytes.len()))?;
    if secret == [0; KEY_LEN] {
        return Err(StateError::Blank(path.to_owned()).into());
    }
    Ok(secret)
}

/// The key that a file holds.
pub(super) fn key_of(bytes: &[u8]) -> Option<[u8; KEY_LEN]> {
    bytes.try_into().ok()
}

/// The number of a run that a file holds.
pub(super) fn boot_of(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// What a file here says; nothing if there is none.
fn read(path: &Path) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    match OpenOptions::new().read(true).custom_flags(flags()).open(path) {
        Ok(file) => file.take(FILE_MAX).read_to_end(&mut bytes)?,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned()))
}

/// Counts this run, before anything is said in it: a key must never run twice with one number.
///
/// `moved`: this may be a copy, and the machine it was copied from counts on.
fn next_boot(dir: &Path, fresh: bool, moved: bool) -> io::Result<(u64, Option<String>)> {
    let last = match read(&dir.join("boot"))? {
        Some(text) => boot_of(&text),
        None => fresh.then_some(0),
    };
    let (boot, warning) = match last.and_then(|last| last.checked_add(1)) {
        Some(boot) if !moved => (boot, None),
        Some(boot) => {
            let dir = dir.display();
            let text = format!(
                "{dir} was used on another machine before: where that one runs on with it, only one of the two is \
                 heard. To be a peer of your own here, remove {dir}/key"
            );
            (boot.max(seconds_now()), Some(text))
        }
        // The clock is beyond any number of runs, so no number comes twice.
        None => (seconds_now(), Some(format!("{} was damaged and is mended", dir.join("boot").display()))),
    };
    replace(dir, "boot", format!("{boot}\n").as_bytes())?;
    Ok((boot, warning))
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Which machine this is: a hash, for the number itself is to be shown to nobody (machine-id(5)). Clones of a
/// disk share it; those are found out by what they say.
fn machine() -> Option<String> {
    let id = MACHINE_IDS.iter().find_map(|path| fs::read_to_string(path).ok().filter(|id| !id.trim().is_empty()))?;
    let hash = blake3::derive_key("udpnode 1 machine", id.trim().as_bytes());
    Some(hash[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether the state was used on another machine last.
fn is_elsewhere(dir: &Path) -> io::Result<bool> {
    let last = read(&dir.join("machine"))?;
    Ok(last.zip(machine()).is_some_and(|(last, here)| last != here))
}

fn remember_machine(dir: &Path) -> io::Result<()> {
    match machine() {
        Some(here) if read(&dir.join("machine"))?.as_ref() != Some(&here) => {
            replace(dir, "machine", format!("{here}\n").as_bytes())
        }
        _ => Ok(()),
    }
}

/// Writes a file so that after a crash it is the old or the new one, never half of either.
fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    files::write(dir, name, bytes, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::files::temp::Temp;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn the_key_stays_and_the_boot_grows() {
        let temp = Temp::new("grows");
        let first = open(&temp.0).expect("made");
        let (secret, boot) = (first.secret.clone(), first.boot);
        assert_eq!((boot, first.ephemeral, &first.warning), (1, false, &None));
        drop(first);
        let second = open(&temp.0).expect("there");
        assert_eq!((second.secret, second.boot), (secret, 2));
        assert_eq!((mode(&temp.0), mode(&temp.0.join("key"))), (0o700, 0o600));
    }

    #[test]
    fn a_directory_in_use_means_a_key_for_this_run() {
        let temp = Temp::new("locked");
        let first = open(&temp.0).expect("made");
        let second = open(&temp.0).expect("another");
        assert!(second.ephemeral && second.warning.is_some_and(|w| w.contains("in use")));
        assert_ne!(first.secret, second.secret);
    }

    #[test]
    fn a_node_that_is_about_to_end_is_waited_for() {
        let temp = Temp::new("ending");
        let mut first = open(&temp.0).expect("made");
        first.lock.as_mut().expect("locked").say_ending();
        let dir = temp.0.clone();
        let second = thread::spawn(move || open(&dir).expect("another"));
        thread::sleep(2 * LOOK_EVERY);
        let (secret, boot) = (first.secret.clone(), first.boot);
        drop(first);
        let second = second.join().expect("it ends");
        assert_eq!((second.secret.clone(), second.boot, second.ephemeral), (secret, boot + 1, false));
        // It stays: nobody is to wait for it.
        let third = open(&temp.0).expect("another");
        assert!(third.ephemeral && fs::read(temp.0.join(LOCK)).expect("there").is_empty());
    }

    #[test]
    fn a_damaged_key_is_neither_used_nor_replaced() {
        let temp = Temp::new("damaged");
        drop(open(&temp.0).expect("made"));
        fs::write(temp.0.join("key"), b"short").expect("written");
        let why = open(&temp.0).expect_err("refused").to_string();
        assert!(why.contains("5 bytes") && why.contains("key"), "{why}");
        assert_eq!(fs::read(temp.0.join("key")).expect("there"), b"short");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let temp = Temp::new("readable");
        drop(open(&temp.0).expect("made"));
        let key = temp.0.join("key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("set");
        let why = open(&temp.0).expect_err("refused").to_string();
        assert!(why.contains("chmod 600"), "{why}");
    }

    #[test]
    fn a_boot_that_is_lost_never_comes_twice() {
        let temp = Temp::new("boot");
        drop(open(&temp.0).expect("made"));
        for damage in [Some("x"), None] {
            match damage {
                Some(text) => fs::write(temp.0.join("boot"), text).expect("written"),
                None => fs::remove_file(temp.0.join("boot")).expect("removed"),
            }
            let state = open(&temp.0).expect("mended");
            assert!(state.boot > 1_000_000 && state.warning.is_some());
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_means_a_key_for_this_run() {
        let temp = Temp::new("file");
        fs::write(&temp.0, b"").expect("written");
        let state = open(&temp.0.join("below")).expect("another");
        assert!(state.ephemeral && state.warning.is_some_and(|w| w.contains("cannot use")));
        let _ = fs::remove_file(&temp.0);
    }

    #[test]
    fn what_is_no_key_of_ours_is_refused_with_what_to_do() {
        let temp = Temp::new("place");
        drop(open(&temp.0).expect("made"));
        let key = temp.0.join("key");
        let secret = fs::read(&key).expect("there");
        let refused = |why: &str| {
            let told = open(&temp.0).expect_err("refused").to_string();
            assert!(told.contains(why), "{told}");
        };
        fs::write(&key, [0; KEY_LEN]).expect("written");
        refused("nothing but zeros");
        fs::remove_file(&key).expect("removed");
        fs::create_dir(&key).expect("made");
        refused("move it away");
        fs::remove_dir(&key).expect("removed");
        nix::unistd::mkfifo(&key, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).expect("made");
        refused("move it away");
        fs::remove_file(&key).expect("removed");
        std::os::unix::fs::symlink(temp.0.join("gone"), &key).expect("made");
        refused("--state-dir");
        fs::remove_file(&key).expect("removed");
        replace(&temp.0, "key", &secret).expect("written");
        assert_eq!(open(&temp.0).expect("as before").secret[..], secret);
    }

    #[test]
    fn the_directory_is_for_its_owner_alone() {
        let temp = Temp::new("private");
        let set = |to: u32| fs::set_permissions(&temp.0, fs::Permissions::from_mode(to)).expect("set");
        fs::create_dir(&temp.0).expect("made");
        set(0o775);
        drop(open(&temp.0).expect("empty, so it can be closed"));
        assert_eq!(mode(&temp.0), 0o700);
        set(0o755);
        drop(open(&temp.0).expect("nobody could change it"));
        assert_eq!(mode(&temp.0), 0o700);
        set(0o775);
        assert!(open(&temp.0).expect_err("others could").to_string().contains("chmod 700"));
        fs::remove_file(temp.0.join("key")).expect("removed");
        set(0o755);
        assert!(open(&temp.0).expect_err("what is there is not ours").to_string().contains("--state-dir"));
        assert_eq!(mode(&temp.0), 0o755, "a directory of other things is left as it is");
    }

    #[test]
    fn a_copy_on_another_machine_counts_beyond_the_one_it_is_a_copy_of() {
        let temp = Temp::new("moved");
        let first = open(&temp.0).expect("made");
        assert_eq!((first.boot, &first.warning), (1, &None));
        drop(first);
        if machine().is_none() {
            return;
        }
        fs::write(temp.0.join("machine"), "another\n").expect("written");
        let moved = open(&temp.0).expect("told");
        assert!(moved.boot > 1_000_000 && moved.warning.as_ref().is_some_and(|w| w.contains("another machine")));
        let boot = moved.boot;
        drop(moved);
        let again = open(&temp.0).expect("told once");
        assert_eq!((again.boot, &again.warning), (boot + 1, &None));
        drop(again);
        fs::remove_file(temp.0.join("machine")).expect("removed");
        assert_eq!(open(&temp.0).expect("of an earlier version").warning, None);
    }

    #[test]
    fn nothing_here_is_waited_for() {
        let temp = Temp::new("waits");
        drop(open(&temp.0).expect("made"));
        for name in ["boot", "lock", "machine"] {
            fs::remove_file(temp.0.join(name)).expect("removed");
            nix::unistd::mkfifo(&temp.0.join(name), nix::sys::stat::Mode::S_IRWXU).expect("made");
            let state = open(&temp.0).expect("one way or another");
            assert!(state.ephemeral || state.warning.is_some() || name == "machine", "{name}");
            fs::remove_file(temp.0.join(name)).expect("removed");
        }
    }

    #[test]
    fn the_usual_place() {
        let dir = |xdg: Option<&str>, home: Option<&str>| usual_dir("ann", xdg.map(Into::into), home.map(Into::into));
        assert_eq!(dir(Some("/x"), Some("/h")), Some("/x/udpnode/ann".into()));
        assert_eq!(dir(Some("x"), Some("/h")), Some("/h/.local/state/udpnode/ann".into()));
        assert_eq!(dir(None, Some("/h")), Some("/h/.local/state/udpnode/ann".into()));
        assert_eq!(dir(None, Some("")), None);
        assert_eq!(dir(None, None), None);
    }
}

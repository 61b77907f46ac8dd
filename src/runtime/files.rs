//! Small files of ours in a state directory: read in bounds, and written as a whole.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// The bytes of a file, `most` of them, and what the system knows of it; nothing if there is none.
///
/// # Errors
/// What the system says, or that it is no file.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Option<(Vec<u8>, Metadata)>> {
    // A pipe without a writer must not stop us.
    let file = match OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some((bytes, meta)))
}

/// Writes a file as a whole. Where it is not `awaited` on the disk, a crash of the machine may leave it cut.
///
/// # Errors
/// What the system says; the file is as it was.
pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8], awaited: bool) -> io::Result<()> {
    // Nobody else writes here: we hold the lock.
    let new = dir.join(format!("{name}.new"));
    match fs::remove_file(&new) {
        Err(why) if why.kind() != ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    if awaited {
        file.sync_all()?;
    }
    fs::rename(&new, dir.join(name))?;
    if awaited { File::open(dir)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
pub(crate) mod temp {
    use std::fs;
    use std::path::PathBuf;

    /// A directory of its own for each test, gone with it.
    pub(crate) struct Temp(pub(crate) PathBuf);

    impl Temp {
        /// A place where nothing is yet. No two tests may give it the same name.
        pub(crate) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("udpnode-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        /// The same, made, with nothing in it.
        pub(crate) fn made(name: &str) -> Self {
            let temp = Self::new(name);
            fs::create_dir_all(&temp.0).expect("a directory");
            temp
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::temp::Temp;
    use super::*;

    fn bytes(path: &Path, most: u64) -> Option<Vec<u8>> {
        read(path, most).expect("a file or none").map(|(bytes, _)| bytes)
    }

    #[test]
    fn what_is_written_is_read_as_far_as_asked() {
        let temp = Temp::made("files-read");
        let path = temp.0.join("name");
        assert_eq!(bytes(&path, 9), None);
        for awaited in [true, false] {
            write(&temp.0, "name", b"udpnode", awaited).expect("written");
            assert_eq!((bytes(&path, 9), bytes(&path, 3)), (Some(b"udpnode".to_vec()), Some(b"udp".to_vec())));
        }
        std::os::unix::fs::symlink(&path, temp.0.join("link")).expect("made");
        assert_eq!(bytes(&temp.0.join("link"), 9), Some(b"udpnode".to_vec()));
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let temp = Temp::made("files-pipe");
        nix::unistd::mkfifo(&temp.0.join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        for path in [temp.0.join("pipe"), temp.0.clone()] {
            assert_eq!(read(&path, 9).expect_err("refused").to_string(), "it is no file");
        }
    }
}

//! A disk so small that it can be filled: a tmpfs.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

const FILLER: &str = "filler";

/// A mounted tmpfs; unmounted on drop.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one of so many KiB over a directory that is there; `None` where this process may not mount.
    #[must_use]
    pub fn mount(path: &Path, kib: u32) -> Option<Self> {
        Self::mount_with(path, &format!("size={kib}k,mode=0755"))
    }

    /// Mounts one with the options of an `fstab`, separated by commas.
    #[must_use]
    pub fn mount_with(path: &Path, options: &str) -> Option<Self> {
        let mut flags = MsFlags::empty();
        let mut own = Vec::new();
        for option in options.split(',') {
            match option {
                "nosuid" => flags |= MsFlags::MS_NOSUID,
                "nodev" => flags |= MsFlags::MS_NODEV,
                "noexec" => flags |= MsFlags::MS_NOEXEC,
                option => own.push(option),
            }
        }
        let own = own.join(",");
        mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some(own.as_str())).ok()?;
        Some(Self {
            path: path.to_owned(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut file = fs::File::options()
            .append(true)
            .create(true)
            .open(self.path.join(FILLER))
            .unwrap();
        loop {
            match file.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{}: {error}", self.path.display()),
            }
        }
    }

    /// Gives the room back.
    pub fn make_room(&self) {
        fs::remove_file(self.path.join(FILLER)).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Whoever still has files open there, such as a server, keeps them until it ends.
        umount2(&self.path, MntFlags::MNT_DETACH).unwrap_or_default();
    }
}

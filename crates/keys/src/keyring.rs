//! A folder of named secrets and private keys, each file sealed under the agency's master key.
//!
//! Invariants: nothing in the folder is readable without the master key; a sealed file opens only
//! under its own name and kind (so files can't be swapped); a name, once made, keeps its value.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::file::{self, Disk, MODE_SECRET, SystemDisk};
use crate::seal::{SealingKey, derive};
use crate::sign::{Ed25519Key, P384Key, RsaBits, RsaKey};
use crate::transport::TransportKey;
use crate::{KeysError, Random, random_bytes};

/// Longest key file: an RSA-8192 PKCS#8 is under 5 KiB.
pub const KEY_FILE_BYTES_MAX: usize = 16 * 1024;
/// Longest name.
pub const NAME_BYTES_MAX: usize = 64;

/// Reads the master key: 32 bytes in a file that its owner alone can read.
pub fn read_master(path: &Path) -> Result<SealingKey, KeysError> {
    let bytes = Zeroizing::new(file::read_secret(path, 32)?);
    let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| KeysError::Content {
        path: path.to_owned(),
        expected: "a master key of 32 bytes",
    })?;
    Ok(SealingKey::from_bytes(key))
}

/// Makes a master key at `path`, where nothing may be yet.
pub fn create_master(path: &Path, random: &dyn Random) -> Result<SealingKey, KeysError> {
    let key = SealingKey::generate(random)?;
    file::create(&SystemDisk, path, key.expose(), MODE_SECRET)?;
    Ok(key)
}

/// The open keyring. Cheap to clone.
#[derive(Clone)]
pub struct Keyring {
    folder: PathBuf,
    key: SealingKey,
    disk: Arc<dyn Disk>,
    /// Making a key is looking, then writing: one at a time within this program. Between
    /// programs, creation of the file is exclusive.
    making: Arc<Mutex<()>>,
}

#[derive(Clone, Copy)]
enum Kind {
    Secret,
    Ed25519,
    P384,
    Rsa,
    Transport,
    Pkcs8,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Ed25519 => "ed25519",
            Self::P384 => "p384",
            Self::Rsa => "rsa",
            Self::Transport => "transport",
            Self::Pkcs8 => "pkcs8",
        }
    }
}

impl Keyring {
    /// Opens `folder`, which is made (mode 700) if it isn't there.
    pub fn open(folder: &Path, master: &SealingKey) -> Result<Self, KeysError> {
        Self::open_on(folder, master, Arc::new(SystemDisk))
    }

    /// Opens a folder that must be there. With [`Self::find_secret`] and [`Self::find_ed25519`], nothing is
    /// made.
    ///
    /// # Errors
    /// [`KeysError::File`] where there is no such folder.
    pub fn existing(folder: &Path, master: &SealingKey) -> Result<Self, KeysError> {
        let found = std::fs::read_dir(folder);
        found.map_err(|source| KeysError::File {
            doing: "open folder",
            path: folder.to_owned(),
            source,
        })?;
        Self::open(folder, master)
    }

    /// As [`Self::open`], on a disk of the caller's.
    pub fn open_on(
        folder: &Path,
        master: &SealingKey,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, KeysError> {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| KeysError::File {
            doing: "make folder",
            path: folder.to_owned(),
            source,
        })?;
        let key = SealingKey::from_bytes(derive(master, "bailiwick keyring v1"));
        Ok(Self { folder: folder.to_owned(), key, disk, making: Arc::default() })
    }

    /// The secret of this name, made now if there is none.
    pub fn secret(&self, name: &str, random: &dyn Random) -> Result<[u8; 32], KeysError> {
        let made = || Ok(Zeroizing::new(random_bytes::<32>(random)?.to_vec()));
        let bytes = self.load_or_make(name, Kind::Secret, made)?;
        bytes.as_slice().try_into().map_err(|_| KeysError::Content {
            path: self.folder.join(name),
            expected: "a secret of 32 bytes",
        })
    }

    /// The secret of this name, if there is one.
    pub fn find_secret(&self, name: &str) -> Result<Option<[u8; 32]>, KeysError> {
        let Some(bytes) = self.load(name, Kind::Secret)? else { return Ok(None) };
        let secret = bytes.as_slice().try_into().map_err(|_| KeysError::Content {
            path: self.folder.join(name),
            expected: "a secret of 32 bytes",
        });
        secret.map(Some)
    }

    /// The names of all secrets, sorted.
    pub fn secrets(&self) -> Result<Vec<String>, KeysError> {
        let failed = |source| KeysError::File { doing: "list", path: self.folder.clone(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let end = format!(".{}", Kind::Secret.extension());
            names.extend(name.to_str().and_then(|it| it.strip_suffix(&end)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    pub fn ed25519(&self, name: &str, random: &dyn Random) -> Result<Ed25519Key, KeysError> {
        let made = || Ok(Ed25519Key::generate(random)?.to_pkcs8());
        Ed25519Key::from_pkcs8(&self.load_or_make(name, Kind::Ed25519, made)?)
    }

    /// The Ed25519 key of this name, if there is one.
    ///
    /// # Errors
    /// [`KeysError`] where the file can't be read or is sealed under another master key.
    pub fn find_ed25519(&self, name: &str) -> Result<Option<Ed25519Key>, KeysError> {
        let found = self.load(name, Kind::Ed25519)?;
        found.map(|pkcs8| Ed25519Key::from_pkcs8(&pkcs8)).transpose()
    }

    pub fn p384(&self, name: &str) -> Result<P384Key, KeysError> {
        let made = || Ok(P384Key::generate()?.to_pkcs8());
        P384Key::from_pkcs8(&self.load_or_make(name, Kind::P384, made)?)
    }

    pub fn rsa(&self, name: &str, bits: RsaBits) -> Result<RsaKey, KeysError> {
        let made = || RsaKey::generate(bits)?.to_pkcs8();
        RsaKey::from_pkcs8(&self.load_or_make(name, Kind::Rsa, made)?)
    }

    /// An RSA key that opens wrapped keys; a name of its own, never that of a signing key.
    pub fn transport(&self, name: &str, bits: RsaBits) -> Result<TransportKey, KeysError> {
        let made = || RsaKey::generate(bits)?.to_pkcs8();
        TransportKey::from_pkcs8(&self.load_or_make(name, Kind::Transport, made)?)
    }

    /// A PKCS#8 key that [`Self::import`] put here.
    pub fn imported(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeysError> {
        self.load(name, Kind::Pkcs8)
    }

    /// Takes in a PKCS#8 key made elsewhere; replaces one of the same name.
    pub fn import(&self, name: &str, pkcs8: &[u8]) -> Result<(), KeysError> {
        let (path, aad) = self.place(name, Kind::Pkcs8)?;
        let sealed = self.key.seal(aad.as_bytes(), pkcs8)?;
        file::replace(self.disk.as_ref(), &path, &sealed, MODE_SECRET)
    }

    fn load_or_make(
        &self,
        name: &str,
        kind: Kind,
        make: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, KeysError>,
    ) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.load(name, kind)? {
            return Ok(found);
        }
        let made = make()?;
        let (path, aad) = self.place(name, kind)?;
        let sealed = self.key.seal(aad.as_bytes(), &made)?;
        match file::create(self.disk.as_ref(), &path, &sealed, MODE_SECRET) {
            Ok(()) => Ok(made),
            Err(error) if exists_already(&error) => self.load(name, kind)?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    fn load(&self, name: &str, kind: Kind) -> Result<Option<Zeroizing<Vec<u8>>>, KeysError> {
        let (path, aad) = self.place(name, kind)?;
        match file::read_secret(&path, KEY_FILE_BYTES_MAX) {
            Ok(sealed) => {
                let opened = self.key.open(aad.as_bytes(), &sealed);
                let expected = "a key sealed under this master key and this name";
                opened
                    .map(|plain| Some(Zeroizing::new(plain)))
                    .map_err(|_| KeysError::Content { path, expected })
            }
            Err(KeysError::File { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn place(&self, name: &str, kind: Kind) -> Result<(PathBuf, String), KeysError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let begins = name.bytes().next().is_some_and(|b| b != b'-');
        if !begins || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
            return Err(KeysError::Name { name: name.to_owned() });
        }
        let file = format!("{name}.{}", kind.extension());
        let aad = format!("bailiwick keyring v1|{file}");
        Ok((self.folder.join(file), aad))
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({})", self.folder.display())
    }
}

fn exists_already(error: &KeysError) -> bool {
    matches!(error, KeysError::File { source, .. }
        if source.kind() == std::io::ErrorKind::AlreadyExists)
}

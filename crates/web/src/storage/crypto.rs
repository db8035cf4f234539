//! The cryptography of a store's client: SHA-256 and HMAC-SHA-256 (SigV4), from the module.

use object_store::client::{
    CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer, SigningAlgorithm,
};
use object_store::{Error, Result};

#[derive(Debug)]
pub(super) struct Keys;

impl CryptoProvider for Keys {
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => Ok(Box::new(Digest::default())),
            other => Err(unknown(&other)),
        }
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> Result<Box<dyn HmacContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => {
                let key = keys::mac::MacKey::from_slice(secret)
                    .map_err(|source| Error::Generic { store: "keys", source: Box::new(source) })?;
                Ok(Box::new(Hmac { key, data: Vec::new(), tag: [0; 32] }))
            }
            other => Err(unknown(&other)),
        }
    }

    fn sign(&self, algorithm: SigningAlgorithm, _: &[u8]) -> Result<Box<dyn Signer>> {
        Err(unknown(&algorithm))
    }
}

fn unknown(algorithm: &dyn std::fmt::Debug) -> Error {
    Error::NotSupported { source: format!("{algorithm:?} is not used here").into() }
}

#[derive(Default)]
struct Digest {
    hash: keys::digest::Sha256,
    digest: [u8; 32],
}

impl DigestContext for Digest {
    fn update(&mut self, data: &[u8]) {
        self.hash.update(data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.digest = std::mem::take(&mut self.hash).finish();
        Ok(&self.digest)
    }
}

/// What is tagged is a request's few lines: they are gathered, and tagged at the end.
struct Hmac {
    key: keys::mac::MacKey,
    data: Vec<u8>,
    tag: [u8; 32],
}

impl HmacContext for Hmac {
    fn update(&mut self, data: &[u8]) {
        self.data.extend_from_slice(data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.tag = self.key.tag(&[&self.data]);
        Ok(&self.tag)
    }
}

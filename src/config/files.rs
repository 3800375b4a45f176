//! Opens the files that a config names, to tell what is wrong with them before a node starts.

use std::io;
use std::path::Path;

use rustix::fs::{Access, access};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::control_plane::{Backend, ControlPlane, PurgeLog};
use super::fault::{Fault, Report};
use super::logging::AccessLog;
use super::secret::SecretFault;
use super::tls::Tls;
use super::{Config, Source};

impl Config {
    /// Opens every file that this config names and reports those that cannot be used. `unfit` tells
    /// what a folder cannot be a cache for.
    pub fn check_files(&self, unfit: impl FnOnce(&Path) -> Option<String>) -> Report {
        let mut files = Files { source: &self.source, faults: Vec::new() };
        files.tls(&self.tls);
        let mut check = |key: &str, expected: &str, path: &Path, result: Result<(), String>| {
            files.check(key, expected, path, result);
        };
        if let Some(peer) = &self.peer {
            let secret = peer.secret().map(drop).map_err(|fault| fault.cause);
            check("peer.secret_file", SecretFault::EXPECTED, &peer.secret_file, secret);
            if let Some(ca) = &peer.ca_file {
                check("peer.ca_file", "a PEM certificate", ca, read_certificates(ca));
            }
        }
        if let Some(database) = &self.geo.database {
            let read = self.geo.read().map(drop).map_err(|error| error.to_string());
            check("geo.database", "a database of at most 512 MiB", database, read);
        }
        for (index, s3) in
            self.origins.iter().enumerate().filter_map(|(n, it)| Some((n, it.s3.as_ref()?)))
        {
            if let (Some(file), Some(read)) = (&s3.credentials_file, s3.read_profile()) {
                let key = format!("origin[{index}].s3.credentials_file");
                check(&key, "a file of credentials", file, read.map(drop));
            }
        }
        super::site::files::check(&self.sites, &self.source, &mut check);
        if let AccessLog::File(path) = &self.logging.access {
            check("logging.access", "a file in a folder that exists", path, find_folder(path));
        }
        if let Some(disk) = &self.cache.disk {
            let expected = "a folder that can be written, or none yet";
            let found = try_folder(&disk.path).and_then(|()| unfit(&disk.path).map_or(Ok(()), Err));
            check("cache.disk.path", expected, &disk.path, found);
        }
        Report::sorted(files.faults)
    }
}

impl ControlPlane {
    /// Opens every file that this config names and reports those that cannot be used.
    pub fn check_files(&self) -> Report {
        let mut files = Files { source: &self.source, faults: Vec::new() };
        files.tls(&self.tls);
        let PurgeLog { backend, path, credentials_file, ca_file, .. } = &self.purge_log;
        if *backend == Backend::Embedded {
            let expected = "a folder that can be written, or none yet";
            files.check("purge_log.path", expected, path, try_folder(path));
        }
        if let Some(file) = credentials_file {
            let read = self.purge_log.credentials().map(drop).map_err(|error| error.to_string());
            files.check("purge_log.credentials_file", "a file of credentials", file, read);
        }
        if let Some(ca) = ca_file {
            let read = read_certificates(ca);
            files.check("purge_log.ca_file", "a PEM certificate", ca, read);
        }
        Report::sorted(files.faults)
    }
}

/// The files of a config, and what is wrong with them.
struct Files<'a> {
    source: &'a Source,
    faults: Vec<Fault>,
}

impl Files<'_> {
    fn check(&mut self, key: &str, expected: &str, path: &Path, result: Result<(), String>) {
        if let Err(error) = result {
            self.faults.push(Fault {
                file: self.source.file.clone(),
                place: self.source.place(key).unwrap_or_default(),
                key: key.to_owned(),
                expected: expected.to_owned(),
                wrong: format!("found {}: {error}", path.display()),
            });
        }
    }

    fn tls(&mut self, tls: &Tls) {
        for (index, certificate) in tls.certificates.iter().enumerate() {
            let key = format!("tls.certificates[{index}]");
            let (cert, private) = (&certificate.cert, &certificate.key);
            let read = read_certificates(cert);
            self.check(&format!("{key}.cert"), "a PEM certificate", cert, read);
            self.check(&format!("{key}.key"), "a PEM private key", private, read_key(private));
        }
    }
}

fn read_certificates(path: &Path) -> Result<(), String> {
    let mut certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?.peekable();
    if certificates.peek().is_none() {
        return Err("no certificate in it".to_owned());
    }
    certificates
        .try_for_each(|certificate| certificate.map(drop))
        .map_err(|error| error.to_string())
}

fn read_key(path: &Path) -> Result<(), String> {
    PrivateKeyDer::from_pem_file(path).map(drop).map_err(|error| error.to_string())
}

/// Whether a folder can be written, or made.
fn try_folder(path: &Path) -> Result<(), String> {
    match path.symlink_metadata().and_then(|_| path.metadata()) {
        Ok(found) if !found.is_dir() => Err("a file".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => try_folder(parent),
            _ => Ok(()),
        },
        Err(error) => Err(error.to_string()),
        Ok(_) => access(path, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|errno| io::Error::from(errno).to_string()),
    }
}

fn find_folder(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err("a folder".to_owned());
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err("no such folder".to_owned())
        }
        _ => Ok(()),
    }
}

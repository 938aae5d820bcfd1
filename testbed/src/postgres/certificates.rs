//! Certificates for a cluster, made by the `openssl` program: a CA of its own, and a server certificate for
//! `localhost` and 127.0.0.1 that this CA has signed.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The whole configuration, so that no distribution's defaults add or change an extension.
const CONFIGURATION: &str = "\
[req]
distinguished_name = subject
prompt = no
[subject]
CN = overridden by -subj
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
";

/// Writes `ca.pem`, `server.pem`, `server.key` and `unrelated-ca.pem` into `directory`.
pub(super) fn write(directory: &Path) {
    fs::write(directory.join("openssl.cnf"), CONFIGURATION).unwrap();
    authority(directory, "ca", "/CN=testbed CA");
    authority(directory, "unrelated-ca", "/CN=testbed unrelated CA");
    openssl(
        directory,
        "req -new -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
         -keyout server.key -out server.csr -subj /CN=localhost",
    );
    openssl(
        directory,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
         -extfile openssl.cnf -extensions server -out server.pem",
    );
}

fn authority(directory: &Path, name: &str, subject: &str) {
    let arguments = format!(
        "req -x509 -config openssl.cnf -extensions ca -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
         -days 3650 -keyout {name}.key -out {name}.pem -subj"
    );
    let arguments: Vec<&str> = arguments.split_whitespace().chain([subject]).collect();
    run(directory, &arguments);
}

fn openssl(directory: &Path, arguments: &str) {
    run(directory, &arguments.split_whitespace().collect::<Vec<_>>());
}

fn run(directory: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("the openssl program can't be run: {error}"));
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

//! moto, a simulator of S3 that knows Object Lock, versions and signatures. It is no S3: what it shows is
//! that requests are as S3's interface has them.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;

use crate::{Process, free_port, need, target};

const READY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Unsigned calls that are let through before every call must be signed by a known key.
const SETUP_CALLS: u32 = 4;

/// Asks for what only the first calls may: a user, its key, its rights, a bucket with Object Lock.
const SETUP: &str = "
import boto3, json, sys
endpoint, ca, bucket = sys.argv[1:]
def client(service):
    return boto3.client(service, endpoint_url=endpoint, verify=ca, region_name='us-east-1',
                        aws_access_key_id='setup', aws_secret_access_key='setup')
iam = client('iam')
iam.create_user(UserName='bailiwick')
key = iam.create_access_key(UserName='bailiwick')['AccessKey']
allow = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 's3:*', 'Resource': '*'}]}
iam.put_user_policy(UserName='bailiwick', PolicyName='all', PolicyDocument=json.dumps(allow))
client('s3').create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
print(key['AccessKeyId'])
print(key['SecretAccessKey'])
";

/// Ends when dropped.
pub struct S3 {
    pub port: u16,
    /// Two lines: the access key's id and its secret.
    pub access_key: String,
    ca: String,
    _server: Process,
}

impl S3 {
    /// Starts it with TLS for `localhost` and one empty bucket with Object Lock. `ca` is the path of the
    /// authority that issued the certificate.
    ///
    /// # Errors
    /// As [`need`] when it is absent; otherwise when it does not come up.
    pub async fn start(
        certificate: &Path,
        key: &Path,
        ca: &Path,
        bucket: &str,
    ) -> anyhow::Result<Option<Self>> {
        let program = target()?.join("python/bin/moto_server");
        let name = program.to_str().context("a path in UTF-8")?;
        let Some(program) = need("a simulator of S3", &[name])? else { return Ok(None) };
        let port = free_port()?;
        let mut command = Command::new(program);
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", SETUP_CALLS.to_string());
        command.args(["-H", "127.0.0.1", "-p", &port.to_string(), "-s", "-c"]);
        command.arg(certificate).arg("-k").arg(key);
        let server = Process::start(command)?;
        server.line("Running on", READY_WAIT_MAX).await?;
        let ca = ca.to_str().context("a path in UTF-8")?.to_owned();
        let s3 = Self { port, access_key: String::new(), ca, _server: server };
        let access_key = s3.python(SETUP, &[bucket]).await?;
        Ok(Some(Self { access_key, ..s3 }))
    }

    /// Runs a script with boto3, which is Amazon's own client, and gives what it prints. Its arguments are
    /// the endpoint, the CA's path, and `more`.
    ///
    /// # Errors
    /// When it fails; tells what it printed.
    pub async fn python(&self, script: &str, more: &[&str]) -> anyhow::Result<String> {
        let python = target()?.join("python/bin/python");
        let mut command = Command::new(python);
        command.args(["-c", script, &format!("https://localhost:{}", self.port), &self.ca]);
        let done = command.args(more).output().await.context("running python")?;
        anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).context("it printed no text")
    }
}

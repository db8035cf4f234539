//! A child process whose output a test can wait for and read.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// Killed when dropped. Its output, both streams in the order of arrival, is kept as text.
pub struct Process {
    child: Child,
    output: watch::Receiver<Arc<String>>,
}

impl Process {
    pub fn start(mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {:?}", command.as_std().get_program()))?;
        let (sender, output) = watch::channel(Arc::new(String::new()));
        if let Some(stream) = child.stdout.take() {
            tokio::spawn(keep(stream, sender.clone()));
        }
        if let Some(stream) = child.stderr.take() {
            tokio::spawn(keep(stream, sender));
        }
        Ok(Self { child, output })
    }

    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// All output so far.
    pub fn output(&self) -> Arc<String> {
        self.output.borrow().clone()
    }

    /// Waits for a line that contains `text`, printed before or after this call, and gives it.
    ///
    /// # Errors
    /// When the time is over or the process ends without such a line; tells what it printed.
    pub async fn line(&self, text: &str, wait_max: Duration) -> anyhow::Result<String> {
        let found = |output: &Arc<String>| output.lines().any(|line| line.contains(text));
        let mut printed = self.output.clone();
        let waited = timeout(wait_max, printed.wait_for(found)).await;
        let output = match waited {
            Ok(Ok(output)) => Arc::clone(&output),
            Ok(Err(_)) => anyhow::bail!("it ended without `{text}`:\n{}", self.output()),
            Err(_) => anyhow::bail!("no `{text}` within {wait_max:?}:\n{}", self.output()),
        };
        let line = output.lines().find(|line| line.contains(text)).context("a line was found")?;
        Ok(line.to_owned())
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// When it does not end in time; it is killed then.
    pub async fn stop(mut self, wait_max: Duration) -> anyhow::Result<std::process::ExitStatus> {
        if let Some(id) = self.child.id() {
            let kill = Command::new("kill").arg("-TERM").arg(id.to_string()).status().await;
            anyhow::ensure!(kill.context("running kill")?.success(), "process {id} was gone");
        }
        self.end(wait_max).await
    }

    /// Ends it where it is (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// When it can't be ended.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("ending a process")
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn end(&mut self, wait_max: Duration) -> anyhow::Result<std::process::ExitStatus> {
        let ended = timeout(wait_max, self.child.wait()).await;
        ended.context("it did not end when asked to")?.context("waiting for its end")
    }
}

async fn keep(stream: impl AsyncRead + Unpin, sender: watch::Sender<Arc<String>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        sender.send_modify(|all| {
            let all = Arc::make_mut(all);
            all.push_str(&line);
            all.push('\n');
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start(command).unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_line_is_found_whether_it_came_before_or_after_the_question() {
        let process = shell("echo ready on 8080; echo later >&2; exec sleep 60");
        assert_eq!(process.line("ready", LONG).await.unwrap(), "ready on 8080");
        assert_eq!(process.line("later", LONG).await.unwrap(), "later");
        assert_eq!(process.line("ready", LONG).await.unwrap(), "ready on 8080");
        assert!(!process.stop(LONG).await.unwrap().success(), "ended by a signal");
    }

    #[tokio::test]
    async fn a_process_that_ends_without_the_line_says_what_it_printed() {
        let process = shell("echo no such key");
        let error = process.line("ready", LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "it ended without `ready`:\nno such key\n");
    }
}

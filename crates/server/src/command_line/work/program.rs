//! A program that does a task.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use hyper::header::HeaderValue;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::exit_code::Verdict;
use super::output::{Tail, Whole};
use crate::command_line::api::content_type_of;
use crate::lease_worker::{Handler, Interruption, Outcome, Task};

/// A program that does tasks, one run for each.
#[derive(Debug)]
pub(super) struct Program {
    /// What the shell is told to run.
    pub(super) command: String,
    /// The queue, for the program's environment.
    pub(super) queue: String,
    /// The type of its results, if it is always the same.
    pub(super) result_type: Option<HeaderValue>,
}

/// The largest result, in bytes: what a request to the broker may have by default.
const RESULT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// As much of what a program has said goes with its failure, in bytes.
const ERROR_BYTES_MAX: usize = 4096;
/// Between asking a program to end and making it end.
const KILL_AFTER: Duration = Duration::from_secs(5);
/// How long a pipe is read after the end of its program: what is in it comes at once, and others who hold it, because
/// the program has left them in the background, are not waited for.
const PIPE_TIMEOUT: Duration = Duration::from_secs(1);

impl Handler for Program {
    async fn handle(&self, task: &Task, interruption: Interruption) -> Outcome {
        match self.run(task, interruption).await {
            Ok(outcome) => outcome,
            // The machine is short of processes, memory or descriptors: later, or elsewhere, it may work.
            Err(error) => Outcome::Failed {
                title: "The program could not be run".to_owned(),
                detail: error.to_string(),
                retry: true,
            },
        }
    }
}

impl Program {
    async fn run(&self, task: &Task, mut interruption: Interruption) -> std::io::Result<Outcome> {
        let mut child = self.spawn(task)?;
        let group = child.id().and_then(|id| Pid::from_raw(id as i32));
        let (mut result, mut errors) = (Whole::new(RESULT_BYTES_MAX), Tail::new(ERROR_BYTES_MAX));
        let status = tokio::select! {
            status = converse(&mut child, &task.payload, &mut result, &mut errors) => status?,
            () = interruption.wait() => {
                end(&mut child, group).await;
                return Ok(Outcome::Interrupted);
            }
        };
        let Some(status) = status else {
            end(&mut child, group).await;
            return Ok(too_large());
        };
        Ok(self.outcome(status, result, &errors))
    }

    /// A process group of its own, so that a terminal's Ctrl-C reaches this worker alone, which then decides.
    fn spawn(&self, task: &Task) -> std::io::Result<Child> {
        Command::new("sh")
            .arg("-c")
            .arg(&self.command)
            .env("FOREBAY_TASK_ID", &task.id)
            .env("FOREBAY_TASK_NAME", &task.name)
            .env("FOREBAY_ATTEMPT", task.attempt.to_string())
            .env("FOREBAY_EPOCH", task.epoch.to_string())
            .env("FOREBAY_QUEUE", &self.queue)
            .env("FOREBAY_CONTENT_TYPE", &task.content_type)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    fn outcome(&self, status: ExitStatus, result: Whole, errors: &Tail) -> Outcome {
        if result.is_too_much() {
            return too_large();
        }
        match Verdict::of(status) {
            Verdict::Done => {
                let result = result.into_bytes();
                let content_type = self.result_type.clone().unwrap_or_else(|| content_type_of(&result));
                Outcome::Done { content_type, result: result.into() }
            }
            Verdict::Failed { title, retry } => Outcome::Failed { title, detail: errors.text(), retry },
        }
    }
}

/// Feeds the program and listens to it until it has ended. None when it has said too much and still runs.
async fn converse(
    child: &mut Child,
    payload: &[u8],
    result: &mut Whole,
    errors: &mut Tail,
) -> std::io::Result<Option<ExitStatus>> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program need not read what it gets.
            let _ = stdin.write_all(payload).await;
        }
        std::io::Result::Ok(())
    };
    let listen = async {
        match stdout {
            // Too much ends the conversation at once.
            Some(stdout) => result.read(stdout).await.and_then(|()| enough(result)),
            None => Ok(()),
        }
    };
    let listen_to_errors = async {
        match stderr {
            Some(stderr) => errors.read(stderr, tokio::io::stderr()).await,
            None => Ok(()),
        }
    };
    let mut pipes = std::pin::pin!(async { tokio::try_join!(feed, listen, listen_to_errors) });
    let status = tokio::select! {
        ended = &mut pipes => match ended {
            Ok(_) => return child.wait().await.map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => return Ok(None),
            Err(error) => return Err(error),
        },
        status = child.wait() => status?,
    };
    let _ = timeout(PIPE_TIMEOUT, pipes).await;
    Ok(Some(status))
}

fn enough(result: &Whole) -> std::io::Result<()> {
    if result.is_too_much() { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
}

fn too_large() -> Outcome {
    let detail = format!(
        "the program wrote more than {RESULT_BYTES_MAX} bytes, which is the largest result; write it elsewhere and return where it is"
    );
    Outcome::Failed { title: "The result is too large".to_owned(), detail, retry: false }
}

/// Asks the program and all that it has started to end, and then makes them.
async fn end(child: &mut Child, group: Option<Pid>) {
    let signal = |signal| {
        if let Some(group) = group {
            // Those who have ended already need no signal.
            let _ = kill_process_group(group, signal);
        }
    };
    signal(Signal::TERM);
    let has_ended = timeout(KILL_AFTER, child.wait()).await.is_ok();
    signal(Signal::KILL);
    if !has_ended {
        let _ = child.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn task(payload: &str) -> Task {
        Task {
            id: "t1".to_owned(),
            name: "greet".to_owned(),
            attempt: 2,
            epoch: 7,
            content_type: "text/plain".to_owned(),
            payload: payload.to_owned().into(),
        }
    }

    async fn run(command: &str, payload: &str) -> Outcome {
        let program = Program { command: command.to_owned(), queue: "q".to_owned(), result_type: None };
        let (_interrupter, interruption) = Interruption::never();
        program.handle(&task(payload), interruption).await
    }

    fn text(result: &str) -> Outcome {
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        Outcome::Done { content_type, result: result.to_owned().into() }
    }

    #[tokio::test]
    async fn the_payload_goes_in_and_the_result_comes_out() {
        assert_eq!(run("tr a-z A-Z", "hello").await, text("HELLO"));
        let large = "x".repeat(1_000_000);
        assert_eq!(run("cat", &large).await, text(&large));
        let bytes = run(r"printf '\211PNG'", "not read").await;
        assert!(
            matches!(bytes, Outcome::Done { content_type, .. } if content_type == "application/octet-stream")
        );
    }

    #[tokio::test]
    async fn the_program_knows_its_task() {
        let command = "echo $FOREBAY_TASK_ID $FOREBAY_TASK_NAME $FOREBAY_ATTEMPT $FOREBAY_EPOCH $FOREBAY_QUEUE $FOREBAY_CONTENT_TYPE";
        assert_eq!(run(command, "").await, text("t1 greet 2 7 q text/plain\n"));
    }

    #[tokio::test]
    async fn a_failure_comes_with_the_last_words() {
        let failed = |code: u8, retry| Outcome::Failed {
            title: format!("The program ended with exit code {code}"),
            detail: "no font".to_owned(),
            retry,
        };
        assert_eq!(run("echo no font >&2; exit 75", "").await, failed(75, true));
        assert_eq!(run("echo no font >&2; exit 100", "").await, failed(100, false));
    }

    #[tokio::test]
    async fn what_runs_on_in_the_background_is_not_waited_for() {
        let started = Instant::now();
        assert_eq!(run("echo done; sleep 20 &", "").await, text("done\n"));
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn an_endless_result_is_refused() {
        let outcome = run("yes", "").await;
        assert!(matches!(outcome, Outcome::Failed { retry: false, .. }), "{outcome:?}");
    }

    #[tokio::test]
    async fn an_interrupted_program_is_asked_to_end_and_its_children_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("asked");
        let command = format!("trap 'touch {}; exit' TERM; sleep 60 & wait", mark.display());
        let program = Program { command, queue: "q".to_owned(), result_type: None };
        let (interrupter, interruption) = Interruption::never();
        let task = task("");
        let started = Instant::now();
        let (outcome, ()) = tokio::join!(program.handle(&task, interruption), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            drop(interrupter);
        });
        assert_eq!(outcome, Outcome::Interrupted);
        assert!(mark.exists() && started.elapsed() < KILL_AFTER, "{:?}", started.elapsed());
    }
}

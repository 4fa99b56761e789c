//! The loop on the thread of a link.

use std::future::pending;
use std::io;
use std::time::Duration;

use amqp_wire::{Method, connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::handshake::Connection;
use super::heartbeat::{Beat, Heartbeat};
use super::incoming::Piece;
use super::{Backoff, ConnectError, Endpoint, LinkError, LinkSettings, Output, Violation, goodbye};

/// A link's state on its thread.
pub(super) struct Run<E: Endpoint> {
    settings: LinkSettings,
    endpoint: E,
    output: Output,
    commands: mpsc::Receiver<E::Command>,
    /// No command will come any more: the link is to end.
    commands_ended: bool,
    closing: CancellationToken,
    /// Set when the link is to end: by when it has to be done.
    close_by: Option<Instant>,
    /// Told once how the first connection went.
    first: Option<oneshot::Sender<Result<(), ConnectError>>>,
    backoff: Backoff,
}

/// What the loop woke up for.
enum Event<C> {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    Command(Option<C>),
    Closing,
    Time,
}

/// Room that is made for a read, so that one busy peer does not keep commands waiting for long.
const READ_BYTES: usize = 64 * 1024;

/// Commands that are taken at once, so that they share a write.
const COMMANDS_AT_ONCE_MAX: usize = 256;

/// How long the broker may take to answer a goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that held for this long counts as a success.
const STABLE_AFTER: Duration = Duration::from_secs(5);

impl<E: Endpoint> Run<E> {
    pub(super) fn new(
        settings: LinkSettings,
        endpoint: E,
        commands: mpsc::Receiver<E::Command>,
        closing: CancellationToken,
        first: oneshot::Sender<Result<(), ConnectError>>,
    ) -> Self {
        Self {
            backoff: Backoff::new(settings.retry_first, settings.retry_max),
            settings,
            endpoint,
            output: Output::default(),
            commands,
            commands_ended: false,
            closing,
            close_by: None,
            first: Some(first),
        }
    }

    pub(super) async fn run(mut self) {
        while let Some(outcome) = self.connect().await {
            match outcome {
                Ok(connection) => self.use_connection(connection).await,
                Err(error) if self.is_final(&error) => return self.tell_first(Err(error)),
                Err(error) => tracing::warn!(address = self.settings.url.address, "{error}"),
            }
            let wait = self.backoff.next_wait();
            self.take_commands_until(Instant::now() + wait).await;
        }
    }

    /// Makes a connection; `None` when the link has to end first.
    async fn connect(&mut self) -> Option<Result<Connection, ConnectError>> {
        let settings = self.settings.clone();
        let opening = Connection::open(&settings);
        tokio::pin!(opening);
        while !self.is_done() {
            tokio::select! {
                outcome = &mut opening => return Some(outcome),
                event = next_command(&mut self.commands, self.commands_ended, &self.closing, self.close_by) => {
                    self.obey(event);
                }
            }
        }
        None
    }

    /// Only the first connection may fail for good.
    fn is_final(&self, error: &ConnectError) -> bool {
        self.first.is_some() && !(self.settings.retries_first_connection && error.is_temporary())
    }

    fn tell_first(&mut self, outcome: Result<(), ConnectError>) {
        if let Some(first) = self.first.take() {
            // Who asked may have stopped waiting.
            let _ = first.send(outcome);
        }
    }

    /// Waits between two attempts. Commands are taken meanwhile: they wait in the endpoint, which bounds them.
    async fn take_commands_until(&mut self, end: Instant) {
        while !self.is_done() && Instant::now() < end {
            let until = self.close_by.map_or(end, |close_by| close_by.min(end));
            let event = next_command(&mut self.commands, self.commands_ended, &self.closing, self.close_by);
            tokio::select! {
                () = sleep_until(until) => {}
                event = event => self.obey(event),
            }
        }
    }

    async fn use_connection(&mut self, mut connection: Connection) {
        tracing::debug!(address = self.settings.url.address, "connected");
        let up_since = Instant::now();
        self.output.open(connection.frame_max);
        self.endpoint.connected(&mut self.output);
        self.tell_first(Ok(()));
        let served = self.serve(&mut connection).await;
        self.endpoint.lost();
        match served {
            Ok(()) => self.say_goodbye(connection).await,
            Err(error) => {
                tracing::warn!(address = self.settings.url.address, "{error}; connecting again");
            }
        }
        self.output.close();
        // A broker that takes connections and drops them at once must not be asked in a hot loop.
        if up_since.elapsed() > STABLE_AFTER {
            self.backoff.reset();
        }
    }

    /// Returns when the link is to end.
    async fn serve(&mut self, connection: &mut Connection) -> Result<(), LinkError> {
        let mut heartbeat = Heartbeat::new(connection.heartbeat_s, Instant::now());
        // The handshake may have read more than its own.
        self.understand(connection).await?;
        while !self.is_done() {
            let deadline = earliest(self.endpoint.next_deadline(), heartbeat.next_check());
            match self.next_event(connection, deadline).await {
                Event::Read(read) => {
                    if read? == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    heartbeat.read(Instant::now());
                    self.understand(connection).await?;
                }
                Event::Written(written) => {
                    self.output.taken(written?);
                    heartbeat.written(Instant::now());
                }
                Event::Time => self.pass_time(&mut heartbeat)?,
                event @ (Event::Command(_) | Event::Closing) => self.obey(event),
            }
        }
        Ok(())
    }

    async fn next_event(
        &mut self,
        connection: &mut Connection,
        deadline: Option<Instant>,
    ) -> Event<E::Command> {
        connection.input.reserve(READ_BYTES);
        let (mut reader, mut writer) = connection.stream.split();
        let (is_waiting, is_full) = (!self.output.waiting().is_empty(), self.output.is_full());
        tokio::select! {
            read = reader.read_buf(&mut connection.input) => Event::Read(read),
            written = writer.write(self.output.waiting()), if is_waiting => Event::Written(written),
            () = wait_until(deadline) => Event::Time,
            event = next_command(&mut self.commands, self.commands_ended || is_full, &self.closing, self.close_by) => {
                event
            }
        }
    }

    fn pass_time(&mut self, heartbeat: &mut Heartbeat) -> Result<(), LinkError> {
        let now = Instant::now();
        match heartbeat.check(now) {
            Beat::Fine => {}
            Beat::Missed => return Err(LinkError::Silent),
            Beat::Due => {
                // What waits for the socket is as good as a heartbeat once it goes.
                if self.output.waiting().is_empty() {
                    self.output.heartbeat();
                }
                heartbeat.written(now);
            }
        }
        self.endpoint.tick(now, &mut self.output);
        Ok(())
    }

    fn obey(&mut self, event: Event<E::Command>) {
        match event {
            Event::Command(Some(command)) => {
                self.endpoint.command(command, &mut self.output);
                for _ in 1..COMMANDS_AT_ONCE_MAX {
                    match self.commands.try_recv() {
                        Ok(command) if !self.output.is_full() => {
                            self.endpoint.command(command, &mut self.output);
                        }
                        Ok(command) => return self.endpoint.command(command, &mut self.output),
                        Err(_) => return,
                    }
                }
            }
            Event::Command(None) => {
                self.commands_ended = true;
                self.end_soon();
            }
            Event::Closing => {
                // What was sent before is still taken; then the channel ends.
                self.commands.close();
                self.end_soon();
            }
            Event::Read(_) | Event::Written(_) | Event::Time => {}
        }
    }

    fn end_soon(&mut self) {
        self.close_by.get_or_insert_with(|| Instant::now() + self.settings.close_timeout);
    }

    fn is_done(&self) -> bool {
        self.close_by.is_some_and(|close_by| {
            (self.commands_ended && self.endpoint.is_idle()) || Instant::now() >= close_by
        })
    }

    /// Acts on all whole frames that were read.
    async fn understand(&mut self, connection: &mut Connection) -> Result<(), LinkError> {
        while let Some(piece) = connection.assembler.next(&mut connection.input, connection.frame_max)? {
            let Piece::Whole(incoming) = piece else { continue };
            if incoming.channel != 0 {
                self.endpoint.incoming(*incoming, &mut self.output)?;
                continue;
            }
            match incoming.method {
                Method::Connection(connection::Method::Close(close)) => {
                    let mut answer = Vec::new();
                    Method::from(connection::CloseOk {}).encode_frame(&mut answer, 0);
                    // The broker hangs up whether or not it gets this.
                    let _ = connection.stream.try_write(&answer);
                    return Err(LinkError::Closed {
                        code: close.reply_code,
                        text: close.reply_text.to_string(),
                    });
                }
                Method::Connection(connection::Method::Blocked(blocked)) => {
                    tracing::warn!(reason = %blocked.reason, "the broker takes no publishes for now");
                }
                Method::Connection(connection::Method::Unblocked(_)) => {
                    tracing::info!("the broker takes publishes again");
                }
                other => return Err(Violation::Unexpected { method: other.name(), channel: 0 }.into()),
            }
        }
        Ok(())
    }

    /// Ends the connection in order: the broker then knows that nothing crashed.
    async fn say_goodbye(&mut self, mut connection: Connection) {
        self.output.method(0, goodbye());
        let ending = async {
            connection.stream.write_all(self.output.waiting()).await?;
            loop {
                while let Ok(Some(piece)) =
                    connection.assembler.next(&mut connection.input, connection.frame_max)
                {
                    if is_close_ok(&piece) {
                        return Ok(());
                    }
                }
                if connection.stream.read_buf(&mut connection.input).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
        };
        match timeout(GOODBYE_TIMEOUT, ending).await {
            Ok(Ok(())) => tracing::debug!("disconnected"),
            Ok(Err(error)) => tracing::debug!("the connection broke at the goodbye: {error}"),
            Err(_) => tracing::debug!("the broker did not answer the goodbye"),
        }
    }
}

fn is_close_ok(piece: &Piece) -> bool {
    let Piece::Whole(incoming) = piece else { return false };
    matches!(incoming.method, Method::Connection(connection::Method::CloseOk(_)))
}

/// Waits for what the program wants: a command, or the end. With a deadline, for that too.
async fn next_command<C>(
    commands: &mut mpsc::Receiver<C>,
    without_commands: bool,
    closing: &CancellationToken,
    close_by: Option<Instant>,
) -> Event<C> {
    tokio::select! {
        command = commands.recv(), if !without_commands => Event::Command(command),
        () = closing.cancelled(), if close_by.is_none() => Event::Closing,
        () = wait_until(close_by), if close_by.is_some() => Event::Closing,
        else => pending().await,
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

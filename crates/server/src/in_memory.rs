//! A whole broker inside another program, with nothing on disk.

use std::net::SocketAddr;

use crate::server::{Ending, Server, StartError};
use crate::settings::{Listen, Settings};
use crate::storage::Storage;

/// A broker that lives in memory, for tests and for programs that want a queue and no disk.
///
/// It is the broker that `forebay serve` runs, with the same limits and default settings, on two free ports of the
/// loopback address. Only what is beneath differs: the journal is kept in memory, so that what was confirmed is safe
/// until the broker ends and gone afterwards. Any number may run in one process. The user is `guest` with the password
/// `guest`, who may do everything.
///
/// Memory follows what is in the queues, since nothing can leave memory for a disk. Clients in the same runtime are
/// served between the runtime's other tasks: one that blocks a thread blocks its broker, too.
///
/// ```
/// use forebay::Server;
/// use forebay::client::Url;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Server::in_memory().await?;
/// println!("AMQP: {}  HTTP: {}", broker.amqp_url(), broker.http_url());
///
/// // Any client takes it from here.
/// # let url: Url = broker.amqp_url().parse()?;
/// # assert_eq!(url.user, "guest");
/// broker.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct InMemoryServer {
    server: Server,
    amqp_url: String,
    http_url: String,
}

impl Server {
    /// Starts a broker that keeps everything in memory, on free ports of the loopback address; when this returns it
    /// serves. A few milliseconds. Has to be called inside a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// [`StartError`], when the operating system grants no sockets.
    pub async fn in_memory() -> Result<InMemoryServer, StartError> {
        let mut settings = Settings::default();
        settings.amqp.listen = a_free_port();
        settings.http.listen = a_free_port();
        let server = Self::start_on(Storage::Memory, settings).await?;
        let amqp_url = first(server.amqp_addresses(), |address| format!("amqp://guest:guest@{address}/%2F"));
        let http_url = first(server.http_addresses(), |address| format!("http://{address}"));
        Ok(InMemoryServer { server, amqp_url, http_url })
    }
}

impl InMemoryServer {
    /// Where AMQP clients find it, user and virtual host included: `amqp://guest:guest@127.0.0.1:40001/%2F`.
    #[must_use]
    pub fn amqp_url(&self) -> &str {
        &self.amqp_url
    }

    /// Where HTTP clients find it, without a slash at the end: `http://127.0.0.1:40002`. Requests log in as
    /// `guest:guest`.
    #[must_use]
    pub fn http_url(&self) -> &str {
        &self.http_url
    }

    /// Stops it and waits until its clients have said goodbye, for ten seconds at most. Dropping it stops it too, and
    /// waits for nobody.
    pub async fn stop(self) -> Ending {
        self.server.stop();
        self.server.finish().await
    }
}

fn a_free_port() -> Listen {
    Listen { addresses: vec!["127.0.0.1:0".to_owned()], asked_for: true }
}

fn first(addresses: &[SocketAddr], url: impl FnOnce(&SocketAddr) -> String) -> String {
    addresses.first().map(url).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use amqp_wire::{Method, ShortString, basic};
    use testkit::http::{HttpPeer, Request};

    use super::*;
    use crate::client::{Client, ClientError, Incoming, Url};

    /// A task that comes in over HTTP and is looked at over AMQP.
    fn check_both_protocols(amqp_url: &str, http_url: &str) {
        let guest = |request: Request| request.header("authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=");
        let mut http = HttpPeer::open(http_url.strip_prefix("http://").unwrap()).unwrap();
        assert_eq!(http.call(&guest(Request::put("/v1/queues/sms").json("{}"))).unwrap().status, 201);
        let task = Request::post("/v1/queues/sms/tasks").json(r#"{"payload":"hi"}"#);
        assert_eq!(http.call(&guest(task)).unwrap().status, 202);

        let mut amqp = Client::connect(&amqp_url.parse::<Url>().unwrap()).unwrap();
        let queue = ShortString::from_static("sms");
        amqp.send(basic::Get { queue, ..basic::Get::default() });
        match amqp.receive().unwrap() {
            Incoming::Message { method: Method::Basic(basic::Method::GetOk(_)), body } => {
                assert_eq!(body, b"\"hi\"");
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn it_serves_both_protocols_and_leaves_nothing_on_disk() {
        let broker = Server::in_memory().await.unwrap();
        let (amqp_url, http_url) = (broker.amqp_url().to_owned(), broker.http_url().to_owned());
        tokio::task::spawn_blocking(move || check_both_protocols(&amqp_url, &http_url)).await.unwrap();
        // Sooner than it would give up on clients that do not say goodbye: there are none.
        let ending = tokio::time::timeout(Duration::from_secs(5), broker.stop()).await;
        assert_eq!(ending, Ok(Ending::Stopped));
        assert!(!Settings::default().data.exists());
    }

    fn connect(broker: &InMemoryServer) -> Client {
        Client::connect(&broker.amqp_url().parse::<Url>().unwrap()).unwrap()
    }

    /// The code with which the broker refuses to go on, asked for a queue that is not there.
    fn refusal(client: &mut Client) -> u16 {
        let queue = ShortString::from_static("none");
        client.send(basic::Get { queue, ..basic::Get::default() });
        match client.receive() {
            Err(ClientError::Refused { code, .. }) => code,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_is_dropped_says_goodbye_to_its_clients_and_leaves_others_alone() {
        let (broker, other) = (Server::in_memory().await.unwrap(), Server::in_memory().await.unwrap());
        tokio::task::block_in_place(|| {
            let (mut client, mut client_of_other) = (connect(&broker), connect(&other));
            drop(broker);
            match client.receive() {
                Err(ClientError::Refused { code, .. }) => assert_eq!(code, 320),
                other => panic!("{other:?}"),
            }
            assert_eq!(refusal(&mut client_of_other), 404);
        });
    }
}

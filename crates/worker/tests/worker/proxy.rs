//! A way to the broker that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes connections on to a broker. Its threads end with the process.
pub(crate) struct Proxy {
    address: SocketAddr,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub(crate) fn start(broker: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let streams = Arc::new(Mutex::new(Vec::new()));
        let open = streams.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // A broker that is away is no listener to its clients either.
                let Ok(broker) = TcpStream::connect(&broker) else { continue };
                open.lock().unwrap().extend([client.try_clone().unwrap(), broker.try_clone().unwrap()]);
                pass_on(client.try_clone().unwrap(), broker.try_clone().unwrap());
                pass_on(broker, client);
            }
        });
        Self { address, streams }
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@{}/", self.address)
    }

    /// Ends all connections without a word, and takes new ones.
    pub(crate) fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            // It may have ended already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

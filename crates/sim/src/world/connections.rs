//! Bytes on their way, and connections that break.

use super::World;
use crate::agenda::Event;
use crate::client::Phase;
use crate::line::{Line, LineId};
use crate::node::{Node, ServerEnd, Surroundings};

impl World {
    /// A client opens a connection.
    pub(super) fn connect(&mut self, number: usize) {
        let now = self.now();
        let Some(node) = &mut self.node else { return };
        // What it left behind has to be gone: it would be in its own way.
        let old = self.clients[number].line;
        if node.ends.contains_key(&old) {
            return;
        }
        let line = LineId(self.next_line);
        self.next_line += 1;
        let random = self.random.fork();
        node.ends.insert(line, ServerEnd::new(line, random, self.plan.delivery_window_bytes, now));
        self.lines.remove(&old);
        self.lines.insert(line, Line::default());
        self.clients[number].connect(line);
        self.say(&format!("client {number} connects on {line}"));
    }

    /// The client's output goes on its way.
    pub(super) fn flush(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let Some(line) = self.lines.get_mut(&client.line) else { return };
        let taken = line.to_server.write(&client.output);
        client.output.drain(..taken);
        if line.to_server.has_bytes() {
            let after = self.random.between(10, 500);
            self.agenda.schedule(Event::ServerReads(client.line), after);
        }
    }

    /// Bytes have come to the server, or the end.
    pub(super) fn server_reads(&mut self, id: LineId) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let wants =
            self.node.as_ref().and_then(|node| node.ends.get(&id)).is_some_and(ServerEnd::wants_input);
        if line.to_server.is_over() {
            return self.server_loses(id);
        }
        if !wants {
            self.agenda.schedule(Event::ServerReads(id), 1_000);
            return;
        }
        let bytes = line.to_server.read(&mut self.random);
        let (more, over) = (line.to_server.has_bytes(), line.to_server.is_over());
        self.at_server(id, |end, around| end.read(around, &bytes));
        if more || over {
            let after = self.random.between(1, 300);
            self.agenda.schedule(Event::ServerReads(id), after);
        }
        self.serve(id);
        let owner = self.clients.iter().position(|client| client.line == id && !client.output.is_empty());
        owner.into_iter().for_each(|number| self.flush(number));
    }

    /// The server's end writes, and encodes what comes next.
    pub(super) fn serve(&mut self, id: LineId) {
        let now = self.now();
        let (Some(node), Some(line)) = (&mut self.node, self.lines.get_mut(&id)) else { return };
        let Node { engine, ends, .. } = node;
        let Some(end) = ends.get_mut(&id) else { return };
        let mut around =
            Surroundings { engine, now, checkers: &mut self.checkers, messages: &mut self.messages };
        end.serve(&mut around, &mut line.to_client);
        let (deadline, is_over) = (end.next_deadline(), end.is_over());
        if let Some(deadline) = deadline {
            self.agenda.schedule(Event::TickLine(id), 1000 * deadline.0.saturating_sub(now.0) + 1);
        }
        if is_over {
            line.to_client.close();
            ends.remove(&id);
        }
        self.wake_client(id);
    }

    pub(super) fn tick_line(&mut self, id: LineId) {
        self.at_server(id, |end, around| end.tick(around));
        self.serve(id);
    }

    /// Some connection breaks.
    pub(super) fn cut_some_line(&mut self) {
        let lines: Vec<LineId> = self.lines.keys().copied().collect();
        if lines.is_empty() {
            return;
        }
        let id = *self.random.pick(&lines);
        self.cut_line(id);
    }

    /// A connection breaks, at any byte.
    pub(super) fn cut_line(&mut self, id: LineId) {
        self.say(&format!("{id} is cut"));
        if let Some(line) = self.lines.get_mut(&id) {
            line.to_server.cut(&mut self.random);
            line.to_client.cut(&mut self.random);
        }
        // Each side learns of it in its own time.
        let after = self.random.between(10, 50_000);
        self.agenda.schedule(Event::ServerReads(id), after);
        self.wake_client(id);
    }

    /// The process is gone: of what was on its way to clients, some of it still comes.
    pub(super) fn drop_lines(&mut self, in_peace: bool) {
        for (id, mut line) in std::mem::take(&mut self.lines) {
            if in_peace {
                line.to_client.close();
            } else {
                line.to_client.cut(&mut self.random);
            }
            while line.to_client.has_bytes() {
                let bytes = line.to_client.read(&mut self.random);
                self.client_hears(id, &bytes);
            }
            self.agenda.cancel(Event::ServeLine(id));
            self.agenda.cancel(Event::TickLine(id));
            self.agenda.cancel(Event::ServerReads(id));
        }
        for client in &mut self.clients {
            client.disconnected();
        }
    }

    /// The server notices that a client is gone.
    pub(super) fn server_loses(&mut self, id: LineId) {
        self.at_server(id, |end, around| end.lost(around));
        if let Some(node) = &mut self.node {
            node.ends.remove(&id);
        }
        if let Some(line) = self.lines.get_mut(&id) {
            line.to_client.close();
        }
        self.wake_client(id);
    }

    fn at_server(&mut self, id: LineId, act: impl FnOnce(&mut ServerEnd, &mut Surroundings<'_>)) {
        let now = self.now();
        let Some(Node { engine, ends, .. }) = &mut self.node else { return };
        let Some(end) = ends.get_mut(&id) else { return };
        let (checkers, messages) = (&mut self.checkers, &mut self.messages);
        act(end, &mut Surroundings { engine, now, checkers, messages });
    }

    /// The client of a line has something to read, or its end.
    fn wake_client(&mut self, id: LineId) {
        let Some(line) =
            self.lines.get(&id).filter(|line| line.to_client.has_bytes() || line.to_client.is_over())
        else {
            return;
        };
        debug_assert!(line.to_client.has_bytes() || line.to_client.is_over());
        let Some(client) = self.clients.iter().find(|client| client.line == id) else { return };
        if client.phase != Phase::Offline && !self.agenda.has(Event::ClientReads(client.number)) {
            let after = self.random.between(10, 500);
            self.agenda.schedule(Event::ClientReads(client.number), after);
        }
    }
}

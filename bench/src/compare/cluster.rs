//! Three primaries behind the proxies.
//!
//! nutcracker follows no slot map and splits commands by server, not by slot, which a cluster
//! refuses: so it gets three servers that are no cluster. Keys still fall to them as they fall
//! to the cluster's: with hash `crc16` and distribution `modula` a server's share is of
//! crc16(key) mod the sum of the weights, and with a sum of 64, which divides 16384, that is
//! the key's slot mod 64. The cluster's slots are dealt out by the same remainders.

use std::net::SocketAddr;
use std::path::Path;

use super::process::wait_for;
use super::subject::{Place, Subject, start_at};
use crate::client::{Client, info_field};
use crate::failure::{Failure, Outcome};

/// How many of 64 neighbouring slots each primary has.
pub(super) const WEIGHTS: [u16; 3] = [22, 21, 21];

const SLOTS: u16 = 16_384;

/// Servers that share the keys.
#[derive(Debug)]
pub(super) struct Primaries {
    pub(super) nodes: Vec<Subject>,
}

impl Primaries {
    /// Starts three servers of a kind and, if told so, makes them a cluster.
    pub(super) fn start(kind: &str, cluster: bool, cores: &[usize], dir: &Path) -> Outcome<Self> {
        let place = Place {
            dir,
            cores,
            cluster,
        };
        let nodes: Outcome<Vec<Subject>> = WEIGHTS.iter().map(|_| start_at(kind, place)).collect();
        let mut primaries = Self { nodes: nodes? };
        if cluster {
            primaries.deal_out_slots()?;
            primaries.introduce()?;
        }
        Ok(primaries)
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(Subject::pid).collect()
    }

    /// Keys in all of them.
    pub(super) fn keys(&self) -> Outcome<i64> {
        let counts = self.nodes.iter();
        counts.map(|node| node.client()?.integer("DBSIZE")).sum()
    }

    fn deal_out_slots(&self) -> Outcome<()> {
        for (place, node) in self.nodes.iter().enumerate() {
            let mut client = node.client()?;
            let mut command = vec!["CLUSTER".to_owned(), "ADDSLOTSRANGE".to_owned()];
            for (first, last) in ranges(place) {
                command.extend([first.to_string(), last.to_string()]);
            }
            expect_ok(&mut client, &command)?;
            let epoch = (place + 1).to_string();
            let command = ["CLUSTER", "SET-CONFIG-EPOCH", &epoch].map(str::to_owned);
            expect_ok(&mut client, &command)?;
        }
        Ok(())
    }

    /// Lets the nodes meet and waits until each knows all, and who has which slots.
    fn introduce(&mut self) -> Outcome<()> {
        let addresses = self.addresses();
        let first = addresses.first().copied();
        for address in &addresses {
            if let Some(first) = first.filter(|first| first != address) {
                let port = first.port().to_string();
                let command = ["CLUSTER", "MEET", "127.0.0.1", &port].map(str::to_owned);
                expect_ok(&mut Client::connect(*address)?, &command)?;
            }
        }
        let mut processes: Vec<_> = self
            .nodes
            .iter_mut()
            .map(|node| &mut node.process)
            .collect();
        wait_for("the cluster is formed", &mut processes, || {
            for address in &addresses {
                let info = Client::connect(*address)?.text("CLUSTER INFO")?;
                let is =
                    |field: &str, value: &str| info_field(&info, field).as_deref() == Some(value);
                let formed = is("cluster_state", "ok")
                    && is("cluster_known_nodes", "3")
                    && is("cluster_slots_ok", "16384");
                if !formed {
                    return Err(Failure::Subject(format!("{address} says:\n{info}")));
                }
            }
            Ok(())
        })
    }
}

/// The slots of the primary at `place`: its remainders, all the way up.
fn ranges(place: usize) -> impl Iterator<Item = (u16, u16)> {
    let sum: u16 = WEIGHTS.iter().sum();
    let below: u16 = WEIGHTS.iter().take(place).sum();
    let own = WEIGHTS.get(place).copied().unwrap_or(0);
    (0..SLOTS / sum).map(move |turn| {
        let first = turn * sum + below;
        (first, first + own - 1)
    })
}

fn expect_ok(client: &mut Client, command: &[String]) -> Outcome<()> {
    let reply = client.call(command)?;
    if reply.as_bytes() == Some(b"OK") {
        return Ok(());
    }
    let words: Vec<&str> = command.iter().take(2).map(String::as_str).collect();
    let text = format!(
        "{} answered {}",
        words.join(" "),
        crate::client::shown(&reply)
    );
    Err(Failure::WrongAnswer(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_primary_and_it_is_the_one_of_its_remainder() {
        let mut owners = vec![Vec::new(); usize::from(SLOTS)];
        for place in 0..3 {
            for (first, last) in ranges(place) {
                for slot in first..=last {
                    owners[usize::from(slot)].push(place);
                }
            }
        }
        for (slot, owners) in owners.iter().enumerate() {
            let expected = match slot % 64 {
                0..22 => 0,
                22..43 => 1,
                _ => 2,
            };
            assert_eq!(owners, &[expected], "slot {slot}");
        }
    }
}

//! What CLUSTER commands change. The texts are Redis 7.0's.

use super::action::{Action, Command, CommandReply, Ticket};
use super::node::{Address, NodeKey};
use super::state::Core;
use slotilla_common::bus::{IpText, NodeFlags};
use slotilla_common::ids::NodeId;
use slotilla_common::slot::Slot;
use slotilla_common::slot_set::SlotSet;
use std::net::IpAddr;

impl Command {
    /// For a command that takes all its slots away from a node, which must have no keys then:
    /// what one that has some answers.
    #[must_use]
    pub fn refusal_with_keys(&self) -> Option<&'static str> {
        match self {
            Self::FlushSlots => Some("ERR DB must be empty to perform CLUSTER FLUSHSLOTS."),
            Self::Reset { .. } => {
                Some("ERR CLUSTER RESET can't be called with master nodes containing keys")
            }
            Self::Meet { .. }
            | Self::AddSlots(_)
            | Self::DelSlots(_)
            | Self::Forget(_)
            | Self::SetConfigEpoch(_)
            | Self::BumpEpoch
            | Self::SaveConfig
            | Self::KeepFound(_) => None,
        }
    }
}

impl Core {
    /// Carries out a command. Its reply is among the actions, after everything that it says.
    pub fn on_command(&mut self, ticket: Ticket, command: Command, now_ms: i64) -> Vec<Action> {
        self.now_ms = now_ms;
        let reply = match command {
            Command::Meet { ip, port, cport } => self.meet(&ip, port, cport),
            Command::AddSlots(ranges) => self.add_slots(&ranges),
            Command::DelSlots(ranges) => self.del_slots(&ranges),
            Command::FlushSlots => self.flush_slots(),
            Command::Forget(name) => self.forget(&name),
            Command::Reset { new_id } => self.reset(new_id),
            Command::SetConfigEpoch(epoch) => self.set_config_epoch(epoch),
            Command::BumpEpoch => self.bump_epoch(),
            Command::SaveConfig => {
                self.save(true);
                ok()
            }
            Command::KeepFound(slots) => self.keep_found(&slots),
        };
        self.reply(ticket, reply);
        self.finish()
    }

    fn meet(&mut self, ip: &str, port: i64, cport: Option<i64>) -> CommandReply {
        let bus_port = cport.unwrap_or(port.saturating_add(10_000));
        let narrow = |port: i64| u16::try_from(port).ok().filter(|port| *port > 0);
        let parsed = ip.parse::<IpAddr>().ok();
        let text = parsed.and_then(|ip| IpText::new(&ip.to_string()));
        let (Some(text), Some(port16), Some(cport16)) = (text, narrow(port), narrow(bus_port))
        else {
            return Err(format!("ERR Invalid node address specified: {ip}:{port}"));
        };
        let address = Address {
            ip: text,
            port: port16,
            cport: cport16,
            other_port: 0,
        };
        // One that is being met already is as good.
        self.start_handshake(address, NodeFlags::MEET);
        ok()
    }

    fn add_slots(&mut self, ranges: &[(Slot, Slot)]) -> CommandReply {
        let slots = self.check_slots(ranges, |owner| owner.is_some(), "busy")?;
        for slot in slots.iter() {
            // It is ours now; nothing is left to import.
            self.slots.importing.remove(&slot);
            self.assign(slot, Some(self.myself));
        }
        self.slots_changed()
    }

    fn del_slots(&mut self, ranges: &[(Slot, Slot)]) -> CommandReply {
        let slots = self.check_slots(ranges, |owner| owner.is_none(), "unassigned")?;
        for slot in slots.iter() {
            self.assign(slot, None);
        }
        self.slots_changed()
    }

    /// All slots of `ranges`, unless one is named twice or already is what the command would
    /// make it.
    fn check_slots(
        &self,
        ranges: &[(Slot, Slot)],
        is_so: impl Fn(Option<NodeKey>) -> bool,
        already: &str,
    ) -> Result<SlotSet, String> {
        let mut slots = SlotSet::new();
        for (start, end) in ranges {
            for slot in Slot::all()
                .skip(start.index())
                .take_while(|slot| slot <= end)
            {
                if is_so(self.slots.owner(slot)) {
                    return Err(format!("ERR Slot {slot} is already {already}"));
                }
                if !slots.insert(slot) {
                    return Err(format!("ERR Slot {slot} specified multiple times"));
                }
            }
        }
        Ok(slots)
    }

    /// As in Redis: what has no owner is ours from now on; what is another's is being imported, so
    /// that its keys are not lost before somebody has looked. A replica's keys are its primary's
    /// business.
    fn keep_found(&mut self, slots: &[Slot]) -> CommandReply {
        if !self.me().is_primary() {
            return ok();
        }
        for slot in slots {
            let Some(owner) = self.slots.owner(*slot) else {
                tracing::warn!("Keys were found in slot {slot}, which is nobody's: it is ours now");
                self.assign(*slot, Some(self.myself));
                continue;
            };
            let Some(node) = self.nodes.get(owner).filter(|_| owner != self.myself) else {
                continue;
            };
            tracing::warn!(
                "Keys were found in slot {slot}, which is node {}'s: it is being imported now",
                node.id
            );
            self.slots.importing.insert(*slot, node.id);
            self.slots.touch();
            self.is_topology_stale = true;
        }
        self.slots_changed()
    }

    fn flush_slots(&mut self) -> CommandReply {
        self.strip(self.myself);
        self.slots_changed()
    }

    /// A claim is on disk before anybody hears of it.
    fn slots_changed(&mut self) -> CommandReply {
        self.save(true);
        self.judge_cluster();
        self.broadcast_pong();
        ok()
    }

    fn forget(&mut self, name: &[u8]) -> CommandReply {
        let key = self.find(name)?;
        if key == self.myself {
            return Err("ERR I tried hard but I can't forget myself...".to_owned());
        }
        if !self.me().is_primary() && key == self.my_primary() {
            return Err("ERR Can't forget my master!".to_owned());
        }
        if let Some(id) = self.nodes.get(key).map(|node| node.id) {
            self.blacklist.add(id, self.now_ms);
        }
        self.remove_node(key);
        self.judge_cluster();
        self.save(true);
        ok()
    }

    fn find(&self, name: &[u8]) -> Result<NodeKey, String> {
        NodeId::parse(name)
            .and_then(|id| self.nodes.key_of(id))
            .ok_or_else(|| format!("ERR Unknown node {}", String::from_utf8_lossy(name)))
    }

    fn reset(&mut self, new_id: Option<NodeId>) -> CommandReply {
        self.become_primary(self.myself);
        self.slots.migrating.clear();
        self.slots.importing.clear();
        self.strip(self.myself);
        for key in self.nodes.keys() {
            if key != self.myself {
                self.remove_node(key);
            }
        }
        if let Some(id) = new_id {
            let old = self.me().id;
            self.current_epoch = 0;
            self.last_vote_epoch = 0;
            self.nodes.rename(self.myself, id);
            if let Some(me) = self.nodes.get_mut(self.myself) {
                me.config_epoch = 0;
            }
            tracing::info!(%old, new = %id, "Node reset hard, under a new name");
        }
        // Links of peers stay open, but whose they are is to be learned anew.
        self.slots_changed()
    }

    fn set_config_epoch(&mut self, epoch: i64) -> CommandReply {
        let Ok(epoch_u64) = u64::try_from(epoch) else {
            return Err(format!("ERR Invalid config epoch specified: {epoch}"));
        };
        if self.nodes.len() > 1 {
            return Err("ERR The user can assign a config epoch only when the \
                        node does not know any other node."
                .to_owned());
        }
        if self.me().config_epoch != 0 {
            return Err("ERR Node config epoch is already non-zero".to_owned());
        }
        self.take_epoch(epoch_u64);
        ok()
    }

    /// A new epoch without asking anybody: for administrators, and for who has just imported a
    /// slot.
    fn bump_epoch(&mut self) -> CommandReply {
        let greatest = self.greatest_epoch();
        let own = self.me().config_epoch;
        if own != 0 && own == greatest {
            return Ok(format!("STILL {own}"));
        }
        let new = self.current_epoch.saturating_add(1);
        self.take_epoch(new);
        Ok(format!("BUMPED {new}"))
    }

    fn take_epoch(&mut self, epoch: u64) {
        self.current_epoch = self.current_epoch.max(epoch);
        if let Some(me) = self.nodes.get_mut(self.myself) {
            me.config_epoch = epoch;
        }
        self.is_topology_stale = true;
        self.save(true);
        self.broadcast_pong();
    }
}

fn ok() -> CommandReply {
    Ok("OK".to_owned())
}

//! Asks one node for the slot map: CLUSTER SLOTS, or CLUSTER SHARDS if it will not answer that.

use slotilla_common::resp::{Protocol, Value, decode};
use slotilla_common::topology::{Topology, TopologyError, parse_shards, parse_slots};
use tokio::net::TcpStream;

use super::map::Address;
use crate::config::Config;
use crate::upstream::{UpstreamError, call, open};

/// The longest map taken: a thousand nodes with scattered slots stay below.
const MAP_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a node told no map.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// It could not be asked.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Its answer is no map.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// It did not answer in time.
    #[error("no answer within request-timeout")]
    Timeout,
    /// It owns no slot and knows nobody who does.
    #[error("the node knows of no slot that has an owner; is it part of the cluster?")]
    Empty,
}

/// Asks the node at `address`.
pub(super) async fn ask(config: &Config, address: &Address) -> Result<Topology, SourceError> {
    let asking = async {
        let mut stream = open(config, address, Protocol::Resp2).await?;
        let slots = command(&mut stream, &[b"CLUSTER", b"SLOTS"]).await?;
        let topology = match parse_slots(&slots) {
            Err(TopologyError::Refused(_)) => {
                let shards = command(&mut stream, &[b"CLUSTER", b"SHARDS"]).await?;
                parse_shards(&shards)?
            }
            parsed => parsed?,
        };
        if topology.shards.is_empty() {
            return Err(SourceError::Empty);
        }
        Ok(topology)
    };
    tokio::time::timeout(config.request_timeout, asking)
        .await
        .unwrap_or(Err(SourceError::Timeout))
}

async fn command(stream: &mut TcpStream, words: &[&[u8]]) -> Result<Value, UpstreamError> {
    let reply = call(stream, words, MAP_BYTES_MAX).await?;
    match decode(&reply).map_err(UpstreamError::Protocol)? {
        Some((value, _)) => Ok(value),
        None => Err(UpstreamError::Closed),
    }
}

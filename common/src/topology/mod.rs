//! CLUSTER SLOTS, SHARDS and NODES replies, both ways.

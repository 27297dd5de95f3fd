//! Redirections: MOVED, ASK, TRYAGAIN, CLUSTERDOWN; parsed and printed.

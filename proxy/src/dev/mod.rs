//! A whole local cluster behind one proxy, in one command.

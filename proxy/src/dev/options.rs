//! What `dev` can be told.

use std::net::TcpListener;
use std::path::PathBuf;

/// The options of `dev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Nodes that own slots.
    pub primaries: u16,
    /// The proxy's port.
    pub port: u16,
    /// The first node's port; the others' follow.
    pub base_port: u16,
    /// The proxy's admin port; 0: none.
    pub admin_port: u16,
    /// Where the nodes keep their files; none: a temporary directory.
    pub dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            primaries: 3,
            port: 6379,
            base_port: 7000,
            admin_port: 9121,
            dir: None,
        }
    }
}

/// Nodes on one machine beyond which nothing is learned any more.
const PRIMARIES_MAX: u16 = 100;
/// From a node's port to that of its cluster bus.
const BUS_OFFSET: u16 = 10_000;

const KNOWN: &str = "--primaries, --replicas, --port, --base-port, --admin-port, --dir";

/// What `dev --help` prints.
pub const HELP: &str = "\
slotilla-proxy dev: a whole cluster on this machine, behind a proxy

usage:
  slotilla-proxy dev [OPTION]...

  --primaries N     nodes that share the slots (3)
  --replicas N      only 0: the nodes do not replicate yet
  --port P          the proxy's port (6379)
  --base-port P     the first node's port; the others' follow, and 10000 above each is the port of
                    its cluster bus (7000)
  --admin-port P    where the proxy serves /metrics, /healthz and /readyz; 0: nowhere (9121)
  --dir DIR         keep the nodes' files and logs there (a temporary directory)
";

impl Options {
    /// Reads the words after `dev`.
    ///
    /// # Errors
    /// A sentence that names the option and the remedy.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(option) = words.next() {
            let (option, value) = match option.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None => (*option, None),
            };
            if !KNOWN.split(", ").any(|known| known == option) {
                return Err(format!(
                    "dev: there is no option {option}; there are {KNOWN}"
                ));
            }
            let Some(value) = value.or_else(|| words.next().copied()) else {
                return Err(format!("dev: {option} needs a value"));
            };
            options.set(option, value)?;
        }
        options.check()?;
        Ok(options)
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        let number = |least: u16, most: u16| {
            let number = value.parse().ok().filter(|n| (least..=most).contains(n));
            number.ok_or_else(|| {
                format!("dev: {option} takes a number from {least} to {most}, not {value:?}")
            })
        };
        match option {
            "--primaries" => self.primaries = number(1, PRIMARIES_MAX)?,
            "--replicas" => {
                if value != "0" {
                    return Err(format!(
                        "dev: --replicas {value}: the nodes do not replicate yet; leave the option \
                         out, or say --replicas 0"
                    ));
                }
            }
            "--port" => self.port = number(1, u16::MAX)?,
            "--base-port" => self.base_port = number(1, u16::MAX)?,
            "--admin-port" => self.admin_port = number(0, u16::MAX)?,
            _ => {
                // Nodes run in directories of their own, so a relative path would move.
                let dir = std::path::absolute(value)
                    .map_err(|error| format!("dev: --dir {value:?}: {error}"))?;
                self.dir = Some(dir);
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let last = u32::from(self.base_port) + u32::from(self.primaries) - 1;
        if last + u32::from(BUS_OFFSET) > u32::from(u16::MAX) {
            return Err(format!(
                "dev: --base-port {}: the nodes' bus ports lie {BUS_OFFSET} above theirs and would \
                 exceed 65535; choose a lower one",
                self.base_port
            ));
        }
        let mut ports: Vec<u16> = self.all_ports().map(|(port, _)| port).collect();
        ports.sort_unstable();
        let twice = ports.windows(2).find(|pair| pair.first() == pair.last());
        match twice.and_then(|pair| pair.first()) {
            Some(port) => Err(format!(
                "dev: port {port} would be used twice; choose --port, --base-port and --admin-port \
                 so that they differ"
            )),
            None => Ok(()),
        }
    }

    /// The ports of the nodes.
    pub fn node_ports(&self) -> impl Iterator<Item = u16> + use<> {
        self.base_port..self.base_port.saturating_add(self.primaries)
    }

    /// Every port that will be opened, with the option that moves it.
    fn all_ports(&self) -> impl Iterator<Item = (u16, &'static str)> {
        let own = [(self.port, "--port"), (self.admin_port, "--admin-port")];
        let bus = self
            .node_ports()
            .map(|port| port.saturating_add(BUS_OFFSET));
        let nodes = self
            .node_ports()
            .chain(bus)
            .map(|port| (port, "--base-port"));
        own.into_iter().filter(|(port, _)| *port != 0).chain(nodes)
    }

    /// Whether every port can be opened, before anything is started.
    ///
    /// # Errors
    /// A sentence that names the port and the option that moves it.
    pub fn check_ports(&self) -> Result<(), String> {
        for (port, option) in self.all_ports() {
            if let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
                let why = match error.kind() {
                    std::io::ErrorKind::AddrInUse => {
                        "it is in use by another process; stop that one"
                    }
                    std::io::ErrorKind::PermissionDenied => {
                        "permission denied: ports below 1024 need a privilege"
                    }
                    _ => return Err(format!("cannot open port {port}: {error}")),
                };
                return Err(format!(
                    "cannot open port {port}: {why}, or choose another port with {option}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_the_documented_names_and_defaults() {
        assert_eq!(Options::parse(&[]).unwrap(), Options::default());
        let options = Options::parse(&[
            "--primaries",
            "5",
            "--replicas",
            "0",
            "--port=6400",
            "--base-port",
            "7100",
            "--admin-port",
            "0",
            "--dir",
            "/tmp/x",
        ])
        .unwrap();
        let expected = Options {
            primaries: 5,
            port: 6400,
            base_port: 7100,
            admin_port: 0,
            dir: Some("/tmp/x".into()),
        };
        assert_eq!(options, expected);
        assert_eq!(
            options.node_ports().collect::<Vec<_>>(),
            [7100, 7101, 7102, 7103, 7104]
        );
    }

    #[test]
    fn the_help_names_every_option_with_its_default() {
        for option in KNOWN.split(", ") {
            assert!(HELP.contains(&format!("\n  {option} ")), "{option}");
        }
        let usual = Options::default();
        for (option, default) in [
            ("--primaries", usual.primaries),
            ("--port", usual.port),
            ("--base-port", usual.base_port),
            ("--admin-port", usual.admin_port),
        ] {
            let mut parts = HELP.split("\n  --");
            let told = parts.find(|part| part.split(' ').next() == option.strip_prefix("--"));
            assert!(told.unwrap().contains(&format!("({default})")), "{option}");
        }
    }

    #[test]
    fn wrong_options_are_told_with_a_remedy() {
        for (words, part) in [
            (&["--replicas", "1"][..], "do not replicate yet"),
            (&["--primaries", "0"], "from 1 to 100"),
            (&["--port"], "needs a value"),
            (&["--base-port", "60000"], "choose a lower one"),
            (&["--port", "7001"], "port 7001 would be used twice"),
            (&["--admin-port", "17002"], "port 17002 would be used twice"),
            (&["--nodes", "3"], "there is no option --nodes"),
        ] {
            let text = Options::parse(words).unwrap_err();
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_port_in_use_is_named_with_the_option_that_moves_it() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let options = Options {
            port: taken.local_addr().unwrap().port(),
            ..Options::default()
        };
        let text = options.check_ports().unwrap_err();
        assert!(text.contains("in use") && text.contains("--port"), "{text}");
    }
}

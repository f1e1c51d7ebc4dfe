//! Who holds a port: what `ss -ltnp` would say, from /proc.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a socket that listens (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pid: u32,
    name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (pid {})", self.name, self.pid)
    }
}

/// Whoever listens where nobody else can then listen on `address`. None: nobody is found, or not shown to this user.
pub(crate) fn of(address: SocketAddr) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inodes: Vec<String> = tables.iter().flat_map(|table| listeners(table, address)).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| holds(*pid, &inodes))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(Holder { pid, name: name.trim().to_owned() })
}

/// Whether a process has one of these sockets.
fn holds(pid: u32, inodes: &[String]) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .any(|target| inodes.iter().any(|inode| target.as_os_str() == format!("socket:[{inode}]").as_str()))
}

/// Inodes of sockets that listen on `address`, or on all addresses at its port, in a table of proc_pid_net(5).
fn listeners(table: &str, address: SocketAddr) -> Vec<String> {
    let inode = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (ip, port) = fields.next()?.split_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        let (ip, port) = (ip_of(ip)?, u16::from_str_radix(port, 16).ok()?);
        let wanted = address.ip().to_canonical();
        let same = ip == wanted || ip.is_unspecified() || wanted.is_unspecified();
        (state == LISTEN && port == address.port() && same).then(|| inode.to_owned())
    };
    table.lines().filter_map(inode).collect()
}

/// An address as the kernel writes it: words of 32 bits, in this machine's order of bytes.
fn ip_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (part, at) in bytes.chunks_exact_mut(4).zip((0..32).step_by(8)) {
                part.copy_from_slice(&word(at)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_found_by_its_port() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let holder = of(address).expect("this process");
        assert_eq!(holder.pid, std::process::id());
        assert_eq!(holder.to_string(), format!("process {} (pid {})", holder.name, holder.pid));
        let elsewhere = SocketAddr::from(([127, 0, 0, 2], address.port()));
        assert_eq!(of(elsewhere), None, "another address");
        drop(listener);
        assert_eq!(of(address), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_words() {
        assert_eq!(ip_of("0100007F"), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(ip_of("00000000000000000000000001000000"), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(ip_of("0000000000000000FFFF00000100007F"), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(ip_of("01"), None);
        assert_eq!(ip_of("0100007\u{e9}"), None);
    }
}

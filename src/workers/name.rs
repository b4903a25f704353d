//! How an agent is known: a name that no other process of this installation's directory has.
//!
//! Two processes under one name would take each other's tasks back and sweep each other's unfinished files.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::AgentConfig;

/// Agents beside each other in one state directory.
const BESIDE_MAX: u32 = 64;

/// A name, for as long as this is held.
pub struct AgentName {
    pub name: String,
    _lock: File,
}

/// The configured name, or the host's; the second process of a state directory gets `-2` behind it, and so on. A
/// process that starts again after a kill gets the same name, since its lock went with it.
pub fn claim_name(config: &AgentConfig, state_dir: &Path) -> anyhow::Result<AgentName> {
    let base = config.name.clone().unwrap_or_else(host_name);
    let dir = state_dir.join("agents");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {} (state.dir)", dir.display()))?;
    for number in 1..=BESIDE_MAX {
        let name = if number == 1 { base.clone() } else { format!("{base}-{number}") };
        let path = dir.join(format!("{}.lock", hex::encode(&name)));
        let file = File::options().create(true).write(true).truncate(false).open(&path);
        let lock = file.with_context(|| format!("cannot open {}", path.display()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(AgentName { name, _lock: lock }),
            Err(Errno::WOULDBLOCK) => {}
            Err(err) => return Err(err).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
    bail!("{BESIDE_MAX} agents run with the state directory {} already", state_dir.display())
}

pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_one_directory_have_names_of_their_own_and_get_them_back() {
        let dir = tempfile::tempdir().unwrap();
        let config = AgentConfig { name: Some("a/b".to_owned()), ..AgentConfig::default() };
        let claim = || claim_name(&config, dir.path()).unwrap();

        let (first, second) = (claim(), claim());

        assert_eq!((first.name.as_str(), second.name.as_str()), ("a/b", "a/b-2"));
        drop(first);
        assert_eq!(claim().name, "a/b");
    }
}
